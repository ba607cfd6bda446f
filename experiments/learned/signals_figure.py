"""The figure of what each signal tells a policy; `signals` says how it is measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

COLOURS = ("#7fb2dd", "#1d5fa8", "#12355b")  # of runs of few steps, and of more
KINDS = ("groups", "signals")
ROW = 0.235  # inches


def draw(document: Mapping[str, Any]) -> Figure:
    """Draw how much higher the final loss is, and how much the action changes: those that matter most first.

    Args:
        document: "policy", its name, and "modes", what `signals.measure` returned by title.

    Returns:
        The figure.
    """
    modes = document["modes"]
    rows = [max(1, *(len(mode[kind]) for mode in modes.values())) for kind in KINDS]
    figure = Figure(figsize=(7 * len(modes), 2.2 + ROW * sum(rows)), layout="constrained")
    figure.suptitle(f"What each signal tells {document['policy']}: what happens if the policy is shown wrong values")
    blocks = figure.subfigures(1, len(modes), squeeze=False)[0]
    for block, (title, mode) in zip(blocks, modes.items(), strict=True):
        _block(block, title, mode, rows)
    handles, labels = blocks[0].axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _block(block: SubFigure, title: str, mode: Mapping[str, Any], rows: list[int]) -> None:
    """Bars of one mode: groups above, signals below."""
    block.suptitle(title, weight="bold", fontsize="medium")
    grid = block.subplots(2, 2, sharex="col", sharey="row", height_ratios=rows, width_ratios=(2, 1))
    for (losses, actions), kind, count in zip(grid, KINDS, rows, strict=True):
        _bars(losses, actions, mode[kind])
        losses.set_ylim(count - 0.4, -0.6)
    grid[1, 0].set_xlabel("final log loss, higher by … nats\n(95 % over networks)")
    grid[1, 1].set_xlabel("average change\nof the action")


def _bars(losses: Axes, actions: Axes, rows: Mapping[str, Any]) -> None:
    """Bars of losses with their intervals, and of actions, one row a signal."""
    ordered = sorted(rows, key=lambda name: -np.mean([each[0] for each in rows[name]["loss"].values()]))
    y, horizons = np.arange(len(ordered)), list(rows[ordered[0]]["loss"]) if ordered else []
    for index, steps in enumerate(horizons):
        height = 0.8 / len(horizons)
        mean, low, high = np.array([rows[name]["loss"][steps] for name in ordered]).T
        errors = np.maximum((mean - low, high - mean), 0.0)
        place, style = y + (index - (len(horizons) - 1) / 2) * height, {"elinewidth": 0.8, "ecolor": "#555555"}
        colour, label = COLOURS[index % len(COLOURS)], f"{int(steps):,} steps"
        losses.barh(place, mean, height, xerr=errors, color=colour, error_kw=style, label=label)
    actions.barh(y, [rows[name]["action"] for name in ordered], 0.7, color="#8a8a8a")
    losses.axvline(0, color="black", linewidth=0.8)
    losses.set_yticks(y, ordered, fontsize="small")
    for axes in (losses, actions):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#ececec", linewidth=0.8)
        axes.set_axisbelow(True)
