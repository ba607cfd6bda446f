"""Data that networks are trained on, as tensors: real, from installed packages or frozen files, never downloaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lrpilot.envs.data import DataError
from lrpilot.envs.labelled_data import IMAGES, load_labelled
from lrpilot.envs.text_data import SYMBOLS, docstrings, next_symbols
from lrpilot.signals import Floats

KINDS = ("vector", "image", "signal", "text classification", "language model")
PARTS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}  # shares of the samples, from and to
BLOCK = 32  # windows of a text that stay in one part, so that few neighbours are in different parts
PATCH = 12  # height and width of the pieces that photographs are cut into
_SPLIT_SEED = 20240


class Dataset(NamedTuple):
    """Samples and what is to be predicted for them.

    Attributes:
        inputs: Float32 of mean 0 and standard deviation 1, shape (N, features), (N, channels, length) or
            (N, channels, height, width); or int64 symbols, shape (N, T).
        targets: Int64: classes, shape (N,), or the next symbols of a language model, shape (N, T).
        classes: Number of classes or of symbols.
    """

    inputs: Tensor
    targets: Tensor
    classes: int

    @property
    def kind(self) -> str:
        """One of `KINDS`: what an architecture must suit."""
        if self.targets.ndim == 2:
            return "language model"
        if not self.inputs.is_floating_point():
            return "text classification"
        return {2: "vector", 3: "signal", 4: "image"}[self.inputs.ndim]


def load_dataset(name: str) -> Dataset:
    """Return a data set by name; loaded once, and shared: don't write into its tensors.

    Args:
        name: One of `list_datasets()`.

    Returns:
        All its samples.

    Raises:
        DataError: There is no such data set.

    Example:
        >>> data = load_dataset("digits")
        >>> tuple(data.inputs.shape), data.classes, data.kind
        ((1797, 1, 8, 8), 10, 'image')
    """
    if name not in _DATASETS:
        raise DataError(f"no data set {name!r}: there are {', '.join(list_datasets())}")
    return _DATASETS[name]()


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows."""
    return sorted(_DATASETS)


def split(dataset: Dataset, part: str) -> Dataset:
    """Return one of three fixed parts of a data set that share no sample.

    Texts are dealt out in blocks of BLOCK windows, other samples one by one.

    Args:
        dataset: All samples.
        part: One of `PARTS`: 3/5, 1/5 and 1/5 of the samples.

    Returns:
        The samples of the part in random order, the same at each call: the first few are a random sample too.

    Raises:
        DataError: There is no such part.

    Example:
        >>> [len(split(load_dataset("iris"), part).targets) for part in PARTS]
        [90, 30, 30]
    """
    if part not in PARTS:
        raise DataError(f"no part {part!r}: there are {', '.join(PARTS)}")
    count = len(dataset.targets)
    block = BLOCK if dataset.kind == "language model" else 1
    rng = np.random.default_rng(_SPLIT_SEED)
    blocks = rng.permutation(-(-count // block))
    first, last = (round(share * len(blocks)) for share in PARTS[part])
    chosen = (blocks[first:last, None] * block + np.arange(block)).ravel()
    index = torch.from_numpy(rng.permutation(chosen[chosen < count]))
    return Dataset(dataset.inputs[index], dataset.targets[index], dataset.classes)


def _scaled(inputs: Floats, labels: object, over: tuple[int, ...]) -> Dataset:
    """Standardise; `over` are the axes that share a mean and a standard deviation."""
    spread = inputs.std(over, keepdims=True)
    scaled = (inputs - inputs.mean(over, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    targets = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    return Dataset(torch.from_numpy(scaled).float(), targets, int(targets.max()) + 1)


def _vector(name: str) -> Dataset:
    return _scaled(*load_labelled(name), (0,))


def _image(name: str, pool: int = 1) -> Dataset:
    """Grey pictures, averaged over squares of pool × pool pixels; what is left over at the edge is cut off."""
    inputs, labels = load_labelled(name)
    height, width = (side // pool for side in IMAGES[name])
    images = inputs.reshape(-1, *IMAGES[name])[:, : height * pool, : width * pool]
    pooled = images.reshape(-1, height, pool, width, pool).mean((2, 4))
    return _scaled(pooled[:, None], labels, (0, 1, 2, 3))


def _diabetes() -> Dataset:
    """Progress of the disease in three classes of equal size: the labels are noisy by nature."""
    from sklearn.datasets import load_diabetes

    measured = load_diabetes()
    return _scaled(measured.data, np.digitize(measured.target, np.quantile(measured.target, (1 / 3, 2 / 3))), (0,))


def _photographs() -> Dataset:
    """Colour pieces of two photographs; the classes are the top, middle and bottom thirds of each."""
    from sklearn.datasets import load_sample_images

    pieces, labels = [], []
    for number, picture in enumerate(load_sample_images().images):
        rows, columns = picture.shape[0] // PATCH, picture.shape[1] // PATCH
        cut = picture[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH, 3)
        pieces.append(cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3, PATCH, PATCH))
        labels.append(np.repeat(3 * number + np.arange(rows) * 3 // rows, columns))
    return _scaled(np.concatenate(pieces).astype(np.float64), np.concatenate(labels), (0, 2, 3))


def _mnist1d() -> Dataset:
    """MNIST-1D (arXiv 2011.14439) as its authors generate it, seed 42; the global random states are put back."""
    import random

    from mnist1d.data import get_dataset_args, make_dataset

    states = random.getstate(), np.random.get_state()
    made = make_dataset(get_dataset_args())
    random.setstate(states[0])
    np.random.set_state(states[1])
    signals = np.concatenate([made["x"], made["x_test"]])
    return _scaled(signals[:, None], np.concatenate([made["y"], made["y_test"]]), (0, 1, 2))


def _text(inputs_and_targets: tuple[object, object], classes: int) -> Dataset:
    inputs, targets = (torch.from_numpy(np.array(part, dtype=np.int64)) for part in inputs_and_targets)
    return Dataset(inputs, targets, classes)


_DATASETS: dict[str, Callable[[], Dataset]] = {
    "breast_cancer": lambda: _vector("breast_cancer"),
    "code": lambda: _text(next_symbols("python_code", 32), SYMBOLS),
    "code_a": lambda: _text(next_symbols("python_code", 32, (0.0, 0.5)), SYMBOLS),
    "code_b": lambda: _text(next_symbols("python_code", 32, (0.5, 1.0)), SYMBOLS),
    "diabetes": _diabetes,
    "digits": lambda: _image("digits"),
    "digits_flat": lambda: _vector("digits"),
    "docstrings": lambda: _text(docstrings(), 12),
    "docstrings_a": lambda: _text(docstrings(0, 3), 4),
    "docstrings_b": lambda: _text(docstrings(1, 3), 4),
    "docstrings_c": lambda: _text(docstrings(2, 3), 4),
    "faces": lambda: _image("faces", 2),
    "iris": lambda: _vector("iris"),
    "manual": lambda: _text(next_symbols("python_manual", 16), SYMBOLS),
    "mnist": lambda: _image("mnist", 2),
    "mnist_fine": lambda: _image("mnist"),
    "mnist1d": _mnist1d,
    "photographs": _photographs,
    "wine": lambda: _vector("wine"),
}
_DATASETS = {name: cache(loader) for name, loader in _DATASETS.items()}
