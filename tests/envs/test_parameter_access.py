"""Runs handed over to other methods: the same steps as the task's own, and gradients that belong to the losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lrpilot.envs import LinearProblems
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.linear.task import LinearTask
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.tasks.nets.task import NetTask
from lrpilot.envs.tasks.nmf.problems import NMFProblems
from lrpilot.envs.tasks.nmf.task import NMFTask
from lrpilot.experiments.league.parameter_access import AbstractParameterAccess, NMFAccess, accesses, direction

RUNS, STEPS = 6, 12
NETS = NetProblems(alike=4, data=("digits_flat",), architectures=("mlp",), samples=(32, 90), held_out=32)
TASKS: dict[str, Callable[[], AbstractTask]] = {
    "nmf": lambda: NMFTask(NMFProblems(clean_gradient=0.0), RUNS),
    "nmf, replicas": lambda: NMFTask(NMFProblems(clean_gradient=0.0, batch_fractions=(0.5,)), RUNS, replicas=3),
    "linear": lambda: LinearTask(LinearProblems(networks=3, rows=(24, 40)), RUNS, ("iris",)),
    "linear, replicas": lambda: LinearTask(LinearProblems(networks=3, rows=(24, 40)), RUNS, ("iris",), 2),
    "net, nesterov": lambda: NetTask(replace(NETS, optimizers=("nesterov",)), RUNS),
    "net, adamw": lambda: NetTask(replace(NETS, optimizers=("adamw",)), RUNS),
}
EVERY = pytest.mark.parametrize("name", TASKS)


def started(name: str) -> AbstractTask:
    task = TASKS[name]()
    task.reset(np.random.default_rng(0))
    return task


def access_step(access: AbstractParameterAccess, lr: Tensor) -> Tensor:
    losses, gradient = access.draw()
    access.place(access.parameters - lr.to(gradient.dtype)[:, None] * direction(access, gradient))
    return losses


def nearby(access: AbstractParameterAccess) -> Tensor:
    """Allowed parameters some way off."""
    noise = torch.rand(access.parameters.shape, generator=torch.Generator().manual_seed(3))
    return access.parameters * (1 + 0.1 * noise)


@EVERY
def test_steps_through_an_access_are_those_of_the_task(name: str) -> None:
    mine, other = started(name), started(name)
    others = accesses(other)
    sizes = [len(access.parameters) for access in others]
    assert sum(sizes) == RUNS
    for index in range(STEPS):
        reference = mine.reference()
        np.testing.assert_allclose(other.reference(), reference, rtol=1e-3)
        lr = (0.3 + 0.05 * index) * reference
        losses = mine.sgd_step(lr)
        parts = zip(others, torch.split(torch.from_numpy(lr), sizes), strict=True)
        # AdamW divides by the root of tiny squares: what processors round differently grows from step to step.
        np.testing.assert_allclose(torch.cat([access_step(*part) for part in parts]), losses, rtol=5e-3, atol=1e-5)
        if not name.startswith("net"):
            np.testing.assert_allclose(other.gradient_sq(), mine.gradient_sq(), rtol=1e-3)
        np.testing.assert_allclose(np.square(mine.gradients()).sum(1), mine.gradient_sq(), rtol=1e-4)
    assert np.abs(mine.weights() - started(name).weights()).max() > 1e-3
    np.testing.assert_allclose(other.weights(), mine.weights(), atol=1e-3)
    np.testing.assert_allclose(other.objective(), mine.objective(), rtol=5e-3)


@EVERY
def test_the_drawn_loss_and_gradient_are_those_at_the_parameters(name: str) -> None:
    for access in accesses(started(name)):
        assert sum(access.blocks) == access.parameters.shape[1]
        for _ in range(2):
            losses, gradient = access.draw()
            torch.testing.assert_close(access.loss_at(access.parameters).to(losses), losses, rtol=1e-5, atol=0)
            torch.testing.assert_close(access.gradient_at(access.parameters), gradient, rtol=1e-4, atol=1e-4)


@EVERY
def test_the_drawn_mini_batch_stays_after_a_move(name: str) -> None:
    for access in accesses(started(name)):
        access.draw()
        point = nearby(access)
        before = access.loss_at(point), access.gradient_at(point)
        access.place(0.5 * access.parameters)
        torch.testing.assert_close((access.loss_at(point), access.gradient_at(point)), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in TASKS if not name.startswith("net")])
def test_gradients_are_the_derivatives_of_the_losses(name: str) -> None:
    (access,) = accesses(started(name))
    access.draw()
    point = nearby(access).requires_grad_()
    (expected,) = torch.autograd.grad(access.loss_at(point).sum(), point)
    torch.testing.assert_close(access.gradient_at(point.detach()), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("net")])
def test_gradients_of_networks_agree_with_finite_differences(name: str) -> None:
    for access in accesses(started(name)):
        access.draw()
        point, step = nearby(access), 1e-2
        gradient = access.gradient_at(point)
        along = gradient / gradient.norm(dim=1, keepdim=True)
        rise = access.loss_at(point + step * along) - access.loss_at(point - step * along)
        torch.testing.assert_close(rise / (2 * step), gradient.norm(dim=1), rtol=1e-2, atol=1e-3)


def test_noise_belongs_to_the_gradient_of_a_factorisation() -> None:
    access = accesses(started("nmf"))[0]
    assert isinstance(access, NMFAccess)
    task = access.task
    _, gradient = access.draw()
    clean = task.kappa[:, None] * torch.cat([task.W_gradient.flatten(1), task.H_gradient.flatten(1)], 1)
    mask = torch.cat([task.W_mask.flatten(1), task.H_mask.flatten(1)], 1)
    spread = ((gradient - clean).square().sum(1) / mask.sum(1)).sqrt()
    torch.testing.assert_close(spread, task.noise, rtol=0.3, atol=0)
    assert ((gradient - clean) * (1 - mask)).abs().max() == 0


def test_a_factorisation_moves_to_the_nearest_allowed_point() -> None:
    access = accesses(started("nmf"))[0]
    assert isinstance(access, NMFAccess)
    task = access.task
    mask = torch.cat([task.W_mask.flatten(1), task.H_mask.flatten(1)], 1)
    wished = torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    access.place(wished)
    torch.testing.assert_close(access.parameters, wished.clamp_min(0) * mask, rtol=0, atol=0)
    np.testing.assert_array_equal(task.weights(), access.parameters)
    residual = task.W.double() @ task.H.double() - task.X.double()
    np.testing.assert_allclose(task.objective(), residual.square().sum((1, 2)) / 2, rtol=1e-5)


@EVERY
def test_a_look_elsewhere_between_two_steps_changes_nothing(name: str) -> None:
    mine, other = started(name), started(name)
    for mine_access, other_access in zip(accesses(mine), accesses(other), strict=True):
        lr = torch.full((len(mine_access.parameters),), 1e-4)
        for _ in range(4):
            access_step(mine_access, lr)
            access_step(other_access, lr)
            here = other_access.parameters
            other_access.place(nearby(other_access))
            other_access.place(here)
    np.testing.assert_array_equal(other.weights(), mine.weights())


@EVERY
def test_a_run_that_is_lost_touches_no_other(name: str) -> None:
    mine, other = started(name), started(name)
    for mine_access, other_access in zip(accesses(mine), accesses(other), strict=True):
        others = torch.arange(len(mine_access.parameters)) != 1
        lr = torch.full((len(others),), 1e-4)
        lost = other_access.parameters.clone()
        lost[1] = torch.nan
        other_access.place(lost)
        for _ in range(3):
            losses = access_step(mine_access, lr), access_step(other_access, lr)
            torch.testing.assert_close(losses[1][others], losses[0][others], rtol=0, atol=0)
            assert losses[1][1].isnan()
        torch.testing.assert_close(other_access.parameters[others], mine_access.parameters[others], rtol=0, atol=0)


@EVERY
def test_the_bound_is_that_of_the_drawn_mini_batch(name: str) -> None:
    for access in accesses(started(name)):
        for _ in range(40):  # each call refines the bound of a factorisation
            before = access.largest_lr()
        access.draw()
        torch.testing.assert_close(access.largest_lr(), before, rtol=1e-3, atol=0)
        if name.startswith("net"):
            assert access.largest_lr().isinf().all()
