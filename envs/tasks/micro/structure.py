"""What all runs of micro networks have in common until the next full reset."""

from typing import NamedTuple

import numpy as np

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.networks import NETWORKS
from lrpilot.envs.tasks.micro.problems import ALIGNED, MicroProblems
from lrpilot.envs.tasks.optimizers import OPTIMIZERS

TRIES = 1000
_USED = {"sgd": 3.0, "adamw": 4.0, "nesterov": 1.5, "rmsprop": 1.0, "adamax": 0.5}  # shares, as in practice


class Structure(NamedTuple):
    """A structure.

    Attributes:
        name: Class of the network, a key of `NETWORKS`.
        network: Its structure.
        loss: A key of `LOSSES`.
        optimizer: A key of `OPTIMIZERS`.
        rows: n, samples in a mini-batch, a multiple of `ALIGNED`; groups may use fewer.
        single_pass: Whether no sample is seen twice.
    """

    name: str
    network: AbstractNetwork
    loss: str
    optimizer: str
    rows: int
    single_pass: bool


def draw_structure(problems: MicroProblems, rng: np.random.Generator) -> Structure:
    """Draw a structure.

    Args:
        problems: The distribution.
        rng: Source of randomness.

    Returns:
        The first one whose number of parameters is in the range.

    Raises:
        ValueError: None of many had a number of parameters in that range.
    """
    draws = Draws(problems, rng)
    name = problems.classes[draws.even(0, len(problems.classes) - 1)]
    kind = NETWORKS[name]
    optimizer = draws.choose({name: _USED[name] for name in OPTIMIZERS}, problems.optimizers)
    low, high = (max(2, bound // 2) if kind.short else bound for bound in problems.batch)
    rows, single_pass = draws.whole(low, high), draws.chance(problems.single_pass)
    for _ in range(TRIES):
        loss = draws.choose(kind.losses)
        least, most = problems.outputs
        outputs = draws.even(least, most) if loss == "cross_entropy" else draws.even(1, max(most // 2, 1))
        network = kind.draw(draws, outputs)
        if problems.parameters[0] <= network.size <= problems.parameters[1]:
            affordable = max(ALIGNED, problems.work // network.products // ALIGNED * ALIGNED)
            rows = min(-(-rows // ALIGNED) * ALIGNED, affordable)
            return Structure(name, network, loss, optimizer, rows, single_pass)
    raise ValueError(f"no {name} of {TRIES} had a number of parameters in {problems.parameters}")
