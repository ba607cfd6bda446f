"""What networks are trained on, as tensors, and its three parts."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lrpilot.envs.data.matrices import DataError

KINDS = ("vector", "image", "signal", "text classification", "language model")
PARTS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}  # shares of the samples, from and to
BLOCK = 32  # windows of a text that stay in one part, so that few neighbours are in different parts
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
        >>> iris = Dataset(torch.zeros(150, 4), torch.zeros(150, dtype=torch.int64), 3)
        >>> [len(split(iris, part).targets) for part in PARTS]
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
