"""GreedyLR beside fixed schedules: LRs step by step, gains by hand, and the whole on tiny problems."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, League, TaskInfo
from lrpilot.experiments.league.feedback import Greedy
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.tune_and_score import Budget
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.experiments.reproduce.common import Options
from lrpilot.experiments.reproduce.greedy_schedules import (
    COLOURS,
    DEFAULT,
    GREEDY,
    TUNED,
    Trace,
    gains,
    measure,
    numbers,
    picture,
    trace,
    tuned_cell,
    workloads,
)
from lrpilot.experiments.tuning import advance
from lrpilot.schedulers.greedy_rule import GreedyRule
from lrpilot.schedulers.greedy_settings import GreedySettings

TINY = Budget(problems=2, base_lrs=3, shapes=1)


@pytest.fixture(scope="module")
def linear() -> Workload:
    """Linearised networks: the fastest networks of the suite, whose LRs are in units of a bound."""
    workload = {entry.name: entry for entry in load_suite(2, 0)}["linear"]
    data = workload.recipe.data.model_copy(update={"test": ("breast_cancer",)})  # the other takes a while to load
    return replace(workload, recipe=workload.recipe.model_copy(update={"horizon": 80, "data": data}))


def _made_up(final: dict[str, list[float]]) -> dict[str, dict[str, dict[str, Trace]]]:
    def made(losses: list[float]) -> Trace:
        shares = np.linspace(0, 1, 3)
        return Trace("1", 1.0, np.ones((4, 2)), shares, shares[:, None] * np.array(losses), np.array(losses))

    of_rivals = {name: made(losses) for name, losses in final.items()}
    return {"task": {DEFAULT: of_rivals, TUNED: of_rivals}}


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("constant", "1", lambda p: 1 + 0 * p),
        ("linear-to-zero", "to 0", lambda p: 1 - p),
        ("cosine", "to 0", lambda p: (1 + np.cos(np.pi * p)) / 2),
    ],
)
def test_traced_lrs_of_schedules_are_their_formulas(
    linear: Workload, name: str, shape: str, wanted: Callable[[Floats], Floats]
) -> None:
    lr = trace(name, shape, 0.25, linear).lr
    expected = 0.25 * wanted(np.arange(80) / 80)
    np.testing.assert_allclose(lr, np.broadcast_to(expected[:, None], (80, 2)), rtol=1e-9)


def test_traced_lrs_of_greedy_are_those_of_its_rule_on_the_losses_of_the_run(linear: Workload) -> None:
    process, rule = linear.start(1), GreedyRule(GreedySettings(factor=0.8, patience=1), [1.0], [0.01], [10.0])
    expected, seen = [], []
    for _ in range(80):
        reference = process.reference
        losses = advance(process, np.full(4, 0.25 * rule.levels[0]) * reference)
        expected.append(process.lr[2] / reference[2])
        seen.append(losses[2])
        if len(seen) == 4:
            rule.update(float(np.mean(seen)))
            seen = []
    lr = trace(GREEDY, Greedy().shapes[0], 0.25, linear).lr[:, 0]
    np.testing.assert_allclose(lr, expected, rtol=1e-9)
    assert len(np.unique(lr)) > 3


def test_a_trace_ends_where_the_league_says(linear: Workload) -> None:
    rival = FixedSchedule("cosine")
    cell = tuned_cell(rival, linear, TINY, None)
    again = trace("cosine", cell.shape, cell.base_lr, linear)
    np.testing.assert_allclose(again.final, cell.final, rtol=1e-6)
    np.testing.assert_allclose(again.curve, cell.curve, rtol=1e-6)


def test_gains_and_shares_of_made_up_losses() -> None:
    traces = _made_up({
        GREEDY: [-1.0, -1.0],
        "linear-to-zero": [-1.0, -1.5],
        "constant": [-0.5, 0.0],
        "cosine": [-1, -1],
    })
    np.testing.assert_array_equal(gains(traces, DEFAULT, "constant"), [[0.5, 1.0]])
    rows = {number.name: number for number in numbers(traces)}
    assert rows["gain over linear-to-zero, tuned base LR, nats"].measured == -0.25
    assert rows["as good or better, tuned base LR, % of comparisons"].measured == pytest.approx(100 * 5 / 6)
    assert "not reached" in rows["as good or better, tuned base LR, % of comparisons"].published
    assert rows["clearly better, default base LR, % of comparisons"].measured == pytest.approx(100 * 2 / 6)


def test_a_claim_that_holds_is_not_called_missed() -> None:
    traces = _made_up({name: [-1.0, -1.0] for name in COLOURS})
    assert not any("not reached" in number.published for number in numbers(traces))


def test_draws_all_rivals_of_a_measured_workload(linear: Workload) -> None:
    traces = measure([linear], TINY)
    assert [*traces[linear.name][TUNED]] == [GREEDY, "linear-to-zero", "constant", "cosine"]
    for name, of in traces[linear.name][DEFAULT].items():
        assert of.base_lr == 1.0
        assert of.lr[0] == pytest.approx(1.0), name
    lrs, losses, *_ = picture(traces).axes
    assert len(lrs.lines) == len(losses.lines) == 4
    np.testing.assert_allclose(np.asarray(lrs.lines[2].get_ydata(), dtype=float), 1.0)


def test_without_a_league_the_seed_and_the_budget_choose_the_problems() -> None:
    suite, league = workloads(["linear", "gru-code-sgd"], TINY, Options(seed=3))
    assert league is None
    assert [(entry.name, entry.seed, entry.problems) for entry in suite] == [("linear", 3, 2), ("gru-code-sgd", 3, 2)]


def test_a_league_table_gives_problems_and_tuned_settings(tmp_path: Path) -> None:
    rival = FixedSchedule("cosine")
    nothing, ones = np.zeros(2), np.ones((1, 2))
    losses = (nothing, nothing.astype(bool), np.zeros(1), ones, ones, np.ones(1), ones, np.zeros(1, dtype=int))
    cell = Cell("linear", "cosine", 0.125, "to 10 %", 9, False, *losses, 240.0, 0.0, 1.0, 0.0, 1.0)
    task = TaskInfo("linear", "linear", 240, 2, "", "")
    League("suite-v1", False, 7, "", "", "", {}, (task,), (rival.info,), (cell,)).save(tmp_path / "league.json")
    suite, league = workloads(["linear", "gru-code-sgd"], TINY, Options(league=tmp_path / "league.json"))
    assert [(entry.name, entry.seed, entry.problems) for entry in suite] == [("linear", 7, 2)]
    taken = tuned_cell(rival, suite[0], TINY, league)
    assert (taken.shape, taken.base_lr) == ("to 10 %", 0.125)
    with pytest.raises(ValueError, match="has none of gru-code-sgd"):
        workloads(["gru-code-sgd"], TINY, Options(league=tmp_path / "league.json"))
