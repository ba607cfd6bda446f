"""Figures of a comparison: loss curves, schedules with their spread, who beats whom."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrpilot.agents.evaluate import Episodes
from lrpilot.arrays import Floats
from lrpilot.experiments.baselines import BASELINES, Candidate
from lrpilot.experiments.compare import LEARNED, Comparison
from lrpilot.experiments.stats import TIE
from lrpilot.experiments.tuning import run_baselines

CURVE_PROBLEMS = 256
LEARNED_COLOUR = "#c1121f"


def draw_all(result: Comparison, folder: Path) -> None:
    """Draw all figures as PNG.

    Args:
        result: The comparison.
        folder: Where to.
    """
    best: dict[str, Candidate] = {}
    for candidate, _ in sorted(result.tuned.values(), key=lambda pair: pair[1]):
        best.setdefault(candidate.family, candidate)
    drawings = {
        "loss_curves": _loss_curves(result, list(best.values())),
        "schedules": _schedules(result.episodes[0], list(best.values())),
        "win_matrix": _win_matrix({name: final.mean(0) for name, final in result.final.items()}),
    }
    for name, figure in drawings.items():
        figure.savefig(folder / f"{name}.png", dpi=150)


def _new(width: float, height: float, **labels: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(**labels)
    return figure, axes


def _loss_curves(result: Comparison, candidates: list[Candidate]) -> Figure:
    figure, axes = _new(7, 4.5, xlabel="SGD step", ylabel="mean log loss relative to the start")
    size = min(CURVE_PROBLEMS, result.recipe.comparison.test_problems)
    learned = np.mean([episodes.log_loss[:, :size].mean(1) for episodes in result.episodes], 0)
    steps = np.linspace(0, result.recipe.horizon, len(learned))
    for candidate in candidates:
        curve = run_baselines([candidate], result.recipe, "test", size)[0].mean(1)
        axes.plot(steps, curve, linewidth=1, label=candidate.label)
    axes.plot(steps, learned, color=LEARNED_COLOUR, linewidth=2.5, label=LEARNED)
    axes.set_title(f"Loss on {size} unseen problems, best tuned schedule of each family")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _schedules(episodes: Episodes, candidates: list[Candidate]) -> Figure:
    figure, axes = _new(7, 4.5, xlabel="share of the horizon", ylabel="LR / bound", yscale="log")
    progress = episodes.shares[:-1]
    fraction = np.exp(episodes.log_multiple)
    for low, high, alpha in ((5, 95, 0.12), (25, 75, 0.25)):
        band = np.percentile(fraction, [low, high], axis=1)
        axes.fill_between(
            progress, *band, color=LEARNED_COLOUR, alpha=alpha, linewidth=0, label=f"learned, {low}–{high} %"
        )
    axes.plot(progress, np.median(fraction, 1), color=LEARNED_COLOUR, linewidth=2.5, label="learned, median")
    for candidate in candidates:
        if candidate.unit == "bound":
            lr = np.minimum(candidate.multiplier(progress) * candidate.base_lr, 1.0)
            axes.plot(progress, np.maximum(lr, 1e-3), linewidth=1, label=candidate.label)
    axes.set_ylim(2e-3, 1.3)
    axes.axhline(1, color="grey", linestyle=":", linewidth=1)
    axes.set_title("What the policy does on unseen problems, beside the tuned schedules")
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def _win_matrix(final: dict[str, Floats]) -> Figure:
    names = [name for name in sorted(final, key=lambda name: final[name].mean()) if name != "oracle"]
    values = np.array([final[name] for name in names])
    wins = (values[None, :, :] - values[:, None, :] > TIE).mean(2)
    np.fill_diagonal(wins, np.nan)
    size = 2.5 + 0.38 * len(names)
    figure, axes = _new(size + 1.5, size, title="Share of problems on which the row beats the column, %")
    axes.imshow(wins, cmap="RdBu", vmin=0, vmax=1)
    for (i, j), share in np.ndenumerate(wins):
        if i != j:
            colour = "white" if abs(share - 0.5) > 0.35 else "black"
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=8)
    axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=90, fontsize=8)
    return figure


def _short(name: str) -> str:
    family = name.split(" (")[0]
    if family not in BASELINES:
        return name.removeprefix("control: ")
    return f"{family} ({'bound' if 'bound' in name else 'raw'})"
