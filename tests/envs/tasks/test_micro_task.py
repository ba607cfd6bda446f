"""Micro networks against the same networks alone in plain torch, and the promises of the task around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lrpilot.envs.tasks.micro.networks import NETWORKS
from lrpilot.envs.tasks.micro.problems import ALIGNED, MicroProblems
from lrpilot.envs.tasks.micro.samples import AbstractSource, Samples
from lrpilot.envs.tasks.micro.settings import draw_settings, draw_sources
from lrpilot.envs.tasks.micro.sources import Chain
from lrpilot.envs.tasks.micro.stream import Stream
from lrpilot.envs.tasks.micro.structure import draw_structure
from lrpilot.envs.tasks.micro.tables import Table
from lrpilot.envs.tasks.micro.task import MicroTask
from lrpilot.experiments.micro_plain import PLAIN, plain_loss

SMALL = MicroProblems(samples=(64, 256), held_out=16)
EXACT = replace(SMALL, lr_error=(1.0, 1.0))


def task(problems: MicroProblems = SMALL, size: int = 4, replicas: int = 1, seed: int = 0) -> MicroTask:
    made = MicroTask(problems, size, replicas=replicas)
    made.reset(np.random.default_rng(seed))
    return made


def only(name: str, problems: MicroProblems = SMALL) -> MicroProblems:
    return replace(problems, classes=(name,))


def one(made: MicroTask, samples: Samples, weights: Tensor, run: int) -> tuple[Tensor, Tensor]:
    """Loss and gradient of one run without replicas, by autograd in plain torch."""
    own = {name: view[run].clone().requires_grad_() for name, view in made.model.views(made.parameters).items()}
    mine, unused = Samples(samples.inputs[run], samples.targets[run]), made.settings.unused[run, :, 0]
    loss = plain_loss(made.structure.network, made.structure.loss, own, mine, weights, unused)
    return loss.detach(), torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(own.values()))])


def test_there_is_a_plain_form_of_every_class() -> None:
    assert {*PLAIN} == {*NETWORKS.values()}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_run_among_others_is_the_network_alone(name: str) -> None:
    seen = set()
    for seed in range(8):
        made = task(only(name), 2, seed=seed)
        samples = made.stream.next()
        weights = torch.full_like(made.settings.weights, 1 / made.structure.rows)
        losses, gradients = made.model.gradients(
            made.parameters, made.model.arranged(samples), weights, made.settings.unused
        )
        for run in range(2):
            expected, gradient = one(made, samples, weights[run], run)
            torch.testing.assert_close(losses[run], expected, rtol=1e-5, atol=1e-6)
            assert float((gradients[run] - gradient).norm()) <= 1e-3 * float(gradient.norm()) + 1e-7
        seen.add(made.structure.network.normalised)
    assert seen == ({False} if name in {"recurrent", "gated"} else {False, True})


@pytest.mark.parametrize("name", ["perceptron", "conv1d", "conv2d", "bag", "text_conv"])
def test_rows_that_do_not_count_change_nothing(name: str) -> None:
    made = task(only(name, replace(SMALL, normalised=1.0)), 2)
    samples, half = made.stream.next(), made.structure.rows // 2
    weights = (torch.arange(made.structure.rows) < half).float().repeat(2, 1) / half
    losses = made.model.losses(made.parameters, made.model.arranged(samples), weights, made.settings.unused)
    some = Samples(samples.inputs[:, :half], samples.targets[:, :half])
    for run in range(2):
        torch.testing.assert_close(losses[run], one(made, some, weights[run, :half], run)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_diverging_neighbour_changes_no_bit(name: str) -> None:
    quiet, disturbed = (task(only(name, EXACT), 4, replicas=2, seed=5) for _ in range(2))
    lr, others = 0.1 * quiet.reference(), np.array([0, 2, 3])
    wild = np.where(np.arange(4) == 1, 1e30, lr)
    for _ in range(6):
        losses, disturbed_losses = quiet.sgd_step(lr), disturbed.sgd_step(wild)
    disturbed.parameters[1] = torch.nan
    losses, disturbed_losses = quiet.sgd_step(lr), disturbed.sgd_step(wild)
    np.testing.assert_array_equal(losses[others], disturbed_losses[others])
    np.testing.assert_array_equal(quiet.weights()[others], disturbed.weights()[others])
    np.testing.assert_array_equal(quiet.objective()[others], disturbed.objective()[others])
    assert np.isnan(disturbed_losses[1])
    assert disturbed.objective()[1] == np.inf


@pytest.mark.parametrize("name", NETWORKS)
def test_replicas_share_all_but_the_lr(name: str) -> None:
    for seed in range(4):
        made = task(only(name, EXACT), 8, replicas=4, seed=seed)
        lr = 0.1 * made.reference()
        lr[2] *= 0.5
        for _ in range(10):
            losses = made.sgd_step(lr).reshape(2, 4)
        np.testing.assert_allclose(losses[:, [1, 3]], losses[:, [0, 0]], rtol=1e-5)
        np.testing.assert_allclose(made.objective()[[0, 4]], made.objective()[[3, 7]], rtol=1e-5)
        assert losses[1, 2] == pytest.approx(losses[1, 0], rel=1e-5)
        assert (made.weights()[2] != made.weights()[0]).any()
        assert losses[0, 0] != losses[1, 0]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_falls(name: str) -> None:
    problems = replace(only(name, EXACT), clean=1.0, clipped=0.0, weight_scale=(0.7, 1.4), normalised=1.0)
    better = []
    for seed in range(3):
        made = task(problems, 4 * 3, replicas=3, seed=seed)
        base, start = made.reference() * np.tile([0.2, 0.6, 2.0], 4), made.objective()
        for step in range(80):
            made.sgd_step(base * (1 - step / 80))
        better += list((made.objective() / start).reshape(4, 3).min(1))
    assert np.median(better) < 0.95
    assert max(better) < 1.5


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    for seed in range(4):
        first, again, other = (task(EXACT, 4, 2, s) for s in (seed, seed, seed + 50))
        for made in (first, again, other):
            for _ in range(3):
                made.sgd_step(made.reference())
        np.testing.assert_array_equal(first.weights(), again.weights())
        np.testing.assert_array_equal(first.hidden(), again.hidden())
        assert first.weights().shape != other.weights().shape or (first.weights() != other.weights()).any()
    global_state = torch.get_rng_state()
    task()
    assert torch.equal(global_state, torch.get_rng_state())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_reset_of_some_slots_leaves_the_others(name: str, replicas: int) -> None:
    made, untouched = (task(only(name), 4, replicas, seed=2) for _ in range(2))
    lr, slots = 0.1 * made.reference(), np.array([False, True, False, False])
    start = float(made.initial[1])
    for both in (made, untouched):
        both.sgd_step(lr)
    structure, error = made.structure, made.reference()[1]
    made.reset(np.random.default_rng(1), slots)
    assert made.structure is structure
    assert made.objective()[1] == made.initial[1]
    assert (float(made.initial[1]) == start) == (made.reference()[1] == error) == (replicas == 2)
    for _ in range(35):  # beyond the mini-batches that were prepared
        losses, expected = made.sgd_step(lr), untouched.sgd_step(lr)
    np.testing.assert_array_equal(losses[~slots], expected[~slots])
    np.testing.assert_array_equal(made.weights()[~slots], untouched.weights()[~slots])
    assert losses[1] != expected[1]
    assert np.isfinite(made.hidden()).all()


def test_the_objective_is_the_loss_on_held_out_samples_and_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("perceptron", "attention_lm"):
        made = task(only(name), 2)
        made.sgd_step(0.1 * made.reference())
        even = torch.full((16,), 1 / 16)
        expected = [float(one(made, made.held_out, even, run)[0]) for run in range(2)]
        np.testing.assert_allclose(made.objective(), expected, rtol=1e-4)
        monkeypatch.setattr(made, "_held_out_loss", lambda: pytest.fail("measured again"))
        made.objective()


def test_gradients_are_clipped_to_a_share_of_the_first_one() -> None:
    made = task(replace(EXACT, clipped=1.0, clip=(0.5, 0.5), classes=("perceptron",)), 4)
    for _ in range(5):
        made.sgd_step(0.1 * made.reference())
        assert (np.sqrt(made.gradient_sq()) <= made._clip[:, 0].numpy() * (1 + 1e-5)).all()
    np.testing.assert_allclose(made.gradient_sq(), (made.gradients() ** 2).sum(1), rtol=1e-5)
    free = task(replace(EXACT, clipped=0.0), 4)
    assert free._clipped(free.gradient) is free.gradient


def test_the_base_lr_is_off_by_what_was_drawn() -> None:
    made = task(replace(SMALL, optimizers=("sgd",), clipped=0.0), 256)
    np.testing.assert_allclose(made.reference(), made.guess.numpy() * made.lr_error.numpy())
    logs = made.lr_error.log().numpy() / np.log(50)
    assert -1 <= logs.min() < -0.9
    assert 0.9 < logs.max() <= 1
    made.set_lr_error(np.full(256, 3.0))
    np.testing.assert_allclose(made.reference(), 3 * made.guess.numpy())
    adam = task(replace(EXACT, optimizers=("adamw",)), 2)
    np.testing.assert_allclose(adam.reference(), 0.01)


def test_structures_and_settings_keep_to_their_ranges() -> None:
    problems, rng, rows, noisy, tables = MicroProblems(), np.random.default_rng(0), [], [], []
    names, single = set(), 0
    for _ in range(120):
        structure = draw_structure(problems, rng)
        settings = draw_settings(problems, structure, 4, rng)
        sources = draw_sources(problems, structure, settings, ("wine", "digits"), rng)
        names.add(structure.name)
        single += structure.single_pass
        assert problems.parameters[0] <= structure.network.size <= problems.parameters[1]
        assert structure.rows % ALIGNED == 0
        assert structure.rows == ALIGNED or structure.rows * structure.network.products <= problems.work
        assert (settings.sizes > 0).all() == (not structure.single_pass)
        rows += (settings.rows / structure.rows).tolist()
        torch.testing.assert_close(settings.weights.sum(1), torch.ones(4))
        if not structure.network.reconstructs:
            noisy += settings.label_noise.tolist()
        if structure.name == "perceptron" and not structure.single_pass:
            tables += [isinstance(source, Table) for source in sources]
    assert names == {*NETWORKS}
    assert 20 <= single <= 55
    assert 0.2 < np.mean([share == 1 for share in rows]) < 0.6
    assert 0.4 < np.mean(np.array(noisy) == 0) < 0.6
    assert max(noisy) <= 0.35
    assert 0 < np.mean(tables) < 0.7


@pytest.mark.parametrize("name", ["bag", "attention_lm", "recurrent"])
def test_the_promised_share_of_targets_is_random(name: str) -> None:
    rng = np.random.default_rng(0)
    network = draw_structure(only(name), rng).network
    clean, noisy = (Chain(network, 3, noise, np.random.default_rng(1)) for noise in (0.0, 0.3))
    pairs = [source.draw(4000, torch.Generator().manual_seed(0)).targets for source in (clean, noisy)]
    classes = network.symbols if network.kind == "language" else 3
    changed = float((pairs[0] != pairs[1]).double().mean())
    assert changed == pytest.approx(0.3 * (1 - 1 / classes), abs=0.03)
    held_out = noisy.draw(4000, torch.Generator().manual_seed(0), held_out=True)
    assert torch.equal(held_out.targets, pairs[0])


class Counted(AbstractSource):
    """Samples that are numbered as they are drawn."""

    drawn = 0

    def draw(self, count: int, generator: torch.Generator, held_out: bool = False) -> Samples:
        self.drawn += count
        return Samples(torch.arange(self.drawn - count, self.drawn).float()[:, None], torch.zeros(count))


@pytest.mark.parametrize(("size", "rows"), [(64, 5), (100, 12), (12, 12), (1000, 7)])
def test_epochs_hold_each_sample_once(size: int, rows: int) -> None:
    stream = Stream([Counted()], [size], [rows], 12, [torch.Generator().manual_seed(0)])
    batches = torch.stack([stream.next().inputs[0, :, 0] for _ in range(-(-3 * size // rows) + 1)])
    assert (batches[:, rows:] == batches[:, :1]).all()  # what does not count
    order = batches[:, :rows].flatten()
    for epoch in order[: 3 * size].view(3, size):
        assert len({*epoch.tolist()}) == size
    assert not torch.equal(order[:size], order[size : 2 * size])


def test_single_passes_hold_none_twice() -> None:
    stream = Stream([Counted()], [0], [7], 8, [torch.Generator().manual_seed(0)])
    order = torch.cat([stream.next().inputs[0, :7, 0] for _ in range(100)])
    assert len({*order.tolist()}) == 700


def test_ranges_that_are_none() -> None:
    for wrong in (
        {"classes": ("nope",)},
        {"classes": ()},
        {"optimizers": ("nope",)},
        {"momentum": (1.0,)},
        {"label_noise": (0.5, 0.1)},
        {"tables": 1.5},
        {"held_out": 95},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MicroProblems(**wrong)
    with pytest.raises(ValueError, match="no perceptron of"):
        draw_structure(replace(only("perceptron"), parameters=(1, 2)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="multiple of replicas"):
        MicroTask(SMALL, 4, replicas=3)
