"""GreedyLR on many runs side by side: the rule of `lrpilot.GreedyLR`, one for each run."""

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.envs.process import Process
from lrpilot.experiments.tuning import Control, run_controlled
from lrpilot.schedulers.greedy import HIGHEST, LOWEST
from lrpilot.schedulers.greedy_rule import GreedyRule
from lrpilot.schedulers.greedy_settings import GreedySettings

SETTINGS, EVERY = GreedySettings(factor=0.8, patience=1), 4  # best of ten on six validation networks (docs/lab)


def run_greedy(multiples: Floats, process: Process, settings: GreedySettings = SETTINGS, every: int = EVERY) -> Floats:
    """Run GreedyLR from C base LRs on the C replicas of each problem of a process that was just reset.

    Args:
        multiples: Base LRs, in units of those of the process, shape (C,).
        process: The runs.
        settings: Of the rule.
        every: Steps between its decisions; the losses in between are averaged.

    Returns:
        log of the objective over that at the start, at each decision and the end, shape (C, K + 1, P).
    """
    return run_controlled(greedy_control(multiples, process, settings, every), process, len(multiples))


def greedy_control(multiples: Floats, process: Process, settings: GreedySettings, every: int) -> Control:
    """Return the rule as `run_controlled` wants it; arguments as for `run_greedy`."""
    runs = process.task.batch_size
    base: Floats = np.tile(multiples, runs // len(multiples))
    rules = [GreedyRule(settings, [1.0], [LOWEST], [HIGHEST]) for _ in range(runs)]
    seen: Floats = np.zeros(runs)  # sum of the losses since the last decision

    def control(step: int, losses: Floats) -> Floats:
        if step:
            seen[:] += losses
            if step % every == 0:
                for rule, loss in zip(rules, seen / every, strict=True):
                    rule.update(float(loss))
                seen[:] = 0.0
        levels: Floats = np.array([rule.levels[0] for rule in rules])
        return base * levels * process.reference

    return control
