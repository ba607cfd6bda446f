"""Guards leave no trace, measure what they say, and keep runs with an absurd LR from diverging."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from lrpilot import LearnedLR
from lrpilot.theory.guards import Guard, batch_sharpness_bound, ntk_bound
from lrpilot.theory.sharpness import sharpness

WANTED = 100.0  # about 100 times what these networks bear: 2 over their sharpness is .7 to 1.5


class Task:
    """A small network and the mini-batches of a regression task; the batch stays the same until `draw`."""

    def __init__(self, seed: int, activation: type[nn.Module] = nn.Tanh, classes: int = 0) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            hidden = (nn.Linear(8, 32), activation(), nn.Linear(32, 32), activation())
            self.model = nn.Sequential(*hidden, nn.Linear(32, classes or 1))
            self.X = torch.randn(128, 8)
            scores = self.X @ torch.randn(8, classes or 1)
        self.Y = scores.argmax(1) if classes else scores.sin()
        self.classes = classes
        self.draw()

    def draw(self) -> None:
        self.batch = torch.randint(128, (16,), generator=self.rng)

    def inputs(self) -> Tensor:
        return self.X[self.batch]

    def loss(self) -> Tensor:
        return self.of(self.inputs(), self.Y[self.batch])

    def whole(self) -> float:
        return float(self.of(self.X, self.Y).detach())

    def of(self, X: Tensor, Y: Tensor) -> Tensor:
        return (
            nn.functional.cross_entropy(self.model(X), Y) if self.classes else (self.model(X) - Y).square().mean() / 2
        )


def train(task: Task, guard: Guard, steps: int = 100, share: float = 1.0, momentum: float = 0.0) -> float:
    """Final loss over first, of SGD with the LR that is wanted, clipped to a share of the bound."""
    optimizer = torch.optim.SGD(task.model.parameters(), 1.0, momentum=momentum)
    before = task.whole()
    for _ in range(steps):
        task.draw()
        optimizer.param_groups[0]["lr"] = min(WANTED, share * guard())
        optimizer.zero_grad()
        task.loss().backward()
        optimizer.step()
    return task.whole() / before


def sharpness_guard(task: Task) -> Guard:
    return batch_sharpness_bound(task.model, task.loss)


def kernel_guard(task: Task) -> Guard:
    return ntk_bound(task.model, task.inputs, output_curvature=0.5 if task.classes else 1.0)


def no_guard(task: Task) -> Guard:
    return lambda: math.inf


GUARDS = (sharpness_guard, kernel_guard)


def diverged(ratios: list[float]) -> int:
    return sum(not ratio < 10 for ratio in ratios)


def runs(make: Callable[[Task], Guard], activation: type[nn.Module], share: float = 1.0) -> list[float]:
    return [train(task := Task(seed, activation), make(task), share=share) for seed in range(20)]


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_an_absurd_lr_does_not_diverge_under_the_sharpness_guard(activation: type[nn.Module]) -> None:
    ratios = runs(sharpness_guard, activation)
    assert diverged(ratios) == 0
    assert sum(ratio < 1 for ratio in ratios) >= 14  # at the very edge not every run makes progress


def test_half_of_the_kernel_bound_does_not_diverge() -> None:
    ratios = runs(kernel_guard, nn.Tanh, share=0.5)
    assert diverged(ratios) == 0
    assert sum(ratio < 1 for ratio in ratios) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_the_whole_kernel_bound_is_less_safe(activation: type[nn.Module]) -> None:
    """It leaves out ∇²f: 1 of 20 runs with tanh diverges, 0 of 20 with ReLU."""
    assert diverged(runs(kernel_guard, activation)) <= 2


@pytest.mark.slow
def test_one_mini_batch_without_memory_is_no_guard() -> None:
    """The reason for `keep`, and for measuring at each of the first calls: without both most runs diverge."""

    def forgetful(task: Task) -> Guard:
        fresh = batch_sharpness_bound(task.model, task.loss, every=1, products=1, keep=0.0)
        held = [0.0, 0.0]  # calls, bound

        def guard() -> float:
            if held[0] % 10 == 0:
                held[1] = fresh()
            held[0] += 1
            return held[1]

        return guard

    assert diverged(runs(forgetful, nn.Tanh)) >= 15


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_without_a_guard_it_does(activation: type[nn.Module]) -> None:
    assert diverged(runs(no_guard, activation)) == 20


class Awkward(nn.Module):
    """Batch norm and dropout: running statistics and random numbers that a measurement must not touch."""

    def __init__(self) -> None:
        super().__init__()
        layers = (nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.layers(inputs)
        return result


def fit(guard_of: Callable[[nn.Module, Tensor], Guard] | None) -> list[Tensor]:
    """All state after ten steps with a fixed LR; the guard is called but not obeyed."""
    torch.manual_seed(5)
    model = Awkward()
    X, Y = torch.randn(16, 6), torch.randn(16, 1)
    guard = guard_of(model, X) if guard_of else lambda: 1.0
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    for _ in range(10):
        optimizer.zero_grad()
        (model(X) - Y).square().mean().backward()
        with torch.no_grad():
            assert 0 < guard() < math.inf
        optimizer.step()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return [*model.state_dict().values(), *gradients, torch.get_rng_state(), torch.tensor(model.training)]


@pytest.mark.parametrize(
    "guard_of",
    [
        lambda model, X: batch_sharpness_bound(model, lambda: model(X).square().mean(), every=2),
        lambda model, X: ntk_bound(model, lambda: X, every=2),
    ],
)
def test_a_measurement_leaves_no_trace(guard_of: Callable[[nn.Module, Tensor], Guard]) -> None:
    for mine, alone in zip(fit(guard_of), fit(None), strict=True):
        assert torch.equal(mine, alone)


@pytest.mark.parametrize("make", GUARDS)
def test_a_diverged_model_has_no_bound(make: Callable[[Task], Guard]) -> None:
    for value in (math.nan, 1e30):  # 1e30: the outputs are finite for ReLU, their squares are not
        task = Task(0, nn.ReLU)
        guard = make(task)
        assert 0 < guard() < math.inf
        nn.init.constant_(task.model[0].weight, value)
        assert not math.isfinite(guard())


def test_evaluation_mode_stays() -> None:
    model = Awkward().eval()
    batch_sharpness_bound(model, lambda: model(torch.randn(4, 6)).square().mean())()
    assert not any(module.training for module in model.modules())


def quadratic(eigenvalues: list[float]) -> tuple[nn.Module, Callable[[], Tensor]]:
    """½ Σ λᵢ wᵢ² as a model: its parameters are w."""
    model = nn.Linear(len(eigenvalues), 1, bias=False).double()
    nn.init.ones_(model.weight)
    curvature = torch.tensor(eigenvalues, dtype=torch.float64)
    return model, lambda: (curvature * model.weight.square()).sum() / 2


def test_one_product_is_the_batch_sharpness_and_many_are_the_sharpness() -> None:
    model, loss = quadratic([1.0, 3.0, 4.0])
    assert batch_sharpness_bound(model, loss, products=1)() == pytest.approx(2 * (1 + 9 + 16) / (1 + 27 + 64))
    assert batch_sharpness_bound(model, loss, products=3)() == pytest.approx(2 / sharpness(loss, [model.weight]))


def test_it_measures_every_call_at_first_then_holds_and_forgets_slowly() -> None:
    model, seen = nn.Linear(1, 1, bias=False).double(), iter([4.0, 8.0, 1.0, 1.0])
    nn.init.ones_(model.weight)

    def loss() -> Tensor:
        return next(seen) * model.weight.square().sum() / 2

    guard = batch_sharpness_bound(model, loss, every=2, keep=0.5)
    assert [guard() for _ in range(6)] == [0.5, 0.25, 0.5, 0.5, 1.0, 1.0]


def test_zero_negative_and_broken_curvature() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    factors: Iterator[float] = iter([0.0, -4.0, -4.0, math.nan, 2.0])

    def loss() -> Tensor:
        return next(factors) * model.weight.square().sum() / 2

    guard = batch_sharpness_bound(model, loss, every=1, keep=0.25)
    limits = [guard() for _ in range(5)]
    assert limits[:3] == [math.inf, 0.5, 2.0]  # no scale yet; the modulus as a scale; no new limit, so it fades
    assert math.isnan(limits[3])
    assert limits[4] == 1.0  # the broken measurement left no trace


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_heavy_ball_edges_on_a_quadratic(beta: float) -> None:
    """ntk_bound is the edge itself, 2(1 + β)/λ; batch_sharpness_bound lies below it by (1 − β)/(1 + β)."""
    X = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))

    def after(multiple: float, guard_of: Callable[[nn.Module, Callable[[], Tensor]], Guard]) -> float:
        model = nn.Linear(3, 1, bias=False).double()
        nn.init.ones_(model.weight)

        def loss() -> Tensor:
            return model(X).square().sum() / 6

        lr = multiple * guard_of(model, loss)()
        optimizer = torch.optim.SGD(model.parameters(), lr, momentum=beta)
        for _ in range(1_500):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        return float(loss().detach())

    def kernel(model: nn.Module, loss: Callable[[], Tensor]) -> Guard:
        return ntk_bound(model, lambda: X, momentum=beta)

    assert after(0.98, kernel) < 1e-6
    assert after(1.02, kernel) > 1e6
    assert after(0.98, lambda model, loss: batch_sharpness_bound(model, loss, momentum=beta)) < 1e-6


@pytest.mark.parametrize("make", GUARDS)
def test_they_are_bounds_of_learned_lr(make: Callable[[Task], Guard]) -> None:
    task = Task(0)
    guard = make(task)
    optimizer = torch.optim.SGD(task.model.parameters(), WANTED)
    scheduler = LearnedLR(optimizer, "nmf", horizon=100, bound=guard)
    before = task.whole()
    for _ in range(100):
        optimizer.zero_grad()
        loss = task.loss()
        loss.backward()
        optimizer.step()
        task.draw()
        scheduler.step(loss.item())
    assert task.whole() < before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"every": 0}, "every must be at least 1"), ({"keep": 1.5}, "keep must lie"), ({"momentum": 1.0}, "momentum in")],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, float], message: str) -> None:
    model, loss = quadratic([1.0])
    with pytest.raises(ValueError, match=message):
        batch_sharpness_bound(model, loss, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output_curvature must be positive"):
        ntk_bound(model, lambda: torch.ones(1, 1), output_curvature=0.0)
