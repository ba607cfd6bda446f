"""Rivals that are fixed before the run: the families of schedules, and random search among all of them."""

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.baselines import SCHEDULES, Shape
from lrpilot.experiments.league.rival import AbstractRival, play_controlled
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.workload import Workload


class FixedSchedule(AbstractRival):
    """A family of schedules.

    Args:
        family: A key of `SCHEDULES`.
    """

    def __init__(self, family: str) -> None:
        super().__init__(family, "schedule", "schedule over progress", tuple(SCHEDULES[family].shapes))

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run the schedule from several base LRs; see `AbstractRival.play`."""
        return play_shapes([SCHEDULES[self.info.name].shapes[shape]], multiples, workload)


class RandomSearch(AbstractRival):
    """Hyper-parameter search at the cost of tuning any other rival: random schedules, of which the best is taken.

    Each trial draws a linear warm-up of up to 20 % of the run, a phase at the peak of up to 80 % of the rest, and a
    decay of any power between 0.5 and 3 to between 0.001 and 1 of the peak.
    """

    SPREAD = 64.0  # base LRs are drawn log-uniformly between 1/64 and 64 of the workload's unit

    def __init__(self) -> None:
        super().__init__("random search", "search", "random schedules at the cost of tuning another rival")

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run as many random schedules as there are base LRs, which are drawn too; see `AbstractRival.play`."""
        rng = np.random.default_rng([workload.seed, len(multiples)])
        drawn = self.SPREAD ** rng.uniform(-1, 1, len(multiples))
        return play_shapes([_random_shape(rng) for _ in multiples], drawn, workload)


def play_shapes(shapes: list[Shape], multiples: Floats, workload: Workload) -> Runs:
    """Run schedules on all problems of a workload.

    Args:
        shapes: One for each base LR, or one for all.
        multiples: Base LRs in the workload's unit, shape (C,).
        workload: The problems.

    Returns:
        The runs.
    """
    process = workload.start(len(multiples))
    progress = np.arange(workload.horizon) / workload.horizon
    levels = np.stack([shape(progress) for shape in shapes], 1) * multiples  # (T, C)
    problems = process.task.batch_size // len(multiples)
    return play_controlled(lambda step, _: np.tile(levels[step], problems) * process.reference, process, len(multiples))


def _random_shape(rng: np.random.Generator) -> Shape:
    warm_up = rng.uniform(0, 0.2)
    hold = warm_up + rng.uniform(0, 0.8) * (1 - warm_up)
    last, power = np.exp(rng.uniform(np.log(1e-3), 0)), rng.uniform(0.5, 3)

    def shape(progress: Floats) -> Floats:
        rising = np.clip((progress + 1e-3) / (warm_up + 1e-3), 0, 1)
        left = np.clip((1 - progress) / (1 - hold), 0, 1)
        return rising * (last + (1 - last) * left**power)

    return shape
