"""The linear task against SGD on the expanded network itself, in the space of its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from lrpilot.envs import Decisions, LinearProblems
from lrpilot.envs.data.labelled import list_labelled, load_labelled
from lrpilot.envs.families import make_process
from lrpilot.envs.tasks.linear.pretrained import Expansion, _expand, expansions
from lrpilot.envs.tasks.linear.problems import draw
from lrpilot.envs.tasks.linear.task import LinearTask

SMALL = LinearProblems(networks=3, rows=(24, 40))
DATA = ("iris",)


def task(size: int, seed: int = 0, problems: LinearProblems = SMALL, replicas: int = 1) -> LinearTask:
    made = LinearTask(problems, size, DATA, replicas)
    made.reset(np.random.default_rng(seed))
    return made


def test_expansion_is_the_first_order_of_the_network() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(0.1), nn.Linear(5, 4)).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    outputs, kernel = _expand(network, x)
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    change = {name: 1e-5 * torch.randn_like(weight) for name, weight in weights.items()}
    moved = functional_call(network, {name: weights[name] + change[name] for name in weights}, (x,))
    jacobian = jacrev(lambda w: functional_call(network, w, (x,)))(weights)
    flat = torch.cat([part.flatten(2) for part in jacobian.values()], -1).reshape(24, -1)
    delta = torch.cat([change[name].flatten() for name in weights])
    np.testing.assert_allclose(moved.detach().numpy().ravel(), outputs.ravel() + (flat @ delta).numpy(), atol=1e-8)
    np.testing.assert_allclose(kernel.reshape(24, 24), (flat @ flat.mT).numpy(), rtol=1e-5, atol=1e-6)


class WeightSpace:
    """The slow reference: mini-batch SGD on (1/2N)‖r₀ + Jδ‖² + (λ/2)‖δ‖² for one problem, in the task's letters."""

    def __init__(self, made: LinearTask, index: int) -> None:
        self.J = made.features[index].double()  # J V: the rest of the weights is never moved by a gradient
        self.r0 = made.residual[index, :, 0].double() - self.J @ made.optimum[index, :, 0].double()
        self.decay = made.weight_decay[index, 0, 0].double()
        self.delta = torch.zeros(self.J.shape[1], dtype=torch.float64)
        self.count = float(made.examples[index])

    def loss(self, rows: Tensor, size: float) -> Tensor:
        residual = (self.r0 + self.J @ self.delta) * rows
        return residual.square().sum() / size / 2 + self.decay * self.delta.square().sum() / 2

    def gradient(self, rows: Tensor, size: float) -> Tensor:
        return self.J.mT @ ((self.r0 + self.J @ self.delta) * rows) / size + self.decay * self.delta


def test_steps_are_those_of_the_weight_space(monkeypatch: pytest.MonkeyPatch) -> None:
    made = task(4)
    references = [WeightSpace(made, index) for index in range(4)]
    everything = torch.ones(made.example.shape[1], dtype=torch.float64)
    minimum = [ref.loss(everything, ref.count) - f for ref, f in zip(references, made.objective(), strict=True)]
    drawn: list[Tensor] = []
    original = made._draw_rows
    monkeypatch.setattr(made, "_draw_rows", lambda: drawn.append(original()) or drawn[-1])
    for _ in range(30):
        losses = made.sgd_step(0.5 * made.reference())
        norm_sq = made.gradient_sq()
        for index, ref in enumerate(references):
            rows, size = drawn[-1][index, :, 0].double(), float(made.batch[index])
            assert losses[index] == pytest.approx(float(ref.loss(rows, size)), rel=1e-3)
            gradient = ref.gradient(rows, size)
            assert norm_sq[index] == pytest.approx(float(gradient @ gradient), rel=1e-2)
            ref.delta = ref.delta - 0.5 * made.reference()[index] * gradient
    for ref, f, f_min in zip(references, made.objective(), minimum, strict=True):
        assert f == pytest.approx(float(ref.loss(everything, ref.count) - f_min), rel=1e-2)


def test_mini_batches_hold_whole_examples_and_the_right_number() -> None:
    made = task(16)
    for _ in range(5):
        rows = made._draw_rows()[..., 0]
        for index in range(16):
            taken = made.example[index][rows[index] > 0]
            assert len(taken.unique()) == int(made.batch[index])
            per_example = torch.bincount(made.example[index][made.example[index] >= 0])[0]
            assert len(taken) == int(made.batch[index]) * int(per_example)


def test_the_minimum_is_one() -> None:
    """At z = 0 the full gradient vanishes, and the objective counts from there."""
    made = task(16, problems=replace(SMALL, batch_fractions=(1.0,)))
    made.z = torch.zeros_like(made.z)
    made.sgd_step(np.zeros(16))
    scale = (made.curvature.amax(1) * made._z_start.abs().amax(1, keepdim=True)).flatten()
    assert (made.gradient.abs().amax((1, 2)) <= 1e-4 * scale).all()
    assert (made.objective() == 0).all()


def test_full_batch_steps_are_stable_exactly_up_to_the_bound() -> None:
    made = task(64, problems=replace(SMALL, batch_fractions=(1.0,)))
    start = made.objective()
    bound = made.reference()
    for _ in range(400):
        made.sgd_step(0.98 * bound)
    assert (made.objective() < start).all()
    made.reset(np.random.default_rng(0))
    for _ in range(1500):
        made.sgd_step(1.02 * bound)
    assert (made.objective() > start).mean() > 0.95


def test_observations_do_not_depend_on_units() -> None:
    seen = []
    for scale in (1e-2, 1e2):
        process = make_process("linear", 8, replace(SMALL, scale=(scale, scale)), Decisions(), DATA)
        process.seed(3)
        process.reset()
        for _ in range(5):
            seen.append(process.step(np.full(8, 0.3)).observation)
    np.testing.assert_allclose(np.array(seen[:5]), np.array(seen[5:]), atol=2e-2)


def test_replicas_share_problem_and_mini_batches_and_restart_alone() -> None:
    made = task(6, replicas=3)
    for _ in range(4):
        losses = made.sgd_step(made.reference() / 2)
    np.testing.assert_array_equal(losses.reshape(2, 3), np.repeat(losses.reshape(2, 3)[:, :1], 3, 1))
    before = made.objective()
    made.reset(np.random.default_rng(1), np.array([True] + 5 * [False]))
    after = made.objective()
    assert after[0] > before[0]
    np.testing.assert_array_equal(after[1:], before[1:])


def test_pools_are_reproducible_and_problems_differ() -> None:
    first, again = expansions(DATA, 3), expansions.__wrapped__(DATA, 3)
    assert all((a.kernel == b.kernel).all() for a, b in zip(first, again, strict=True))
    batch = draw(SMALL, 8, np.random.default_rng(0), first)
    assert len(set(batch.smoothness.tolist())) == 8


def test_targets_and_kernel_reach_the_problem() -> None:
    jacobian = np.random.default_rng(1).normal(size=(80, 200))
    kernel = (jacobian @ jacobian.T).astype(np.float32)
    network = Expansion(np.zeros((20, 4)), kernel.reshape(20, 4, 20, 4), np.repeat(np.arange(4), 5))
    clean = replace(SMALL, label_noise=(0.0, 0.0), classes=(4, 4), rows=(80, 80), scale=(1.0, 1.0))
    batch = draw(clean, 1, np.random.default_rng(0), (network,))
    at_start = batch.residual[0] + batch.features[0] @ batch.start[0]
    targets = -at_start.reshape(20, 4)
    torch.testing.assert_close(targets.sum(0), torch.full((4,), 5.0, dtype=torch.float64))
    spectrum = np.linalg.eigvalsh((batch.features[0] @ batch.features[0].mT).numpy())
    np.testing.assert_allclose(spectrum, np.linalg.eigvalsh(kernel.astype(float)), rtol=1e-4)


@pytest.mark.parametrize("name", list_labelled())
def test_every_labelled_set_has_classes_for_its_samples(name: str) -> None:
    inputs, labels = load_labelled(name)
    assert len(inputs) == len(labels) > 100
    assert np.isfinite(inputs).all()
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
