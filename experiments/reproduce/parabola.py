"""The parabolas of GreedyLR's robustness study: Adam for 200 steps, from a default LR that is too small to arrive.

The study of arXiv 2512.14527 (amazon-science/aws-research-science, commit 707f1bc, GreedyLR/experiments) minimises
Σ c_i (x_i − y_i)² in 15 dimensions from normal x and y, with c between 1 and the condition number. Adam's steps are
about as long as the LR, which is 0.01: cosine's 200 steps are 1 long together, and GreedyLR may raise its LR to 1.
"""

from collections.abc import Callable

import numpy as np
import torch

from lrpilot.arrays import Floats
from lrpilot.envs.tasks.optimizers import AdamW, Hyper
from lrpilot.experiments.league.runs import SOLVED
from lrpilot.schedulers.greedy_rule import GreedyRule
from lrpilot.schedulers.greedy_settings import GreedySettings

STEPS, DIMENSIONS, DEFAULT_LR = 200, 15, 0.01
CONDITIONS = (1.0, 100.0, 1000.0)
LOWEST, HIGHEST = 1e-5, 1.0  # LRs per step, of both schedules
SETTINGS = GreedySettings(factor=0.9, patience=10, smooth=True, window_size=10, cooldown=3, warmup=3)

Control = Callable[[int, Floats], Floats]


def cosine(lrs: Floats) -> Control:
    """Return cosine decay from each LR to 1e-5; shapes (B,)."""
    return lambda step, _: LOWEST + (lrs - LOWEST) * (1 + np.cos(np.pi * step / STEPS)) / 2


def greedy(lrs: Floats) -> Control:
    """Return GreedyLR from each LR, told the loss at every step; shapes (B,).

    The settings are the study's; its reactions to spikes and its threshold that follows the spread are left out.
    """
    rules = [GreedyRule(SETTINGS, [float(lr)], [LOWEST], [HIGHEST]) for lr in lrs]

    def control(step: int, losses: Floats) -> Floats:
        if step:
            for rule, loss in zip(rules, losses, strict=True):
                rule.update(float(loss))
        return np.array([rule.levels[0] for rule in rules])

    return control


def descend(rule: Callable[[Floats], Control], lrs: Floats, problems: int, seed: int) -> Floats:
    """Run one kind of schedule from several LRs on the same parabolas.

    Args:
        rule: `cosine` or `greedy`.
        lrs: First LRs, per step, shape (C,).
        problems: Of each condition number.
        seed: Of starts and minima.

    Returns:
        log of the final loss over the first, at least log 1e-6, shape (C, P); nats.
    """
    rng = np.random.default_rng(seed)
    count, runs = problems * len(CONDITIONS), problems * len(CONDITIONS) * len(lrs)
    x, y = (torch.from_numpy(np.tile(rng.normal(size=(count, DIMENSIONS)), (len(lrs), 1))) for _ in range(2))
    scale = np.repeat([np.geomspace(1, condition, DIMENSIONS) for condition in CONDITIONS], problems, 0)
    c = torch.from_numpy(np.tile(scale, (len(lrs), 1)))  # (B, 15), runs of the first LR first
    beta1, beta2, decay = (torch.full((runs,), value, dtype=x.dtype) for value in (0.9, 0.999, 0.0))
    adam, control = AdamW(Hyper(beta1, beta2, decay), x), rule(np.repeat(lrs, count))
    first = losses = (c * (x - y).square()).sum(1).numpy()
    for step in range(STEPS):
        lr = torch.from_numpy(control(step, losses))
        adam.step(x, 2 * c * (x - y), lr)
        losses = (c * (x - y).square()).sum(1).numpy()
    return np.log(np.maximum(losses / first, SOLVED)).reshape(len(lrs), count)
