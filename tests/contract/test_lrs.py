"""What a schedule sets: LRs of every group, as numbers or tensors, of any optimizer."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.testing._internal.common_optimizers import _get_optim_inputs_including_global_cliquey_kwargs, optim_db

HORIZON = 60


def test_it_is_an_lr_scheduler_that_says_what_it_set(Loop: Any) -> None:
    loop = Loop()
    assert isinstance(loop.scheduler, LRScheduler)
    assert loop.scheduler.get_last_lr() == loop.lrs()
    for step in range(HORIZON):
        assert loop.step() == loop.scheduler.get_last_lr()
        assert loop.scheduler.last_epoch == step + 1
        assert all(0 < lr < math.inf for lr in loop.lrs())


def test_the_lr_answers_to_the_losses(Loop: Any) -> None:
    better, worse = Loop(), Loop()
    for k in range(HORIZON - 1):
        for loop, trend in ((better, -0.1), (worse, 0.1)):
            loop.loss()
            loop.optimizer.step()
            loop.scheduler.step(math.exp(trend * k))
    assert better.lrs() != worse.lrs()


def test_initial_lrs_are_kept(Loop: Any) -> None:
    loop = Loop()
    loop.step()
    assert [group["initial_lr"] for group in loop.optimizer.param_groups] == [0.05, 0.025]
    assert loop.scheduler.base_lrs == [0.05, 0.025]


def test_groups_keep_their_ratio(OurLoop: Any) -> None:
    loop = OurLoop()
    for _ in range(HORIZON):
        first, second = loop.step()
        assert second == pytest.approx(first / 2)


def test_get_lr_has_no_side_effect(Loop: Any) -> None:
    loop, other = Loop(), Loop()
    for _ in range(HORIZON):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather see get_last_lr
            assert [loop.scheduler.get_lr() for _ in range(3)] == 3 * [loop.scheduler.get_last_lr()]
        assert loop.step() == other.step()


def test_tensor_lrs_are_filled_in_place_and_follow_the_same_path(Loop: Any) -> None:
    plain, loop = Loop(), Loop(torch.tensor(0.05, dtype=torch.float64))
    places = [group["lr"] for group in loop.optimizer.param_groups]
    for _ in range(HORIZON):
        assert loop.step() == pytest.approx(plain.step(), rel=1e-6)
        last = loop.scheduler.get_last_lr()
        assert [float(lr) for lr in last] == loop.lrs()
    for group, place, lr in zip(loop.optimizer.param_groups, places, last, strict=True):
        assert group["lr"] is place
        assert lr is not place
    assert [float(lr) for lr in loop.scheduler.base_lrs] == [0.05, 0.025]


def test_a_group_added_later_is_scheduled_too(Loop: Any) -> None:
    loop = Loop()
    for _ in range(9):
        loop.step()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    for _ in range(HORIZON - 9):
        loop.step()
    assert len(loop.scheduler.get_last_lr()) == 3
    assert loop.scheduler.base_lrs == [0.05, 0.025, 0.01]


def test_a_group_added_later_keeps_its_ratio(OurLoop: Any) -> None:
    loop = OurLoop()
    for _ in range(9):
        loop.step()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    for _ in range(HORIZON - 9):
        first, _, third = loop.step()
        assert third == pytest.approx(first / 5)


def test_last_epoch_goes_on_and_needs_initial_lrs(make: Any, Loop: Any) -> None:
    loop = Loop()
    loop.step()
    again = make(loop.optimizer, last_epoch=4)
    assert again.last_epoch == 5
    assert again.base_lrs == [0.05, 0.025]
    with pytest.raises(KeyError, match="initial_lr"):
        make(SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), last_epoch=4)


def test_only_an_optimizer_has_lrs(make: Any) -> None:
    with pytest.raises(TypeError, match="not an Optimizer"):
        make(object())


def test_no_name_that_a_framework_reads_means_something_else(Loop: Any) -> None:
    assert not hasattr(Loop().scheduler, "total_steps")  # accelerate asks for it


def test_it_steps_every_optimizer_configuration_that_torch_tests(make: Any) -> None:
    configurations = [
        (info.optim_cls, settings.kwargs)
        for info in optim_db
        for settings in _get_optim_inputs_including_global_cliquey_kwargs("cpu", torch.float32, info)
    ]
    assert len(configurations) >= 162
    for kind, settings in configurations:
        _three_steps(make, kind, dict(settings))


def _three_steps(make: Any, kind: type[Optimizer], settings: dict[str, Any]) -> None:
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
    ["universal", pytest.param("bounded", marks=pytest.mark.slow), pytest.param("greedy", marks=pytest.mark.slow)],
    indirect=True,
)
def test_a_compiled_step_with_tensor_lrs_is_compiled_once(Loop: Any) -> None:
    torch.compiler.reset()
    loop, counter = Loop(torch.tensor(0.05)), CompileCounter()
    plain = Loop(torch.tensor(0.05))
    step = torch.compile(loop.optimizer.step, backend=counter)
    for k in range(9):
        loss = loop.loss()
        step()
        loop.scheduler.step(loss)
        if k == 1:
            frames = counter.frame_count
        assert loop.lrs() == pytest.approx(plain.step(), rel=1e-5)
    assert counter.frame_count == frames > 0
