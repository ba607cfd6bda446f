"""Labelled data that comes with installed packages: what networks are trained on. Nothing is downloaded."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.envs.data.matrices import DataError, load_matrix, mnist, sklearn_table

IMAGES = {"digits": (8, 8), "faces": (28, 23), "mnist": (28, 28)}  # height and width of those that are pictures


class Labelled(NamedTuple):
    """Samples with classes.

    Attributes:
        inputs: Shape (N, features), as in the source; not scaled. Pictures are row by row.
        labels: Class of each sample, 0 … C − 1, shape (N,).
    """

    inputs: Floats
    labels: NDArray[np.int64]


def load_labelled(name: str) -> Labelled:
    """Return a labelled data set by name.

    Args:
        name: One of `list_labelled()`.

    Returns:
        Inputs and labels.

    Raises:
        DataError: There is no such data set.

    Example:
        >>> load_labelled("wine").inputs.shape
        (178, 13)
    """
    if name not in _LABELS:
        raise DataError(f"no labelled data set {name!r}: there are {', '.join(list_labelled())}")
    classes, labels = np.unique(_LABELS[name](), return_inverse=True)
    assert len(classes) > 1
    return Labelled(load_matrix(name).T, labels.astype(np.int64))


def list_labelled() -> list[str]:
    """Return the names that `load_labelled` knows."""
    return sorted(_LABELS)


_LABELS: dict[str, Callable[[], NDArray[np.int64]]] = {
    "breast_cancer": lambda: sklearn_table("breast_cancer").target,
    "digits": lambda: sklearn_table("digits").target,
    "faces": lambda: np.repeat(np.arange(40), 10),  # ten pictures of each of 40 people, in order
    "iris": lambda: sklearn_table("iris").target,
    "mnist": lambda: mnist()[1],
    "wine": lambda: sklearn_table("wine").target,
}
_LABELS = {name: cache(labels) for name, labels in _LABELS.items()}
