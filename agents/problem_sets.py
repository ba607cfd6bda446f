"""Which problems may be used for what: four roles that share neither a seed nor (but for tuning) a data set."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from lrpilot.configs import Recipe
from lrpilot.envs import families
from lrpilot.envs.families import FAMILIES
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.side_by_side import ProcessPool

Role = Literal["train", "tuning", "validation", "test"]
EDITION = 2  # of the test problems: raised once they have been looked at while something was chosen


def role_seed(role: Role, *stream: int) -> int:
    """Return a seed of the role's own range.

    Args:
        role: What the problems are for.
        *stream: Any numbers that tell streams of one role apart.

    Returns:
        A seed below 2^32.
    """
    edition = [EDITION] if role == "test" else []
    sequence = np.random.SeedSequence([get_args(Role).index(role), *stream, *edition])
    return int(sequence.generate_state(1)[0])


def make_process(recipe: Recipe, role: Role, size: int, loss_only: bool = False, replicas: int = 1) -> Process:
    """Return `size` runs side by side, on the data sets of the role; not yet seeded.

    The horizon is the recipe's; see `training_pool` for training, where it varies and gradients are sometimes hidden.

    Args:
        recipe: The distribution of problems and how decisions are made.
        role: What they are for; baselines are tuned on fresh draws from the training distribution.
        size: Runs side by side.
        loss_only: Hide gradients in all runs. Those that no run of the recipe shows stay hidden.
        replicas: How many successive runs share a problem and its noise; divides `size`.

    Returns:
        The process.
    """
    decisions = recipe.decisions
    hidden = float(loss_only or decisions.loss_only == 1)
    if decisions.horizons:
        fixed: dict[str, Any] = {"horizons": (recipe.horizon, recipe.horizon)}
    else:
        fixed = {"steps": (recipe.horizon // decisions.decisions,)}
    decisions = replace(decisions, **fixed, loss_only=hidden, judged_every=1)
    return families.make_process(recipe.env, size, *_problems(recipe, role, decisions), replicas)


def training_pool(recipe: Recipe) -> Process | ProcessPool:
    """Return the runs of a rollout: batches side by side, not yet seeded."""
    ppo, problems = recipe.ppo, _problems(recipe, "train", recipe.decisions)
    batches = max(ppo.batches, ppo.processes)
    guided = ppo.guidance > 0
    return families.make_pool(batches, ppo.processes, ppo.parallel, guided, recipe.env, *problems, ppo.replicas)


def _problems(recipe: Recipe, role: Role, decisions: Decisions) -> tuple[Any, Decisions, tuple[str, ...]]:
    return recipe.problems_for(role), decisions, getattr(recipe.data, "train" if role == "tuning" else role)


def problem_set(recipe: Recipe, role: Role, size: int, loss_only: bool = False, replicas: int = 1) -> Iterator[Process]:
    """Yield the fixed problems of a role, the same for every policy and baseline, in seeded and reset batches.

    Args:
        recipe: The distribution of problems and how decisions are made.
        role: What they are for.
        size: Problems in all.
        loss_only: Hide gradients.
        replicas: How many successive runs of each problem there are, with the same noise.

    Yields:
        Processes that stand at the start of their runs, with one batch of problems each.
    """
    at_once = FAMILIES[recipe.env].at_once
    for index, start in enumerate(range(0, size, at_once)):
        process = make_process(recipe, role, min(at_once, size - start) * replicas, loss_only, replicas)
        process.seed(role_seed(role, index))
        process.reset()
        yield process
