"""Double descent over the width of a network under constant, cosine and learned LRs, on handwritten digits.

Published: over the width, the test error falls, rises to a peak where the network just manages to fit its training
data, and falls again (Belkin, Hsu, Ma, Mandal 2018, arXiv 1812.11118); label noise makes the peak higher, and fewer
steps of training make it vanish (Nakkiran et al. 2019, arXiv 1912.02292).

Here: two-layer networks whose first layer is random and whose second is trained by SGD with momentum and the squared
loss, on digits with a fifth of the labels drawn anew; all three schedules from the same base LR on the same
mini-batches. Features and targets are centred, as a bias would do, so there is one feature less to be fitted: the
threshold is at samples − 1. The dotted line is the least-squares solution of smallest norm, where infinitely long
training from 0 would end. How height and place of the peak depend on the schedule has no published number; the last
panel holds the height against the LRs that a schedule has spent, since to spend less is to stop earlier.

Not here: deep networks, whose width sweeps take GPU-days.

    python -m lrpilot.experiments.reproduce.double_descent [--quick]
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrpilot import load_policy
from lrpilot.arrays import Floats
from lrpilot.experiments.baselines import BASELINES
from lrpilot.experiments.reproduce.common import (
    GREEN,
    GREY,
    PURPLE,
    RED,
    Number,
    Options,
    Reproduction,
    main,
    panels,
)
from lrpilot.experiments.reproduce.random_features import (
    BATCH,
    MOMENTUM,
    NOISE,
    LRs,
    Score,
    Sizes,
    minimum_norm,
    problem,
    score,
    train,
)
from lrpilot.experiments.stats import interval

BASE_LR = 1.5  # per step; features have a mean squared length of 1
COLOURS = {"constant": PURPLE, "cosine": GREEN, "learned": RED}
SCHEDULES = tuple(COLOURS)
FITS = 0.01  # training error below which the labels count as fitted
LIMIT = "least squares"
SOURCES = "arXiv 1812.11118, 1912.02292"

QUICK = Sizes(widths=(10, 30, 64, 88, 100, 112, 160, 400), seeds=5, steps=6_000, test=500)


def lrs_of(name: str, runs: int, steps: int) -> LRs:
    """Return a schedule for so many runs.

    Args:
        name: One of `SCHEDULES`.
        runs: How many run side by side.
        steps: T.

    Example:
        >>> [round(lrs_of("cosine", 1, 4)(step, [1.0])[0], 4) for step in range(4)]
        [1.5, 1.2803, 0.75, 0.2197]
    """
    if name != "learned":
        shape = next(iter(BASELINES[name].shapes.values()))  # the usual one
        levels = BASE_LR * shape(np.arange(steps) / steps)
        return lambda step, _: [float(levels[step])] * runs
    policy = load_policy("universal")
    schedules = [policy.schedule(BASE_LR, steps) for _ in range(runs)]

    def learned(step: int, losses: list[float]) -> list[float]:
        if step:
            for schedule, loss in zip(schedules, losses, strict=True):
                schedule(loss)
        return [schedule.lr for schedule in schedules]

    return learned


def measure(sizes: Sizes, seed: int) -> tuple[dict[str, dict[str, Floats]], dict[str, Floats]]:
    """Train all widths.

    Returns:
        By schedule, and for "least squares": the fields of `Score`, each of shape (widths, S). By schedule: the LR over
        the base LR of every step at the width nearest to the threshold, shape (T, S).
    """
    scores: dict[str, list[Score]] = {name: [] for name in (*SCHEDULES, LIMIT)}
    at_threshold: dict[str, Floats] = {}
    for index, width in enumerate(sizes.widths):
        of = problem(width, sizes, seed)
        layers, lrs = train(of, sizes.steps, seed, [lrs_of(name, sizes.seeds, sizes.steps) for name in SCHEDULES])
        for name, layer in zip(SCHEDULES, layers, strict=True):
            scores[name].append(score(of, layer))
        scores[LIMIT].append(score(of, minimum_norm(of)))
        if index == nearest(sizes):
            at_threshold = {name: lrs[:, k].numpy() / BASE_LR for k, name in enumerate(SCHEDULES)}
    fields = Score._fields
    return {
        name: {field: torch.stack([getattr(row, field) for row in rows]).numpy() for field in fields}
        for name, rows in scores.items()
    }, at_threshold


def nearest(sizes: Sizes) -> int:
    """Return the index of the width nearest to the threshold, samples − 1."""
    return min(range(len(sizes.widths)), key=lambda index: abs(sizes.widths[index] - sizes.samples + 1))


def peak(loss: Floats) -> tuple[int, int]:
    """Return the indices of the lowest mean loss before the peak, and of the peak: the highest one by comparison.

    Where the loss falls all the way, both are 0, and where it rises all the way, the peak is the last width.

    Args:
        loss: Shape (widths, S).

    Example:
        >>> peak(np.array([[9.0], [2.0], [3.0], [1.0]])), peak(np.array([[3.0], [2.0], [1.0]]))
        ((1, 2), (0, 0))
    """
    mean = loss.mean(1)
    top = int((mean / np.minimum.accumulate(mean)).argmax())
    return int(mean[: top + 1].argmin()), top


def numbers(scores: Mapping[str, Mapping[str, Floats]], lrs: Mapping[str, Floats], sizes: Sizes) -> list[Number]:
    """Return place and height of the peaks, the interpolation threshold, and the schedules beside the constant LR."""
    return [
        *(number for name in SCHEDULES for number in _of_schedule(name, scores[name], lrs[name], sizes)),
        *(number for name in SCHEDULES[1:] for number in _over_constant(name, scores, sizes)),
    ]


def _of_schedule(name: str, of: Mapping[str, Floats], lr: Floats, sizes: Sizes) -> list[Number]:
    lowest, top = peak(of["loss"])
    fits = np.flatnonzero(of["train_error"].mean(1) < FITS)
    first = float(sizes.widths[fits[0]]) if len(fits) else float("nan")
    about = f"where the data are just fitted: {sizes.samples - 1}"
    rows = [Number(f"{name}: width of the peak of the test loss", sizes.widths[top], published=about, source=SOURCES)]
    for place in (lowest, len(sizes.widths) - 1):
        ratio = of["loss"][top] / of["loss"][place]
        low, high = interval(ratio)
        claim = f"above 1: {'holds' if low > 1 else 'not shown'} here"
        title = f"{name}: test loss there / at width {sizes.widths[place]}"
        rows.append(Number(title, float(ratio.mean()), low, high, claim, SOURCES))
    return [
        *rows,
        Number(f"{name}: first width with under {100 * FITS:g} % training error", first),
        Number(f"{name}: mean LR / base LR at the threshold", float(lr.mean())),
    ]


def _over_constant(name: str, scores: Mapping[str, Mapping[str, Floats]], sizes: Sizes) -> list[Number]:
    """Of log test losses; at the place of the constant LR's peak, and at the largest width."""
    own, constant = scores[name]["loss"], scores["constant"]["loss"]
    rows = []
    for place in (peak(constant)[1], len(sizes.widths) - 1):
        excess = np.log(own[place] / constant[place])
        title = f"{name}: log test loss over constant's at width {sizes.widths[place]}, nats"
        rows.append(Number(title, float(excess.mean()), *interval(excess)))
    return rows


def picture(scores: Mapping[str, Mapping[str, Floats]], lrs: Mapping[str, Floats], sizes: Sizes) -> Figure:
    """Draw losses and errors over the width, and what the LRs at the threshold have to do with them."""
    figure, ((loss, error, train_loss), (train_error, lr, spent)) = panels(2, 3, 4.4, 3.4)
    for axes, field in zip((loss, error, train_loss, train_error), Score._fields, strict=True):
        unit = 100 if "error" in field else 1
        for name, colour in COLOURS.items():
            _band(axes, np.array(sizes.widths), unit * scores[name][field], colour, name)
        if "train" not in field:
            limit = unit * scores[LIMIT][field].mean(1)
            axes.plot(sizes.widths, limit, color=GREY, linestyle=":", label=f"{LIMIT}, smallest norm")
        axes.axvline(sizes.samples - 1, color="black", linewidth=0.8, linestyle="--")
        axes.set(xscale="log", xlabel="width")
    most = max(scores[name]["loss"].mean(1).max() for name in SCHEDULES)
    loss.set(ylabel="test loss", ylim=(0, 1.25 * most), title=f"Test loss, {sizes.samples} training images")
    error.set(ylabel="test error, %", ylim=(0, 100), title="Test error")
    train_loss.set(ylabel="training loss", title="Training loss; dashed: samples − 1")
    train_loss.set_yscale("log", subs=())
    train_error.set(ylabel="training error on noisy labels, %", title="Training error", ylim=(0, None))
    _draw_lrs(lr, spent, lrs, {name: of["loss"][nearest(sizes)] for name, of in scores.items()})
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _draw_lrs(lr: Axes, spent: Axes, lrs: Mapping[str, Floats], loss: Mapping[str, Floats]) -> None:
    """Draw LRs over steps, and the test loss over their mean; both are of the width nearest to the threshold."""
    for name, colour in COLOURS.items():
        low, middle, high = np.percentile(lrs[name], [10, 50, 90], axis=1)
        lr.plot(middle, color=colour, linewidth=1.2)
        lr.fill_between(np.arange(len(middle)), low, high, color=colour, alpha=0.15, linewidth=0)
        spent.scatter(lrs[name].mean(0), loss[name], color=colour, s=14, alpha=0.8, linewidth=0)
    lr.set_yscale("log", subs=())
    lr.set(ylim=(1e-3, None), xlabel="SGD step", ylabel="LR / base LR", title="LRs at the threshold")
    spent.set(xlabel="mean LR / base LR", ylabel="test loss, one dot a seed", title="Height of the peak by LR spent")
    spent.set(xlim=(0, 1.05 * max(of.mean(0).max() for of in lrs.values())), ylim=(0, None))


def _band(axes: Axes, x: Floats, values: Floats, colour: str, label: str) -> None:
    low, high = np.array([interval(row) for row in values]).T
    axes.plot(x, values.mean(1), color=colour, marker="o", markersize=3, linewidth=1.4, label=label)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def draw(options: Options) -> Reproduction:
    """Train, measure and draw."""
    sizes = QUICK if options.quick else Sizes()
    scores, lrs = measure(sizes, options.seed)
    data: dict[str, Any] = {
        "sizes": asdict(sizes),
        "base_lr": BASE_LR,
        "batch": BATCH,
        "momentum": MOMENTUM,
        "label_noise": NOISE,
        "scores": scores,
        "mean_lr_over_base_at_threshold": {name: lr.mean() for name, lr in lrs.items()},
    }
    return Reproduction(picture(scores, lrs, sizes), numbers(scores, lrs, sizes), data)


if __name__ == "__main__":
    main("double_descent", draw)
