"""Widths of ranges of base LRs in closed form; rivals that were tuned badly are found, others are not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrpilot.experiments.league.document import Cell, League
from lrpilot.experiments.league.sensitivity import handicaps, sensitivity
from tests.experiments.league.leagues import make_cell, make_league

OCTAVES = np.arange(-3.0, 4.0)


def swept(losses: np.ndarray, chosen: int, spread: float = 0.0, on_edge: bool = False) -> Cell:
    """A cell with one mean loss from each base LR 2^OCTAVES; problems scatter around it, each by its own amount."""
    noise = spread * np.random.default_rng(0).normal(size=(len(losses), 10))
    sensitivities = losses[:, None] + noise - noise.mean(1, keepdims=True)
    multiples = 2.0 ** OCTAVES[: len(losses)]
    return make_cell(
        sensitivities[chosen],
        base_lr=float(multiples[chosen]),
        multiples=multiples,
        sensitivity=sensitivities,
        failures=np.arange(len(losses)),
        on_edge=on_edge,
    )


def league_of(cell: Cell) -> League:
    return replace(make_league({"cosine": [cell.final]}), cells=(cell,))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 1.0), st.floats(0.05, 1.0))
def test_width_of_a_wedge(below: float, above: float) -> None:
    found = sensitivity(swept(np.where(OCTAVES < 0, -below * OCTAVES, above * OCTAVES) - 1, 3))
    assert found.octaves == pytest.approx(0.05 / below + 0.05 / above)
    assert not found.cut
    assert found.diverged == pytest.approx(21 / 70)
    np.testing.assert_allclose(found.losses[3], -1.0)


def test_only_the_range_around_the_best_counts() -> None:
    found = sensitivity(swept(np.array([0.0, 0.5, 1.0, 0.5, 0.02, 1.0, 1.0]), 0))
    assert found.octaves == pytest.approx(0.1)
    assert found.cut


def test_a_range_that_the_grid_cuts() -> None:
    flat = sensitivity(swept(np.full(7, -2.0), 3))
    assert (flat.octaves, flat.cut) == (6.0, True)
    falling = sensitivity(swept(-OCTAVES, 6))
    assert (falling.octaves, falling.cut) == (pytest.approx(0.05), True)


def test_no_base_lr_no_width() -> None:
    none = make_cell(
        multiples=np.zeros(0), sensitivity=np.zeros((0, 2)), failures=np.zeros(0, dtype=int), base_lr=math.nan
    )
    assert math.isnan(sensitivity(none).octaves)
    assert math.isnan(sensitivity(none).diverged)
    assert handicaps(league_of(none)).compared == 0


def test_a_missed_base_lr_is_found() -> None:
    losses = np.abs(OCTAVES) / 5
    check = handicaps(league_of(swept(losses, 2, spread=0.05)))
    (found,) = check.found
    assert check.compared == 2
    assert (found.task, found.rival, found.base_lr, found.better) == ("task 0", "cosine", 0.5, 1.0)
    assert found.gain.value == pytest.approx(0.2)
    assert 0 < found.gain.low < 0.2 < found.gain.high


def test_the_best_base_lr_is_no_handicap() -> None:
    losses = np.abs(OCTAVES) / 5
    check = handicaps(league_of(swept(losses, 3, spread=0.05)))
    assert (check.compared, check.found, check.on_edge) == (2, (), ())


def test_a_gain_within_noise_is_no_handicap() -> None:
    assert not handicaps(league_of(swept(np.abs(OCTAVES) / 100, 2, spread=0.5))).found


def test_choices_on_an_edge_are_named() -> None:
    check = handicaps(league_of(swept(-OCTAVES, 6, on_edge=True)))
    assert (check.compared, check.found, check.on_edge) == (1, (), (("task 0", "cosine"),))


def test_untuned_rivals_are_not_asked() -> None:
    league = league_of(swept(np.abs(OCTAVES), 0, on_edge=True))
    untuned = replace(league, rivals=(replace(league.rivals[0], tuned=False),))
    assert len(handicaps(league).found) == 1
    assert handicaps(untuned).compared == 0
    assert handicaps(untuned).on_edge == ()
