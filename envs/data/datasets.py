"""Data that networks are trained on, as tensors: real, from installed packages or frozen files, never downloaded."""

from collections.abc import Callable
from functools import cache, lru_cache, partial

import numpy as np
import torch

from lrpilot.arrays import Floats
from lrpilot.envs.data import synthetic
from lrpilot.envs.data.dataset import Dataset
from lrpilot.envs.data.labelled import IMAGES, load_labelled
from lrpilot.envs.data.matrices import DataError
from lrpilot.envs.data.text import SYMBOLS, Symbols, docstrings, next_symbols
from lrpilot.envs.data.views import view

PATCH = 12  # height and width of the pieces that photographs are cut into


def load_dataset(name: str) -> Dataset:
    """Return a data set by name; loaded once, and shared: don't write into its tensors.

    Args:
        name: One of `list_datasets()`. With a number behind it, as in `digits~7`, that view of it (`views.view`), or
            that one of the data sets that are made up (`random_data`).

    Returns:
        All its samples.

    Raises:
        DataError: There is no such data set.

    Example:
        >>> data = load_dataset("digits")
        >>> tuple(data.inputs.shape), data.classes, data.kind
        ((1797, 1, 8, 8), 10, 'image')
    """
    stem, tilde, number = name.partition("~")
    if stem not in list_datasets() or (tilde and not number.isdecimal()):
        raise DataError(f"no data set {name!r}: there are {', '.join(list_datasets())}")
    return _drawn(stem, int(number or 0)) if tilde or stem in _RANDOM else _DATASETS[stem]()


@lru_cache(maxsize=8)
def _drawn(stem: str, number: int) -> Dataset:
    rng = np.random.default_rng(number)
    return _RANDOM[stem](rng) if stem in _RANDOM else view(_DATASETS[stem](), rng)


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows."""
    return sorted([*_DATASETS, *_RANDOM])


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


def _numbered(inputs_and_targets: tuple[Symbols, Symbols]) -> Dataset:
    return _text(inputs_and_targets, int(inputs_and_targets[1].max()) + 1)


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
_LABELLED: dict[str, Callable[[bool, np.random.Generator], Dataset]] = {
    "images": lambda broad, rng: _scaled(*synthetic.images(rng, broad), (0, 1, 2, 3)),
    "signals": lambda broad, rng: _scaled(*synthetic.signals(rng, broad), (0, 1, 2)),
    "texts": lambda broad, rng: _numbered(synthetic.texts(rng, broad)),
    "vectors": lambda broad, rng: _scaled(*synthetic.vectors(rng, broad), (0,)),
}
_RANDOM: dict[str, Callable[[np.random.Generator], Dataset]] = {
    "random_language": lambda rng: _numbered(synthetic.language(rng)),
    **{f"random_{kind}": partial(make, False) for kind, make in _LABELLED.items()},
    **{f"broad_{kind}": partial(make, True) for kind, make in _LABELLED.items()},
}
_DATASETS = {name: cache(loader) for name, loader in _DATASETS.items()}
