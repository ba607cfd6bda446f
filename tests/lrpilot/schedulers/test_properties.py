"""Whatever the losses, horizons, LRs and groups: the LR stays finite and within limits, resumed runs are the same."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD

from lrpilot import GreedyLR, LearnedLR
from lrpilot.schedulers.base import AbstractMetricLR

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, -1e-9, 1e308, -1e308, 5e-324, 1e-310, 1e-42, 1e-30)
BOUND = 0.05


def _rescaled(factor: float, start: int) -> list[float]:
    return [(factor if k >= start else 1.0) / (1 + k / 20) for k in range(90)]


def _falling_to(low: float, steps: float) -> list[float]:
    return [math.exp(-k / steps) + low for k in range(90)]


floats = st.floats(1e-3, 1e3)
kinds = [
    st.lists(st.one_of(floats, st.sampled_from(ODD)), min_size=1, max_size=90),
    st.lists(floats, min_size=20, max_size=90),
    st.builds(lambda a, b, n: [a, b] * n, st.one_of(floats, st.sampled_from(ODD)), floats, st.integers(1, 45)),
    st.builds(_rescaled, st.floats(1e-3, 1e3), st.integers(0, 90)),
    st.builds(_falling_to, st.floats(-1e3, 1.0), st.floats(1.0, 50.0)),
]
streams = st.one_of(kinds)
forms = st.sampled_from([
    float, torch.tensor, lambda x: torch.tensor(x, dtype=torch.float64), lambda x: torch.tensor([[x]]).half(),
    lambda x: torch.tensor(x, requires_grad=True),
])  # fmt: skip
MAKERS: dict[str, tuple[float, Any]] = {
    "universal": (math.inf, lambda o, horizon: LearnedLR(o, "universal", horizon=horizon)),
    "capped": (0.3, lambda o, horizon: LearnedLR(o, "universal", horizon=horizon, lr_min=1e-9, lr_max=0.3)),
    "nmf": (BOUND, lambda o, horizon: LearnedLR(o, "nmf", horizon=horizon, bound=lambda: BOUND)),
    "linear": (
        2 * BOUND,
        lambda o, horizon: LearnedLR(o, "linear", horizon=horizon, bound=lambda: BOUND, guard="relaxed"),
    ),
    "greedy": (math.inf, lambda o, _: GreedyLR(o, factor=0.7, patience=1, every=2)),
}


class Run:
    """A run whose groups come and go at given steps."""

    def __init__(self, name: str, horizon: int, lr: float, changes: dict[int, float]) -> None:
        self.optimizer, self.changes, self.step_number = SGD([nn.Parameter(torch.ones(2))], lr=lr), changes, 0
        self.highest, make = MAKERS[name]
        self.scheduler: AbstractMetricLR = make(self.optimizer, horizon)

    def step(self, loss: Any) -> list[float]:
        if (lr := self.changes.get(self.step_number)) is not None:
            if len(self.optimizer.param_groups) > 1:
                del self.optimizer.param_groups[0]
            self.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": lr})
        self.step_number += 1
        self.optimizer.step()
        self.scheduler.step(loss)
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        assert lrs == self.scheduler.get_last_lr()
        assert all(0 <= lr < math.inf for lr in lrs)
        assert max(lrs) <= self.highest
        return lrs

    def saved(self) -> io.BytesIO:
        file = io.BytesIO()
        torch.save(self.scheduler.state_dict(), file)
        file.seek(0)
        return file


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=60, deadline=None)
@given(
    stream=streams,
    form=forms,
    horizon=st.one_of(st.integers(1, 120), st.sampled_from([10**4, 10**7])),
    lr=st.sampled_from([1e-30, 1e-4, 0.1, 1.0, 1e6]),
    changes=st.dictionaries(st.integers(0, 80), st.sampled_from([0.0, 1e-30, 0.02, 10.0, 1e6]), max_size=3),
    cut=st.integers(0, 90),
)
def test_finite_within_limits_and_resumed_to_the_same(
    name: str, stream: list[float], form: Any, horizon: int, lr: float, changes: dict[int, float], cut: int
) -> None:
    whole = Run(name, horizon, lr, changes)
    trace, cut = [], min(cut, len(stream))
    first = Run(name, horizon, lr, changes)
    for loss in stream[:cut]:
        first.step(form(loss))
    for loss in stream:
        trace.append(whole.step(form(loss)))
    second = Run(name, horizon, 0.123, {})  # what it was made with is in the state
    second.optimizer.param_groups[:] = [
        {**group, "params": [nn.Parameter(torch.ones(1))]} for group in first.optimizer.param_groups
    ]
    second.changes, second.step_number = changes, cut
    second.scheduler.load_state_dict(torch.load(first.saved(), weights_only=True))
    assert [second.step(form(loss)) for loss in stream[cut:]] == trace[cut:]


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data(), at=st.integers(20, 150))
def test_a_bad_value_never_poisons_the_state(name: str, data: st.DataObject, at: int) -> None:
    odd = [value for value in ODD if 0 <= abs(value) < 1e-30] if name == "greedy" else ODD  # others are metrics to it
    bad = data.draw(st.lists(st.sampled_from(odd), min_size=1, max_size=6))
    clean, hit = Run(name, 400, 0.1, {}), Run(name, 400, 0.1, {})
    for k in range(399):
        loss = 2 / (1 + k / 50)
        a, b = clean.step(loss)[0], hit.step(bad[k - at] if at <= k < at + len(bad) else loss)[0]
    if name in ("universal", "capped") and any(not math.isfinite(value) or value > 2 for value in bad):
        assert b > 0  # a spike lowers the LR at once, and here losses go on falling whatever it is
    else:
        assert 1 / 30 < b / a < 30
