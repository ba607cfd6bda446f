"""Learned schedules against search: the expected best of n trials, and what each method costs."""

from itertools import combinations

import numpy as np
import pytest

from lrpilot.arrays import Floats
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.reproduce.images_and_text import (
    Played,
    Sizes,
    cost_and_quality,
    counts,
    expected_best,
    matched_at,
    numbers,
    on_the_problem,
    on_tuning_problems,
    picture,
    play,
    share_to_cosine,
)
from tests.experiments.reproduce.small import short


@pytest.mark.parametrize("n", range(1, 7))
def test_expected_best_is_the_mean_over_all_subsets(n: int) -> None:
    rng = np.random.default_rng(0)
    choose_by, score = rng.normal(size=6), rng.normal(size=6)
    subsets = [list(subset) for subset in combinations(range(6), n)]
    mean = np.mean([score[subset[choose_by[subset].argmin()]] for subset in subsets])
    assert expected_best(choose_by, score, n) == pytest.approx(mean)


def runs(final: list[list[float]], held_out: list[list[float]] | None = None) -> Runs:
    """Runs whose held-out loss falls in a straight line to its end."""
    end, last = np.array(final), np.array(final if held_out is None else held_out)
    curve: Floats = np.linspace(0, 1, 5)[None, :, None] * last[:, None, :]
    return Runs(end, end > 100, curve, curve[:, 1:], np.linspace(0, 1, 5), 10.0, 0.1, 0.2)


SEARCH = runs(
    [[0, 0, -1, -4], [0, 0, -3, -2]], [[-5, -5, -1, -1], [-1, -1, -2, -2]]
)  # P = 2: two to tune on, two scored
LEARNED = runs([[0, 0, 0, 0], [0, 0, -2.5, -2.5], [0, 0, 1, 1]])
PLAYED = Played(LEARNED, runs([[0, 0, 2, 2], [0, 0, -2, -2], [0, 0, 4, 4]]), SEARCH, SEARCH, problems=2, horizon=10)


def test_on_the_problem_itself_each_chooses_by_its_own_held_out_loss() -> None:
    np.testing.assert_allclose(on_the_problem(SEARCH, 2, 2), [-3.0, -2.0])  # the second trial, on both
    np.testing.assert_allclose(on_the_problem(SEARCH, 2, 1), [-2.0, -3.0])


def test_on_tuning_problems_scored_ones_play_no_part_in_the_choice() -> None:
    np.testing.assert_allclose(on_tuning_problems(SEARCH, 2, 2), [-1.0, -4.0])  # the first trial, good on the others


def test_costs_count_all_tuning() -> None:
    curves = cost_and_quality(PLAYED)
    assert curves["learned, LR that seems right"] == {"passes": [10], "loss": [-2.5]}
    assert curves["learned, LR ÷ 16 and × 16, mean"]["loss"] == [0.5]
    assert curves["cosine, LR that seems right"]["loss"] == [-2.0]
    assert curves["cosine, LR ÷ 16 and × 16, mean"]["loss"] == [3.0]
    assert curves["random search on the problem"] == {"passes": [10, 20], "loss": [-2.5, -2.5]}
    assert curves["random search on 2 others"]["passes"] == [30, 50]  # n trials on 2 problems each, and the run itself
    assert curves["cosine, grid search on 2 others"]["passes"] == [50]
    assert counts(12) == [1, 2, 4, 8, 12]


def test_numbers_beside_the_claims() -> None:
    found = {number.name: number for number in numbers([PLAYED, PLAYED], {"task": PLAYED})}
    assert found["gain over cosine, both from LRs ÷ 16 and × 16, nats"].measured == pytest.approx(2.5)
    assert found["gain over cosine, both from the LR that seems right, nats"].measured == pytest.approx(0.5)
    assert found["gain over random search, best of 2 on the problem, nats"].measured == pytest.approx(0.0)
    assert matched_at([PLAYED]) == 1.0
    better = Played(runs([[0, 0, -9, -9]] * 3), SEARCH, SEARCH, SEARCH, problems=2, horizon=10)
    assert matched_at([better]) == np.inf


def test_share_to_cosine() -> None:
    # Tuned cosine is the first setting, and ends at −1 on held-out samples; the policy falls to −2.5 in quarters.
    assert share_to_cosine(PLAYED) == 0.5
    worse = Played(runs([[0, 0, 0, 0]] * 3), SEARCH, SEARCH, SEARCH, problems=2, horizon=10)
    assert share_to_cosine(worse) == np.inf


def test_plays_a_small_task() -> None:
    entry = play(short("byte_cnn-docstrings-sgd"), Sizes(problems=1, grid=3, trials=2))
    np.testing.assert_allclose(entry.right(entry.untuned), entry.cosine.final[1, 1:], atol=1e-4)  # the same LR
    assert entry.search.final.shape == (2, 2)
    assert entry.right(entry.learned)[0] < 0  # it learned something
    figure = picture({"task": cost_and_quality(entry)})
    assert figure.axes[0].lines[0].get_xdata()[0] == 60  # type: ignore[index]
