"""Optimizers for many runs against those of torch, one run at a time and step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lrpilot.envs.tasks.optimizers import OPTIMIZERS, AbstractOptimizer, Hyper

RUNS, SIZE, STEPS = 4, 7, 40


def hyper(count: int = RUNS) -> Hyper:
    spread = torch.linspace(0, 1, count, dtype=torch.float64)
    return Hyper(0.95 * spread, 0.9 + 0.099 * spread, 0.3 * spread.flip(0))


def torch_optimizer(kind: str, parameter: nn.Parameter, of: Hyper, run: int) -> torch.optim.Optimizer:
    momentum, beta2, decay = (float(entry[run]) for entry in of)
    if kind == "adamw":
        return torch.optim.AdamW([parameter], 1.0, betas=(momentum, beta2), weight_decay=decay)
    if kind == "adamax":
        return torch.optim.Adamax([parameter], 1.0, betas=(momentum, beta2), weight_decay=decay)
    if kind == "rmsprop":
        return torch.optim.RMSprop([parameter], 1.0, alpha=beta2, momentum=momentum, weight_decay=decay)
    nesterov = kind == "nesterov" and momentum > 0  # torch refuses it without momentum, where it changes nothing
    return torch.optim.SGD([parameter], 1.0, momentum, weight_decay=decay, nesterov=nesterov)


def loss_of(w: Tensor) -> Tensor:
    """Neither quadratic nor convex, and another one in each direction."""
    scale = torch.arange(1, SIZE + 1, dtype=w.dtype)
    return (torch.sin(3 * w) / scale + scale * w.square() / 4).sum(-1)


def gradient_of(w: Tensor) -> Tensor:
    w = w.clone().requires_grad_()
    return torch.autograd.grad(loss_of(w).sum(), w)[0]


def lr_of(step: int) -> Tensor:
    return torch.tensor([0.02, 0.05, 0.1, 0.01], dtype=torch.float64) * (1 - step / STEPS)


def alone(kind: str, start: Tensor, run: int, settings: Hyper, steps: int = STEPS) -> list[Tensor]:
    parameter = nn.Parameter(start[run].clone())
    optimizer = torch_optimizer(kind, parameter, settings, run)
    path = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = float(lr_of(step)[run])
        optimizer.zero_grad()
        loss_of(parameter).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        path.append(parameter.detach().clone())
    return path


def together(optimizer: AbstractOptimizer, start: Tensor, tweak: Callable[[Tensor], Tensor] = lambda g: g) -> Tensor:
    w, path = start.clone(), []
    for step in range(STEPS):
        optimizer.step(w, tweak(gradient_of(w)), lr_of(step))
        path.append(w.clone())
    return torch.stack(path, 1)  # (B, STEPS, P)


def start() -> Tensor:
    return torch.randn(RUNS, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_each_step_is_that_of_torch(kind: str) -> None:
    path = together(OPTIMIZERS[kind](hyper(), start()), start())
    for run in range(RUNS):
        torch.testing.assert_close(path[run], torch.stack(alone(kind, start(), run, hyper())), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("field", ["momentum", "weight_decay"])
def test_wrong_settings_are_noticed(kind: str, field: str) -> None:
    """Negative control: 1 % more of either leaves the path of torch by far more than the tolerance."""
    path = together(OPTIMIZERS[kind](hyper()._replace(**{field: 1.01 * getattr(hyper(), field)}), start()), start())
    expected = torch.stack([torch.stack(alone(kind, start(), run, hyper())) for run in range(RUNS)])
    assert float((path - expected).abs().max()) > 1e-5


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_run_that_is_not_finite_changes_no_other(kind: str) -> None:
    def poison(gradient: Tensor) -> Tensor:
        gradient[1] = float("nan")
        return gradient

    calm = together(OPTIMIZERS[kind](hyper(), start()), start())
    shaken = together(OPTIMIZERS[kind](hyper(), start()), start(), poison)
    others = torch.tensor([0, 2, 3])
    assert torch.equal(calm[others], shaken[others])
    assert shaken[1].isnan().all()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_inserted_run_begins_anew(kind: str) -> None:
    """Also after NaN, and with AdamW's count of steps at 0."""
    optimizer = OPTIMIZERS[kind](hyper(), start())
    optimizer.step(start(), torch.full((RUNS, SIZE), float("nan"), dtype=torch.float64), lr_of(0))
    slots = torch.tensor([False, True, False, True])
    fresh = Hyper(*(entry[slots] for entry in hyper()))
    optimizer.insert(slots, OPTIMIZERS[kind](fresh, start()[slots]))
    path = together(optimizer, start())
    for run in (1, 3):
        torch.testing.assert_close(path[run], torch.stack(alone(kind, start(), run, hyper())), rtol=1e-10, atol=1e-10)
