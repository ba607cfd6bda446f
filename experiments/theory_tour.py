"""Pictures of what theory says about LRs: python -m lrpilot.experiments.theory_tour [FOLDER] [--quick].

Each picture has a function that measures and one that draws; all LRs are per step.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lrpilot import LearnedLR, list_policies
from lrpilot.arrays import Floats
from lrpilot.experiments.frontier import exact_factorisations, leaves
from lrpilot.theory import NMFBound, block_smoothness, joint_smoothness
from lrpilot.theory.dense import nmf_hessian
from lrpilot.theory.greedy import average_gap_bound, greedy_descent, lr_floor
from lrpilot.theory.guards import batch_sharpness_bound
from lrpilot.theory.line import descent_limit, gradient_line
from lrpilot.theory.sharpness import sharpness

FOLDER = Path("docs/figures/theory")
POLICY = "linear" if "linear" in list_policies() else "nmf"
RED, BLUE, GREEN, ORANGE, GREY = "#c1121f", "#1d5fa8", "#2a7f4f", "#d9822b", "#8a8a8a"
MEASUREMENTS = 50  # of sharpness, along a run
GREEDY_FACTOR, GREEDY_STARTS = 0.8, {"1/64": 1 / 64, "1/4": 1 / 4, "16": 16.0}  # the latter: η_0 over 2/L


@dataclass(frozen=True)
class Settings:
    """Sizes of the measurements."""

    nmf_steps: int = 400
    frontier_instances: int = 200  # factorisations a curve
    frontier_steps: int = 1_000
    images: int = 300  # digits that the networks are trained on
    edge_lrs: tuple[float, ...] = (0.1, 0.2, 0.4)
    edge_steps: int = 2_500
    learned_steps: int = 300
    greedy_steps: int = 200


QUICK = Settings(60, 8, 200, 60, (0.3, 0.6), 300, 40, 60)


def bounds_along_a_run(settings: Settings) -> dict[str, Floats]:
    """Run projected SGD on a noisy 12 × 15 matrix of rank 3 at the segment bound; every limit at every step.

    Returns:
        Limits on the LR by name, each of shape (steps,), in units of 1 / [X].
    """
    rng = torch.Generator().manual_seed(0)
    W, H, V, U = (torch.rand(*shape, generator=rng, dtype=torch.float64) for shape in ((12, 3), (3, 15)) * 2)
    X = (V @ U + 0.05 * torch.randn(12, 15, generator=rng, dtype=torch.float64)).clamp_min(0)
    limits = []
    for _ in range(settings.nmf_steps):
        (in_W, in_H), segment = block_smoothness(W, H), NMFBound(W, H, X)()
        joint, line = 2 / joint_smoothness(W, H, X), descent_limit(gradient_line(W, H, X))
        top = 2 / torch.linalg.eigvalsh(nmf_hessian(W, H, X))[-1]
        now = {"top": top, "joint": joint, "segment": segment, "line": line, "W alone": 2 / in_W, "H alone": 2 / in_H}
        limits.append({name: float(limit) for name, limit in now.items()})
        R = W @ H - X
        noise = [0.03 * torch.randn(factor.shape, generator=rng, dtype=W.dtype) for factor in (W, H)]
        W, H = (W - segment * (R @ H.mT + noise[0])).clamp_min(0), (H - segment * (W.mT @ R + noise[1])).clamp_min(0)
    return {name: np.array([row[name] for row in limits]) for name in limits[0]}


def shares_that_leave(settings: Settings) -> dict[str, Floats]:
    """Share of runs that leave an exact factorisation, by LR over its bound, from a random direction.

    Returns:
        "multiple", the ratios; and a curve for each number of steps and kind of minimum, shapes (ratios,).
    """
    curves = {"multiple": np.round(np.arange(0.9, 1.1001, 0.01), 2)}
    for fraction, imbalance in ((20, 1.0), (5, 1.0), (1, 1.0), (1, 3.0)):
        steps = settings.frontier_steps // fraction
        families = exact_factorisations(settings.frontier_instances, along_top=False, imbalance=imbalance)
        left = [leaves(family, curves["multiple"].tolist(), steps)[0] for family in families]
        name = f"{steps:,} steps" + (", W × 3, H / 3" if imbalance > 1 else "")
        curves[name] = torch.cat(left, 1).double().mean(1).numpy()
    return curves


def digits_network(settings: Settings) -> tuple[nn.Sequential, Callable[[Tensor | slice], Tensor]]:
    """A small tanh CNN with the same first weights each time, and its loss mean ½‖f(x) − y‖² on chosen digits."""
    digits = load_digits()
    images = torch.tensor(digits.images[: settings.images], dtype=torch.float32)[:, None] / 16  # (N, 1, 8, 8)
    labels = nn.functional.one_hot(torch.tensor(digits.target[: settings.images]), 10).float()  # (N, 10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
        network = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Flatten(), nn.Linear(32, 10))
    return network, lambda chosen: (network(images[chosen]) - labels[chosen]).square().sum(1).mean() / 2


def _descend(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor], steps: int) -> Iterator[Tensor]:
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield value.detach()


def edge_of_stability(settings: Settings) -> dict[float, dict[str, Floats]]:
    """Train by full-batch gradient descent and measure sharpness on the way (Cohen et al. 2021, arXiv 2103.00065).

    Returns:
        By LR: "step", "loss" before that step and "sharpness" after it, each of shape (MEASUREMENTS,).
    """
    runs = {}
    for lr in settings.edge_lrs:
        network, loss_on = digits_network(settings)
        loss = partial(loss_on, slice(None))
        steps, rows = _descend(torch.optim.SGD(network.parameters(), lr=lr), loss, settings.edge_steps), []
        for step, value in enumerate(steps):
            if step % (settings.edge_steps // MEASUREMENTS) == 0:
                rows.append((step, value.item(), sharpness(loss, list(network.parameters()))))
        runs[lr] = dict(zip(("step", "loss", "sharpness"), np.array(rows).T, strict=True))
    return runs


def learned_run(settings: Settings) -> dict[str, Floats]:
    """Train the same network on mini-batches of 32 under a shipped policy, guarded by the next one's sharpness.

    Returns:
        "lr", its "bound", "edge" = 2 / λ_max and "loss" of the mini-batch, each of shape (learned_steps,).
    """
    network, loss_on = digits_network(settings)
    rng, parameters = torch.Generator().manual_seed(0), list(network.parameters())
    batch, limit, edge = torch.empty(0), 0.0, 0.0

    def loss() -> Tensor:
        return loss_on(batch)

    def bound() -> float:
        nonlocal batch, limit, edge
        batch = torch.randperm(settings.images, generator=rng)[:32]
        limit, edge = guard(), 2 / sharpness(loss, parameters)
        return limit

    guard = batch_sharpness_bound(network, loss, every=1)
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    scheduler = LearnedLR(optimizer, POLICY, horizon=settings.learned_steps, bound=bound)
    rows = []
    for value in _descend(optimizer, loss, settings.learned_steps):
        rows.append((optimizer.param_groups[0]["lr"], limit, edge, value.item()))
        scheduler.step(value)
    return dict(zip(("lr", "bound", "edge", "loss"), np.array(rows).T, strict=True))


def greedy_runs(settings: Settings) -> dict[str, Floats]:
    """GreedyLR on a quadratic with L = 1 and condition number 100, without a cap and with η_max = 1/L.

    Returns:
        "T", 1, 2, …; by start "lr …" and "loss …" over the first one without a cap; with it, "gap …" and "bound …".
    """
    eigenvalues = torch.logspace(0, -2, 10, dtype=torch.float64)
    x = torch.randn(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps = np.arange(1, settings.greedy_steps + 1)

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        return (eigenvalues * x.square()).sum() / 2, eigenvalues * x

    curves: dict[str, Floats] = {"T": steps.astype(float)}
    for label, start in GREEDY_STARTS.items():
        free = greedy_descent(f, x, 2 * start, GREEDY_FACTOR, len(steps))
        curves[f"lr {label}"], curves[f"loss {label}"] = free.lr.numpy(), (free.loss[1:] / free.loss[0]).numpy()
        first = min(2 * start, 1.0)
        capped = greedy_descent(f, x, first, GREEDY_FACTOR, len(steps), lr_max=1.0)
        averages = capped.x[:-1].cumsum(0) / torch.from_numpy(steps)[:, None]
        curves[f"gap {label}"] = (eigenvalues * averages.square()).sum(1).numpy() / 2
        curves[f"bound {label}"] = average_gap_bound(float(x.norm()), first, 1.0, 1.0, 1) / steps
    return curves


def _draw_bounds_along_a_run(limits: dict[str, Floats]) -> Figure:
    titles = {"LR per step, in 1/[X]": "Projected SGD: limits on the LR", "LR over 2/λ$_{max}$": "the bounds, closer"}
    figure, (left, right) = _new("SGD step", titles)
    for name, label, style in (
        ("H alone", "H alone: 2/σ₁(W)²", {"color": GREY, "linestyle": "--"}),
        ("W alone", "W alone: 2/σ₁(H)²", {"color": GREY, "linestyle": ":"}),
        ("line", "exact, along the gradient", {"color": BLUE, "linewidth": 1.0}),
        ("top", "2/λ$_{max}$ of the Hessian", {"color": "black", "linewidth": 3.0}),
        ("joint", "joint: 2/(σ₁(W)² + σ₁(H)² + ‖R‖₂)", {"color": ORANGE}),
        ("segment", "segment: a whole step, certified", {"color": RED}),
    ):
        left.plot(limits[name], label=label, **style)
        if name in {"top", "joint", "segment"}:
            right.plot(limits[name] / limits["top"], **style)
    _log_scale(left)
    left.legend(frameon=False, fontsize=8)
    return figure


def _draw_shares_that_leave(curves: dict[str, Floats]) -> Figure:
    title = {"runs that leave the minimum, %": "At an exact factorisation, stability ends at the bound"}
    figure, (axes,) = _new("LR over its bound 2/(σ₁(W)² + σ₁(H)²)", title)
    for name, colour, marker in zip([*curves][1:], (ORANGE, GREEN, RED, "black"), ("", "", "o", "x"), strict=True):
        axes.plot(curves["multiple"], 100 * curves[name], color=colour, marker=marker, markersize=5, label=name)
    axes.axvline(1, color=GREY, linestyle=":", linewidth=1)
    axes.legend(frameon=False, title="within", alignment="left")
    return figure


def _draw_edge_of_stability(runs: dict[float, dict[str, Floats]]) -> Figure:
    titles = {"sharpness λ$_{max}$(∇²f)": "Full batch: sharpness rises to 2/η and stays"}
    figure, (left, right) = _new("gradient step", {**titles, "training loss": "while the loss goes on falling"})
    for (lr, run), colour in zip(runs.items(), (BLUE, GREEN, RED), strict=False):
        left.plot(run["step"], run["sharpness"], color=colour)
        left.axhline(2 / lr, color=colour, linestyle="--", linewidth=1)
        left.text(run["step"][-1], 2.1 / lr + 0.2, f"2/η = {2 / lr:g}", color=colour, ha="right", fontsize=9)
        right.plot(run["step"], run["loss"], color=colour, label=f"η = {lr:g}")
    _log_scale(right)
    right.legend(frameon=False, fontsize=9)
    return figure


def _draw_learned_run(run: dict[str, Floats]) -> Figure:
    titles = {"LR per step": f"Policy “{POLICY}” under a network’s bound"}
    figure, (left, right) = _new("SGD step", {**titles, "mini-batch loss": "tanh CNN on digits, mini-batches of 32"})
    left.plot(run["edge"], color=GREY, linewidth=0.8, label="2/λ$_{max}$ of the mini-batch")
    left.plot(run["bound"], color="black", linewidth=1.0, label="batch_sharpness_bound")
    left.plot(run["lr"], color=RED, linewidth=1.2, label=f"LearnedLR, policy “{POLICY}”")
    right.plot(run["loss"], color=RED, linewidth=0.8)
    _log_scale(left, right)
    left.legend(frameon=False, fontsize=9, loc="lower left")
    return figure


def _draw_greedy_runs(curves: dict[str, Floats]) -> Figure:
    titles = {"LR over 2/L": f"GreedyLR on a quadratic, F = {GREEDY_FACTOR}, no cap"}
    rate = {"f(average iterate) − f*": "η ≤ 1/L; dashed: D²/(2η$_{min}$T)"}
    figure, (left, right) = _new("gradient step", {**titles, **rate})
    for label, colour in zip(GREEDY_STARTS, (BLUE, GREEN, RED), strict=True):
        end = f"loss × {curves[f'loss {label}'][-1]:.0e} at the end"
        left.plot(curves[f"lr {label}"] / 2, color=colour, label=f"η₀ = {label} · 2/L: {end}")
        for name, style in (("gap", "-"), ("bound", "--")):
            right.plot(curves["T"], curves[f"{name} {label}"], color=colour, linestyle=style)
    left.axhline(lr_floor(math.inf, GREEDY_FACTOR, 2.0), color="black", linestyle="--", label="floor 2F/L")
    _log_scale(left, right)
    right.set_xscale("log")
    left.legend(frameon=False, fontsize=9)
    return figure


def _new(xlabel: str, titles: dict[str, str]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.2 if len(titles) > 1 else 6.6, 4.2), layout="constrained")
    panels = [figure.add_subplot(1, len(titles), number + 1) for number in range(len(titles))]
    for axes, (ylabel, title) in zip(panels, titles.items(), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return figure, panels


def _log_scale(*panels: Axes) -> None:
    for axes in panels:
        axes.set_yscale("log", subs=())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")


def main() -> None:
    """Measure everything and draw it into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Draw what theory says about learning rates.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--quick", action="store_true", help="small measurements: seconds in place of a minute or two")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = QUICK if options.quick else Settings()
    options.folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[], Figure]] = {
        "bound_along_a_run": lambda: _draw_bounds_along_a_run(bounds_along_a_run(settings)),
        "frontier": lambda: _draw_shares_that_leave(shares_that_leave(settings)),
        "edge_of_stability": lambda: _draw_edge_of_stability(edge_of_stability(settings)),
        "learned_lr_and_sharpness": lambda: _draw_learned_run(learned_run(settings)),
        "greedy": lambda: _draw_greedy_runs(greedy_runs(settings)),
    }
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
        for name, picture in pictures.items():
            line = progress.add_task(f"{name}.png", total=1)
            picture().savefig(options.folder / f"{name}.png", dpi=150)
            progress.advance(line)


if __name__ == "__main__":
    main()
