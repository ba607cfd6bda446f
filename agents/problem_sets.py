"""Which problems may be used for what: four roles that share neither a seed nor (but for tuning) a data set."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from lrpilot.configs import Recipe
from lrpilot.envs import families
from lrpilot.envs.process import Process

Role = Literal["train", "tuning", "validation", "test"]
EDITION = 2  # of the test problems: raised once they have been looked at while something was chosen
CHUNK = 256  # problems in one batch of tensors: the fastest size on one core


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

    In training the horizon varies and gradients are sometimes hidden; elsewhere the horizon is the recipe's.

    Args:
        recipe: The distribution of problems and how decisions are made.
        role: What they are for; baselines are tuned on fresh draws from the training distribution.
        size: Runs side by side.
        loss_only: Hide gradients in all runs; not for training. Those that no run of the recipe shows stay hidden.
        replicas: How many successive runs share a problem and its noise; divides `size`.

    Returns:
        The process.
    """
    data = getattr(recipe.data, "train" if role == "tuning" else role)
    decisions = recipe.decisions
    if role != "train":
        hidden = float(loss_only or decisions.loss_only == 1)
        decisions = replace(decisions, steps=(recipe.horizon // decisions.decisions,), loss_only=hidden)
    processes = recipe.ppo.processes if role == "train" else 1
    problems, others = recipe.problems_for(role), recipe.extra_families_for(role)
    return families.make_process(recipe.env, size, problems, decisions, data, replicas, processes, others)


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
    for index, start in enumerate(range(0, size, CHUNK)):
        process = make_process(recipe, role, min(CHUNK, size - start) * replicas, loss_only, replicas)
        process.seed(role_seed(role, index))
        process.reset()
        yield process
