"""Rivals that watch the losses and nothing else: torch's ReduceLROnPlateau and GreedyLR, one object for each run."""

from typing import ClassVar

import numpy as np
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lrpilot.arrays import Floats
from lrpilot.experiments.greedy_runs import greedy_control
from lrpilot.experiments.league.rival import AbstractRival, play_controlled
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.workload import Workload
from lrpilot.experiments.tuning import Control
from lrpilot.schedulers.greedy_settings import GreedySettings

EPOCHS = 20  # mean losses that ReduceLROnPlateau sees in a run


class Plateau(AbstractRival):
    """torch's ReduceLROnPlateau on mean training losses of a twentieth of the run each."""

    SHAPES: ClassVar = {"÷2, patience 1": (0.5, 1), "÷10, patience 2": (0.1, 2), "÷2, patience 3": (0.5, 3)}

    def __init__(self) -> None:
        super().__init__("ReduceLROnPlateau", "feedback", "torch.optim.lr_scheduler", tuple(self.SHAPES))

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run it from several base LRs; see `AbstractRival.play`."""
        factor, patience = self.SHAPES[shape]
        process = workload.start(len(multiples))
        each = max(1, workload.horizon // EPOCHS)
        problems = process.task.batch_size // len(multiples)
        base = np.tile(multiples, problems)
        rules = [_plateau(factor, patience) for _ in base]
        seen: Floats = np.zeros(len(base))

        def control(step: int, losses: Floats) -> Floats:
            if step:
                seen[:] += losses
                if step % each == 0:
                    for rule, loss in zip(rules, seen / each, strict=True):
                        rule.step(float(loss))
                    seen[:] = 0.0
            levels: Floats = np.array([rule.optimizer.param_groups[0]["lr"] for rule in rules])
            return base * levels * process.reference

        return play_controlled(control, process, len(multiples))


class Greedy(AbstractRival):
    """GreedyLR: raise the LR when the mean loss of a few steps improves, lower it when it worsens."""

    SHAPES: ClassVar = {
        "factor 0.8, patience 1, every 4": (GreedySettings(factor=0.8, patience=1), 4),
        "factor 0.9, patience 2, every 2": (GreedySettings(factor=0.9, patience=2), 2),
        "factor 0.95, patience 5, every 1": (GreedySettings(factor=0.95, patience=5), 1),
    }

    def __init__(self) -> None:
        super().__init__("GreedyLR", "feedback", "arXiv 2512.14527, own implementation", tuple(self.SHAPES))

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run it from several base LRs; see `AbstractRival.play`."""
        settings, every = self.SHAPES[shape]
        process = workload.start(len(multiples))
        control: Control = greedy_control(multiples, process, settings, every)
        return play_controlled(control, process, len(multiples))


def _plateau(factor: float, patience: int) -> ReduceLROnPlateau:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    return ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
