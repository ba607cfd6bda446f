"""Views of a data set: fewer classes, fewer symbols, badly scaled features, noise. They make one data set many."""

import numpy as np
import torch

from lrpilot.envs.data.dataset import Dataset

SMALLEST_VOCABULARY = 8


def view(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """Return the same data in another light.

    Classes are left out (two or more remain) and rare symbols become one. Each feature of vectors, each channel of
    pictures and signals, gets noise of up to its own size and a log-normal factor (σ up to 0.7); all together a
    factor of up to e either way.

    Args:
        dataset: What is looked at; it stays as it is.
        rng: Source of randomness.

    Returns:
        A data set of the same kind.
    """
    if dataset.kind == "language model":
        used = int(rng.integers(SMALLEST_VOCABULARY, dataset.classes + 1))
        return Dataset(dataset.inputs.clamp(max=used - 1), dataset.targets.clamp(max=used - 1), used)
    dataset = _some_classes(dataset, rng)
    if not dataset.inputs.is_floating_point():
        used = int(rng.integers(SMALLEST_VOCABULARY, int(dataset.inputs.max()) + 2))
        return dataset._replace(inputs=dataset.inputs.clamp(max=used - 1))
    features = dataset.inputs.shape[1:] if dataset.kind == "vector" else dataset.inputs.shape[1:2]
    scales = np.exp(rng.uniform(0, 0.7) * rng.standard_normal(features) + rng.uniform(-1, 1))
    noise = rng.uniform(0, 1) * rng.standard_normal(tuple(dataset.inputs.shape))
    factor = torch.from_numpy(scales).reshape(len(scales), *[1] * (dataset.inputs.ndim - 2))
    return dataset._replace(inputs=((dataset.inputs + torch.from_numpy(noise)) * factor).float())


def _some_classes(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    kept = rng.permutation(dataset.classes)[: int(rng.integers(2, dataset.classes + 1))]
    number = torch.full((dataset.classes,), -1, dtype=torch.int64)
    number[torch.from_numpy(kept)] = torch.arange(len(kept))
    targets = number[dataset.targets]
    return Dataset(dataset.inputs[targets >= 0], targets[targets >= 0], len(kept))
