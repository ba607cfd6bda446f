"""The figures of a comparison on networks.

python -m lrpilot.experiments.network_figures COMPARE.json FIGURE.png draws what a wrong base LR costs anew.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lrpilot.experiments.networks import ERRORS, NetworkResults

LEARNED = "learned"
REFERENCE = "linear-to-zero"  # what losses are compared with
COLOURS = {
    LEARNED: "#c1121f",
    "linear-to-zero": "#1f77b4",
    "cosine": "#2ca02c",
    "WSD": "#ff7f0e",
    "constant": "#9467bd",
    "GreedyLR": "#8c564b",
}


def lr_error(document: dict[str, Any]) -> Figure:
    """Draw how much a wrong base LR costs, for the learned schedule and for fixed ones.

    Args:
        document: What `as_json` returned, or `compare.json` holds.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    reference = np.array(document["tuned"][REFERENCE]["final"])
    wrong = {name.removesuffix(" 0"): runs["final"] for name, runs in document["from_wrong_base_lrs"].items()}
    for name in (name for name in reversed(COLOURS) if name in wrong):
        excess = (np.array(wrong[name]) - reference).mean(1)
        width = 2.5 if name == LEARNED else 1
        axes.plot(document["errors"], excess, marker="o", color=COLOURS[name], linewidth=width, label=name)
    axes.axhline(0, color="grey", linestyle=":", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set(xlabel="base LR over the right one", ylabel=f"log test loss over that of tuned {REFERENCE}")
    axes.set_title("What a wrong base LR costs on unseen networks")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def schedules(results: NetworkResults) -> Figure:
    """Draw the learned LR over the right one, from each of the wrong base LRs.

    Args:
        results: The runs.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    multiple = next(runs for name, runs in results.learned.items() if name.startswith(LEARNED)).log_multiple
    progress = (results.shares[1:] + results.shares[:-1]) / 2
    for index, (error, log) in enumerate(zip(ERRORS, multiple, strict=True)):
        low, middle, high = np.exp(np.percentile(log, [25, 50, 75], axis=1)) * error
        colour = f"C{index}"
        axes.fill_between(progress, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(progress, middle, color=colour, label=f"base LR × {error:g}")
    axes.plot(progress, 1 - progress, color="black", linestyle="--", linewidth=1, label=f"tuned {REFERENCE}")
    axes.set_yscale("log")
    axes.set(xlabel="share of the horizon", ylabel="LR / right base LR", ylim=(3e-4, 30))
    axes.set_title("Learned schedules: median and middle half of the problems")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    lr_error(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))).savefig(sys.argv[2], dpi=150)
