"""GreedyLR: every bound against measured runs, and against constants that must fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import huber_loss, softplus

from lrpilot.theory import greedy
from lrpilot.theory.greedy import GreedyRun, ValueAndGradient, greedy_descent, greedy_lr

FACTORS, SEEDS = st.floats(0.2, 0.95), st.integers(0, 14)
LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "square": lambda z: z.square() / 2,
    "huber": lambda z: huber_loss(z, torch.zeros_like(z), reduction="none"),
    "log cosh": lambda z: softplus(2 * z) - z - math.log(2),
    "softplus": softplus,
    "waves": lambda z: 1 - torch.cos(z),
}
CONVEX = [name for name in LINKS if name != "waves"]
SMOOTH = ["waves", "huber", "log cosh"]


class Problem(NamedTuple):
    """f(x) = Σ link(Ax − b) + ½ ridge ‖x‖²; its smoothness and a minimiser."""

    f: ValueAndGradient
    x: Tensor
    smoothness: float
    minimiser: Tensor

    @property
    def distance(self) -> float:
        return float((self.x - self.minimiser).norm())

    def gap(self, x: Tensor) -> float:
        return float(self.f(x)[0] - self.f(self.minimiser)[0])


def problem(link: str, A: Tensor, b: Tensor, x: Tensor, ridge: float = 0.0) -> Problem:
    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        z = (A @ x - b).requires_grad_()
        total = LINKS[link](z).sum()
        (slope,) = torch.autograd.grad(total, z)
        return total.detach() + ridge * x.square().sum() / 2, A.T @ slope + ridge * x

    best = x
    if link in CONVEX:
        options = {"maxiter": 500, "gtol": 1e-10}
        found = minimize(lambda x: [part.numpy() for part in f(torch.tensor(x))], x, jac=True, options=options)
        best = torch.tensor(found.x)
    top = float(torch.linalg.matrix_norm(A, 2)) ** 2 * (0.25 if link == "softplus" else 1.0) + ridge
    return Problem(f, x, top, best)


@cache
def random_problem(link: str, seed: int) -> Problem:
    rng = torch.Generator().manual_seed(seed)
    A, b, x = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((20, 6), (20,), (6,)))
    A, b, x = A * torch.logspace(0, -(seed % 3), 6), 2 * b, 2 * x
    return problem(link, A, b, x, ridge=0.01 if link == "softplus" else 0.0)


def breast_cancer() -> Problem:  # logistic regression on real data: softplus(−y a·x), y = ±1
    A, y = load_breast_cancer(return_X_y=True)
    A = torch.tensor(StandardScaler().fit_transform(A)) * (1 - 2 * torch.tensor(y))[:, None] / len(y) ** 0.5
    return problem("softplus", A, torch.zeros(len(A)).double(), torch.zeros(A.shape[1]).double(), ridge=0.01)


def diagonal(eigenvalues: Tensor) -> ValueAndGradient:
    return lambda x: ((eigenvalues * x.square()).sum() / 2, eigenvalues * x)


ONE = torch.ones(1, dtype=torch.float64)
PARABOLA = diagonal(ONE)  # L = 1


def huber_of_slope(slope: float) -> ValueAndGradient:
    """Smoothness 1, one dimension, minimum 0 at 0."""
    return lambda x: (huber_loss(x, 0 * x, delta=slope, reduction="sum"), x.clamp(-slope, slope))


def gaps(case: Problem, run: GreedyRun) -> tuple[Tensor, Tensor]:
    """Mean gap and gap of the average iterate after T = 1, 2, … steps, each of shape (T,)."""
    steps = torch.arange(1, len(run.lr) + 1)
    means = run.x[:-1].cumsum(0) / steps[:, None]
    lowest = case.f(case.minimiser)[0]
    mean_gap = (run.loss[:-1] - lowest).cumsum(0) / steps
    return mean_gap, torch.stack([case.f(mean)[0] for mean in means]) - lowest


@given(lr=st.floats(1e-6, 1e3), improved=st.booleans(), factor=FACTORS)
def test_the_rule_is_the_same_on_floats_and_tensors(lr: float, improved: bool, factor: float) -> None:
    tensor = greedy_lr(torch.tensor(lr, dtype=torch.float64), torch.tensor(improved), factor, 1e-3, 10.0)
    assert float(tensor) == greedy_lr(lr, improved, factor, 1e-3, 10.0)
    assert (greedy_lr(lr, improved, factor) > lr) == improved


def test_mean_gap_and_average_iterate_stay_below_the_bound_on_53_problems() -> None:
    slopes = []
    cases = [random_problem(link, seed) for link in CONVEX for seed in range(13)] + [breast_cancer()]
    for number, case in enumerate(cases):
        cap, start = (0.3, 1.0, 1.5, 1.9)[number % 4] / case.smoothness, 0.05 / case.smoothness
        run = greedy_descent(case.f, case.x, start, 0.8, 100, lr_max=cap)
        mean_gap, average_gap = gaps(case, run)
        bound = greedy.average_gap_bound(case.distance, start, cap, case.smoothness, 1)
        assert (mean_gap <= bound / torch.arange(1, 101, dtype=torch.float64)).all()
        assert (average_gap <= mean_gap + 1e-9).all()
        slopes.append(float((average_gap[99] / average_gap[49]).log2()))
    assert torch.tensor(slopes).quantile(0.5) <= -0.9
    assert max(slopes) < 0


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_the_bound_is_attained_by_a_huber_function_so_no_smaller_constant_holds(steps: int) -> None:
    run = greedy_descent(huber_of_slope(1 / steps), ONE, 1.0, 0.5, steps, lr_max=1.0)
    gap = float(huber_of_slope(1 / steps)(run.x[:-1].mean(0))[0])
    assert gap == pytest.approx(greedy.average_gap_bound(1.0, 1.0, 1.0, 1.0, steps), rel=1e-9)


@pytest.mark.parametrize("lr", [1.0, 1.3, 1.8, 1.95])
def test_beyond_one_over_L_the_mean_gap_on_a_quadratic_attains_it(lr: float) -> None:
    run = greedy_descent(PARABOLA, ONE, lr, 0.5, 400, lr_max=lr)
    assert 1 / 1.01 < run.loss[:-1].mean() / greedy.average_gap_bound(1.0, lr, lr, 1.0, 400) <= 1 + 1e-12


@settings(max_examples=100, deadline=None)
@given(link=st.sampled_from(CONVEX), seed=SEEDS, multiple=st.floats(0.01, 1.99), shift=st.floats(-3, 3))
def test_a_convex_step_moves_closer_as_proved(link: str, seed: int, multiple: float, shift: float) -> None:
    case = random_problem(link, seed)
    x, eta = case.x + shift, multiple / case.smoothness
    after = (x - eta * case.f(x)[1] - case.minimiser).square().sum()
    drop = 2 * eta * min(1.0, 2 - multiple) * case.gap(x)
    assert after <= (x - case.minimiser).square().sum() * (1 + 1e-9) - drop + 1e-9


def resolved(case: Problem, run: GreedyRun) -> int:
    """Steps until the promised decrease is close to the rounding errors of the loss."""
    promised = torch.stack([case.f(x)[1].square().sum() for x in run.x[:-1]]) * run.lr
    lost = (promised < 1e-9 * (1 + run.loss[:-1].abs())) | ~run.loss[:-1].isfinite()
    return int(lost.int().argmax()) if lost.any() else len(lost)


@settings(max_examples=50, deadline=None)
@given(link=st.sampled_from(SMOOTH), seed=SEEDS, log_start=st.floats(-3, 1), factor=FACTORS)
def test_lrs_and_their_sum_stay_above_their_floors(link: str, seed: int, log_start: float, factor: float) -> None:
    case = random_problem(link, seed)
    start = 10**log_start / case.smoothness
    run = greedy_descent(case.f, case.x, start, factor, 60)
    lr = run.lr[: resolved(case, run)]
    assert (lr >= greedy.lr_floor(start, factor, case.smoothness) * (1 - 1e-12)).all()
    assert lr.sum() >= greedy.guaranteed_lr_sum(start, factor, case.smoothness, len(lr)) * (1 - 1e-12)
    climb = greedy.climb_steps(max(1.0, 2 / (case.smoothness * start)), factor)
    assert (lr[: climb + 1].diff() > 0).all()
    assert (lr[climb : climb + 1] >= 2 / case.smoothness * (1 - 1e-12)).all()


def test_the_floor_is_attained_so_no_higher_one_holds() -> None:
    start = 0.5**10 * 2.0001  # reaches 2.0001 / L, is cut there, and ends just above 2F / L
    run = greedy_descent(PARABOLA, ONE, start, 0.5, 40)
    assert 1 <= run.lr[greedy.climb_steps(2 / start, 0.5) :].min() / greedy.lr_floor(10.0, 0.5, 1.0) < 1.001


@settings(max_examples=100, deadline=None)
@given(link=st.sampled_from(SMOOTH), seed=SEEDS, multiple=st.floats(0.1, 50))
def test_one_step_raises_the_gap_by_no_more_than_its_factor(link: str, seed: int, multiple: float) -> None:
    case = random_problem(link, seed)
    lowest = torch.zeros(()) if link == "waves" else case.f(case.minimiser)[0]
    loss, gradient = case.f(case.x)
    after = case.f(case.x - multiple / case.smoothness * gradient)[0]
    assert after - lowest <= (loss - lowest) * greedy.largest_raise(multiple, 1.0) * (1 + 1e-9) + 1e-9


def loss_raiser(factor: float, climb: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues (1, μ) and a start from which the LR climbs from 0.7 to 1/μ before f rises, then by κ/F − 1 in x."""
    lr = 0.7 * factor ** -torch.arange(climb + 1.0, dtype=torch.float64)
    mu = 1 / lr[-1]
    flat = (1 - lr[:-1] * mu).prod()
    sharp = (mu / 2).sqrt() * flat / (1 - lr).prod()  # half of the flat part's last loss, once the LR has climbed
    return torch.stack([torch.ones(()), mu]), torch.stack([sharp, torch.ones(())])


@pytest.mark.parametrize("climb", [8, 20])
def test_without_a_cap_one_step_can_raise_the_loss_by_the_squared_condition_number(climb: int) -> None:
    factor = 0.6
    eigenvalues, start = loss_raiser(factor, climb)
    f, kappa = diagonal(eigenvalues), 1 / float(eigenvalues[1])
    run = greedy_descent(f, start, 0.7, factor, climb + 2)
    assert (run.loss[1:-1] < run.loss[:-2]).all()
    assert float(run.loss[-1] / run.loss[-2]) == pytest.approx((kappa / factor - 1) ** 2, rel=1e-6)
    assert run.loss[-1] > 10 * run.loss[0]
    kept = greedy_descent(f, start, 0.7, factor, climb + 2, reject=True)
    assert (kept.loss[1:] <= kept.loss[:-1]).all()


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.8, 0.9])
def test_without_a_cap_the_stated_share_of_starting_lrs_diverges_on_a_parabola(factor: float) -> None:
    diverged = 0
    for offset in range(200):
        start = 0.5 * factor ** ((offset + 0.5) / 200)
        run = greedy_descent(PARABOLA, ONE, start, factor, 70)  # the last 40 steps are 20 whole cycles
        diverged += bool(run.loss[-1] > run.loss[-41])
    assert diverged / 200 == pytest.approx(greedy.diverging_share(factor), abs=0.01)


def test_against_the_best_loss_so_far_the_floor_is_lost_and_the_lr_collapses() -> None:
    eigenvalues, x = loss_raiser(0.6, 8)
    f, lr = diagonal(eigenvalues), 0.7
    best = first = f(x)[0]
    for _ in range(200):
        x = x - lr * f(x)[1]
        loss = f(x)[0]
        lr, best = greedy_lr(lr, bool(loss < best), 0.6), torch.minimum(best, loss)
    assert lr < 1e-30 * greedy.lr_floor(0.7, 0.6, 1.0)
    assert loss > 10 * first


@settings(max_examples=40, deadline=None)
@given(link=st.sampled_from(CONVEX), seed=SEEDS, log_start=st.floats(-3, 3), factor=FACTORS)
def test_rejecting_steps_gives_a_rate_without_L(link: str, seed: int, log_start: float, factor: float) -> None:
    case = random_problem(link, seed)
    start = 10**log_start / case.smoothness
    run = greedy_descent(case.f, case.x, start, factor, 60, reject=True)
    steps = resolved(case, run)
    assert (run.loss[1:] <= run.loss[:-1]).all()
    accepted = (run.x[1 : steps + 1] != run.x[:steps]).any(1)
    assert (run.lr[:steps] >= greedy.lr_floor(start, factor / 2, case.smoothness) * (1 - 1e-12)).all()
    excess = max(0.0, math.log(start * case.smoothness / factor) / -math.log(factor))
    assert (~accepted).sum() <= accepted.sum() + excess + 1
    if accepted.any():
        bound = case.distance**2 / (2 * float(run.lr[:steps][accepted].sum()))
        assert case.gap(run.x[steps]) <= bound * (1 + 1e-9)


@pytest.mark.parametrize(("times_too_low", "steps"), [(4.0, 50), (64.0, 50), (64.0, 1_000), (1e4, 1_000)])
def test_safest_factor_has_the_largest_guarantee(times_too_low: float, steps: int) -> None:
    best = greedy.safest_factor(times_too_low, steps)
    start = 2 / times_too_low
    sums = [greedy.guaranteed_lr_sum(start, factor, 1.0, steps) for factor in torch.linspace(0.01, 0.999, 500).tolist()]
    assert 0.999 < max(sums) / greedy.guaranteed_lr_sum(start, best, 1.0, steps) <= 1


GRID = tuple(0.05 * step for step in range(4, 20))


def best_factor(scale: float, eigenvalues: Tensor, start: Tensor) -> tuple[float, list[GreedyRun]]:
    f = diagonal(scale * eigenvalues)
    runs = [greedy_descent(f, start, 0.1 / scale, factor, 100) for factor in GRID]
    return min(zip(GRID, runs, strict=True), key=lambda pair: float(pair[1].loss[-1]))[0], runs


def test_the_best_factor_is_the_same_at_every_scale_so_theorem_a2_cannot_hold() -> None:
    eigenvalues = torch.logspace(0, -2, 10, dtype=torch.float64)
    start = torch.randn(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    best, reference = best_factor(1.0, eigenvalues, start)
    for scale in (0.5, 4.0, 1024.0, 2.0**13, 10_000.0):
        again, runs = best_factor(scale, eigenvalues, start)
        assert again == best
        exact = math.log2(scale).is_integer()
        for run, other in zip(runs, reference, strict=True):
            torch.testing.assert_close(run.x, other.x, rtol=0 if exact else 1e-9, atol=0 if exact else 1e-12)
    # so F = 1 − 1/L would have to be −1 at L = 0.5, 0.75 at 4 and 0.9999 at 10,000: the same runs, all of them


def test_coin_flips_end_in_the_stated_distribution() -> None:
    for p in (0.3, 0.5, 0.55):
        chain = torch.diag(torch.full((5,), p), 1) + torch.diag(torch.full((5,), 1 - p), -1)
        chain[0, 0], chain[5, 5] = 1 - p, p
        distribution = greedy.coin_flip_distribution(p, 6)
        torch.testing.assert_close(distribution @ chain, distribution)


def steps_up(losses: Tensor, against_best: bool) -> Tensor:
    """Net number of rises of the LR after losses (T + 1, runs), shape (runs,), without bounds."""
    lr, before = torch.ones_like(losses[0]), losses[0]
    for loss in losses[1:]:
        lr = greedy_lr(lr, loss < before, 0.9)
        before = torch.minimum(loss, before) if against_best else loss
    return lr.log() / -math.log(0.9)


def test_at_the_noise_floor_the_log_lr_is_a_random_walk_and_against_the_best_loss_it_collapses() -> None:
    losses = torch.randn(201, 4_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    last = steps_up(losses, against_best=False)
    assert abs(float(last.mean())) < 4 * math.sqrt(202 / 3 / 4_000)
    assert float(last.var()) == pytest.approx((200 + 2) / 3, rel=0.1)  # a coin's would be 200
    records = sum(1 / k for k in range(2, 202))
    assert float(steps_up(losses, against_best=True).mean()) == pytest.approx(2 * records - 200, abs=0.3)
