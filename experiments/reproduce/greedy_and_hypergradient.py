"""GreedyLR with its single LR beside hypergradient descent with one or many LRs, and beside stochastic line search.

Published: loss histories in "GreedyLR" (PRML 2023): with one single LR it is better than hypergradient descent with an
LR for each parameter or each group of them, and it is faster than stochastic line search. Hypergradient descent is that
of arXiv 1703.04782, line search that of arXiv 1905.09997.

Here: three workloads of the suite, in quick two. Every method is tuned with the same budget on other problems: over the
base LR, and in full over three settings of its own, such as β of hypergradient descent. A tensor counts as a group.
Losses are compared after equally many steps; with line search also after equally many gradient evaluations, of which a
trial step counts a third, and after equally much CPU time, which is wall time on a core of one's own. Many runs are
computed side by side, and a line search goes on until its last run is content, so it takes a little longer than alone.
Line search moves without momentum, as its condition needs a direction of descent; the others keep the momentum of the
workload, which is a part of what they gain over it.

Not here: the problems of the paper. The hypergradient is taken in its multiplicative form, with cosines in place of
products, since the additive form needs a β for each scale of the gradients.

    python -m lrpilot.experiments.reproduce.greedy_and_hypergradient [--quick] [--league league.json]
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, League
from lrpilot.experiments.league.profiles import time_to_target
from lrpilot.experiments.league.rivals import feedback
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.statistics import mean_over_tasks, sign_flip_p
from lrpilot.experiments.league.tune_and_score import Budget
from lrpilot.experiments.league.workload import Workload
from lrpilot.experiments.reproduce.common import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    Number,
    Options,
    Reproduction,
    main,
    panels,
)
from lrpilot.experiments.reproduce.greedy_schedules import GREEDY, in_words, note, tuned_cell, workloads
from lrpilot.experiments.stats import paired

FORMS = ("HD, one LR", "HD, per tensor", "HD, per parameter")
SEARCH, CONSTANT = "stochastic line search", "constant"
COLOURS = dict(zip((GREEDY, CONSTANT, *FORMS, SEARCH), (RED, "black", BLUE, GREEN, ORANGE, PURPLE), strict=True))
WORKLOADS = ("cnn-mnist-sgd", "byte_cnn-docstrings-sgd", "nmf-synthetic")
FULL, QUICK = Budget(problems=8, base_lrs=7, shapes=3), Budget(problems=3, base_lrs=5, shapes=1)
SOURCE = "GreedyLR, PRML 2023"

Cost = Literal["passes", "seconds"]
COSTS: dict[Cost, str] = {"passes": "gradient evaluations", "seconds": "CPU time, s"}
Cells = dict[str, dict[str, Cell]]  # workload -> rival


def measure(suite: Sequence[Workload], budget: Budget, league: League | None = None) -> Cells:
    """Tune every method on every workload, then run its chosen setting once more to count what that costs.

    Returns:
        The cells. Passes are those of the chosen setting; so are seconds, at the time a pass took on average in the
        whole tuning, since a single run is too short to be timed.
    """
    rivals = [rival for rival in (FixedSchedule(CONSTANT), *feedback()) if rival.info.name in COLOURS]
    cells: Cells = {}
    for workload in suite:
        cells[workload.name] = {}
        rivals[0].run(rivals[0].shapes[0], np.ones(1), workload)  # the first run of a workload also loads its data
        for rival in rivals:
            cell = tuned_cell(rival, workload, budget, league)
            passes = rival.run(cell.shape, np.array([cell.base_lr]), workload).passes
            seconds = cell.seconds * passes / cell.passes
            cells[workload.name][rival.info.name] = replace(cell, passes=passes, seconds=seconds)
    return cells


def total(cell: Cell, cost: Cost) -> float:
    """Return what one run of a cell costs."""
    return cell.passes if cost == "passes" else cell.seconds


def at_equal_cost(first: Cell, second: Cell, cost: Cost) -> tuple[Floats, Floats]:
    """Return the held-out losses of two methods when the cheaper of them ends.

    Args:
        first: A method.
        second: Another on the same problems.
        cost: In which unit; it is taken to grow evenly along a run.

    Returns:
        Logs of the loss over that at the start, on straight lines between moments, each of shape (P,).
    """
    least = min(total(first, cost), total(second, cost))
    losses = [
        np.array([np.interp(least / total(cell, cost), cell.shares, curve) for curve in cell.curve.T])
        for cell in (first, second)
    ]
    return losses[0], losses[1]


def speed_up(fast: Cell, slow: Cell, cost: Cost) -> float:
    """Return what the slow method pays over what the fast one pays until both reach the same loss.

    The loss is the higher of their final ones, so that both do reach it: median over problems, held-out samples.
    """
    goal = max(float(np.median(cell.curve[-1])) for cell in (fast, slow))
    paid = [time_to_target(cell, goal) * total(cell, cost) for cell in (slow, fast)]
    return paid[0] / paid[1]


def verdict(gains: Floats) -> str:
    """Say whether a positive gain that was claimed is there.

    It holds, or is contradicted, if the 95 % interval leaves out 0 and the randomisation test agrees: the interval
    alone is too narrow for few problems.

    Args:
        gains: Shape (workloads, P), nats.

    Example:
        >>> verdict(np.full((2, 4), 0.1)), verdict(np.full((2, 4), -0.1)), verdict(np.full((1, 3), 0.1))
        ('holds here', 'contradicted here', 'undecided here')
    """
    gain = mean_over_tasks(gains)
    if gain.low <= 0 <= gain.high or sign_flip_p(gains) > 0.05:
        return "undecided here"
    return "holds here" if gain.value > 0 else "contradicted here"


def numbers(cells: Cells) -> list[Number]:
    """Return what GreedyLR gains over each method, and its cost beside that of line search."""
    rows = [
        _gain(name, [of[name].final - of[GREEDY].final for of in cells.values()], "") for name in (CONSTANT, SEARCH)
    ]
    for form in FORMS:
        differences = {name: of[form].final - of[GREEDY].final for name, of in cells.items()}
        rows.append(_gain(form, list(differences.values()), "better" if form != FORMS[0] else ""))
        rows += [_gain(f"{form}, {name}", [gain], "") for name, gain in differences.items()]
    for cost, unit in COSTS.items():
        pairs = [at_equal_cost(of[SEARCH], of[GREEDY], cost) for of in cells.values()]
        what = f"{SEARCH} at equal {unit.removesuffix(', s')}"
        rows.append(_gain(what, [theirs - own for theirs, own in pairs], "faster"))
        ratio = float(np.exp(np.mean([np.log(speed_up(of[GREEDY], of[SEARCH], cost)) for of in cells.values()])))
        short = f"{unit.removesuffix(', s')} to the same loss, line search / GreedyLR"
        claim = f"above 1: {'holds' if ratio > 1 else 'contradicted'} here"
        rows.append(Number(short, ratio, published=claim, source=SOURCE))
    return rows


def _gain(over: str, of_workloads: Sequence[Floats], claim: str) -> Number:
    gains = np.array(of_workloads)
    published = f"{claim}: {verdict(gains)}" if claim else ""
    source = SOURCE if claim else ""
    return Number(f"gain over {over}, nats", *mean_over_tasks(gains), published=published, source=source)


def as_data(cells: Cells) -> dict[str, Any]:
    """Return settings, losses and costs of all methods, and GreedyLR's gain over each, by workload."""
    data: dict[str, Any] = {}
    for workload, of_rivals in cells.items():
        data[workload] = {}
        for name, cell in of_rivals.items():
            gain = paired(of_rivals[GREEDY].final, cell.final)
            data[workload][name] = {
                "shape": cell.shape,
                "base_lr": cell.base_lr,
                "tried": cell.tried,
                "final": cell.final,
                "mean_final": cell.final.mean(),
                "gain_of_greedy": asdict(gain),
                "shares": cell.shares,
                "held_out_loss": cell.curve.mean(1),
                "passes": cell.passes,
                "seconds": cell.seconds,
                "cost_over_greedy": {cost: speed_up(of_rivals[GREEDY], cell, cost) for cost in COSTS},
            }
    return data


@dataclass(frozen=True)
class _Panel:
    """A column of the figure: what is along its x-axis, and who is in it."""

    label: str
    rivals: Sequence[str]
    cost: Cost | None = None

    def along(self, cell: Cell) -> Floats:
        """Return the x of each moment of a run; without a cost, the share of the steps."""
        return cell.shares * (total(cell, self.cost) if self.cost else 1.0)


COLUMNS = (
    _Panel("share of the steps", (CONSTANT, *FORMS, GREEDY)),
    _Panel(COSTS["passes"], (CONSTANT, SEARCH, GREEDY), "passes"),
    _Panel(f"{COSTS['seconds']} a run", (CONSTANT, SEARCH, GREEDY), "seconds"),
)


def picture(cells: Cells) -> Figure:
    """Draw a row for each workload: loss over steps, over gradient evaluations and over time."""
    figure, rows = panels(len(cells), len(COLUMNS), 4.0, 2.9)
    for row, (workload, of_rivals) in zip(rows, cells.items(), strict=True):
        for axes, column in zip(row, COLUMNS, strict=True):
            _draw_losses(axes, of_rivals, column)
        row[0].set_ylabel(f"{workload}\nlog held-out loss, nats")
    for axes, column in zip(rows[-1], COLUMNS, strict=True):
        axes.set_xlabel(column.label)
    handles = {}
    for axes in rows[0]:
        handles.update(dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _draw_losses(axes: Axes, of_rivals: Mapping[str, Cell], column: _Panel) -> None:
    for name in column.rivals:
        cell, wide = of_rivals[name], 2.0 if name == GREEDY else 1.2
        losses = cell.curve.mean(1)[1:]
        axes.plot(column.along(cell)[1:], losses, color=COLOURS[name], linewidth=wide, label=name)
    if column.cost is None:
        for line, form in enumerate(FORMS):
            gain = paired(of_rivals[GREEDY].final, of_rivals[form].final)
            note(axes, line, f"over {form.split(', ')[1]}: {in_words(gain)}", COLOURS[form])
    else:
        ratio = speed_up(of_rivals[GREEDY], of_rivals[SEARCH], column.cost)
        note(axes, 0, f"line search pays {ratio:.2g} times as much for the same loss", COLOURS[SEARCH])
    axes.set_xlim(left=0)
    axes.margins(y=0.15)


def draw(options: Options) -> Reproduction:
    """Tune, measure and draw."""
    budget = QUICK if options.quick else FULL
    suite, league = workloads(WORKLOADS[::2] if options.quick else WORKLOADS, budget, options)
    cells = measure(suite, budget, league)
    data = {"budget": asdict(budget), "problems": suite[0].problems, "workloads": as_data(cells)}
    return Reproduction(picture(cells), numbers(cells), data)


if __name__ == "__main__":
    main("greedy_and_hypergradient", draw, takes_league=True)
