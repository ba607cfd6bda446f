"""The linear task's known optimum: the learned schedule beside Chebyshev's step sizes and the tuned baselines."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from lrpilot.agents.evaluate import Episodes, act_by, evaluate
from lrpilot.agents.problem_sets import problem_set
from lrpilot.arrays import Floats
from lrpilot.configs import Recipe
from lrpilot.envs.process import DIVERGED_AT, FLOOR
from lrpilot.envs.tasks.linear.task import LinearTask
from lrpilot.experiments.baselines import Candidate
from lrpilot.experiments.compare import LEARNED, Comparison
from lrpilot.experiments.figures import LEARNED_COLOUR
from lrpilot.experiments.tuning import run_baselines
from lrpilot.files import write_json
from lrpilot.policy import load_policy
from lrpilot.theory.linear import chebyshev_steps

PROBLEMS = 128  # at most, of the test problems
SMALLEST = (1e-1, 1e-2, 1e-3, 1e-4)  # where Chebyshev's interval may begin, over the largest curvature
MINIMAX = "Chebyshev, interval of the whole spectrum"
HINDSIGHT = "Chebyshev, best interval for each problem in hindsight"
Smallest = Callable[[Floats], Floats]  # curvatures (B, k) -> where the interval begins (B,)


@dataclass(frozen=True)
class ChebyshevSteps:
    """Runs on the test problems with full batches, and with mini-batches as they come.

    Attributes:
        full: log of f − f* over its start by method, full batches: no noise, shape (K + 1, P).
        noisy: The same with mini-batches.
        lr: LR over the bound of the learned schedule with full batches, geometric mean over problems, shape (K,).
        chebyshev: Chebyshev's LRs over the bound on the first problem, in the order of use, shape (T,).
    """

    full: dict[str, Floats]
    noisy: dict[str, Floats]
    lr: Floats
    chebyshev: Floats


def evidence(result: Comparison, policy: Path, folder: Path, console: Console) -> dict[str, Any]:
    """Measure Chebyshev's step sizes, print it, draw `chebyshev.png` and write `chebyshev.json`.

    Args:
        result: The comparison, for its recipe and its tuned baselines.
        policy: A policy file.
        folder: Where to write.
        console: Where the table is shown.

    Returns:
        What the policy's card says of it.
    """
    with console.status("Chebyshev's step sizes"):
        found = measure(result, policy)
    _show(found, console)
    figures = folder / "figures" if (folder / "figures").is_dir() else folder
    _figure(found, result).savefig(figures / "chebyshev.png", dpi=150)
    means = {
        part: {name: round(float(curve[-1].mean()), 4) for name, curve in getattr(found, part).items()}
        for part in ("full", "noisy")
    }
    write_json(folder / "chebyshev.json", means)
    return {"mean_final_log_excess_with_full_batches": means["full"]}


def measure(result: Comparison, policy: Path) -> ChebyshevSteps:
    """Run the policy, the best tuned baselines and Chebyshev's steps, with full batches and with mini-batches.

    Chebyshev's steps leave the bound, so no guard holds them.

    Args:
        result: The comparison.
        policy: A policy file.

    Returns:
        All runs.
    """
    recipe = result.recipe
    problems = recipe.problems
    noiseless = recipe.model_copy(update={"problems": type(problems)(**{**vars(problems), "batch_fractions": (1.0,)})})
    act = act_by(load_policy(policy))
    full, episodes = _curves(result, noiseless, act)
    noisy, _ = _curves(result, recipe, act)
    task = _tasks(noiseless, 1)[0]
    curvature = task.curvature[:, :, 0].double().numpy()
    low, high = _ends(curvature, _whole)[0]
    lrs = chebyshev_steps(low, high, recipe.horizon) / task.reference()[0]
    return ChebyshevSteps(full, noisy, np.exp(episodes.log_multiple.mean(1)), lrs)


def _curves(result: Comparison, recipe: Recipe, act: Any) -> tuple[dict[str, Floats], Episodes]:
    size = min(PROBLEMS, recipe.comparison.test_problems)
    episodes = evaluate(act, recipe, "test", size)
    curves = {LEARNED: episodes.log_loss}
    for candidate in _best(result):
        curves[candidate.label] = run_baselines([candidate], recipe, "test", size)[0]
    curves[MINIMAX] = _chebyshev(recipe, size, _whole)
    tried = np.array([_chebyshev(recipe, size, _share(share)) for share in SMALLEST])
    best = tried[:, -1].argmin(0)
    curves[HINDSIGHT] = np.take_along_axis(tried, best[None, None], 0)[0]
    return curves, episodes


def _best(result: Comparison) -> list[Candidate]:
    """The two families that did best on the tuning problems."""
    ranked = sorted(result.tuned.values(), key=lambda pair: pair[1])
    families = list(dict.fromkeys(candidate.family for candidate, _ in ranked))[:2]
    return [next(candidate for candidate, _ in ranked if candidate.family == family) for family in families]


def _whole(curvature: Floats) -> Floats:
    return np.where(curvature > 0, curvature, np.inf).min(1)


def _share(share: float) -> Smallest:
    return lambda curvature: np.maximum(share * curvature.max(1), _whole(curvature))


def _ends(curvature: Floats, smallest: Smallest) -> Floats:
    return np.stack([smallest(curvature), curvature.max(1)], 1)


def _tasks(recipe: Recipe, size: int) -> list[LinearTask]:
    tasks = [process.task for process in problem_set(recipe, "test", size)]
    return [task for task in tasks if isinstance(task, LinearTask)]


def _chebyshev(recipe: Recipe, size: int, smallest: Smallest) -> Floats:
    """Log of f − f* over its start at each decision, shape (K + 1, P), under Chebyshev's steps for the interval."""
    interval = recipe.horizon // recipe.decisions.decisions
    parts = []
    for task in _tasks(recipe, size):
        ends = _ends(task.curvature[:, :, 0].double().numpy(), smallest)
        lrs = np.array([chebyshev_steps(low, high, recipe.horizon) for low, high in ends])  # (B, T)
        start = task.objective()
        curve = [start]
        for step in range(recipe.horizon):
            task.sgd_step(lrs[:, step])
            if (step + 1) % interval == 0:
                curve.append(task.objective())
        parts.append(np.array(curve) / start)
    ratio = np.nan_to_num(np.concatenate(parts, 1), nan=DIVERGED_AT, posinf=DIVERGED_AT)
    return np.log(np.clip(ratio, FLOOR, DIVERGED_AT))


def _show(found: ChebyshevSteps, console: Console) -> None:
    table = Table(title="Mean log of f − f* over its start, and the share of runs that ended higher", box=box.SIMPLE)
    table.add_column("method", no_wrap=True)
    for heading in ("full batches", "rose", "mini-batches", "rose"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in found.full:
        cells = []
        for curves in (found.full, found.noisy):
            final = curves[name][-1]
            cells += [f"{final.mean():.3f}", f"{(final > 0).mean():.0%}"]
        table.add_row(name, *cells, style="bold" if name == LEARNED else "")
    console.print(table)
    console.print(
        "Chebyshev's steps know the spectrum and leave the bound; without noise nothing fixed in advance is better."
    )


def _figure(found: ChebyshevSteps, result: Comparison) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.linspace(0, result.recipe.horizon, len(found.lr) + 1)
    for name, curve in found.full.items():
        style = {"color": LEARNED_COLOUR, "linewidth": 2.5} if name == LEARNED else {"linewidth": 1.2}
        left.plot(steps, curve.mean(1), label=name, **style)
    left.set(xlabel="SGD step", ylabel="mean log of f − f* over its start", title="Full batches, no noise")
    left.legend(frameon=False, fontsize=7)
    right.plot(np.arange(len(found.chebyshev)), found.chebyshev, ".", color="C4", label="Chebyshev, first problem")
    for candidate in _best(result):
        progress = np.arange(result.recipe.horizon) / result.recipe.horizon
        lr = candidate.multiplier(progress) * candidate.base_lr
        right.plot(np.minimum(lr, 1) if candidate.unit == "bound" else lr, linewidth=1.2, label=candidate.label)
    right.step(steps[:-1], found.lr, where="post", color=LEARNED_COLOUR, linewidth=2.5, label=LEARNED)
    right.axhline(1, color="grey", linestyle=":", linewidth=1)
    right.set(yscale="log", xlabel="SGD step", ylabel="LR / bound", title="Schedules")
    right.legend(frameon=False, fontsize=7)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
