"""LearnedLR as torch and its users expect a scheduler to be."""

from __future__ import annotations

import copy
import io
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, LambdaLR, LinearLR, LRScheduler, SequentialLR

from lrpilot import LearnedLR, SchedulePolicy, readings


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


def test_it_is_an_lr_scheduler_and_keeps_the_ratio_of_groups(policy: SchedulePolicy) -> None:
    loop = Loop(policy)
    assert isinstance(loop.scheduler, LRScheduler)
    for _ in range(60):
        first, second = loop.step()
        assert second == pytest.approx(first / 2)
        assert loop.scheduler.get_last_lr() == [first, second]
        assert 0 < first <= 0.05


def test_shipped_policy_by_name_uses_the_bound() -> None:
    loop = Loop("nmf", bound=lambda: 0.01)
    assert all(max(loop.step()) <= 0.01 for _ in range(60))


def test_resumes_bit_for_bit_through_weights_only_loading() -> None:
    whole = Loop("nmf")
    trace = [whole.step() for _ in range(60)]
    for cut in (1, 7, 8, 9, 30):
        first = Loop("nmf")
        for _ in range(cut):
            first.step()
        buffer = io.BytesIO()
        parts = (first.model, first.optimizer, first.scheduler)
        torch.save([part.state_dict() for part in parts], buffer)
        buffer.seek(0)
        states = torch.load(buffer, weights_only=True)
        second = Loop("nmf")
        for part, state in zip((second.model, second.optimizer, second.scheduler), states, strict=True):
            part.load_state_dict(state)
        assert [second.step() for _ in range(60 - cut)] == trace[cut:]


def test_a_changed_policy_is_noticed(policy: SchedulePolicy, policy_maker: Any) -> None:
    state = Loop(policy).scheduler.state_dict()
    with pytest.raises(ValueError, match="saved with policy"):
        Loop(policy_maker(1)).scheduler.load_state_dict(state)


def test_observe_then_step_is_step_with_the_loss(policy: SchedulePolicy) -> None:
    passed, observed = Loop(policy), Loop(policy)
    for _ in range(60):
        lrs = passed.step()
        observed.optimizer.zero_grad()
        loss = (observed.model(observed.x) - observed.y).square().mean()
        loss.backward()
        observed.optimizer.step()
        observed.scheduler.observe(loss.item())
        observed.scheduler.step()
        assert [group["lr"] for group in observed.optimizer.param_groups] == lrs


def test_without_any_loss_the_lr_holds_and_one_warning_says_so(policy: SchedulePolicy) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = LearnedLR(optimizer, policy, horizon=40)
    start = scheduler.get_last_lr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(5):
            optimizer.step()
            scheduler.step()
    assert scheduler.get_last_lr() == start
    assert [str(w.message)[:16] for w in caught] == ["no loss seen yet"]


def test_tensor_lrs_are_filled_in_place(policy: SchedulePolicy) -> None:
    lr = torch.tensor(0.05)
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], lr=lr, capturable=False, foreach=False)
    scheduler = LearnedLR(optimizer, policy, horizon=10)
    before = optimizer.param_groups[0]["lr"]
    for k in range(10):
        parameter.grad = torch.ones(3)
        optimizer.step()
        scheduler.step(torch.tensor(1.0 / (k + 1)))
    assert optimizer.param_groups[0]["lr"] is before
    assert isinstance(scheduler.get_last_lr()[0], torch.Tensor)


def test_a_group_added_later_is_scheduled_too(policy: SchedulePolicy) -> None:
    loop = Loop(policy)
    loop.step()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    for _ in range(20):
        lrs = loop.step()
    assert len(lrs) == 3
    assert lrs[2] == pytest.approx(lrs[0] / 5)


def test_warmup_ramps_linearly(policy_maker: Any) -> None:
    loop = Loop(policy_maker(log_low=-1e-9, log_high=1e-9), horizon=40, warmup=4)
    lrs = [loop.scheduler.get_last_lr()[0]] + [loop.step()[0] for _ in range(6)]
    assert lrs == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.05, 0.05])


def test_inside_sequential_and_chained_schedulers(policy: SchedulePolicy) -> None:
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    learned = LearnedLR(optimizer, policy, horizon=20)
    sequence = SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=5), learned], milestones=[5])
    for k in range(25):
        optimizer.step()
        learned.observe(1.0 / (k + 1))
        sequence.step()
    assert 0 < optimizer.param_groups[0]["lr"] <= 0.1
    other = torch.optim.SGD([parameter], lr=0.1)
    chain = ChainedScheduler([LambdaLR(other, lambda _: 1.0), LearnedLR(other, policy, horizon=20)])
    other.step()
    with pytest.warns(UserWarning, match="no loss seen yet"):
        chain.step()


def test_non_finite_losses_never_reach_the_lr(policy: SchedulePolicy) -> None:
    loop = Loop(policy)
    for k in range(60):
        loop.optimizer.step()
        loop.scheduler.step(torch.tensor(math.nan if k % 2 else math.inf))
        assert all(math.isfinite(lr) and lr > 0 for lr in loop.scheduler.get_last_lr())
    assert loop.scheduler.skipped == 59  # nobody asks for the last


def test_deepcopy_of_state_is_plain_data(policy: SchedulePolicy) -> None:
    loop = Loop(policy)
    for _ in range(9):
        loop.step()
    state = copy.deepcopy(loop.scheduler.state_dict())
    assert all(type(value) in {int, float, list, type(None)} for value in state["schedule"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"horizon": None}, "horizon is missing"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 5, "warmup": -1}, "warmup"),
        ({"horizon": 5, "guard": "loose"}, "guard"),
        ({"horizon": 5, "policy": "nope"}, "no policy 'nope'"),
    ],
)
def test_bad_arguments_are_named(policy: SchedulePolicy, arguments: dict[str, Any], message: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match=message):
        LearnedLR(optimizer, **{"policy": policy, **arguments})
    with pytest.raises(TypeError, match="is not an Optimizer"):
        LearnedLR([torch.zeros(1)], policy, horizon=3)  # type: ignore[arg-type]
    scheduler = LearnedLR(optimizer, policy, horizon=3)
    with pytest.raises(ValueError, match="one element"):
        scheduler.observe(torch.zeros(2))


def test_readings_are_the_gradients_norm_and_a_sketch_of_the_weights() -> None:
    small, large = torch.nn.Parameter(torch.arange(3.0)), torch.nn.Parameter(torch.arange(10_000.0))
    optimizer = torch.optim.SGD([small, large], lr=0.1)
    assert math.isnan(readings.gradient_sq(optimizer))
    small.grad, large.grad = torch.full((3,), 2.0), torch.ones(10_000)
    assert readings.gradient_sq(optimizer) == pytest.approx(10_012)
    sketch = readings.weights(optimizer)
    assert 3 + 900 <= len(sketch) <= 3 + 1024
    np.testing.assert_array_equal(sketch[:5], [0, 1, 2, 0, 10])
