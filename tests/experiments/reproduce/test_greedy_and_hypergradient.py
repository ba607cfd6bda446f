"""GreedyLR beside hypergradient descent and line search: costs and verdicts by hand, and a tiny run."""

from dataclasses import replace

import numpy as np
import pytest

from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.tune_and_score import Budget
from lrpilot.experiments.league.workload import load_suite
from lrpilot.experiments.reproduce.greedy_and_hypergradient import (
    COLOURS,
    CONSTANT,
    FORMS,
    GREEDY,
    SEARCH,
    Cells,
    at_equal_cost,
    measure,
    numbers,
    picture,
    speed_up,
    verdict,
)


def _cell(final: list[float], passes: float = 100.0, seconds: float = 1.0) -> Cell:
    """Return a cell whose curve falls in a straight line."""
    end, shares = np.array(final), np.linspace(0, 1, 5)
    nothing = np.zeros(len(end), dtype=bool)
    curve, lr = shares[:, None] * end, np.ones((4, len(end)))
    swept = (np.ones(1), end[None], np.zeros(1, dtype=int))
    costs = (passes, 0.0, seconds, 0.0, seconds)
    return Cell("task", "", 1.0, "1", 1, False, end, nothing, shares, curve, lr, *swept, *costs)


def _cells(greedy: float, others: float) -> Cells:
    """Eight problems that differ, so that gains have an interval."""
    spread = np.linspace(-0.1, 0.1, 8)
    made = {name: _cell((others + spread * (1 + len(name) / 50)).tolist()) for name in COLOURS}
    return {"task": {**made, GREEDY: _cell((greedy + spread).tolist())}}


def test_losses_at_equal_cost_are_read_off_where_the_cheaper_method_ends() -> None:
    cheap, dear = _cell([-1.0, -2.0], passes=100.0), _cell([-2.0, -2.0], passes=400.0, seconds=0.5)
    first, second = at_equal_cost(cheap, dear, "passes")
    np.testing.assert_allclose(first, [-1.0, -2.0])
    np.testing.assert_allclose(second, [-0.5, -0.5])
    first, second = at_equal_cost(cheap, dear, "seconds")  # by time the other one is cheaper
    np.testing.assert_allclose(first, [-0.5, -1.0])
    np.testing.assert_allclose(second, [-2.0, -2.0])


def test_speed_up_is_the_ratio_of_costs_to_the_loss_that_both_reach() -> None:
    fast, slow = _cell([-2.0, -2.0], passes=100.0), _cell([-1.0, -1.0], passes=300.0)
    assert speed_up(fast, slow, "passes") == pytest.approx(300 / 50)
    assert speed_up(slow, fast, "passes") == pytest.approx(50 / 300)
    assert speed_up(fast, fast, "seconds") == 1.0


@pytest.mark.parametrize(
    ("gains", "wanted"),
    [
        (np.full((1, 5), 0.1), "undecided here"),  # 2 of 32 choices of signs are as extreme
        (np.full((1, 6), 0.1), "holds here"),  # 2 of 64
        (np.full((1, 6), -0.1), "contradicted here"),
        (np.array([[1.0, -1.0, 1.0, -1.0, 1.0, -1.0]]), "undecided here"),
    ],
)
def test_verdicts_need_enough_problems_with_one_sign(gains: np.ndarray, wanted: str) -> None:
    assert verdict(gains) == wanted


@pytest.mark.parametrize(("greedy", "wanted"), [(-2.0, "holds"), (-1.0, "contradicted")])
def test_claims_are_judged_plainly(greedy: float, wanted: str) -> None:
    rows = {number.name: number for number in numbers(_cells(greedy, -1.5))}
    for form in FORMS[1:]:
        assert rows[f"gain over {form}, nats"].published == f"better: {wanted} here"
        assert rows[f"gain over {form}, nats"].measured == pytest.approx(-1.5 - greedy)
    assert rows[f"gain over {SEARCH} at equal gradient evaluations, nats"].published == f"faster: {wanted} here"
    ratio = rows["gradient evaluations to the same loss, line search / GreedyLR"]
    assert ratio.measured == pytest.approx(-greedy / 1.5)
    assert wanted in ratio.published


def test_all_methods_on_a_tiny_factorisation() -> None:
    workload = load_suite(2, 0)[0]
    data = workload.recipe.data.model_copy(update={"test": ("breast_cancer",)})  # the others take a while to load
    workload = replace(workload, recipe=workload.recipe.model_copy(update={"horizon": 80, "data": data}))
    cells = measure([workload], Budget(problems=2, base_lrs=3, shapes=1))
    of = cells[workload.name]
    assert {*of} == {*COLOURS}
    assert all(of[name].passes == 80 for name in (CONSTANT, GREEDY, *FORMS))
    assert 80 * (1 + 0.999 / 3) < of[SEARCH].passes < 80 * (1 + 20.001 / 3)  # from 1 to 20 trials a step
    assert all(cell.final.mean() < -1 and cell.seconds > 0 for cell in of.values())
    by_steps, by_passes, _ = picture(cells).axes
    assert len(by_steps.lines) == 5
    assert max(line.get_xdata()[-1] for line in by_passes.lines) == pytest.approx(of[SEARCH].passes)
