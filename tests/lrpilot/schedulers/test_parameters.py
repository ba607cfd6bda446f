"""Parameters of every kind: without values yet, complex, turned, large, or none at all."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer

from lrpilot import LearnedLR
from lrpilot.schedulers import parameters


def train(optimizer: Optimizer, scheduler: LearnedLR, model: nn.Module, count: int, size: int = 5) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(torch.randn(8, size)).square().mean() + 0.1
        loss.backward()
        optimizer.step()
        scheduler.step(loss)


def test_lazy_parameters_are_read_once_they_have_values() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.LazyLinear(3), nn.LazyBatchNorm1d())
    optimizer = SGD(model.parameters(), lr=0.01)
    scheduler = LearnedLR(optimizer, "cnn", horizon=200)
    assert parameters.weights(optimizer).shape == (24,)
    train(optimizer, scheduler, model, 150)
    assert parameters.weights(optimizer).shape == (24 + 15 + 6,)
    state = scheduler.state_dict()
    assert state["schedule"]["signals.has_gradient"] == 1.0
    assert state["schedule"]["signals.long_persistence"] != 0.0
    LearnedLR(optimizer, "cnn", horizon=200).load_state_dict(state)


def test_parameters_on_the_meta_device_are_read_once_they_have_values() -> None:
    model = nn.Linear(5, 3, device="meta")
    optimizer = SGD(model.parameters(), lr=0.01)
    scheduler = LearnedLR(optimizer, "universal", horizon=100)
    assert parameters.weights(optimizer).size == 0
    real = nn.Linear(5, 3)
    optimizer.param_groups[0]["params"] = list(real.parameters())
    train(optimizer, scheduler, real, 90)
    assert parameters.weights(optimizer).shape == (18,)


def test_an_optimizer_may_have_nothing_but_empty_groups_until_parameters_come() -> None:
    optimizer = SGD([{"params": []}, {"params": [], "lr": 0.02}], lr=0.01)
    scheduler = LearnedLR(optimizer, "cnn", horizon=100)
    for _ in range(20):
        optimizer.step()
        scheduler.step(1.0)
    model = nn.Linear(5, 3)
    optimizer.add_param_group({"params": model.parameters()})
    train(optimizer, scheduler, model, 79)
    assert len(scheduler.get_last_lr()) == 3


@pytest.mark.parametrize("dtype", [torch.cfloat, torch.cdouble])
@pytest.mark.parametrize("shape", [(4,), (3, 2), (50, 60), ()])
def test_complex_parameters_are_read_as_pairs_of_reals(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    start = torch.randn(shape, dtype=dtype)
    whole, real = nn.Parameter(start.clone()), nn.Parameter(torch.view_as_real(start).clone())
    optimizers = [SGD([weight], lr=0.05) for weight in (whole, real)]
    schedulers = [LearnedLR(optimizer, "cnn", horizon=60) for optimizer in optimizers]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(30):
            for weight, optimizer, scheduler in zip((whole, real), optimizers, schedulers, strict=True):
                optimizer.zero_grad()
                loss = ((weight if weight is whole else torch.view_as_complex(weight)) - 1j).abs().square().mean()
                loss.backward()
                optimizer.step()
                scheduler.step(loss)
            if start.numel() < parameters.SKETCH:
                assert schedulers[0].get_last_lr() == pytest.approx(schedulers[1].get_last_lr(), rel=1e-3)
    picture = parameters.weights(optimizers[0])
    assert len(picture) % 2 == 0
    assert np.iscomplexobj(picture) is False
    assert float(np.square(picture).sum()) == pytest.approx(float(whole.detach().abs().square().sum()), rel=0.1)


@pytest.mark.parametrize(
    "turn",
    [
        lambda x: x.t(), lambda x: x.t().t(), lambda x: x[:, ::2], lambda x: x.flip(0), lambda x: x[3:, 5:],
        lambda x: x.view(20, 150, 20).permute(2, 0, 1), lambda x: x[:1].expand(200, 300),
        lambda x: x.view(10, 20, 15, 20).contiguous(memory_format=torch.channels_last), lambda x: x[0, 0],
    ],
)  # fmt: skip
def test_what_is_read_is_the_same_however_it_lies_in_memory(turn) -> None:  # type: ignore[no-untyped-def]
    there = turn(torch.arange(60_000.0).view(200, 300))
    weight, copied = nn.Parameter(there), nn.Parameter(there.contiguous().clone())
    weight.grad, copied.grad = 2 * there, (2 * there).contiguous().clone()
    assert weight.stride() == there.stride()
    for read in (parameters.weights, parameters.gradient, parameters.gradient_sq):
        np.testing.assert_allclose(read(SGD([weight], lr=1.0)), read(SGD([copied], lr=1.0)), rtol=1e-5)


def test_a_large_weight_is_not_copied() -> None:
    weight = nn.Parameter(torch.zeros(4000, 2500).t())
    optimizer, sizes, place = SGD([weight], lr=1.0), [], weight.untyped_storage().data_ptr()

    class Allocations(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.untyped_storage().data_ptr() != place:
                sizes.append(out.untyped_storage().nbytes())
            return out

    with Allocations():
        assert len(parameters.weights(optimizer)) <= parameters.SKETCH
        assert len(parameters.gradient(optimizer)) <= parameters.SKETCH
    assert 0 < max(sizes) <= 16 * parameters.SKETCH


def test_weights_of_few_bits_stand_beside_others() -> None:
    few = nn.Parameter(torch.ones(30, 50).to(torch.float8_e4m3fn), requires_grad=False)
    half = nn.Parameter(torch.full((4000,), 2.0, dtype=torch.float16))
    half.grad = torch.full((4000,), 2000.0, dtype=torch.float16)
    made = SGD([few, half, nn.Parameter(torch.ones(3, dtype=torch.float64))], lr=0.1)
    LearnedLR(made, "universal", horizon=100)
    assert parameters.weights(made).dtype == np.float32
    assert parameters.gradient_sq(made) == pytest.approx(4000 * 2000.0**2)
