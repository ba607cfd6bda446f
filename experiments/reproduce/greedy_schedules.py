"""GreedyLR's LRs beside linear, constant and cosine ones, on networks of the suite.

Published: a figure of these schedules in "GreedyLR" (PRML 2023), with the claim that it is as good or better in over
90 % of comparisons; arXiv 2512.14527 says 86.7 % of 196, and clearly better in 24.5 %.

Here: the LR of every step and the held-out loss of all four, on image and text networks of the suite, from the base LR
that seems right for the network (the default) and from the one tuned with the same budget for each. "As good or better"
means a final test loss at most 0.01 nats above the rival's on the same problem, "clearly better" one more than 0.01
below; the authors' own measure of that is not known here, so the shares are only like theirs.

Not here: their networks (up to 7B parameters) and their data. The transformer of the suite is left out, since tuning
four rivals on it takes longer than the rest together.

    python -m lrpilot.experiments.reproduce.greedy_schedules [--quick] [--league league.json]
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrpilot.arrays import Floats
from lrpilot.envs.process import Process
from lrpilot.experiments.baselines import SCHEDULES
from lrpilot.experiments.greedy_runs import greedy_control
from lrpilot.experiments.league.document import Cell, League
from lrpilot.experiments.league.feedback import Greedy
from lrpilot.experiments.league.rival import AbstractRival, play_steps
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.statistics import mean_over_tasks, win_tie_loss
from lrpilot.experiments.league.tune_and_score import Budget, tune_and_score
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.experiments.reproduce.common import BLUE, GREEN, PURPLE, RED, Number, Options, Reproduction, main, panels
from lrpilot.experiments.stats import Paired, paired
from lrpilot.experiments.tuning import Control, advance

GREEDY = "GreedyLR"
COLOURS = {GREEDY: RED, "linear-to-zero": BLUE, "constant": PURPLE, "cosine": GREEN}
WORKLOADS = ("cnn-mnist-sgd", "resnet-photographs-adamw", "byte_cnn-docstrings-sgd", "gru-code-sgd")
FULL, QUICK = Budget(problems=8, base_lrs=9, shapes=1), Budget(problems=3, base_lrs=5, shapes=1)
DEFAULT, TUNED = "default base LR", "tuned base LR"
FIGURE, ARXIV = "GreedyLR, PRML 2023", "arXiv 2512.14527"


@dataclass(frozen=True)
class Trace:
    """One rival from one base LR on the P scored problems of a workload.

    Attributes:
        shape: Its other settings, as text.
        base_lr: In the workload's unit.
        lr: LR of every step in the workload's unit, shape (T, P).
        shares: Moments as shares of the horizon, shape (M + 1,).
        curve: log of the held-out loss over that at the start, shape (M + 1, P).
        final: log of the final test loss over that at the start, shape (P,).
    """

    shape: str
    base_lr: float
    lr: Floats
    shares: Floats
    curve: Floats
    final: Floats


Traces = dict[str, dict[str, dict[str, Trace]]]  # workload -> DEFAULT or TUNED -> rival


def workloads(names: Sequence[str], budget: Budget, options: Options) -> tuple[list[Workload], League | None]:
    """Return workloads of the suite, and the league table that tuned rivals are taken from.

    Args:
        names: Which workloads; those that a league table does not have are left out.
        budget: Says how many problems, where there is no league table.
        options: Of the command line.

    Raises:
        ValueError: The league table has none of the workloads.
    """
    if options.league is None:
        return [entry for entry in load_suite(budget.problems, options.seed) if entry.name in names], None
    league = League.load(options.league)
    there = {task.name: task.problems for task in league.tasks if task.name in names}
    if not there:
        raise ValueError(f"{options.league} has none of {', '.join(names)}")
    suite = load_suite(min(there.values()), league.seed, league.suite)
    return [entry for entry in suite if entry.name in there], league


def tuned_cell(rival: AbstractRival, workload: Workload, budget: Budget, league: League | None) -> Cell:
    """Return a tuned rival on a workload: from the league table if there is one, else tuned now."""
    return league.cell(workload.name, rival.info.name) if league else tune_and_score(rival, workload, budget)[0]


def control_of(rival: str, shape: str, multiple: float, process: Process) -> Control:
    """Return GreedyLR or a schedule as what chooses the LRs of a process at its start.

    Args:
        rival: Name of the rival.
        shape: One of its shapes.
        multiple: Base LR in the process's unit.
        process: The runs.
    """
    if rival == GREEDY:
        return greedy_control(np.array([multiple]), process, *Greedy.SHAPES[shape])
    horizon = int(process.times[-1])
    levels = multiple * SCHEDULES[rival].shapes[shape](np.arange(horizon) / horizon)
    return lambda step, _: levels[step] * process.reference


def trace(rival: str, shape: str, multiple: float, workload: Workload) -> Trace:
    """Run a rival and note the LR of every step.

    Args:
        rival: Name of the rival.
        shape: One of its shapes.
        multiple: Base LR in the workload's unit.
        workload: The problems; those for tuning are left out of the result.
    """
    process = workload.start(1)
    control = control_of(rival, shape, multiple, process)
    losses: Floats = np.ones(process.task.batch_size)
    lrs = []

    def step(index: int) -> Floats:
        nonlocal losses
        reference = process.reference
        losses = advance(process, control(index, losses))
        lrs.append(process.lr / reference)
        return process.lr / reference

    runs, scored = play_steps(step, process, 1), slice(workload.problems, None)
    lr = np.array(lrs)[:, scored]
    return Trace(shape, multiple, lr, runs.shares, runs.curve[0][:, scored], runs.final[0, scored])


def measure(suite: Sequence[Workload], budget: Budget, league: League | None = None) -> Traces:
    """Tune every rival on every workload, and trace it from the default and from the tuned base LR."""
    rivals = [Greedy(), *(FixedSchedule(name) for name in COLOURS if name != GREEDY)]
    traces: Traces = {}
    for workload in suite:
        of_default, of_tuned = {}, {}
        for rival in rivals:
            name, cell = rival.info.name, tuned_cell(rival, workload, budget, league)
            usual = rival.shapes[0], 1.0
            of_default[name] = of_tuned[name] = trace(name, *usual, workload)
            if (cell.shape, cell.base_lr) != usual:
                of_tuned[name] = trace(name, cell.shape, cell.base_lr, workload)
        traces[workload.name] = {DEFAULT: of_default, TUNED: of_tuned}
    return traces


def gains(traces: Traces, base: str, rival: str) -> Floats:
    """Return how much lower GreedyLR's final losses are than a rival's, shape (workloads, P), nats."""
    return np.array([of[base][rival].final - of[base][GREEDY].final for of in traces.values()])


def numbers(traces: Traces) -> list[Number]:
    """Return what GreedyLR gains over each rival, and the shares that the authors claim."""
    rivals = [name for name in COLOURS if name != GREEDY]
    rows = []
    for base in (DEFAULT, TUNED):
        for rival in rivals:
            name = f"gain over {rival}, {base}, nats"
            rows.append(Number(name, *mean_over_tasks(gains(traces, base, rival)), source=FIGURE))
    for base in (DEFAULT, TUNED):
        win, tie, _ = win_tie_loss(np.stack([gains(traces, base, rival) for rival in rivals]))
        good, better = f"as good or better, {base}, % of comparisons", f"clearly better, {base}, % of comparisons"
        reached = "" if win + tie > 0.9 else " (not reached here)"
        rows.append(Number(good, 100 * (win + tie), published=f"over 90{reached}; 86.7", source=f"{FIGURE}; {ARXIV}"))
        rows.append(Number(better, 100 * win, published="24.5", source=ARXIV))
    return rows


def as_data(traces: Traces) -> dict[str, object]:
    """Return final losses, their paired differences and all that is drawn, as plain data by workload."""
    data: dict[str, object] = {}
    for workload, of_bases in traces.items():
        data[workload] = {
            base: {
                name: {
                    "shape": of.shape,
                    "base_lr": of.base_lr,
                    "final": of.final,
                    "mean_final": of.final.mean(),
                    "gain_of_greedy": asdict(paired(of_rivals[GREEDY].final, of.final)),
                    "lr_quartiles": np.percentile(of.lr, [25, 50, 75], axis=1),
                    "shares": of.shares,
                    "held_out_loss": of.curve.mean(1),
                }
                for name, of in of_rivals.items()
            }
            for base, of_rivals in of_bases.items()
        }
    return data


def picture(traces: Traces) -> Figure:
    """Draw a column for each workload: LRs and losses from the default base LR, then from the tuned one."""
    figure, rows = panels(4, len(traces), 3.7, 2.3)
    for column, (workload, of_bases) in enumerate(traces.items()):
        rows[0][column].set_title(workload)
        for row, base in ((0, DEFAULT), (2, TUNED)):
            _draw_lrs(rows[row][column], of_bases[base])
            _draw_losses(rows[row + 1][column], of_bases[base])
            if column == 0:
                rows[row][0].set_ylabel(f"{base}\n\nLR / LR that seems right")
                rows[row + 1][0].set_ylabel("held-out loss / first;\ngain of GreedyLR, nats")
        rows[3][column].set_xlabel("SGD step")
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _draw_lrs(axes: Axes, of_rivals: Mapping[str, Trace]) -> None:
    top = max(np.median(of.lr, 1).max() for of in of_rivals.values())
    for name, of in of_rivals.items():
        low, middle, high = np.percentile(of.lr, [25, 50, 75], axis=1)
        axes.plot(middle, color=COLOURS[name], label=name, **_emphasis(name))
        axes.fill_between(np.arange(len(middle)), low, high, color=COLOURS[name], alpha=0.15, linewidth=0)
    axes.set_yscale("log", subs=())
    axes.set_ylim(top / 500, 2 * top)
    axes.set_xlim(0, len(middle))
    axes.tick_params(labelbottom=False)


def _draw_losses(axes: Axes, of_rivals: Mapping[str, Trace]) -> None:
    for name, of in of_rivals.items():
        curve = np.exp(of.curve.mean(1))[1:]
        axes.plot(of.shares[1:] * len(of.lr), curve, color=COLOURS[name], **_emphasis(name))
    axes.set_xlim(0, len(of.lr))
    for line, name in enumerate(name for name in COLOURS if name != GREEDY):
        gain = paired(of_rivals[GREEDY].final, of_rivals[name].final)
        note(axes, line, f"{in_words(gain)} over {name}", COLOURS[name])


def note(axes: Axes, line: int, text: str, colour: str) -> None:
    """Write one of several lines of text into the upper right corner of a panel of a picture."""
    axes.annotate(
        text,
        (1, 1),
        (-2, -2 - 9 * line),
        "axes fraction",
        "offset points",
        ha="right",
        va="top",
        fontsize=7,
        color=colour,
    )


def in_words(gain: Paired) -> str:
    """Return a gain with its interval, for a picture.

    Example:
        >>> in_words(Paired(0.25, -0.5, 1.0, 0.0, 0.0, 0.0))
        '+0.250 [−0.500, +1.000]'
    """
    return f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]".replace("-", "−")


def _emphasis(name: str) -> dict[str, Any]:
    return {"linewidth": 2.0, "zorder": 3} if name == GREEDY else {"linewidth": 1.2, "zorder": 2}


def draw(options: Options) -> Reproduction:
    """Tune, trace and draw."""
    budget = QUICK if options.quick else FULL
    suite, league = workloads(WORKLOADS[::2] if options.quick else WORKLOADS, budget, options)
    traces = measure(suite, budget, league)
    data = {"budget": asdict(budget), "problems": suite[0].problems, "workloads": as_data(traces)}
    return Reproduction(picture(traces), numbers(traces), data)


if __name__ == "__main__":
    main("greedy_schedules", draw, takes_league=True)
