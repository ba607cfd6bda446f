"""LearnedLR: what is its own; what it shares with all schedulers is in test_contract.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from lrpilot import LearnedLR, SchedulePolicy
from lrpilot.displacement import DisplacementTracker
from lrpilot.schedulers import parameters


class Loop:
    """A small regression whose whole state can be saved and restored."""

    def __init__(self, policy: Any, horizon: int = 60, lr: Any = 0.05, **arguments: Any) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        self.x, self.y = torch.randn(32, 4), torch.randn(32, 1)
        first, last = self.model[0], self.model[2]
        groups = [{"params": first.parameters(), "lr": lr}, {"params": last.parameters(), "lr": lr / 2}]
        self.optimizer = torch.optim.SGD(groups, momentum=0.9)
        self.scheduler = LearnedLR(self.optimizer, policy, horizon=horizon, **arguments)

    def step(self) -> list[float]:
        self.optimizer.zero_grad()
        loss = (self.model(self.x) - self.y).square().mean()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step(loss)
        return [float(group["lr"]) for group in self.optimizer.param_groups]


def test_shipped_policy_by_name_uses_the_bound() -> None:
    loop = Loop("nmf", bound=lambda: 0.01)
    assert all(max(loop.step()) <= 0.01 for _ in range(60))


def test_a_run_too_short_for_the_decisions_is_warned_of() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.warns(UserWarning, match="horizon=59 is less than the 60 decisions"):
        LearnedLR(optimizer, "universal", horizon=59)


@pytest.mark.filterwarnings("ignore:this policy chooses fractions:UserWarning")
def test_a_changed_policy_is_noticed(policy: SchedulePolicy, policy_maker: Any) -> None:
    state = Loop(policy).scheduler.state_dict()
    with pytest.raises(ValueError, match="saved with policy"):
        Loop(policy_maker(1)).scheduler.load_state_dict(state)


@pytest.mark.filterwarnings("ignore:this policy chooses fractions:UserWarning")
def test_warmup_ramps_linearly(policy_maker: Any) -> None:
    loop = Loop(policy_maker(log_low=-1e-9, log_high=1e-9), horizon=40, warmup=4)
    lrs = [loop.scheduler.get_last_lr()[0]] + [loop.step()[0] for _ in range(6)]
    assert lrs == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.05])


@pytest.mark.filterwarnings("ignore:this policy chooses fractions:UserWarning")
@pytest.mark.filterwarnings("ignore:10 losses in a row:UserWarning")
def test_losses_that_are_not_finite_are_counted_at_decisions(policy: SchedulePolicy) -> None:
    loop = Loop(policy)
    for k in range(60):
        loop.optimizer.step()
        loop.scheduler.step(torch.tensor(math.nan if k % 2 else math.inf))
    assert loop.scheduler.skipped == 59  # nobody asks for the last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": None}, "horizon is missing"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 50, "warmup": -1}, "warmup"),
        ({"horizon": 50, "guard": "loose"}, "guard"),
        ({"horizon": 50, "policy": "nope"}, "no policy 'nope'"),
    ],
)
def test_bad_arguments_are_named(policy: SchedulePolicy, arguments: dict[str, Any], message: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match=message):
        LearnedLR(optimizer, **{"policy": policy, **arguments})


def test_what_is_read_is_the_gradients_norm_and_a_sketch_of_the_weights() -> None:
    small, large = torch.nn.Parameter(torch.arange(3.0)), torch.nn.Parameter(torch.arange(10_000.0))
    optimizer = torch.optim.SGD([small, large], lr=0.1)
    assert math.isnan(parameters.gradient_sq(optimizer))
    small.grad, large.grad = torch.full((3,), 2.0), torch.ones(10_000)
    assert parameters.gradient_sq(optimizer) == pytest.approx(10_012)
    sketch = parameters.weights(optimizer)
    assert 3 + 900 <= len(sketch) <= 3 + 1024
    np.testing.assert_allclose(sketch[:5], [0, 1, 2, 0, 10 * math.sqrt(10)], rtol=1e-6)
    slopes = parameters.gradient(optimizer)
    assert len(slopes) == len(sketch)
    assert slopes @ slopes == pytest.approx(10_012, rel=1e-3)
    small.grad = None
    assert parameters.gradient(optimizer)[:3].tolist() == [0.0, 0.0, 0.0]


def test_the_length_of_a_step_is_that_of_all_weights() -> None:
    weights = [torch.nn.Parameter(torch.zeros(size)) for size in (3, 1024, 10_000)]
    optimizer = torch.optim.SGD(weights, lr=0.1)
    tracker = DisplacementTracker()
    tracker.start(parameters.weights(optimizer))
    with torch.no_grad():
        for parameter in weights:
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    moved = math.sqrt(sum(float(parameter.detach().square().sum()) for parameter in weights))
    assert tracker.move(parameters.weights(optimizer)).length == pytest.approx(moved, rel=0.05)
