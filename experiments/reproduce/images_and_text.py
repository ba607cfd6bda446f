"""Learned schedules against hyper-parameter search: python -m lrpilot.experiments.reproduce.images_and_text [--quick].

Published: "Learned learning rate schedules for deep neural network training using reinforcement learning" (Tiny Papers
@ ICLR 2023): schedules predicted by a PPO agent, for vision and language, are more useful than equally expensive
hyper-parameter optimisation, and train faster and generalise better than cosine. Networks, data and numbers that would
allow a check are not public, nor is the agent.

Reproduced, on the suite's image and text tasks: the shipped policy, untuned, against cosine from the LR that seems
right, both also from base LRs 16 times too low and too high; cosine with a full grid search; and random search of n
schedules: final test loss against the gradient evaluations that it took, tuning included. A search either runs on the
very problem that is scored, which keeps its best run, or on all problems for tuning, whose winner then runs once. The
policy's meta-training is left out of its cost, as it is in the claim; its size is among the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from lrpilot.arrays import Floats
from lrpilot.experiments.league.learned import Learned, of_family, training_passes, universal
from lrpilot.experiments.league.rivals import FAMILIES
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.schedules import FixedSchedule, RandomSearch
from lrpilot.experiments.league.statistics import mean_over_tasks
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.experiments.reproduce.common import BLUE, GREEN, RED, Number, Options, Reproduction, main, panels
from lrpilot.policy import list_policies, load_policy

SOURCE = "Tiny Papers @ ICLR 2023, abstract"
BASE_LRS = np.array([1 / 16, 1.0, 16.0])  # of what is not tuned, over the LR that seems right
RIGHT = 1


@dataclass(frozen=True)
class Sizes:
    """How much is run.

    Attributes:
        problems: P of each task; as many more are tuned on.
        grid: Base LRs of cosine's grid, odd.
        trials: N random schedules.
        tasks: Names; None: all of the suite's images and texts.
    """

    problems: int = 6
    grid: int = 13
    trials: int = 16
    tasks: tuple[str, ...] | None = None


QUICK = Sizes(4, 7, 8, ("cnn-mnist-sgd", "byte_cnn-docstrings-sgd"))


@dataclass(frozen=True)
class Played:
    """All runs on one task.

    Attributes:
        learned: The policy from `BASE_LRS`.
        untuned: Cosine from the same.
        cosine: A grid of base LRs.
        search: Random schedules.
        problems: P; the first P of 2P problems are tuned on.
        horizon: Steps of a run.
    """

    learned: Runs
    untuned: Runs
    cosine: Runs
    search: Runs
    problems: int
    horizon: int

    def scored(self, runs: Runs) -> Floats:
        """Return final losses on the scored problems, shape (C, P)."""
        return runs.final[:, self.problems :]

    def right(self, runs: Runs) -> Floats:
        """Return those from the LR that seems right, of what is not tuned, shape (P,)."""
        return self.scored(runs)[RIGHT]

    def wrong(self, runs: Runs) -> Floats:
        """Return those from wrong base LRs, of what is not tuned, mean over both, shape (P,)."""
        return np.delete(self.scored(runs), RIGHT, 0).mean(0)


def expected_best(choose_by: Floats, score: Floats, n: int) -> float:
    """Return the expected score of the best of n of N trials, exactly, over all subsets of that size.

    The trial of rank k (1 is the best) is chosen by C(N − k, n − 1) of the C(N, n) subsets.

    Args:
        choose_by: Loss that trials are chosen by, shape (N,).
        score: Loss that they are scored by, shape (N,).
        n: Trials, 1 … N.

    Returns:
        The expectation.

    Example:
        Of the pairs of three trials, two hold the best and one the second best:

        >>> round(expected_best(np.array([3.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.5]), 2), 3)
        1.5
    """
    total, order = len(choose_by), np.argsort(choose_by, kind="stable")
    weights = [comb(total - rank, n - 1) / comb(total, n) for rank in range(1, total + 1)]
    return float(np.dot(weights, score[order]))


def on_the_problem(runs: Runs, problems: int, n: int) -> Floats:
    """Return the expected final loss when n settings are tried on each scored problem itself, shape (P,).

    Settings are chosen by the loss on held-out samples, and scored on test samples.
    """
    held_out, final = runs.curve[:, -1, problems:], runs.final[:, problems:]
    return np.array([expected_best(by, score, n) for by, score in zip(held_out.T, final.T, strict=True)])


def on_tuning_problems(runs: Runs, problems: int, n: int) -> Floats:
    """Return the expected final loss of the setting with the best mean over the problems for tuning, shape (P,)."""
    held_out = runs.curve[:, -1, :problems].mean(1)
    return np.array([expected_best(held_out, score, n) for score in runs.final[:, problems:].T])


def play(workload: Workload, sizes: Sizes) -> Played:
    """Run everything on one task."""
    grid = np.exp2(np.linspace(-6, 6, sizes.grid))
    family = set(FAMILIES) <= set(list_policies())
    learned, search, cosine = (
        Learned("", "", of_family if family else universal),
        RandomSearch(),
        FixedSchedule("cosine"),
    )
    return Played(
        learned=learned.run("", BASE_LRS, workload),
        untuned=cosine.run(cosine.shapes[0], BASE_LRS, workload),
        cosine=cosine.run(cosine.shapes[0], grid, workload),
        search=search.run(search.shapes[0], np.ones(sizes.trials), workload),
        problems=sizes.problems,
        horizon=workload.horizon,
    )


def counts(trials: int) -> list[int]:
    """Return 1, 2, 4, … up to the number of trials, which is the last."""
    return sorted({*(2**power for power in range(trials.bit_length())), trials})


def matched_at(played: Sequence[Played]) -> float:
    """Return how many trials on the problem itself bring random search to the policy's mean loss; infinite if none."""
    goal = np.mean([entry.right(entry.learned) for entry in played])
    for n in range(1, len(played[0].search.final) + 1):
        if np.mean([on_the_problem(entry.search, entry.problems, n) for entry in played]) <= goal:
            return float(n)
    return float("inf")


def share_to_cosine(entry: Played) -> float:
    """Return the first measured share of a run at which the policy's mean loss is at tuned cosine's final one."""
    held_out, scored = entry.cosine.curve[:, -1], slice(entry.problems, None)
    goal = held_out[held_out[:, : entry.problems].mean(1).argmin(), scored].mean()
    reached = entry.learned.curve[RIGHT][:, scored].mean(1) <= goal
    return float(entry.learned.shares[reached.argmax()]) if reached.any() else float("inf")


def draw(options: Options) -> Reproduction:
    """Measure and draw."""
    sizes = QUICK if options.quick else Sizes()
    suite = [load for load in load_suite(sizes.problems, options.seed) if load.family in {"cnn", "nlp"}]
    played = {load.name: play(load, sizes) for load in suite if sizes.tasks is None or load.name in sizes.tasks}
    curves = {name: cost_and_quality(entry) for name, entry in played.items()}
    return Reproduction(
        picture(curves), numbers(list(played.values()), played), {"sizes": vars(sizes), "curves": curves}
    )


def cost_and_quality(entry: Played) -> dict[str, dict[str, list[float]]]:
    """Return gradient evaluations, tuning included, and the mean final test loss, by method.

    A search of n settings costs n runs on the problem itself; on the P problems for tuning n · P, and one more.
    """
    problems, trials, grid = entry.problems, counts(len(entry.search.final)), len(entry.cosine.final)

    def curve(runs: Sequence[float], losses: Sequence[Floats]) -> dict[str, list[float]]:
        return {"passes": [entry.horizon * n for n in runs], "loss": [float(loss.mean()) for loss in losses]}

    return {
        "learned, LR that seems right": curve([1], [entry.right(entry.learned)]),
        "learned, LR ÷ 16 and × 16, mean": curve([1], [entry.wrong(entry.learned)]),
        "cosine, LR that seems right": curve([1], [entry.right(entry.untuned)]),
        "cosine, LR ÷ 16 and × 16, mean": curve([1], [entry.wrong(entry.untuned)]),
        "cosine, grid search on the problem": curve([grid], [on_the_problem(entry.cosine, problems, grid)]),
        f"cosine, grid search on {problems} others": curve(
            [grid * problems + 1], [on_tuning_problems(entry.cosine, problems, grid)]
        ),
        "random search on the problem": curve(trials, [on_the_problem(entry.search, problems, n) for n in trials]),
        f"random search on {problems} others": curve(
            [n * problems + 1 for n in trials], [on_tuning_problems(entry.search, problems, n) for n in trials]
        ),
    }


def numbers(played: Sequence[Played], names: Mapping[str, Played]) -> list[Number]:
    """Return what is said beside the claims."""
    own = np.array([entry.right(entry.learned) for entry in played])
    grid, trials = len(played[0].cosine.final), len(played[0].search.final)
    rivals = {
        "cosine, both from the LR that seems right": [entry.right(entry.untuned) for entry in played],
        f"cosine, grid of {grid} on the problem": [on_the_problem(e.cosine, e.problems, grid) for e in played],
        f"cosine, grid of {grid} on other problems": [on_tuning_problems(e.cosine, e.problems, grid) for e in played],
        "random search, 1 trial (equal cost)": [on_the_problem(e.search, e.problems, 1) for e in played],
        f"random search, best of {trials} on the problem": [
            on_the_problem(e.search, e.problems, trials) for e in played
        ],
    }
    wrong = np.array([entry.wrong(entry.untuned) - entry.wrong(entry.learned) for entry in played])
    claim = "generalises better"
    result = [Number("gain over cosine, both from LRs ÷ 16 and × 16, nats", *mean_over_tasks(wrong), claim, SOURCE)]
    for name, losses in rivals.items():
        gain = mean_over_tasks(np.array(losses) - own)
        claim = "generalises better" if "seems right" in name else "more useful" if "equal cost" in name else ""
        result.append(Number(f"gain over {name}, nats", *gain, claim, SOURCE))
    result.append(Number("trials to match the policy, random search", matched_at(played)))
    shares = {name: share_to_cosine(entry) for name, entry in names.items()}
    claim = "shorter training, no number public"
    result += [Number(f"{name}: share of steps to tuned cosine's end", share, None, None, claim, SOURCE)
               for name, share in shares.items()]  # fmt: skip
    return [
        *result,
        Number("meta-training of universal, gradient evaluations", training_passes(load_policy("universal"))),
    ]


def picture(curves: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> Figure:
    """Draw cost and quality, a panel for each task."""
    columns = min(3, len(curves))
    figure, grid = panels(-(-len(curves) // columns), columns, 4.6, 4.0)
    flat = [axes for row in grid for axes in row]
    for axes, (name, methods) in zip(flat, curves.items(), strict=False):
        for method, curve in methods.items():
            axes.plot(curve["passes"], curve["loss"], label=method, **_style(method))
        _learned_line(axes, methods["learned, LR that seems right"]["loss"][0])
        axes.set(
            title=name, xscale="log", xlabel="gradient evaluations, tuning included", ylabel="final test loss, nats"
        )
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:,.0f}")
    for axes in flat[len(curves) :]:
        axes.set_axis_off()
    figure.legend(*flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _style(method: str) -> dict[str, Any]:
    others = method.endswith("others")
    if method.startswith("random"):
        return {"color": BLUE, "marker": "o", "linestyle": "--" if others else "-", "markersize": 4}
    filled = "none" if "÷" in method else "full"
    if method.startswith("learned"):
        return {"color": RED, "marker": "*", "linestyle": "none", "markersize": 14, "fillstyle": filled}
    marker = "s" if "LR" in method else "v" if others else "D"
    return {"color": GREEN, "marker": marker, "linestyle": "none", "markersize": 7, "fillstyle": filled}


def _learned_line(axes: Axes, loss: float) -> None:
    axes.axhline(loss, color=RED, linewidth=0.8, linestyle=":")


if __name__ == "__main__":
    main("images_and_text", draw)
