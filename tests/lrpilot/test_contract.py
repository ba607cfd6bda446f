"""What torch, its users and the frameworks expect of a scheduler, for every class of ours."""

from __future__ import annotations

import copy
import gc
import io
import json
import math
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, LinearLR, LRScheduler, SequentialLR
from torch.testing._internal.common_optimizers import _get_optim_inputs_including_global_cliquey_kwargs, optim_db

from lrpilot import GreedyLR, LearnedLR
from lrpilot.metric_lr import AbstractMetricLR

Maker = Callable[..., AbstractMetricLR]
HORIZON = 60
MAKERS: dict[str, Maker] = {
    "universal": lambda optimizer, **more: LearnedLR(optimizer, "universal", horizon=HORIZON, **more),
    "bounded": lambda optimizer, **more: LearnedLR(optimizer, "linear", horizon=HORIZON, bound=bound, **more),
    "greedy": lambda optimizer, **more: GreedyLR(optimizer, factor=0.7, patience=1, **more),
    "transformers": lambda optimizer, **more: GreedyLR(
        optimizer, factor=0.7, patience=1, min_lr=1e-4, compat="transformers", **more
    ),
}


def bound() -> float:
    return 0.08


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


@pytest.fixture(params=[name for name in MAKERS if name != "transformers"])
def ours(request: pytest.FixtureRequest) -> Maker:
    """All but the one that does what `transformers` does: an LR of its own for each group, NaN included."""
    return MAKERS[request.param]


class Loop:
    """A small regression in two parameter groups whose whole state can be saved and restored."""

    def __init__(self, make: Maker, lr: Any = 0.05, **more: Any) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        self.x, self.y = torch.randn(32, 4), torch.randn(32, 1)
        groups = [
            {"params": layer.parameters(), "lr": lr / share}
            for layer, share in zip(self.model[::2], (1, 2), strict=True)
        ]
        self.optimizer = SGD(groups, lr=1.0, momentum=0.9)
        self.scheduler = make(self.optimizer, **more)

    def loss(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = (self.model(self.x) - self.y).square().mean()
        loss.backward()
        return loss

    def step(self) -> list[float]:
        loss = self.loss()
        self.optimizer.step()
        self.scheduler.step(loss)
        return self.lrs()

    def lrs(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def save(self) -> io.BytesIO:
        parts = (self.model, self.optimizer, self.scheduler)
        file = io.BytesIO()
        torch.save([part.state_dict() for part in parts], file)
        file.seek(0)
        return file

    def load(self, file: io.BytesIO) -> None:
        states = torch.load(file, weights_only=True)
        for part, state in zip((self.model, self.optimizer, self.scheduler), states, strict=True):
            part.load_state_dict(state)


def test_it_is_an_lr_scheduler_that_says_what_it_set(make: Maker) -> None:
    loop = Loop(make)
    assert isinstance(loop.scheduler, LRScheduler)
    assert loop.scheduler.get_last_lr() == loop.lrs()
    for step in range(HORIZON):
        assert loop.step() == loop.scheduler.get_last_lr()
        assert loop.scheduler.last_epoch == step + 1
        assert all(0 < lr <= 1 for lr in loop.lrs())


def test_the_lr_answers_to_the_losses(make: Maker) -> None:
    better, worse = Loop(make), Loop(make)
    for k in range(HORIZON - 1):
        for loop, trend in ((better, -0.1), (worse, 0.1)):
            loop.loss()
            loop.optimizer.step()
            loop.scheduler.step(math.exp(trend * k))
    assert better.lrs() != worse.lrs()


def test_initial_lrs_are_kept(make: Maker) -> None:
    loop = Loop(make)
    loop.step()
    assert [group["initial_lr"] for group in loop.optimizer.param_groups] == [0.05, 0.025]
    assert loop.scheduler.base_lrs == [0.05, 0.025]


def test_groups_keep_their_ratio(ours: Maker) -> None:
    loop = Loop(ours)
    for _ in range(HORIZON):
        first, second = loop.step()
        assert second == pytest.approx(first / 2)


def test_right_use_gives_no_warning_and_wrong_order_gives_torchs(make: Maker) -> None:
    loop = Loop(make)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.step(), loop.step()
    wrong = Loop(make)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step"):
        wrong.scheduler.step(1.0)


def test_an_overridden_optimizer_step_gives_torchs_warning(make: Maker) -> None:
    loop = Loop(make)
    step = loop.optimizer.step
    loop.optimizer.step = lambda *_: step()  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="has been overridden"):
        loop.step()


def test_without_any_loss_the_lr_holds_and_one_warning_says_so() -> None:
    loop = Loop(MAKERS["bounded"])
    start = loop.lrs()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(9):
            loop.optimizer.step()
            loop.scheduler.step()
    assert loop.lrs() == start
    assert [str(warning.message)[:16] for warning in caught] == ["no loss seen yet"]


@pytest.mark.parametrize("cut", [1, 2, 7, 30, HORIZON - 1])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(make: Maker, cut: int) -> None:
    whole = Loop(make)
    trace = [whole.step() for _ in range(HORIZON)]
    first = Loop(make)
    for _ in range(cut):
        first.step()
    second = Loop(make)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load(first.save())
        assert [second.step() for _ in range(HORIZON - cut)] == trace[cut:]
    assert all(torch.equal(a, b) for a, b in zip(second.model.parameters(), whole.model.parameters(), strict=True))


def test_state_does_not_share_memory_with_the_scheduler(make: Maker) -> None:
    loop = Loop(make)
    loop.step()
    state = loop.scheduler.state_dict()
    before = copy.deepcopy(state)
    other = Loop(make)
    other.scheduler.load_state_dict(state)
    for _ in range(9):
        loop.step(), other.step()
    assert repr(state) == repr(before)


def test_state_of_something_else_is_refused_by_name(make: Maker) -> None:
    scheduler = Loop(make).scheduler
    other = ConstantLR(SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    with pytest.raises(ValueError, match="state"):
        scheduler.load_state_dict(other.state_dict())


def test_state_with_more_groups_than_the_optimizer_is_refused(make: Maker) -> None:
    loop = Loop(make)
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    loop.step()
    with pytest.raises(ValueError, match="3 parameter groups and the optimizer 2"):
        Loop(make).scheduler.load_state_dict(loop.scheduler.state_dict())


def test_get_lr_has_no_side_effect(make: Maker) -> None:
    loop, other = Loop(make), Loop(make)
    for _ in range(HORIZON):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather see get_last_lr
            assert [loop.scheduler.get_lr() for _ in range(3)] == 3 * [loop.scheduler.get_last_lr()]
        assert loop.step() == other.step()


def test_observe_then_step_is_step_with_the_loss(make: Maker) -> None:
    loop, other = Loop(make), Loop(make)
    for _ in range(HORIZON):
        loss = other.loss()
        other.optimizer.step()
        other.scheduler.observe(loss)
        other.scheduler.step()
        assert loop.step() == other.lrs()


def test_parts_of_a_batch_count_as_their_mean(make: Maker) -> None:
    whole, parts = Loop(make), Loop(make)
    for k in range(HORIZON):
        loss = 1.0 + 1 / (k + 1)
        for share in (0.5, 1.5):
            parts.scheduler.observe(share * loss)
        for loop in (whole, parts):
            loop.loss()
            loop.optimizer.step()
        whole.scheduler.step(loss)
        parts.scheduler.step()
        assert parts.lrs() == pytest.approx(whole.lrs(), rel=1e-9)


def test_epoch_is_taken_and_ignored(make: Maker) -> None:
    loop, other = Loop(make), Loop(make)
    for k in range(9):
        loss = other.loss()
        other.optimizer.step()
        other.scheduler.step(loss, 7 * k)
        assert loop.step() == other.lrs()


@pytest.mark.parametrize(
    "convert",
    [float, np.float32, np.float64, torch.tensor, lambda x: torch.tensor([[x]]), lambda x: torch.tensor(x).half(), int],
    ids=["float", "float32", "float64", "tensor", "matrix", "half", "int"],
)
def test_any_kind_of_number_is_a_loss(make: Maker, convert: Callable[[float], Any]) -> None:
    loop, other = Loop(make), Loop(make)
    for k in range(9):
        loss = float(16 - k)
        for each, seen in ((loop, convert(loss)), (other, loss)):
            each.loss()
            each.optimizer.step()
            each.scheduler.step(seen)
        assert loop.lrs() == other.lrs()


def test_more_than_one_element_is_refused(make: Maker) -> None:
    loop = Loop(make)
    with pytest.raises(ValueError, match="one element"):
        loop.scheduler.observe(torch.ones(2))


def test_the_graph_of_a_loss_is_not_kept_alive(make: Maker) -> None:
    loop = Loop(make)
    for _ in range(2):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.step(loss)
    reference = weakref.ref(loss)
    del loss
    assert reference() is None


def test_no_cyclic_references(make: Maker) -> None:
    gc.disable()
    try:
        loop = Loop(make)
        loop.step(), loop.step()
        reference = weakref.ref(loop.scheduler)
        del loop
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_never_reach_the_lr(ours: Maker, bad: float) -> None:
    loop = Loop(ours)
    for k in range(HORIZON):
        loop.loss()
        loop.optimizer.step()
        loop.scheduler.step(bad if k % 3 else 1.0)
        assert all(math.isfinite(lr) and lr > 0 for lr in loop.lrs())
    assert loop.scheduler.skipped >= HORIZON // 2


def test_tensor_lrs_are_filled_in_place_and_follow_the_same_path(make: Maker) -> None:
    plain, loop = Loop(make), Loop(make, torch.tensor(0.05, dtype=torch.float64))
    places = [group["lr"] for group in loop.optimizer.param_groups]
    for _ in range(HORIZON):
        assert loop.step() == pytest.approx(plain.step(), rel=1e-6)
        last = loop.scheduler.get_last_lr()
        assert [float(lr) for lr in last] == loop.lrs()
    for group, place, lr in zip(loop.optimizer.param_groups, places, last, strict=True):
        assert group["lr"] is place
        assert lr is not place
    assert [float(lr) for lr in loop.scheduler.base_lrs] == [0.05, 0.025]


def test_a_group_added_later_is_scheduled_too(make: Maker) -> None:
    loop = Loop(make)
    for _ in range(9):
        loop.step()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    for _ in range(HORIZON - 9):
        loop.step()
    assert len(loop.scheduler.get_last_lr()) == 3
    assert loop.scheduler.base_lrs == [0.05, 0.025, 0.01]


def test_a_group_added_later_keeps_its_ratio(ours: Maker) -> None:
    loop = Loop(ours)
    for _ in range(9):
        loop.step()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    for _ in range(HORIZON - 9):
        first, _, third = loop.step()
        assert third == pytest.approx(first / 5)


def test_a_closure_may_be_called_many_times(make: Maker) -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5))
    optimizer = torch.optim.LBFGS([weight], lr=0.05)
    scheduler = make(optimizer)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight - 1).square().sum() + 1
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(9):
        scheduler.step(optimizer.step(closure))  # type: ignore[arg-type]
    assert closure().item() < first
    assert scheduler.last_epoch == 9


def test_a_step_that_a_grad_scaler_skips_is_no_trouble(make: Maker) -> None:
    loop = Loop(make)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for k in range(9):
        loop.optimizer.zero_grad()
        loss = (loop.model(loop.x) - loop.y).square().mean()
        scaler.scale(loss * math.inf if k == 3 else loss).backward()
        scaler.step(loop.optimizer)
        scaler.update()
        loop.scheduler.step(loss)
    assert all(math.isfinite(lr) for lr in loop.lrs())
    assert scaler.get_scale() < 4


def test_inside_sequential_lr_it_begins_at_its_own_start(make: Maker) -> None:
    loop = Loop(make)
    start = loop.lrs()
    chain = SequentialLR(loop.optimizer, [ConstantLR(loop.optimizer, 0.5, 99), loop.scheduler], [3])
    assert loop.lrs() == [0.025, 0.0125]
    trace = []
    for _ in range(20):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.observe(loss)
        chain.step()
        trace.append(loop.lrs())
    assert trace[:2] == [[0.025, 0.0125]] * 2
    assert trace[2] == start
    assert all(0 < lr < 1 for lrs in trace for lr in lrs)
    state = copy.deepcopy(chain.state_dict())
    chain.load_state_dict(state)
    assert loop.scheduler.last_epoch == 17


def test_inside_sequential_lr_it_may_come_first(make: Maker) -> None:
    loop, alone = Loop(make), Loop(make)
    chain = SequentialLR(loop.optimizer, [loop.scheduler, ConstantLR(loop.optimizer, 0.5, 99)], [9])
    assert loop.lrs() == alone.lrs()
    for _ in range(8):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.observe(loss)
        chain.step()
        assert loop.lrs() == alone.step()
    loop.optimizer.step()
    chain.step()
    assert loop.lrs() == [0.025, 0.0125]


def test_inside_chained_scheduler_it_has_its_say(make: Maker) -> None:
    loop, alone = Loop(make), Loop(make)
    chain = ChainedScheduler([LinearLR(loop.optimizer, 0.5), loop.scheduler], loop.optimizer)
    loop.optimizer.param_groups[0]["lr"], loop.optimizer.param_groups[1]["lr"] = alone.lrs()
    for _ in range(9):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.observe(loss)
        chain.step()
        assert loop.lrs() == alone.step()  # the last one decides: it does not build on what others set


def test_last_epoch_goes_on_and_needs_initial_lrs(make: Maker) -> None:
    loop = Loop(make)
    loop.step()
    again = make(loop.optimizer, last_epoch=4)
    assert again.last_epoch == 5
    assert again.base_lrs == [0.05, 0.025]
    with pytest.raises(KeyError, match="initial_lr"):
        make(SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), last_epoch=4)


def test_only_an_optimizer_has_lrs(make: Maker) -> None:
    with pytest.raises(TypeError, match="not an Optimizer"):
        make(object())


def test_no_name_that_a_framework_reads_means_something_else(make: Maker) -> None:
    assert not hasattr(Loop(make).scheduler, "total_steps")  # accelerate asks for it


def test_state_can_be_written_as_json_if_lrs_are_numbers(make: Maker) -> None:
    loop = Loop(make)
    for _ in range(9):
        loop.step()
    state = {key: value for key, value in loop.scheduler.state_dict().items() if key != "travel"}
    assert json.loads(json.dumps(state)) == state


def test_it_steps_every_optimizer_configuration_that_torch_tests(make: Maker) -> None:
    configurations = [
        (info.optim_cls, settings.kwargs)
        for info in optim_db
        for settings in _get_optim_inputs_including_global_cliquey_kwargs("cpu", torch.float32, info)
    ]
    assert len(configurations) >= 162
    for kind, settings in configurations:
        _three_steps(make, kind, dict(settings))


def _three_steps(make: Maker, kind: type[Optimizer], settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    shape = (6, 4) if kind.__name__ == "Muon" else (4,)
    weight = torch.rand(shape)  # with a gradient of its own: some configurations differentiate through the step
    optimizer = kind([weight], **settings)
    if float(optimizer.param_groups[0]["lr"]) == 0:
        with pytest.raises(ValueError, match="positive"):
            make(optimizer)
        return
    scheduler = make(optimizer)
    for _ in range(3):
        loss, weight.grad = weight.square().sum(), 2 * weight
        if kind.__name__ == "SparseAdam":
            weight.grad = weight.grad.to_sparse()
        optimizer.step(lambda loss=loss: loss)  # type: ignore[misc]
        scheduler.step(loss)
    assert math.isfinite(float(optimizer.param_groups[0]["lr"]))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own, while it compiles
@pytest.mark.parametrize(
    "make",
    [MAKERS["universal"], *(pytest.param(MAKERS[name], marks=pytest.mark.slow) for name in ("bounded", "greedy"))],
)
def test_a_compiled_step_with_tensor_lrs_is_compiled_once(make: Maker) -> None:
    torch.compiler.reset()
    loop, counter = Loop(make, torch.tensor(0.05)), CompileCounter()
    plain = Loop(make, torch.tensor(0.05))
    step = torch.compile(loop.optimizer.step, backend=counter)
    for k in range(9):
        loss = loop.loss()
        step()
        loop.scheduler.step(loss)
        if k == 1:
            frames = counter.frame_count
        assert loop.lrs() == pytest.approx(plain.step(), rel=1e-5)
    assert counter.frame_count == frames > 0
