"""Rivals from packages against the packages themselves, one run at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from dadaptation import DAdaptAdam, DAdaptSGD
from prodigyopt import Prodigy
from schedulefree import AdamWScheduleFree, SGDScheduleFree
from torch import Tensor
from torch.nn import Parameter

from lrpilot.envs.tasks.nmf.problems import NMFProblems
from lrpilot.envs.tasks.nmf.task import NMFTask
from lrpilot.envs.tasks.optimizers import SGD, AbstractOptimizer, AdamW, Hyper, RMSprop
from lrpilot.experiments.league.parameter_access import AbstractParameterAccess, accesses
from lrpilot.experiments.league.rules.base import AbstractRule
from lrpilot.experiments.league.rules.packages import (
    D_ADAPTATION,
    PRODIGY,
    SCHEDULE_FREE,
    DistanceRule,
    Package,
    ScheduleFree,
    d_adaptation,
    prodigy,
    settings,
)

RUNS, SIZE, STEPS = 3, 5, 60
DOUBLE = torch.float64
BASE = torch.tensor([0.05, 0.1, 0.2], dtype=DOUBLE)
MOMENTUM, BETA2, DECAY = (0.0, 0.5, 0.9), (0.9, 0.99, 0.999), (0.0, 0.01, 0.1)
SHAPES = SCHEDULE_FREE | PRODIGY | D_ADAPTATION
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES)
EVERY_KIND = pytest.mark.parametrize("kind", [SGD, AdamW, RMSprop])
Alone = Callable[[Parameter, int], torch.optim.Optimizer]


class Quadratic(AbstractParameterAccess):
    """½ Σ cᵢ(wᵢ − 1)² for each run, with noise in the gradient that is the same for all runs."""

    def __init__(self, kind: type[AbstractOptimizer]) -> None:
        self.curvature = torch.linspace(0.2, 2.0, SIZE, dtype=DOUBLE)
        self.parameters = torch.randn(RUNS, SIZE, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
        hyper = Hyper(*(torch.tensor(entry, dtype=DOUBLE) for entry in (MOMENTUM, BETA2, DECAY)))
        self.optimizer = kind(hyper, self.parameters)  # type: ignore[call-arg]
        self.blocks = [SIZE]
        self.draws = 0

    def noise(self, draw: int) -> Tensor:
        return 0.1 * torch.randn(SIZE, generator=torch.Generator().manual_seed(draw), dtype=DOUBLE)

    def draw(self) -> tuple[Tensor, Tensor]:
        self.draws += 1
        return self.loss_at(self.parameters), self.gradient_at(self.parameters)

    def loss_at(self, parameters: Tensor) -> Tensor:
        noise = (self.noise(self.draws) * parameters).sum(1)
        return (self.curvature * (parameters - 1).square()).sum(1) / 2 + noise

    def gradient_at(self, parameters: Tensor) -> Tensor:
        return self.curvature * (parameters - 1) + self.noise(self.draws)

    def place(self, parameters: Tensor) -> None:
        self.parameters = parameters


def in_single_precision(access: Quadratic) -> Quadratic:
    access.parameters, access.curvature = access.parameters.float(), access.curvature.float()
    access.noise = lambda draw: Quadratic.noise(access, draw).float()  # type: ignore[method-assign]
    return access


def outer(step: int) -> float:
    return 1 - 0.5 * step / STEPS


def played(rule: AbstractRule) -> list[Tensor]:
    """Parameters after each step, under an outer schedule."""
    path = []
    for step in range(STEPS):
        losses = rule.step(BASE * outer(step))
        assert losses.shape == rule.lr.shape == (RUNS,)
        path.append(rule.access.parameters.clone())
    assert rule.passes == STEPS
    return path


def alone(access: Quadratic, run: int, make: Alone, base: float) -> tuple[list[Tensor], torch.optim.Optimizer]:
    """The package used as its authors say."""
    parameter, path = Parameter(access.parameters[run].clone()), []
    optimizer = make(parameter, run)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = base * outer(step)
        parameter.grad = access.curvature * (parameter.detach() - 1) + access.noise(step + 1)
        optimizer.step()
        path.append(parameter.detach().clone())
    return path, optimizer


def schedule_free_alone(kind: type[AbstractOptimizer], beta: float, warmup: int, parameter: Parameter, run: int) -> Any:
    shared: dict[str, Any] = {"weight_decay": DECAY[run], "warmup_steps": warmup}
    if kind is SGD:
        optimizer: Any = SGDScheduleFree([parameter], momentum=beta, **shared)
    else:
        optimizer = AdamWScheduleFree([parameter], betas=(beta, BETA2[run]), **shared)
    optimizer.train()
    return optimizer


def betas(kind: type[AbstractOptimizer], run: int) -> tuple[float, float]:
    return MOMENTUM[run], 0.999 if kind is SGD else BETA2[run]


def prodigy_alone(kind: type[AbstractOptimizer], coefficient: float, parameter: Parameter, run: int) -> Any:
    shared: dict[str, Any] = {"d_coef": coefficient, "decouple": kind is AdamW, "weight_decay": DECAY[run]}
    return Prodigy([parameter], betas=betas(kind, run), **shared)


def d_adaptation_alone(kind: type[AbstractOptimizer], parameter: Parameter, run: int) -> Any:
    if kind is SGD:
        return DAdaptSGD([parameter], momentum=MOMENTUM[run], weight_decay=DECAY[run])
    shared: dict[str, Any] = {"decouple": kind is AdamW, "weight_decay": DECAY[run]}
    return DAdaptAdam([parameter], betas=betas(kind, run), **shared)


@EVERY_KIND
@pytest.mark.parametrize(("beta", "warmup"), [(0.9, 0), (0.98, 0), (0.9, 12)])
def test_schedule_free_is_the_package_and_shows_its_average(
    kind: type[AbstractOptimizer], beta: float, warmup: int
) -> None:
    rule = ScheduleFree(Quadratic(kind), beta, warmup)
    path, shown = played(rule), rule.shown()
    for run in range(RUNS):
        make = partial(schedule_free_alone, kind, beta, warmup)
        expected, optimizer = alone(Quadratic(kind), run, make, float(BASE[run]))
        torch.testing.assert_close(torch.stack(path)[:, run], torch.stack(expected), rtol=1e-8, atol=1e-12)
        optimizer.eval()  # type: ignore[attr-defined]
        average = optimizer.param_groups[0]["params"][0].detach()
        torch.testing.assert_close(shown[run], average, rtol=1e-8, atol=1e-12)
        assert (average - expected[-1]).abs().max() > 1e-3
        assert float(rule.lr[run]) == pytest.approx(float(BASE[run]) * outer(STEPS - 1))


@EVERY_KIND
@pytest.mark.parametrize("coefficient", [0.5, 1.0])
def test_prodigy_is_the_package(kind: type[AbstractOptimizer], coefficient: float) -> None:
    path = played(DistanceRule(Quadratic(kind), partial(prodigy, coefficient=coefficient)))
    for run in range(RUNS):
        expected, _ = alone(Quadratic(kind), run, partial(prodigy_alone, kind, coefficient), 1.0)
        torch.testing.assert_close(torch.stack(path)[:, run], torch.stack(expected), rtol=1e-8, atol=1e-12)
        assert (expected[-1] - expected[0]).abs().max() > 0.1


@EVERY_KIND
@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_d_adaptation_is_the_package(kind: type[AbstractOptimizer], factor: float) -> None:
    path = played(DistanceRule(Quadratic(kind), d_adaptation, factor))
    for run in range(RUNS):
        expected, _ = alone(Quadratic(kind), run, partial(d_adaptation_alone, kind), factor)
        torch.testing.assert_close(torch.stack(path)[:, run], torch.stack(expected), rtol=1e-8, atol=1e-12)
        assert (expected[-1] - expected[0]).abs().max() > 1e-3


@EVERY_KIND
@EVERY_SHAPE
def test_showing_does_not_disturb(kind: type[AbstractOptimizer], shape: str) -> None:
    quiet, watched = SHAPES[shape](Quadratic(kind)), SHAPES[shape](Quadratic(kind))
    for _ in range(STEPS):
        quiet.step(BASE)
        watched.step(BASE)
        here = watched.access.parameters
        watched.access.place(watched.shown())
        watched.access.place(here)
    torch.testing.assert_close(watched.access.parameters, quiet.access.parameters, rtol=0, atol=0)
    torch.testing.assert_close(watched.shown(), quiet.shown(), rtol=0, atol=0)


@EVERY_KIND
@EVERY_SHAPE
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 0.0])
def test_a_run_that_is_lost_touches_no_other(kind: type[AbstractOptimizer], shape: str, bad: float) -> None:
    class Broken(Quadratic):
        def draw(self) -> tuple[Tensor, Tensor]:
            losses, gradient = super().draw()
            losses[1], gradient[1] = bad, bad
            return losses, gradient

    rule, other = SHAPES[shape](Broken(kind)), SHAPES[shape](Quadratic(kind))
    for _ in range(STEPS):
        rule.step(BASE)
        other.step(BASE)
    for mine, whole in ((rule.access.parameters, other.access.parameters), (rule.shown(), other.shown())):
        torch.testing.assert_close(mine[[0, 2]], whole[[0, 2]], rtol=0, atol=0)
        assert bool(mine[1].isfinite().all()) == (bad == 0)


@EVERY_KIND
@pytest.mark.parametrize("package", [prodigy, d_adaptation])
def test_a_run_whose_distance_explodes_is_lost_quietly(kind: type[AbstractOptimizer], package: Package) -> None:
    rule, other = (DistanceRule(in_single_precision(Quadratic(kind)), package) for _ in range(2))
    for step in range(4):
        if step == 2:
            rule._optimizers[1].param_groups[0]["d"] = 1e39  # no float32, which torch refuses by an exception
        rule.step(BASE)
        other.step(BASE)
    assert not rule.access.parameters[1].isfinite().all()
    torch.testing.assert_close(rule.access.parameters[[0, 2]], other.access.parameters[[0, 2]], rtol=0, atol=0)


@pytest.mark.parametrize("shape", PRODIGY | D_ADAPTATION)
def test_the_level_of_the_base_lr_has_no_effect(shape: str) -> None:
    rule, other = SHAPES[shape](Quadratic(SGD)), SHAPES[shape](Quadratic(SGD))
    for step in range(STEPS):
        rule.step(BASE * outer(step))
        other.step(64 * BASE * outer(step))
    torch.testing.assert_close(other.access.parameters, rule.access.parameters, rtol=0, atol=0)
    rule.step(0 * BASE)
    torch.testing.assert_close(other.access.parameters, rule.access.parameters, rtol=0, atol=0)
    assert (rule.lr == 0).all()


def test_the_lr_of_a_distance_rule_is_that_of_its_step() -> None:
    access = Quadratic(RMSprop)
    hyper = Hyper(torch.full((RUNS,), 1e-3), torch.zeros(RUNS), torch.zeros(RUNS))
    access.optimizer = RMSprop(hyper, access.parameters)
    rule = DistanceRule(access, prodigy)
    for _ in range(8):  # of the same size in all directions, since α = 0
        before = access.parameters.clone()
        rule.step(BASE)
        torch.testing.assert_close(
            (access.parameters - before).abs().mean(1), rule.lr, rtol=0.01, atol=0, check_dtype=False
        )


def factorisation() -> AbstractParameterAccess:
    task = NMFTask(NMFProblems(gradient_noise=(2.0, 2.0), clean_gradient=0.0), RUNS)
    task.reset(np.random.default_rng(0))
    return accesses(task)[0]


@EVERY_SHAPE
def test_allowed_runs_stay_allowed(shape: str) -> None:
    rule = SHAPES[shape](factorisation())
    for _ in range(40):
        rule.step(rule.access.largest_lr())
    assert (rule.access.parameters >= 0).all()
    shown = rule.shown()
    assert shown.min() > -1e-5 * shown.max()


def test_schedule_free_with_a_projection_is_that_of_the_paper() -> None:
    """z ← Π(z − lr·g(y)), x ← (1 − c)x + cz, y ← (1 − β)z + βx; a projection of y alone would spoil x."""
    beta, rule, slow = 0.9, ScheduleFree(factorisation(), 0.9), factorisation()
    x = z = slow.parameters
    highest = total = torch.zeros(RUNS, dtype=torch.float64)
    for _ in range(20):
        lr = slow.largest_lr()
        highest = torch.maximum(highest, lr)
        total = total + highest.square()
        c = (highest.square() / total).float()[:, None]
        _, gradient = slow.draw()
        slow.place(z - lr.float()[:, None] * gradient)
        z = slow.parameters
        x = (1 - c) * x + c * z
        slow.place((1 - beta) * z + beta * x)
        rule.step(rule.access.largest_lr())
    torch.testing.assert_close(rule.access.parameters, slow.parameters, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(rule.shown(), x, rtol=1e-3, atol=1e-3)


def test_a_projected_run_goes_on_from_where_it_was_placed() -> None:
    rule, slow = DistanceRule(factorisation(), prodigy), factorisation()
    parameters = [Parameter(row.clone()) for row in slow.parameters]
    optimizers = [Prodigy([parameter], betas=(0.0, 0.999)) for parameter in parameters]
    crossed = False
    for _ in range(30):
        rule.step(BASE)
        _, gradient = slow.draw()
        for parameter, optimizer, part in zip(parameters, optimizers, gradient, strict=True):
            parameter.grad = part.clone()
            optimizer.step()
        wished = torch.stack([parameter.detach() for parameter in parameters])
        crossed |= bool((wished < 0).any())
        slow.place(wished)
        for parameter, row in zip(parameters, slow.parameters, strict=True):
            parameter.data = row.clone()
    assert crossed
    torch.testing.assert_close(rule.access.parameters, slow.parameters, rtol=0, atol=0)


def test_an_optimizer_without_counterpart_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        settings(object(), 0)  # type: ignore[arg-type]
