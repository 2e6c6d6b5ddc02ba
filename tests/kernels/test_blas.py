"""The limit of BLAS's threads, which is the process's, in several blocks at once."""

from threadpoolctl import threadpool_info

from minigrad.kernels.blas import blas_threads


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blocks_that_overlap_restore_the_number_when_the_last_one_ends():
    before, first, second = threads(), blas_threads(1), blas_threads(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert threads() == before
