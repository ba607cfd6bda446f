"""Fixtures shared by all tests: one torch thread, and a small policy that needs no training."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from lrpilot import SchedulePolicy
from lrpilot.signals import SIGNAL_NAMES

torch.set_num_threads(1)


def make_policy(seed: int = 0, **card: Any) -> SchedulePolicy:
    rng = np.random.default_rng(seed)
    signals = card.get("signals", list(SIGNAL_NAMES))
    sizes = [len(signals), 8, 8, 1]
    layers = tuple(
        (rng.normal(0, 1, (o, i)).astype(np.float32), rng.normal(0, 0.5, o).astype(np.float32))
        for i, o in pairwise(sizes)
    )
    base = {"format": 1, "name": "test", "action": "fraction_of_bound", "signals": signals, "decisions": 40}
    return SchedulePolicy({**base, "log_low": -5.0, "log_high": 0.0, **card}, layers)


@pytest.fixture
def policy() -> SchedulePolicy:
    return make_policy()


@pytest.fixture
def policy_maker() -> Callable[..., SchedulePolicy]:
    return make_policy
