"""What a policy learned, made visible: python -m lrpilot.experiments.probes (or make probes), for all shipped policies.

For each a response surface; for those that begin with a base LR also the schedules that they choose on probe tasks.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lrpilot.agents.evaluate import play
from lrpilot.agents.problem_sets import make_process, role_seed
from lrpilot.arrays import Floats
from lrpilot.configs import Recipe, load_recipe
from lrpilot.envs.families import FAMILIES
from lrpilot.envs.process import Process
from lrpilot.experiments.networks import set_lr_error
from lrpilot.policy import SchedulePolicy, list_policies, load_policy
from lrpilot.signals import SIGNAL_NAMES
from lrpilot.summary import NEWEST_FAST, NEWEST_SLOW, NEWEST_SLOWEST, RANGE

RESULTS = Path("docs") / "results"
RUNS, ALIKE = 24, 4  # of each probe, and those that share a network where whole batches do
STEEPEST = 0.2  # nats an interval, at the ends of the response surface


@dataclass(frozen=True)
class Probe:
    """Runs that differ from those of training in one respect.

    Attributes:
        title: What is different.
        error: Base LR over the one that seems right at the start.
        problems: Fields of the distribution of problems that are changed, where it has them.
    """

    title: str
    error: float
    problems: dict[str, Any]


PROBES = (
    Probe("base LR as guessed", 1.0, {}),
    Probe("base LR ÷ 16", 1 / 16, {}),
    Probe("base LR × 16", 16.0, {}),
    Probe("noisy: mini-batches of 2 to 4", 1.0, {"batch_sizes": (2,), "batch": (2, 2)}),
    Probe("60 % of the labels random", 1.0, {"label_noise": (0.6, 0.6), "clean": 0.0}),
)


class Trace(NamedTuple):
    """B runs under a policy, K decisions each.

    Attributes:
        observation: What it saw before each decision, shape (K, S, B).
        log_lr: log of LR over its reference in each interval, shape (K, B).
        shares: Share of the horizon at each decision and at the end, shape (K + 1,).
    """

    observation: Floats
    log_lr: Floats
    shares: Floats


def trace(policy: SchedulePolicy, batches: Iterable[Process]) -> Trace:
    """Play runs to the end and record what the policy saw and did.

    Args:
        policy: The policy.
        batches: Runs at their start, all of one horizon.

    Returns:
        The record.
    """
    parts = [_trace(policy, process) for process in batches]
    observation, log_lr = (np.concatenate(of_parts, -1) for of_parts in zip(*(part[:2] for part in parts), strict=True))
    return Trace(observation, log_lr, parts[0].shares)


def _trace(policy: SchedulePolicy, process: Process) -> Trace:
    seen: list[Floats] = []

    def act(observation: NDArray[Any], _: int) -> NDArray[Any]:
        seen.append(observation)
        return policy.action(observation)

    episodes = play(act, process)
    return Trace(np.array(seen), episodes.log_multiple, episodes.shares)


def start(recipe: Recipe, probe: Probe) -> list[Process]:
    """Return the runs of a probe at their start, in batches, on the data sets of validation."""
    changed = {field.name for field in fields(recipe.problems)} & probe.problems.keys()
    problems = replace(recipe.problems, **{name: probe.problems[name] for name in changed})
    recipe, family = recipe.model_copy(update={"problems": problems}), FAMILIES[recipe.env]
    size = RUNS if family.at_once >= RUNS else ALIKE
    batches = []
    for number in range(RUNS // size):
        process = make_process(recipe, "validation", size)
        process.seed(role_seed("validation", RUNS + number))
        process.reset()
        batches.append(set_lr_error(process, np.full(size, probe.error)))
    return batches


def schedules(policy: SchedulePolicy, recipe: Recipe, probes: Sequence[Probe] = PROBES) -> Figure:
    """Draw the LR over the one that seems right, for every run of every probe.

    Args:
        policy: One that begins with a base LR.
        recipe: The distribution of problems.
        probes: One panel each.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(3.1 * len(probes), 3.4), layout="constrained")
    for index, probe in enumerate(probes):
        axes = figure.add_subplot(1, len(probes), index + 1)
        runs = trace(policy, start(recipe, probe))
        lr, progress = probe.error * np.exp(runs.log_lr), (runs.shares[1:] + runs.shares[:-1]) / 2
        axes.plot(progress, lr, color="#c1121f", alpha=0.2, linewidth=0.8)
        axes.plot(progress, np.median(lr, 1), color="#c1121f", linewidth=2.5)
        axes.plot(progress, 1 - progress, color="black", linestyle="--", linewidth=1)
        axes.set(yscale="log", ylim=(1e-4, 60), xlabel="share of the horizon", title=probe.title)
        axes.spines[["top", "right"]].set_visible(False)
        if index == 0:
            axes.set_ylabel("LR / LR that seems right")
        else:
            axes.set_yticklabels([])
    figure.suptitle(
        f"Schedules of {policy.card['name']}: {RUNS} networks (thin), their median (thick), linear-to-zero (dashed)"
    )
    return figure


def sustained(typical: Floats, slope: float) -> Floats:
    """Return what is seen if the log loss has changed by `slope` nats in every interval so far.

    Args:
        typical: Observations at each of K decisions, shape (K, S).
        slope: Nats an interval.

    Returns:
        Shape (K, S): change, trend, swing, drift and the distances from the three averages fit that slope; the rest is
        typical.
    """
    seen, updates = typical.copy(), np.maximum(np.arange(len(typical)) - 1, 0)

    def set_to(name: str, values: Floats) -> None:
        seen[:, SIGNAL_NAMES.index(name)] = np.clip(values, -RANGE, RANGE)

    lags = {"change": 0.0, "trend": 0.0, "fast": NEWEST_FAST, "slow": NEWEST_SLOW, "slowest": NEWEST_SLOWEST}
    behind: dict[str, Floats] = {}
    for name, weight in lags.items():  # after n updates an average is (1 − (1 − w)ⁿ)(1 − w)/w intervals behind
        behind[name] = (1 - (1 - weight) ** updates) * (1 - weight) / weight if weight else np.ones(len(typical))
        set_to(name, np.arcsinh(100 * slope * behind[name]) / 2)
    set_to("swing", np.arcsinh(100 * abs(slope) * (updates > 0)) / 2)
    set_to("drift", np.arcsinh(np.sign(slope) * (behind["slowest"] - behind["fast"])))
    return seen


def response(policy: SchedulePolicy, recipe: Recipe) -> Figure:
    """Draw the action over the slope of the loss and the progress of the run; other signals are at their medians.

    Args:
        policy: Any policy.
        recipe: The distribution of problems that it is looked at in.

    Returns:
        The figure.
    """
    runs = trace(policy, start(recipe, PROBES[0]))
    typical = np.median(runs.observation, 2)  # (K, S)
    slopes = np.linspace(-STEEPEST, STEEPEST, 81)
    surface = np.array([policy.action(sustained(typical, slope).T) for slope in slopes])
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    edges = np.append(slopes, 2 * STEEPEST - slopes[-2]) - STEEPEST / 80
    image = axes.pcolormesh(runs.shares, edges, surface, cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
    meaning = "raise or lower the LR" if "max_change" in policy.card else "level of the LR"
    figure.colorbar(image, label=f"action: {meaning}")
    axes.set(xlabel="share of the horizon", ylabel="slope of the log loss, nats an interval")
    axes.set_title(f"What {policy.card['name']} answers")
    return figure


def draw(name: str, folder: Path) -> list[Path]:
    """Draw the figures of a shipped policy.

    Args:
        name: Its name, and that of its recipe.
        folder: Where to.

    Returns:
        The files.
    """
    policy, recipe = load_policy(name), load_recipe(name)
    figures = {"response": response(policy, recipe)}
    if FAMILIES[recipe.env].reference == "base LR":
        figures["probes"] = schedules(policy, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for title, figure in figures.items():
        paths.append(folder / f"{title}.png")
        figure.savefig(paths[-1], dpi=150)
    return paths


def main() -> None:
    """Draw the figures of the policies that the command line names into docs/results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("policies", nargs="*", metavar="POLICY", help="a shipped one; by default all")
    for name in parser.parse_args().policies or list_policies():
        for path in draw(name, RESULTS / name):
            print(path)


if __name__ == "__main__":
    main()
