"""Hypergradient descent against torch's optimizers and the rule in plain numbers, and where its LRs go."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from lrpilot.experiments.league.rules.hypergradient import Hypergradient, Per, shapes
from tests.experiments.league.accesses import Quadratics, random_quadratics

RUNS, SIZE, STEPS = 3, 4, 25
TORCH: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, momentum=0.7, weight_decay=0.1),
    "nesterov": partial(torch.optim.SGD, momentum=0.7, weight_decay=0.1, nesterov=True),
    "adamw": partial(torch.optim.AdamW, betas=(0.7, 0.999), weight_decay=0.1),
}


def reference(
    optimizer: str, A: Tensor, start: Tensor, lr: float, beta: float, steps: int
) -> tuple[Tensor, list[float]]:
    """One run in the letters of the paper: d is how far torch's optimizer went over the LR it had."""
    w = start.clone().requires_grad_()
    torchs = TORCH[optimizer]([w], lr=lr)
    alpha, d, alphas = lr, torch.zeros_like(start), []
    for _ in range(steps):
        g = A @ w.detach()
        if d.any():
            alpha *= 1 + beta * float(g @ d) / (float(g @ g) * float(d @ d)) ** 0.5
        torchs.param_groups[0]["lr"], w.grad = alpha, g
        before = w.detach().clone()
        torchs.step()
        d = (before - w.detach()) / alpha
        alphas.append(alpha)
    return w.detach(), alphas


@pytest.mark.parametrize("optimizer", TORCH)
def test_one_lr_a_run_is_the_rule_around_the_optimizers_of_torch(optimizer: str) -> None:
    A, start = random_quadratics(RUNS, SIZE)
    lrs = torch.tensor([0.01, 0.05, 0.2], dtype=torch.float64)
    access = Quadratics(A, start, optimizer, momentum=0.7, weight_decay=0.1)
    rule, taken = Hypergradient(access, beta=0.1), []
    for step in range(STEPS):
        rule.step(lrs if step == 0 else 7 * lrs)  # only the first base LR counts
        taken.append(rule.lr)
    for run in range(RUNS):
        w, alphas = reference(optimizer, A[run], start[run], float(lrs[run]), 0.1, STEPS)
        assert len(set(alphas)) > 10
        torch.testing.assert_close(torch.stack(taken)[:, run], torch.tensor(alphas, dtype=torch.float64))
        torch.testing.assert_close(access.parameters[run], w)
    assert rule.passes == access.calls["gradient"] == STEPS


@pytest.mark.parametrize("per", ["run", "block", "parameter"])
def test_on_a_parabola_the_lr_moves_by_beta_towards_one_over_the_curvature(per: Per) -> None:
    curvatures = torch.tensor([4.0, 4.0], dtype=torch.float64)
    access = Quadratics(curvatures[:, None, None], torch.ones(2, 1, dtype=torch.float64))
    rule = Hypergradient(access, beta=0.1, per=per)
    first = torch.tensor([0.25 / 8, 0.25 * 1.9], dtype=torch.float64)
    for _ in range(5):
        rule.step(first)
    torch.testing.assert_close(rule.lr, first * torch.tensor([1.1**4, 0.9**4], dtype=torch.float64))
    for _ in range(100):
        rule.step(first)
    assert ((rule.lr > 0.9 * 0.25) & (rule.lr < 1.1 * 0.25)).all()


def test_blocks_and_parameters_that_do_not_touch_are_runs_of_their_own() -> None:
    A, start = random_quadratics(2, 3, seed=1)
    lr = torch.tensor([0.1], dtype=torch.float64)
    joint = Quadratics(torch.block_diag(*A)[None], start.reshape(1, 6), blocks=[3, 3])
    apart = Quadratics(A, start)
    together, separate = Hypergradient(joint, 0.1, "block"), Hypergradient(apart, 0.1)
    diagonal = torch.rand(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 15
    in_one = Quadratics(diagonal.diag()[None], start.reshape(1, 6))
    in_six = Quadratics(diagonal[:, None, None], start.reshape(6, 1))
    each, scalar = Hypergradient(in_one, 0.1, "parameter"), Hypergradient(in_six, 0.1)
    for _ in range(STEPS):
        for rule, runs in ((together, 1), (separate, 2), (each, 1), (scalar, 6)):
            rule.step(lr.expand(runs))
    torch.testing.assert_close(joint.parameters.reshape(2, 3), apart.parameters)
    torch.testing.assert_close(in_one.parameters.reshape(6, 1), in_six.parameters)
    torch.testing.assert_close(together.lr, separate.lr.mean(0, keepdim=True))
    assert each.rates.unique().numel() > 3
    assert separate.lr[0] != separate.lr[1]


@pytest.mark.parametrize("per", ["run", "block", "parameter"])
def test_no_gradient_leaves_the_lr_and_a_lost_run_touches_no_other(per: Per) -> None:
    A, start = random_quadratics(3, SIZE)
    still, lr = start.clone(), torch.full((3,), 0.1, dtype=torch.float64)
    still[1], still[2] = 0, torch.nan
    access, alone = Quadratics(A, still, blocks=[1, 3]), Quadratics(A[:1], start[:1], blocks=[1, 3])
    rule, other = Hypergradient(access, per=per), Hypergradient(alone, per=per)
    for _ in range(3):
        rule.step(lr)
        other.step(lr[:1])
    assert torch.equal(access.parameters[:1], alone.parameters)
    assert rule.lr[1] == lr[1]
    assert not access.parameters[1].any()
    assert access.parameters[2].isnan().all()


def test_beta_zero_is_a_constant_lr() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    lr = torch.full((RUNS,), 0.1, dtype=torch.float64)
    rule = Hypergradient(Quadratics(A, start, noise=1.0), beta=0.0)
    for _ in range(5):
        rule.step(lr)
    assert torch.equal(rule.lr, lr)


@pytest.mark.parametrize("per", ["run", "block", "parameter"])
def test_shapes_differ_in_beta_alone(per: Per) -> None:
    access = Quadratics(*random_quadratics(1, SIZE))
    rules = [make(access) for make in shapes(per).values()]
    assert all(isinstance(rule, Hypergradient) and rule.per == per for rule in rules)
    assert len({rule.beta for rule in rules if isinstance(rule, Hypergradient)}) == len(rules)
