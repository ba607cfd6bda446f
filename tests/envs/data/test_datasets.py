"""Every data set over the registry, and the text against what it was made from."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from lrpilot.envs.data import datasets
from lrpilot.envs.data.dataset import BLOCK, KINDS, PARTS, Dataset, split
from lrpilot.envs.data.datasets import list_datasets, load_dataset
from lrpilot.envs.data.labelled import load_labelled
from lrpilot.envs.data.matrices import DataError
from lrpilot.envs.data.text import SYMBOLS, next_symbols, ranked

MADE_UP = [f"{how}_{what}" for how in ("random", "broad") for what in ("vectors", "images", "signals", "texts")]


@pytest.mark.parametrize("name", list_datasets())
def test_every_set_is_finite_scaled_and_has_all_its_classes(name: str) -> None:
    data = load_dataset(name)
    assert data.kind in KINDS
    assert len(data.inputs) == len(data.targets) > 100
    assert data.targets.dtype == torch.int64
    assert set(data.targets.unique().tolist()) == set(range(data.classes))
    if data.inputs.is_floating_point():
        assert data.inputs.dtype == torch.float32
        assert data.inputs.isfinite().all()
        assert data.inputs.mean().abs() < 1e-3
        assert data.inputs.var(correction=0) == pytest.approx(1, abs=0.06)  # a few pixels of digits never change
    else:
        assert data.inputs.dtype == torch.int64
        assert 0 <= data.inputs.min() <= data.inputs.max() < SYMBOLS


@pytest.mark.parametrize("name", list_datasets())
def test_parts_are_disjoint_and_together_everything(name: str) -> None:
    data = load_dataset(name)
    numbered = Dataset(torch.arange(len(data.targets))[:, None], data.targets, data.classes)
    parts = [split(numbered, part).inputs.flatten() for part in PARTS]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(data.targets)))
    for part, (low, high) in zip(parts, PARTS.values(), strict=True):
        assert len(part) == pytest.approx((high - low) * len(data.targets), abs=1 + len(data.targets) / 100)
    again = split(data, "validation")
    assert torch.equal(again.inputs, data.inputs[parts[1]])
    assert torch.equal(again.targets, data.targets[parts[1]])


@pytest.mark.parametrize("name", list_datasets())
def test_parts_have_all_classes_and_none_is_sorted(name: str) -> None:
    data = load_dataset(name)
    for part in PARTS:
        targets = split(data, part).targets
        assert len(targets.unique()) >= 0.8 * data.classes  # some of the 40 faces are missing in the small parts
        assert not torch.equal(targets.flatten(), targets.flatten().sort().values)


@pytest.mark.parametrize("name", list_datasets())
def test_a_number_gives_another_data_set_of_the_same_kind_each_time_the_same(name: str) -> None:
    plain, first, second = load_dataset(name), load_dataset(f"{name}~1"), load_dataset(f"{name}~2")
    assert first.kind == second.kind == plain.kind
    assert first.inputs.shape != second.inputs.shape or not torch.equal(first.inputs, second.inputs)
    assert first.inputs.shape[2:] == plain.inputs.shape[2:] or name.startswith(("random", "broad"))
    for data in (first, second):
        assert data.targets.min() == 0
        assert int(data.targets.max()) < data.classes
        assert data.classes >= 2
        if not data.inputs.is_floating_point():
            assert 0 <= int(data.inputs.min()) <= int(data.inputs.max()) < SYMBOLS
        else:
            assert data.inputs.isfinite().all()
            assert data.inputs.dtype == torch.float32
    datasets._drawn.cache_clear()
    again = load_dataset(f"{name}~1")
    assert torch.equal(again.inputs, first.inputs)
    assert torch.equal(again.targets, first.targets)


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_classes_can_be_told_apart(name: str) -> None:
    """The mean of each class is nearer to held-out samples of it than the others' more often than by chance."""
    better = []
    for number in range(6):
        data = load_dataset(f"{name}~{number}")
        inputs = data.inputs.flatten(1)
        if name.endswith("texts"):
            inputs = torch.nn.functional.one_hot(data.inputs, SYMBOLS).double().mean(1)
        train, test = slice(0, 1500), slice(1500, None)
        means = torch.stack([inputs[train][data.targets[train] == c].mean(0) for c in range(data.classes)])
        right = torch.cdist(inputs[test].double(), means.double()).argmin(1) == data.targets[test]
        better.append(float(right.double().mean()) - float(data.targets[test].bincount().max()) / len(right))
    assert np.mean(better) > 0.03


def test_a_made_up_language_can_be_predicted() -> None:
    data = load_dataset("random_language~3")
    pairs = torch.zeros(data.classes, data.classes)
    pairs.index_put_((data.inputs.flatten(), data.targets.flatten()), torch.ones(data.inputs.numel()), accumulate=True)
    joint = pairs / pairs.sum()
    expected = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    information = (joint * (joint / expected).log()).nan_to_num().sum()
    assert information > 0.05


def test_windows_of_a_text_stay_in_blocks() -> None:
    """Neighbouring windows are in different parts only at the borders of blocks: at most one pair in BLOCK."""
    count = len(load_dataset("manual").targets)
    numbered = Dataset(torch.arange(count)[:, None], load_dataset("manual").targets, SYMBOLS)
    member = torch.empty(count, dtype=torch.int64)
    for index, part in enumerate(PARTS):
        member[split(numbered, part).inputs.flatten()] = index
    assert (member[1:] != member[:-1]).float().mean() <= 1 / BLOCK


def test_ranks_follow_the_counts() -> None:
    text = "".join(chr(40 + k) * (100 - k) for k in range(100))
    expected = np.minimum(np.array([ord(letter) - 40 for letter in text]), SYMBOLS - 1)
    np.testing.assert_array_equal(ranked(text), expected)
    np.testing.assert_array_equal(ranked("zzaab"), [1, 1, 0, 0, 2])


def test_targets_are_the_next_symbols_and_windows_share_none() -> None:
    inputs, targets = next_symbols("python_code", 32)
    joined = np.concatenate([inputs, targets[:, -1:]], 1)
    np.testing.assert_array_equal(joined[:, 1:], targets)
    other, _ = next_symbols("python_code", 16)
    np.testing.assert_array_equal(other[0], inputs[0, :16])
    np.testing.assert_array_equal(other[1], joined[0, 17:33])  # the next piece of 17 begins where the last one ends


def test_docstrings_occur_once() -> None:
    data = load_dataset("docstrings")
    assert len(data.inputs.unique(dim=0)) == len(data.inputs)


def test_pictures_are_averaged_over_squares() -> None:
    fine, coarse = load_dataset("mnist_fine").inputs, load_dataset("mnist").inputs
    pooled = torch.nn.functional.avg_pool2d(fine, 2)
    torch.testing.assert_close((pooled - pooled.mean()) / pooled.std(), coarse, rtol=1e-3, atol=1e-3)
    assert torch.equal(load_dataset("mnist").targets, torch.from_numpy(load_labelled("mnist").labels))


def test_photographs_are_cut_in_place() -> None:
    from sklearn.datasets import load_sample_images

    picture = load_sample_images().images[1][24:36, 36:48].transpose(2, 0, 1).astype(float)
    data = load_dataset("photographs")
    piece = data.inputs[len(data.inputs) // 2 + 2 * 53 + 3].double().numpy()
    for channel in range(3):
        assert np.corrcoef(piece[channel].ravel(), picture[channel].ravel())[0, 1] > 1 - 1e-6


def test_mnist1d_is_reproducible_and_leaves_the_global_states_alone() -> None:
    np.random.seed(5)
    random.seed(5)
    expected = np.random.rand(), random.random()
    np.random.seed(5)
    random.seed(5)
    made = datasets._mnist1d()
    assert (np.random.rand(), random.random()) == expected
    assert torch.equal(made.inputs, load_dataset("mnist1d").inputs)
    assert torch.equal(made.targets, load_dataset("mnist1d").targets)


def test_unknown_names_are_errors_that_list_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'nonsense'.*digits"):
        load_dataset("nonsense")
    with pytest.raises(DataError, match=r"'tset'.*test"):
        split(load_dataset("iris"), "tset")
