"""Learned schedules against step decay on NMF: python -m lrpilot.experiments.reproduce.nmf_step_decay [--quick].

Published: "Efficient learning rate schedules for stochastic non-negative matrix factorization via reinforcement
learning" (Tiny Papers @ ICLR 2023). An agent finds schedules superior to traditional ones for projected SGD on
‖X − WH‖²_F with noisy gradients, inside an upper bound on the LR; the LR controls the trade-off between speed and
divergence. Its numbers, matrices and decision process are not public, so none of its figures can be checked.

Reproduced, on the suite's two NMF tasks: the shipped policy `nmf`, untuned, against step decay tuned over base LRs and
shapes; and what constant LRs beyond the bound do when nothing clips them. LRs are in units of the certified bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.control import Guard
from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.learned import Learned, of_family
from lrpilot.experiments.league.profiles import time_to_target
from lrpilot.experiments.league.rival import play_controlled
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.tune_and_score import Budget, tune_and_score
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.experiments.reproduce.common import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    Number,
    Options,
    Reproduction,
    main,
    panels,
)
from lrpilot.experiments.stats import paired

TASKS = ("nmf-synthetic", "nmf-real")
LEARNED, STEP = "learned, untuned", "step decay, tuned"
FULL, QUICK = Budget(problems=48, base_lrs=13, shapes=3), Budget(problems=8, base_lrs=9, shapes=3)
SWEEP = np.exp2(np.arange(-4.0, 6.1, 0.5))  # constant LRs over the bound
CLIPPED, CURRENT, INITIAL = "clipped to the bound", "multiple of the current bound", "multiple of the first bound"
SOURCE = "Tiny Papers @ ICLR 2023, abstract"


@dataclass(frozen=True)
class Duel:
    """Both rivals on one task.

    Attributes:
        learned: The shipped policy.
        step: Step decay, tuned on other problems.
    """

    learned: Cell
    step: Cell

    @property
    def share_to_reach(self) -> float:
        """Return after which share of the steps the learned schedule is where tuned step decay ends, medians."""
        return time_to_target(self.learned, float(np.median(self.step.curve[-1])))


@dataclass(frozen=True)
class Sweep:
    """Constant LRs on the problems of all tasks.

    Attributes:
        early: Log loss over the first loss after a quarter of the run, shape (C, P).
        final: The same at the end, shape (C, P).
        failed: Runs that ended tenfold worse than they began, shape (C, P).
    """

    early: Floats
    final: Floats
    diverged: NDArray[np.bool_]

    @classmethod
    def of(cls, tasks: Sequence[Runs]) -> Self:
        """Join the problems of several tasks."""
        quarter = int(abs(tasks[0].shares - 0.25).argmin())
        early = np.concatenate([runs.curve[:, quarter] for runs in tasks], 1)
        final, diverged = (np.concatenate([getattr(runs, name) for runs in tasks], 1) for name in ("final", "diverged"))
        return cls(early, final, diverged)


def duel(workload: Workload, budget: Budget) -> Duel:
    """Run both rivals on one task.

    Args:
        workload: The task.
        budget: What step decay is tuned with.

    Returns:
        Their cells.
    """
    learned, _ = tune_and_score(Learned(LEARNED, "", of_family), workload, Budget(budget.problems, 3, 1))
    return Duel(learned, tune_and_score(FixedSchedule("step decay"), workload, budget)[0])


def constant_lrs(workload: Workload, multiples: Floats, kind: str) -> Runs:
    """Run constant LRs below and beyond the bound.

    Args:
        workload: The task.
        multiples: LRs over the bound, shape (C,).
        kind: `INITIAL`: the bound at the start, nothing clips; `CURRENT`: the bound before each step, nothing clips;
            `CLIPPED`: as `INITIAL`, clipped to the bound before each step.

    Returns:
        The runs, on all of the task's problems.
    """
    guard: Guard = "strict" if kind == CLIPPED else "off"
    process = workload.start(len(multiples), replace(workload.recipe.decisions, guard=guard))
    base = np.tile(multiples, process.task.batch_size // len(multiples))
    first = process.reference.copy()
    return play_controlled(
        lambda _, __: base * (process.reference if kind == CURRENT else first), process, len(multiples)
    )


def draw(options: Options) -> Reproduction:
    """Measure and draw."""
    budget = QUICK if options.quick else FULL
    workloads = [load for load in load_suite(budget.problems, options.seed) if load.name in TASKS]
    duels = {workload.name: duel(workload, budget) for workload in workloads}
    sweeps = {
        kind: Sweep.of([constant_lrs(workload, SWEEP, kind) for workload in workloads])
        for kind in (INITIAL, CURRENT, CLIPPED)
    }
    data = {
        "budget": vars(budget),
        "tasks": {
            name: {"learned": pair.learned.as_json(), "step decay": pair.step.as_json()} for name, pair in duels.items()
        },
        "multiples": SWEEP,
        "constant LRs": {
            kind: {
                "median early loss": np.median(sweep.early, 1),
                "median final loss": np.median(sweep.final, 1),
                "share diverged": sweep.diverged.mean(1),
            }
            for kind, sweep in sweeps.items()
        },
    }
    return Reproduction(picture(duels, sweeps), [*duel_numbers(duels), *sweep_numbers(sweeps)], data)


def duel_numbers(duels: Mapping[str, Duel]) -> list[Number]:
    """Return what the claim says in words: gains, wins, and steps to where step decay ends."""
    numbers = []
    for name, pair in duels.items():
        gain = paired(pair.learned.final, pair.step.final)
        claim = "superior; no number public"
        numbers += [
            Number(f"{name}: gain over tuned step decay, nats", gain.mean, gain.low, gain.high, claim, SOURCE),
            Number(f"{name}: problems won, share", gain.win),
            Number(f"{name}: problems lost, share", gain.loss),
            Number(f"{name}: share of steps to step decay's end", pair.share_to_reach),
            Number(f"{name}: settings tried for step decay", float(pair.step.tried)),
        ]
    return numbers


def sweep_numbers(sweeps: Mapping[str, Sweep]) -> list[Number]:
    """Return which constant LRs diverge, and which are best."""
    shares = {kind: sweep.diverged.mean(1) for kind, sweep in sweeps.items()}
    one, claim = int(abs(np.log(SWEEP)).argmin()), "stable by initialisation and clipping"
    return [
        Number("diverged at the first bound, share", float(shares[INITIAL][one]), published=claim, source=SOURCE),
        Number("diverged at the current bound, share", float(shares[CURRENT][one])),
        Number("diverged at 64 × the first bound, share", float(shares[INITIAL][-1])),
        Number("the same, clipped", float(shares[CLIPPED][-1]), published=claim, source=SOURCE),
        Number("lowest diverging LR over the first bound", _lowest(shares[INITIAL])),
        Number("lowest diverging LR over the current bound", _lowest(shares[CURRENT])),
        *(
            Number(f"best final loss at a {kind}: LR over it", float(SWEEP[np.median(sweeps[kind].final, 1).argmin()]))
            for kind in (INITIAL, CURRENT)
        ),
    ]


def _lowest(shares: Floats) -> float:
    return float(np.min(SWEEP[shares > 0], initial=np.inf))


def picture(duels: Mapping[str, Duel], sweeps: Mapping[str, Sweep]) -> Figure:
    """Draw loss, gain and LR along the runs of each task, and what constant LRs do."""
    figure, rows = panels(3, len(duels) + 1, 4.4, 2.7)
    for (name, pair), loss, gain, lr in zip(duels.items(), *rows, strict=False):
        for cell, label, colour in ((pair.step, STEP, BLUE), (pair.learned, LEARNED, RED)):
            band(loss, cell.shares, cell.curve, colour, label)
            band(lr, cell.shares[1:], cell.lr, colour, label)
        band(gain, pair.step.shares, pair.step.curve - pair.learned.curve, RED, "")
        gain.axhline(0, color="black", linewidth=1, linestyle=":")
        loss.set(title=name, ylabel="log loss over first loss, nats")
        gain.set(ylabel="learned ahead by, nats")
        lr.set(xlabel="share of the run", ylabel="LR over the bound", xlim=gain.get_xlim(), ylim=(0, 1.05))
    rows[0][0].legend(frameon=False, fontsize=9, title="median, middle half", alignment="left")
    early, final, diverged = (row[-1] for row in rows)
    for (kind, sweep), colour in zip(sweeps.items(), (RED, ORANGE, GREEN), strict=True):
        band(early, SWEEP, sweep.early, colour, kind)
        band(final, SWEEP, sweep.final, colour, kind)
        diverged.plot(SWEEP, 100 * sweep.diverged.mean(1), color=colour, marker="o", markersize=3, label=kind)
    early.set(title="constant LRs, both tasks", ylabel="loss after ¼ of the run, nats")
    final.set(ylabel="final loss, nats")
    diverged.set(xlabel="LR over the bound", ylabel="runs that diverged, %")
    diverged.legend(frameon=False, fontsize=8)
    for axes in (early, final, diverged):
        axes.axvline(1, color="black", linestyle=":", linewidth=1)
        axes.set_xscale("log", base=2)
    return figure


def band(axes: Axes, x: Floats, values: Floats, colour: str, label: str) -> None:
    """Draw the median of the columns, shape (X, P), and their middle half."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    axes.plot(x, median, color=colour, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


if __name__ == "__main__":
    main("nmf_step_decay", draw)
