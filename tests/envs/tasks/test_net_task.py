"""Networks side by side against networks trained alone with torch.optim, and the promises of the task around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.tasks.nets.architectures import ARCHITECTURES
from lrpilot.envs.tasks.nets.group import NetGroup
from lrpilot.envs.tasks.nets.problems import NetProblems, draw_batch, draw_structure, part_of
from lrpilot.envs.tasks.nets.task import NetTask
from lrpilot.envs.tasks.optimizers import OPTIMIZERS

SMALL = NetProblems(alike=64, data=("digits_flat",), architectures=("mlp",), samples=(32, 90), held_out=32)
ONE_EACH = [("digits", "cnn"), ("digits", "patch_transformer"), ("manual", "gru"), ("docstrings", "byte_cnn")]


def task(size: int, problems: NetProblems = SMALL, replicas: int = 1, seed: int = 0) -> NetTask:
    made = NetTask(problems, size, replicas=replicas)
    made.reset(np.random.default_rng(seed))
    return made


def double(group: NetGroup) -> NetGroup:
    """The same group in double precision."""
    group.structure.network.double()
    group.batch = group.batch._replace(start=group.batch.start.double())
    group.parameters = group.parameters.double()
    group.optimizer = group._optimizer(group.batch, group.replicas)
    return group


def recorded(group: NetGroup, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Mini-batches, as positions (G, batch), as they are drawn."""
    drawn: list[Tensor] = []
    original = group.loader.draw
    monkeypatch.setattr(group.loader, "draw", lambda: drawn.append(original()) or drawn[-1])
    return drawn


def into(network: nn.Module, flat: Tensor) -> None:
    torch.nn.utils.vector_to_parameters(flat.clone(), network.parameters())


def out_of(network: nn.Module) -> Tensor:
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach()


def torch_optimizer(group: NetGroup, run: int) -> torch.optim.Optimizer:
    batch, network = group.batch, group.structure.network
    momentum, beta2, decay = (float(entry[run]) for entry in (batch.momentum, batch.beta2, batch.shrink))
    decay /= group.right_lr
    if group.structure.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), 1.0, betas=(momentum, beta2), weight_decay=decay)
    if group.structure.optimizer == "adamax":
        return torch.optim.Adamax(network.parameters(), 1.0, betas=(momentum, beta2), weight_decay=decay)
    if group.structure.optimizer == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), 1.0, alpha=beta2, momentum=momentum, weight_decay=decay)
    nesterov = group.structure.optimizer == "nesterov" and momentum > 0
    return torch.optim.SGD(network.parameters(), 1.0, momentum, weight_decay=decay, nesterov=nesterov)


def alone(group: NetGroup, run: int, rows: list[Tensor], lr: Tensor) -> tuple[list[float], Tensor]:
    """Losses, and parameters at the end, of one run with torch.optim on its own network and the same mini-batches."""
    network, train = group.structure.network, part_of(group.structure.data, "train")
    into(network, group.batch.start[run])
    optimizer, losses = torch_optimizer(group, run), []
    for position in rows:
        samples = group.batch.samples[run, position[run]]
        inputs = train.inputs[samples].double() if train.inputs.is_floating_point() else train.inputs[samples]
        logits = network(inputs)
        loss = cross_entropy(logits.flatten(0, -2), group.batch.targets[run, position[run]].flatten())
        losses.append(loss.item())
        optimizer.param_groups[0]["lr"] = float(lr[run])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return losses, out_of(network)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("data", "architecture"), [("digits_flat", "mlp"), *ONE_EACH])
def test_a_run_among_others_is_the_run_alone(
    data: str, architecture: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = replace(SMALL, data=(data,), architectures=(architecture,), optimizers=(optimizer,), batch_sizes=(8,))
    group = double(task(3, problems).groups[0])
    rows = recorded(group, monkeypatch)
    careful = 0.1 if optimizer == "rmsprop" else 1.0  # its first steps are large, and rounding grows with them
    lr = careful * group.right_lr * torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)
    losses = np.stack([group.sgd_step(lr.numpy()) for _ in range(12)], 1)
    for run in range(3):
        expected, end = alone(group, run, rows, lr)
        np.testing.assert_allclose(losses[run], expected, rtol=1e-9)
        torch.testing.assert_close(group.parameters[run], end, rtol=1e-8, atol=1e-9)
    _, wrong = alone(group, 0, rows, 1.001 * lr)  # negative control
    assert float((group.parameters[0] - wrong).abs().max()) > 1e-7


def test_replicas_share_all_but_the_lr() -> None:
    made = task(8, replicas=4)
    lr = made.reference() / made.groups[0].batch.lr_error.repeat_interleave(4).numpy()
    lr[3] *= 0.5
    for _ in range(20):
        losses = made.sgd_step(lr).reshape(2, 4)
    np.testing.assert_array_equal(losses[:, :3], np.repeat(losses[:, :1], 3, 1))
    assert losses[0, 3] != losses[0, 0]
    assert losses[1, 0] != losses[0, 0]
    before, slots = made.objective(), np.arange(8) == 1
    made.reset(np.random.default_rng(5), slots)
    np.testing.assert_array_equal(made.objective()[~slots], before[~slots])
    assert made.objective()[1] == made.groups[0].initial[1] == made.groups[0].initial[0]


@pytest.mark.parametrize(("data", "architecture"), [("digits_flat", "mlp"), *ONE_EACH])
def test_a_diverging_neighbour_changes_no_bit(data: str, architecture: str) -> None:
    problems = replace(SMALL, data=(data,), architectures=(architecture,), batch_sizes=(8,))
    calm, shaken = task(4, problems), task(4, problems)
    lr = 0.1 * calm.reference() / calm.groups[0].batch.lr_error.numpy()
    wild = np.where(np.arange(4) == 1, 1e30, lr)
    for _ in range(8):
        losses, disturbed = calm.sgd_step(lr), shaken.sgd_step(wild)
    others = np.array([0, 2, 3])
    np.testing.assert_array_equal(losses[others], disturbed[others])
    np.testing.assert_array_equal(calm.weights()[others], shaken.weights()[others])
    np.testing.assert_array_equal(calm.objective()[others], shaken.objective()[others])
    assert losses[1] != disturbed[1]


def test_what_is_not_finite_is_reported_as_infinite_and_can_be_replaced() -> None:
    made = task(3)
    made.groups[0].parameters[1] = torch.nan
    assert np.isnan(made.sgd_step(made.reference())[1])
    assert made.objective()[1] == made.test_loss()[1] == np.inf
    untouched = made.weights()[[0, 2]]
    made.reset(np.random.default_rng(1), np.array([False, True, False]))
    np.testing.assert_array_equal(made.weights()[[0, 2]], untouched)
    assert np.isfinite(made.sgd_step(0 * made.reference())).all()
    assert np.isfinite(made.weights()).all()
    assert np.isfinite(made.objective()[1])


def test_a_new_problem_in_one_slot_has_everything_its_own() -> None:
    made = task(3)
    group = made.groups[0]
    before = [entry.clone() for entry in group.batch]
    made.reset(np.random.default_rng(1), np.array([True, False, False]))
    for old, new in zip(before, group.batch, strict=True):
        assert torch.equal(old[1:], new[1:])
    for name in ("start", "samples", "held_out", "lr_error"):
        assert not torch.equal(getattr(group.batch, name)[0], before[group.batch._fields.index(name)][0])
    assert torch.equal(group.parameters[0], group.batch.start[0])
    assert int(group.loader.sizes[0]) == int(group.batch.sizes[0])


def test_the_same_seed_gives_the_same_runs() -> None:
    problems = NetProblems(alike=2, data=("digits_flat", "wine"), samples=(32, 90), held_out=32)
    first, again, other = (task(4, problems, seed=seed) for seed in (3, 3, 4))
    for made in (first, again, other):
        for _ in range(5):
            made.sgd_step(made.reference())
    np.testing.assert_array_equal(first.weights(), again.weights())
    np.testing.assert_array_equal(first.objective(), again.objective())
    assert first.weights().shape != other.weights().shape or (first.weights() != other.weights()).any()


@pytest.mark.parametrize("data", ["digits_flat", "manual"])
def test_the_promised_share_of_targets_is_random_and_stays_so(data: str) -> None:
    problems = NetProblems(data=(data,), label_noise=(0.3, 0.3), samples=(500, 500))
    rng = np.random.default_rng(0)
    batch = draw_batch(problems, draw_structure(problems, (data,), rng), 20, rng)
    clean = part_of(data, "train").targets[batch.samples]
    classes = part_of(data, "train").classes
    changed = (batch.targets != clean).double()
    expected = 0.3 * (1 - 1 / classes)  # a random target may be the right one
    deviation = np.sqrt(expected * (1 - expected) / changed.numel())
    assert abs(float(changed.mean()) - expected) < 4 * deviation
    assert abs(float(changed.mean()) - 0.3) > 4 * deviation  # negative control: as if no random target were right


def test_the_promised_share_of_problems_is_clean() -> None:
    rng = np.random.default_rng(0)
    problems = NetProblems(data=("digits_flat",), label_noise=(0.3, 0.3), clean=0.25)
    batch = draw_batch(problems, draw_structure(problems, problems.data, rng), 400, rng)
    noisy = (batch.targets != part_of("digits_flat", "train").targets[batch.samples]).any(1)
    assert torch.equal(noisy, batch.label_noise > 0)
    assert abs(float(noisy.double().mean()) - 0.75) < 0.09  # four deviations


def test_the_objective_is_the_loss_of_a_loop_over_held_out_samples() -> None:
    made = task(3)
    for _ in range(3):
        made.sgd_step(0.1 * made.reference())
    group = made.groups[0]
    for name, found in (("validation", made.objective()), ("test", made.test_loss())):
        data = part_of("digits_flat", name)
        for run in range(3):
            samples = group.batch.held_out[run] if name == "validation" else torch.arange(len(data.targets))
            into(group.structure.network, group.parameters[run])
            with torch.no_grad():
                loss = cross_entropy(group.structure.network(data.inputs[samples]), data.targets[samples])
            assert found[run] == pytest.approx(float(loss), rel=1e-5)


def test_the_objective_is_measured_only_when_a_run_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    made = task(4)
    group, measured = made.groups[0], []
    original = group._evaluated
    monkeypatch.setattr(group, "_evaluated", lambda runs, *rest: measured.append(len(runs)) or original(runs, *rest))
    made.objective()
    assert measured == []
    made.sgd_step(made.reference())
    made.objective(), made.objective()
    assert measured == [4]
    made.reset(np.random.default_rng(0), np.array([False, True, False, False]))
    made.objective()
    assert measured == [4, 1]


def test_gradient_and_weights_of_groups_of_different_size() -> None:
    made = task(6, replace(SMALL, alike=2, data=("wine", "digits_flat", "iris")), seed=2)
    before = [group.parameters.clone() for group in made.groups]
    sizes = [group.parameters.shape[1] for group in made.groups]
    assert len(set(sizes)) > 1
    made.sgd_step(made.reference())
    assert made.weights().shape == (6, max(sizes))
    for index, (group, start) in enumerate(zip(made.groups, before, strict=True)):
        mine = slice(2 * index, 2 * index + 2)
        np.testing.assert_array_equal(made.weights()[mine, : sizes[index]], group.parameters.numpy())
        assert not made.weights()[mine, sizes[index] :].any()
        assert (group.parameters != start).any()
        norm_sq = group.gradient.double().square().sum(1).numpy()
        np.testing.assert_allclose(made.gradient_sq()[mine], norm_sq, rtol=1e-5)


def test_the_base_lr_is_off_by_what_was_drawn() -> None:
    exact = task(64, replace(SMALL, lr_error=(1.0, 1.0), optimizers=("sgd",)))
    group = exact.groups[0]
    np.testing.assert_allclose(exact.reference(), group.right_lr * (1 - group.batch.momentum.numpy()), rtol=1e-12)
    errors = task(256).groups[0].batch.lr_error.log2()
    assert -6 <= float(errors.min()) < -5
    assert 5 < float(errors.max()) <= 6


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_right_lr_is_not_far_from_the_best_of_a_sweep(optimizer: str) -> None:
    problems = replace(SMALL, optimizers=(optimizer,), samples=(512, 512), label_noise=(0.0, 0.0), no_decay=1.0)
    made = task(2 * 9, problems, replicas=9)
    factor = np.tile(4.0 ** np.arange(-4, 5), 2)
    base = made.reference() / made.groups[0].batch.lr_error.repeat_interleave(9).numpy() * factor
    for step in range(100):
        made.sgd_step(base * (1 - step / 100))
    curve = np.log(np.minimum(made.objective(), 1e3)).reshape(2, 9).mean(0)
    assert 2 <= curve.argmin() <= 6  # within a factor of 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ("nothing",)}, "architectures must be names of"),
        ({"optimizers": ()}, "optimizers must be names of"),
        ({"batch_sizes": (64,)}, r"batch_sizes must be in 1..32"),
        ({"label_noise": (0.5, 1.5)}, "label_noise must be"),
        ({"clean": -0.1}, "clean must be a share in 0..1, not -0.1"),
        ({"momentum": (1.0,)}, "momentum must be numbers in"),
        ({"alike": 0}, "alike and held_out must be at least one"),
    ],
)
def test_impossible_ranges_are_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_impossible_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiple of replicas = 3, not 4"):
        NetTask(SMALL, 4, replicas=3)
    with pytest.raises(ValueError, match="no architecture of mlp suits manual"):
        NetTask(SMALL, 4, ("manual",))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_trains_within_the_process(architecture: str) -> None:
    suits = ARCHITECTURES[architecture].suits
    data = {"vector": "wine", "image": "digits", "text classification": "docstrings", "language model": "manual"}
    problems = replace(SMALL, data=(data[suits[0]],), architectures=(architecture,), lr_error=(0.5, 1.0))
    process = Process(NetTask(problems, 2), Decisions(decisions=3, log_low=-0.1, log_high=0.1, guard="off"))
    process.seed(0)
    process.reset()
    for _ in range(3):
        transition = process.step(np.zeros(2))
        assert np.isfinite(transition.observation).all()
        assert np.isfinite(transition.reward).all()
    assert transition.terminated.all()
    assert process.hidden().shape == (2, NetTask.hidden_size)
