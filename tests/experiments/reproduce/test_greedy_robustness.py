"""Noise that only schedules are told, the study's parabolas, and ratios of final losses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lrpilot.arrays import Floats
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments.league.feedback import Greedy
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.reproduce.greedy_robustness import (
    Ratio,
    label_noise,
    observed_noise,
    observed_numbers,
    on_networks,
    picture,
    ratio,
    ratio_numbers,
)
from lrpilot.experiments.reproduce.noisy_losses import KINDS, NoisyLosses
from lrpilot.experiments.reproduce.parabola import CONDITIONS, DIMENSIONS, STEPS, cosine, descend, greedy
from tests.experiments.reproduce.small import short, small_nmf

ONES = np.ones(len(KINDS))


def added(kind: str, step: int, loss: Floats, before: Floats, strength: float = 0.5) -> Floats:
    return KINDS[kind](step, loss, before, strength, np.random.default_rng(0))


def test_noise_without_chance_by_hand() -> None:
    loss, before = np.array([2.0, 4.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(added("none", 5, loss, before), [0, 0])
    for step, factor in ((0, 0.5), (2, 0.5), (3, 0), (74, 0), (75, 0.5)):  # the period is 50 + 25
        np.testing.assert_array_equal(added("periodic spikes", step, loss, before), factor * loss)
    np.testing.assert_allclose(added("oscillation", 10, loss, before), 0.5 * np.sin(6.0) * loss)
    np.testing.assert_allclose(added("drift", 100, loss, before), [0.05, 0.05])
    np.testing.assert_array_equal(added("adversarial", 5, loss, before), [0.5, 0.0])  # where the loss fell


@pytest.mark.parametrize(
    ("kind", "step", "spread"),
    [("Gaussian", 50, 0.5), ("burst", 10, 1.5), ("burst", 50, 0.05), ("plateau", 10, 0.025), ("plateau", 50, 0.0)],
)
def test_spread_of_normal_noise(kind: str, step: int, spread: float) -> None:
    noise = added(kind, step, np.ones(20_000), np.ones(20_000))
    assert noise.std() == pytest.approx(spread, rel=0.03)
    assert abs(noise.mean()) <= 0.03 * max(spread, 1e-9)


def test_random_spikes_are_rare_and_as_high_as_said() -> None:
    noise = added("random spikes", 0, np.full(20_000, 2.0), np.ones(20_000))
    spikes = noise[noise > 0]
    assert len(spikes) / 20_000 == pytest.approx(0.02, abs=0.004)
    assert 0.5 <= spikes.min() <= spikes.max() <= 2.0  # strength · loss · (0.5 … 2)


def test_told_noise_reaches_only_those_who_listen() -> None:
    nmf = replace(small_nmf(1), seed=5)
    finals = observed_noise(nmf, 0.5)
    for name in ("constant", "linear-to-zero", "cosine", "GreedyLR, told no noise"):
        np.testing.assert_array_equal(finals[name], np.broadcast_to(finals[name][0], finals[name].shape))
    assert len(np.unique(finals["GreedyLR"], axis=0)) > 1
    plain = FixedSchedule("cosine").run("to 0", ONES, nmf).final
    np.testing.assert_array_equal(finals["cosine"], plain)  # training knows nothing of the noise


def test_noise_of_no_strength_changes_nothing() -> None:
    nmf = small_nmf(1)
    silent = NoisyLosses(**vars(nmf), strength=0.0)
    shape = Greedy().shapes[0]
    np.testing.assert_array_equal(Greedy().run(shape, ONES, silent).final, Greedy().run(shape, ONES, nmf).final)
    with pytest.raises(ValueError, match="9 kinds"):
        silent.start(2)


def test_parabolas_are_those_of_torch_and_its_scheduler() -> None:
    lr, problems, seed = 0.03, 1, 4
    finals = descend(cosine, np.array([lr]), problems, seed)[0]
    rng = np.random.default_rng(seed)
    starts, minima = rng.normal(size=(len(CONDITIONS), DIMENSIONS)), rng.normal(size=(len(CONDITIONS), DIMENSIONS))
    for index, condition in enumerate(CONDITIONS):
        x, y = torch.tensor(starts[index], requires_grad=True), torch.tensor(minima[index])
        c = torch.logspace(0, float(np.log10(condition)), DIMENSIONS, dtype=torch.float64)
        adam = torch.optim.Adam([x], lr=lr)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS, 1e-5)
        first = (c * (x - y).square()).sum().item()
        for _ in range(STEPS):
            adam.zero_grad()
            (c * (x - y).square()).sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
            scheduler.step()
        last = (c * (x - y).square()).sum().item()
        assert finals[index] == pytest.approx(np.log(last / first), abs=1e-6)


def test_greedy_arrives_from_an_lr_that_is_too_small_and_has_no_advantage_from_a_larger_one() -> None:
    lrs = np.array([0.01, 0.16])
    small, large = np.median(descend(cosine, lrs, 4, 0) - descend(greedy, lrs, 4, 0), 1)
    assert small > 3  # a factor of 20
    assert large == 0  # both are at the floor


def test_ratio_is_tuned_on_the_first_half_and_scored_on_the_other() -> None:
    multiples = np.array([0.5, 1.0, 2.0])
    first = np.array([[0.0, -1.0], [-1.0, -2.0], [-0.5, -9.0]])  # (C, 2P) with P = 1; the second is chosen
    second = np.array([[0.0, -1.0], [0.0, -3.0], [-1.0, -4.0]])  # the third is chosen
    entry = ratio(multiples, [first, second], [first, second], 1)
    assert entry.tuned == pytest.approx(2.0)  # −2 over −4
    assert entry.at(1.0) == pytest.approx(np.exp(1.0))
    named = {number.name: number.measured for number in ratio_numbers({"networks": entry})}
    assert named["networks, LR × 1: median loss, cosine over GreedyLR"] == pytest.approx(np.e)
    assert named["networks, both tuned: the same"] == pytest.approx(np.exp(2.0))


def test_labels_are_random_as_told() -> None:
    noisy = label_noise(short("byte_cnn-docstrings-sgd"), 0.4)
    assert isinstance(noisy.recipe, NetRecipe)
    assert noisy.recipe.problems.label_noise == (0.4, 0.4)
    multiples = np.array([1.0, 4.0])
    quiet = on_networks([label_noise(noisy, 0.0)], multiples)
    assert on_networks([noisy], multiples).cosine.min() > quiet.cosine.min()
    with pytest.raises(TypeError, match="no labels"):
        label_noise(small_nmf(), 0.4)


def test_numbers_and_picture_of_known_results() -> None:
    same, differs = np.zeros((9, 2)), np.arange(9.0)[:, None] * np.ones((9, 2))
    names = ("constant", "linear-to-zero", "cosine", "GreedyLR, told no noise")
    observed = {
        0.5: dict.fromkeys(names, same) | dict.fromkeys(("GreedyLR", "ReduceLROnPlateau", "universal"), differs)
    }
    named = {number.name: number.measured for number in observed_numbers(observed)}
    assert (named["cosine: distinct results of 9"], named["GreedyLR: distinct results of 9"]) == (1, 9)
    assert named["GreedyLR: told noise of strength 0.5, mean cost, nats"] == 4.5
    assert named["GreedyLR: the same, worst kind (adversarial), nats"] == 8.0
    flat = Ratio(np.array([1 / 16, 1.0, 16.0]), np.zeros(3), np.log([1.0, 0.5, 1.0]), float(np.log(3)))
    figure = picture(
        observed, {"parabolas": flat, "networks, 0 % random labels": flat, "networks, 9 % random labels": flat}
    )
    texts = [text.get_text() for text in figure.axes[3].texts]
    assert texts == ["48×", "1×", "3×", *["1×", "2×", "1×", "3×"] * 2]
