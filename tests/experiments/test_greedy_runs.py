"""GreedyLR side by side is GreedyLR one at a time."""

from __future__ import annotations

import numpy as np
import torch

from lrpilot import GreedyLR
from lrpilot.envs.families import make_process
from lrpilot.experiments.greedy_runs import greedy_control, run_greedy
from lrpilot.schedulers.greedy_settings import GreedySettings

SETTINGS, EVERY, STEPS = GreedySettings(factor=0.7, patience=1, cooldown=1), 3, 60


def test_each_run_has_the_lrs_of_the_scheduler() -> None:
    process = make_process("nmf", 4)
    process.seed(0)
    process.reset()
    losses = np.random.default_rng(0).gamma(3.0, size=(STEPS, 4)) * np.linspace(1, 0.2, STEPS)[:, None]
    losses[20, 1] = np.nan
    multiples = np.array([0.5, 2.0])
    control = greedy_control(multiples, process, SETTINGS, EVERY)
    side_by_side = np.array([control(step, losses[step - 1]) for step in range(STEPS)])
    assert len(np.unique(side_by_side)) > 12
    for run in range(4):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=float(side_by_side[0, run]))
        scheduler = GreedyLR(optimizer, factor=0.7, patience=1, cooldown=1, every=EVERY)
        for step in range(1, STEPS):
            optimizer.step()
            scheduler.step(losses[step - 1, run])
            np.testing.assert_allclose(scheduler.get_last_lr()[0], side_by_side[step, run], rtol=1e-12)


def test_base_lrs_are_multiples_of_the_reference() -> None:
    process = make_process("nmf", 4, replicas=2)
    process.seed(0)
    process.reset()
    control = greedy_control(np.array([0.1, 0.3]), process, SETTINGS, EVERY)
    start = control(0, np.ones(4))
    np.testing.assert_allclose(start / process.reference, [0.1, 0.3, 0.1, 0.3])
    curve = run_greedy(np.array([0.1, 0.3]), process)
    assert curve.shape == (2, process.config.decisions + 1, 2)
    assert (curve[:, -1] < 0).all()
    process.reference = process.reference * [1.0, 2.0, 3.0, 4.0]  # bounds move from step to step
    np.testing.assert_allclose(control(1, np.ones(4)) / process.reference, [0.1, 0.3, 0.1, 0.3])
