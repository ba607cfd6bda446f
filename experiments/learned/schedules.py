"""The schedules that a policy chooses on a network in plain torch, from base LRs that are too low, right and too high.

The right LR is the one that a linear decay was tuned to for this network: at the same number of steps, or at the
nearest that the benchmark knows; the title of a panel says which. Losses are those of the mini-batches, averaged over
windows that grow in proportion to the steps; peaks above five times the first loss are cut off. Where there are
several runs, lines are their geometric means, and bands their range.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, NullLocator

from lrpilot.arrays import Floats
from lrpilot.errors import UserError
from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.plan import HORIZONS, LINEAR, LONG, Results, tuned_octave
from lrpilot.experiments.plain_torch.train import EXPECTED_WARNINGS, data_of, step_of
from lrpilot.policy import SchedulePolicy

SEEDS = {300: 3, 3000: 3, 30_000: 1}  # runs of each kind, by steps of a run
ERRORS = {1 / 16: "base LR ÷ 16", 1.0: "right base LR", 16.0: "base LR × 16"}  # base LR over the right one
COLOURS = dict(zip(ERRORS, ("#1d5fa8", "#2f9e57", "#c1121f"), strict=True))
WINDOWS = 70  # of losses, over a run
MODES = {False: "With gradients", True: "Gradients hidden: losses alone"}
LOWEST, HIGHEST = 1e-4, 100.0  # LR over the right one, that is shown
CUT_OFF = 5.0  # losses of so many times the first loss are not shown
Tick = Callable[[int], None]  # called with the steps that were made


class RightLR(NamedTuple):
    """The tuned LR of a linear decay, per step, and the steps of the runs that it was tuned on."""

    lr: float
    horizon: int


class Curves(NamedTuple):
    """Runs that differ in their seed alone; NaN from where a run diverged.

    Attributes:
        lr: LR of each step over the right one, shape (seeds, T).
        loss: Mini-batch loss of each step, shape (seeds, T).
    """

    lr: Floats
    loss: Floats


class Panel(NamedTuple):
    """All runs of one number of steps.

    Attributes:
        right: The LR that the others are multiples of.
        linear: Linear decay from it.
        learned: By whether gradients are hidden, and by the error of the base LR.
    """

    right: RightLR
    linear: Curves
    learned: dict[tuple[bool, float], Curves]


Panels = dict[int, Panel]  # by steps of a run


def right_lr(network: Network, horizon: int, results: Results) -> RightLR:
    """Return the tuned LR of a linear decay at the number of steps that is nearest to that wanted.

    Args:
        network: What is trained.
        horizon: Steps.
        results: What the benchmark knows.

    Raises:
        UserError: It knows no tuned LR of this network.
    """
    for known in sorted((*HORIZONS, LONG), key=lambda steps: abs(math.log(steps / horizon))):
        octave = tuned_octave(network, known, LINEAR, results)
        if octave is not None:
            return RightLR(network.usual.lr * 2.0**octave, known)
    raise UserError(
        f"no tuned LR of {network.name!r} is known: run this in the root of the repository, or first "
        "python -m lrpilot.experiments.plain_torch baselines --linear"
    )


def train(
    network: Network, policy: SchedulePolicy | None, lr: float, horizon: int, seed: int, hidden: bool = False
) -> tuple[Floats, Floats]:
    """Train once, as a user writes it.

    Args:
        network: What is trained.
        policy: Who sets the LR; without one it decays linearly.
        lr: Base LR, per step.
        horizon: Steps, T.
        seed: Of weights and mini-batches.
        hidden: Whether gradients are hidden from the policy.

    Returns:
        LR and mini-batch loss of each step, shapes (T,); NaN once a loss is not finite.
    """
    torch.manual_seed(seed)
    model, batches = network.make(), data_of(network.name).batches(network.batch, seed)
    optimizer = network.usual.make(list(model.parameters()), lr)
    lrs, losses = np.full((2, horizon), np.nan)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=EXPECTED_WARNINGS)
        scheduler_step = step_of(optimizer, LINEAR, policy, horizon, hidden)
        for step in range(horizon):
            lrs[step] = optimizer.param_groups[0]["lr"]
            optimizer.zero_grad()
            loss = network.loss(model, next(batches))
            losses[step] = loss.item()
            if not math.isfinite(losses[step]):
                losses[step] = np.nan
                break
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler_step(loss.detach())
    return lrs, losses


def modes_of(policy: SchedulePolicy) -> list[bool]:
    """Return whether gradients are hidden, in each of the cases that differ for a policy."""
    return [False, True] if policy.reads_gradients else [True]


def steps_of(policy: SchedulePolicy, seeds: Mapping[int, int]) -> int:
    """Return the steps of all runs that `run_all` makes."""
    return sum(horizon * count for horizon, count in seeds.items()) * (1 + len(ERRORS) * len(modes_of(policy)))


def run_all(
    policy: SchedulePolicy, network: Network, results: Results, seeds: Mapping[int, int], tick: Tick = lambda _: None
) -> Panels:
    """Make the runs of the figure.

    Args:
        policy: One that begins with a base LR.
        network: What is trained.
        results: What the benchmark knows of tuned LRs.
        seeds: How many runs of each kind, by steps.
        tick: Called after each run.

    Returns:
        The runs.

    Raises:
        UserError: No tuned LR of this network is known.
    """

    def curves(which: SchedulePolicy | None, horizon: int, right: float, error: float, hidden: bool) -> Curves:
        runs = []
        for seed in range(seeds[horizon]):
            runs.append(train(network, which, right * error, horizon, seed, hidden))
            tick(horizon)
        lrs, losses = (np.array(parts) for parts in zip(*runs, strict=True))
        return Curves(lrs / right, losses)

    cases = [(hidden, error) for hidden in modes_of(policy) for error in ERRORS]
    panels: Panels = {}
    for horizon in seeds:
        right = right_lr(network, horizon, results)
        learned = {case: curves(policy, horizon, right.lr, case[1], case[0]) for case in cases}
        panels[horizon] = Panel(right, curves(None, horizon, right.lr, 1.0, False), learned)
    return panels


def smoothed(losses: Floats, windows: int = WINDOWS) -> tuple[Floats, Floats]:
    """Average over windows that grow in proportion to the steps.

    Args:
        losses: Shape (runs, T).
        windows: How many, about; none is shorter than a step.

    Returns:
        Middle of each window in steps, counted from 1, shape (n,), and means, shape (runs, n).
    """
    horizon = losses.shape[1]
    edges = np.unique(np.geomspace(1, horizon + 1, windows + 1).round().astype(np.int64))
    means = np.add.reduceat(losses, edges[:-1] - 1, axis=1) / np.diff(edges)
    return (edges[:-1] + edges[1:] - 1) / 2, means


def draw(panels: Panels, name: str, network: Network) -> Figure:
    """Draw LRs, and losses below them: one column a number of steps, one block with gradients and one without.

    Args:
        panels: What `run_all` returned.
        name: Of the policy.
        network: What was trained.

    Returns:
        The figure.
    """
    hidden_cases = list(dict.fromkeys(hidden for panel in panels.values() for hidden, _ in panel.learned))
    figure = Figure(figsize=(11, 1.1 + 4.6 * len(hidden_cases)), layout="constrained")
    figure.suptitle(f"Schedules of {name} on the {network.name} ({network.optimizer}), a network it never practised on")
    blocks = figure.subfigures(len(hidden_cases), 1, squeeze=False)[:, 0]
    for hidden, block in zip(hidden_cases, blocks, strict=True):
        _block(block, panels, hidden)
    handles, labels = blocks[0].axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _block(block: SubFigure, panels: Panels, hidden: bool) -> None:
    """One row of LRs and one of losses."""
    shown = _shown_losses(panels)
    block.suptitle(MODES[hidden], weight="bold", x=0.01, ha="left", fontsize="medium")
    grid = block.subplots(2, len(panels), squeeze=False, sharex="col", sharey="row", height_ratios=(3, 2))
    for column, (horizon, panel) in enumerate(panels.items()):
        lrs, losses = grid[:, column]
        cases = [(panel.learned[hidden, error], COLOURS[error], "-", label) for error, label in ERRORS.items()]
        for curves, colour, line, label in (*cases, (panel.linear, "black", "--", "tuned linear decay")):
            _band(lrs, np.arange(1.0, horizon + 1), curves.lr, colour, line, label)
            _band(losses, *smoothed(curves.loss), colour, line, label)
        tuned = "" if panel.right.horizon == horizon else f" (tuned at {panel.right.horizon:,} steps)"
        lrs.set_title(f"{horizon:,} steps\nright LR {panel.right.lr:.2g}{tuned}", fontsize="medium")
        lrs.set(xscale="log", yscale="log", xlim=(1, horizon), ylim=(LOWEST, HIGHEST))
        losses.set(yscale="log", xlabel="step", ylim=shown)
        losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        losses.yaxis.set_major_formatter("{x:g}")
        losses.yaxis.set_minor_locator(NullLocator())
        for axes in (lrs, losses):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="#ececec", linewidth=0.8)
            axes.set_axisbelow(True)
    grid[0, 0].set_ylabel("LR / right LR")
    grid[1, 0].set_ylabel("mini-batch loss,\nsmoothed")


def _shown_losses(panels: Panels) -> tuple[float, float]:
    """From the lowest smoothed loss of all to a few times the first loss: higher peaks are cut off."""
    curves = [curves.loss for panel in panels.values() for curves in (panel.linear, *panel.learned.values())]
    lowest = min(float(np.nanmin(smoothed(losses)[1])) for losses in curves)
    return 0.9 * lowest, CUT_OFF * max(float(np.nanmax(losses[:, 0])) for losses in curves)


def _band(axes: Axes, x: Floats, curves: Floats, colour: str, line: str, label: str) -> None:
    """The geometric mean of curves (runs, x), and their range."""
    alive = np.isfinite(curves).all(0)
    x, logs = x[alive], np.log(curves[:, alive])
    axes.fill_between(x, np.exp(logs.min(0)), np.exp(logs.max(0)), color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, np.exp(logs.mean(0)), color=colour, linestyle=line, linewidth=1.6, label=label)
