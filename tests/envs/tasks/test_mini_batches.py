"""What a step of training sees: epochs in random order, and augmented samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lrpilot.envs.tasks.nets.mini_batches import Loader, augment
from lrpilot.envs.tasks.nets.task import NetTask
from tests.envs.tasks.test_net_task import SMALL


def test_mini_batches_are_epochs_in_random_order() -> None:
    sizes = torch.tensor([7, 12])
    loader = Loader(sizes, 12, 3, torch.Generator().manual_seed(0))
    for _ in range(5):
        rows = torch.cat([loader.draw() for _ in range(2)], 1)
        assert len(set(rows[0].tolist())) == 6  # 7 samples: two mini-batches, and one sample left over
        assert rows[0].max() < 7
    loader = Loader(sizes[1:], 12, 3, torch.Generator().manual_seed(0))
    epochs = [torch.cat([loader.draw() for _ in range(4)], 1)[0].tolist() for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("shape", [(5,), (2, 6), (1, 4, 6)])
def test_augmentation_is_as_strong_as_it_says(shape: tuple[int, ...]) -> None:
    strength = torch.tensor([0.0, 0.2, 0.6])
    inputs = torch.randn(3, 4000, *shape, generator=torch.Generator().manual_seed(1))
    seen = augment(inputs, strength, torch.Generator().manual_seed(0))
    assert torch.equal(seen[0], inputs[0])
    candidates = [inputs, inputs.roll(-1, -1), inputs.roll(1, -1)] if len(shape) > 1 else [inputs]
    distance = torch.stack([(seen - c).flatten(2).square().mean(2) for c in candidates])
    nearest, moved = distance.min(0)
    assert nearest[1].mean().sqrt().item() == pytest.approx(0.2, rel=0.05)
    share = (moved[1:] > 0).double().mean(1)
    expected = strength[1:].double() if len(shape) > 1 else torch.zeros(2).double()
    torch.testing.assert_close(share, expected, atol=0.04, rtol=0)


def test_augmentation_leaves_symbols_alone_and_is_shared_by_replicas() -> None:
    symbols = torch.randint(9, (2, 5, 7))
    assert augment(symbols, torch.ones(2), torch.Generator()) is symbols
    problems = replace(SMALL, data=("digits",), architectures=("cnn",), augment=(0.5, 0.5))
    group = NetTask(problems, 4, replicas=2)
    group.reset(np.random.default_rng(0))
    for _ in range(3):
        group.sgd_step(group.reference())
    weights = group.weights()
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-5, atol=1e-6)
    assert (weights[0] != weights[2]).any()
