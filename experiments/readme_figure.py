"""The example of the README beside cosine, from nine base LRs: python -m lrpilot.experiments.readme_figure [FOLDER].

`train` is the example of the README with the schedule, the base LR and the seed as arguments, and with the held-out
loss measured along the run. The table that it prints holds every figure that the README gives of it.
"""

import argparse
import pydoc_data.topics
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR

from lrpilot import LearnedLR
from lrpilot.arrays import Floats

FOLDER = Path("docs/figures")
STEPS, USUAL_LR = 400, 1e-3  # as in the README
MULTIPLES = tuple(2.0**power for power in range(-4, 5))  # base LR over the usual one
Line = str | tuple[int, tuple[int, int]]  # a line style of matplotlib
LINES: dict[float, Line] = {1.0: "-", 1 / 16: (0, (4, 2))}  # of the base LRs whose runs are drawn step by step
SEEDS = range(5)
EVERY = 10  # steps between two measurements of the held-out loss
Name = Literal["universal", "cosine"]
COLOURS: dict[Name, str] = {"universal": "#c1121f", "cosine": "#1d5fa8"}


class Run(NamedTuple):
    """One run: the LR of each step, and the held-out loss before the first step and after every EVERY steps."""

    lrs: list[float]
    held_out: list[float]


Runs = dict[tuple[Name, float], list[Run]]  # by schedule and base LR over the usual one; one a seed


def train(schedule: Name, lr: float, seed: int = 0, every: int = EVERY) -> Run:
    """Train the model of the README.

    Args:
        schedule: Who sets the LR.
        lr: The base LR, per step.
        seed: Of the initial weights and the mini-batches.
        every: Steps between two measurements of the held-out loss.

    Returns:
        LRs and held-out losses.
    """
    torch.manual_seed(seed)
    text = torch.tensor(list("".join(pydoc_data.topics.topics.values()).encode()))
    windows = text.unfold(0, 17, 1)
    data, test = windows[:-50_000], windows[-49_000::10]
    model = nn.Sequential(nn.Embedding(256, 32), nn.Flatten(), nn.Linear(16 * 32, 128), nn.ReLU(), nn.Linear(128, 256))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    learned = LearnedLR(optimizer, "universal", horizon=STEPS) if schedule == "universal" else None
    cosine = None if learned else CosineAnnealingLR(optimizer, STEPS)

    def loss_on(windows: Tensor) -> Tensor:
        return cross_entropy(model(windows[:, :-1]), windows[:, -1])

    run = Run([], [loss_on(test).item()])
    for step in range(1, STEPS + 1):
        run.lrs.append(optimizer.param_groups[0]["lr"])
        loss = loss_on(data[torch.randint(len(data), (64,))])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if learned:
            learned.step(loss)
        elif cosine:
            cosine.step()
        if step % every == 0:
            with torch.no_grad():
                run.held_out.append(loss_on(test).item())
    return run


def final_losses(runs: Runs, name: Name) -> Floats:
    """Final held-out losses, (base LRs, seeds)."""
    return np.array([[run.held_out[-1] for run in runs[name, multiple]] for multiple in MULTIPLES])


def draw(runs: Runs) -> Figure:
    """LRs and held-out losses of two base LRs step by step, and the final loss by base LR."""
    figure = Figure(figsize=(10, 3.5), layout=ConstrainedLayoutEngine(wspace=0.06))
    lrs, losses, final = figure.subplots(1, 3)
    for axes in (lrs, losses, final):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#ececec", linewidth=0.8)
        axes.set_axisbelow(True)
    for (name, multiple), of_seeds in runs.items():
        if multiple in LINES:
            line = LINES[multiple]
            _band(lrs, np.arange(STEPS, dtype=np.float64), np.array([run.lrs for run in of_seeds]), COLOURS[name], line)
            held_out = np.array([run.held_out for run in of_seeds])
            _band(losses, np.linspace(0, STEPS, held_out.shape[1]), held_out, COLOURS[name], line)
    base_lrs = USUAL_LR * np.array(MULTIPLES)
    for name, colour in COLOURS.items():
        _band(final, base_lrs, final_losses(runs, name).T, colour, "-")
        final.plot(base_lrs, final_losses(runs, name).mean(1), ".", color=colour, markersize=8)
    _label(lrs, losses, final)
    return figure


def _band(axes: Axes, x: Floats, curves: Floats, colour: str, line: Line) -> None:
    """The mean of curves (seeds, x), and their range."""
    axes.fill_between(x, curves.min(0), curves.max(0), color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, curves.mean(0), color=colour, linestyle=line, linewidth=2)


def _label(lrs: Axes, losses: Axes, final: Axes) -> None:
    for axes, name, x, y in (
        (lrs, "universal", 215, 1.05e-2), (lrs, "cosine", 180, 1.2e-4),
        (losses, "universal", 140, 3.3), (losses, "cosine", 250, 4.4),
        (final, "universal", 7e-5, 2.3), (final, "cosine", 1.6e-4, 3.1),
    ):  # fmt: skip
        axes.text(x, y, name, color=COLOURS["universal" if name == "universal" else "cosine"], weight="bold")
    lrs.set(yscale="log", ylim=(2e-6, 2e-2), xlabel="step")
    lrs.set_title("LR along the run", loc="left")
    for line, words in zip(LINES.values(), ("base LR 0.001", "base LR 0.001 / 16"), strict=True):
        lrs.plot([], [], color="#555555", linestyle=line, linewidth=2, label=words)
    lrs.legend(frameon=False, fontsize=9, loc="lower center", handlelength=2.4)
    losses.set(ylim=(2, 5.7), xlabel="step")
    losses.set_title("Held-out loss along the run", loc="left")
    final.set(xscale="log", xlabel="base LR", ylim=(2, 4.1))
    final.set_title("Final held-out loss by base LR", loc="left")
    final.set_yticks([2, 2.5, 3, 3.5, 4])
    ticks = {0.0625: "0.001 / 16", 0.25: "/ 4", 1.0: "0.001", 4.0: "× 4", 16.0: "× 16"}
    final.set_xticks([USUAL_LR * multiple for multiple in ticks], list(ticks.values()))
    final.xaxis.set_minor_locator(NullLocator())
    final.axvline(USUAL_LR, color="#8a8a8a", linestyle=":", linewidth=1.2)
    final.text(USUAL_LR * 1.1, 3.75, "AdamW's\nusual LR", color="#555555", fontsize=9)


def table(runs: Runs) -> Table:
    """Final held-out losses, mean over seeds [lowest, highest]."""
    written = Table(box=box.SIMPLE, title=f"final held-out loss, {len(SEEDS)} seeds: mean [lowest, highest]")
    for column in ("base LR", *COLOURS):
        written.add_column(column)
    ends = [final_losses(runs, name) for name in COLOURS]
    for multiple, *rows in zip(MULTIPLES, *ends, strict=True):
        cells = [f"{row.mean():.3f} [{row.min():.3f}, {row.max():.3f}]" for row in rows]
        written.add_row(f"{USUAL_LR * multiple:.2g}", *cells)
    return written


def main() -> None:
    """Measure, draw and print the table."""
    parser = argparse.ArgumentParser(description="Draw the figure of the README; five minutes.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="where to; docs/figures by default")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    cases: list[tuple[Name, float]] = [(name, multiple) for name in COLOURS for multiple in MULTIPLES]
    runs: Runs = {}
    for name, multiple in track(cases, "base LRs"):
        runs[name, multiple] = [train(name, multiple * USUAL_LR, seed) for seed in SEEDS]
    draw(runs).savefig(folder / "readme.png", dpi=180)
    Console().print(table(runs))


if __name__ == "__main__":
    main()
