"""Every architecture on every kind of data that it suits: shapes, vmap against autograd, causality, training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from lrpilot.envs.data.dataset import KINDS, Dataset, split
from lrpilot.envs.data.datasets import list_datasets, load_dataset
from lrpilot.envs.tasks.nets.architectures import ARCHITECTURES
from lrpilot.envs.tasks.nets.layers import Attention, BatchNorm, DecayingMemory, Network, Recurrence

EXAMPLES = {
    "vector": "wine",
    "image": "digits",
    "signal": "mnist1d",
    "text classification": "docstrings",
    "language model": "manual",
}
PAIRS = [(name, kind) for name, architecture in ARCHITECTURES.items() for kind in architecture.suits]
CAUSAL = [name for name, kind in PAIRS if kind == "language model"]
SEEDS = range(4)


def built(name: str, data: Dataset, seed: int) -> Network:
    return ARCHITECTURES[name].build(np.random.default_rng(seed), tuple(data.inputs.shape[1:]), data.classes)


def cross_entropy(network: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(functional_call(network, weights, (x,)).flatten(0, -2), y.flatten())


def test_every_kind_of_data_has_several_architectures() -> None:
    for kind in KINDS:
        assert sum(kind in architecture.suits for architecture in ARCHITECTURES.values()) >= 3
    assert all(name == architecture.name for name, architecture in ARCHITECTURES.items())


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_shape_no_buffers_and_reproducible(name: str, kind: str) -> None:
    data = load_dataset(EXAMPLES[kind])
    global_state = torch.get_rng_state()
    built(name, data, 0)
    assert torch.equal(global_state, torch.get_rng_state())
    for seed in SEEDS:
        network, again, other = built(name, data, seed), built(name, data, seed), built(name, data, seed + 100)
        logits = network(data.inputs[:5])
        assert logits.shape == (*data.targets[:5].shape, data.classes)
        assert logits.isfinite().all()
        assert not list(network.buffers())
        assert torch.equal(logits, again(data.inputs[:5]))
        assert not torch.equal(logits, other(data.inputs[:5]))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_widened_layers_hold_more_weights(name: str, kind: str) -> None:
    data = load_dataset(EXAMPLES[kind])
    shape = tuple(data.inputs.shape[1:])
    counts = [
        sum(weight.numel() for seed in SEEDS for weight in architecture_weights(name, shape, data.classes, widen, seed))
        for widen in (1, 4)
    ]
    assert counts[1] > 2 * counts[0]


def architecture_weights(name: str, shape: tuple[int, ...], classes: int, widen: int, seed: int) -> list[nn.Parameter]:
    return [*ARCHITECTURES[name].build(np.random.default_rng(seed), shape, classes, widen).parameters()]


@pytest.mark.parametrize("dataset", list_datasets())
def test_every_suitable_data_set_fits(dataset: str) -> None:
    data = load_dataset(dataset)
    for name, architecture in ARCHITECTURES.items():
        for seed in SEEDS if data.kind in architecture.suits else ():
            logits = built(name, data, seed)(data.inputs[:2])
            assert logits.shape == (*data.targets[:2].shape, data.classes)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_vmapped_gradients_are_those_of_each_replica_alone(name: str, kind: str) -> None:
    data = load_dataset(EXAMPLES[kind])
    inputs = data.inputs.double() if data.inputs.is_floating_point() else data.inputs
    for seed in SEEDS[:2]:
        network = built(name, data, seed).double()
        replicas = [draw_weights(network, seed, replica) for replica in range(3)]
        stacked = {key: torch.stack([weights[key] for weights in replicas]) for key in replicas[0]}
        x, y = inputs[: 3 * 4].unflatten(0, (3, 4)), data.targets[-3 * 4 :].unflatten(0, (3, 4))
        gradients, losses = vmap(grad_and_value(lambda w, a, b: cross_entropy(network, w, a, b)))(stacked, x, y)  # noqa: B023
        for replica, weights in enumerate(replicas):
            alone = {key: weight.requires_grad_() for key, weight in weights.items()}
            loss = cross_entropy(network, alone, x[replica], y[replica])
            loss.backward()
            torch.testing.assert_close(losses[replica], loss.detach(), rtol=1e-10, atol=1e-12)
            for key, weight in alone.items():
                assert weight.grad is not None
                torch.testing.assert_close(gradients[key][replica], weight.grad, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_replica_that_diverged_harms_no_other(name: str, kind: str) -> None:
    data = load_dataset(EXAMPLES[kind])
    network = built(name, data, 3)
    stacked = {key: torch.stack([weight.detach()] * 3) for key, weight in network.named_parameters()}
    x, y = data.inputs[: 3 * 4].unflatten(0, (3, 4)), data.targets[: 3 * 4].unflatten(0, (3, 4))
    step = vmap(grad_and_value(lambda w, a, b: cross_entropy(network, w, a, b)))
    clean, clean_losses = step(stacked, x, y)
    for poison in (torch.nan, 1e30):
        poisoned = {key: weight.clone() for key, weight in stacked.items()}
        for weight in poisoned.values():
            weight[1] = poison
        gradients, losses = step(poisoned, x, y)
        others = torch.tensor([0, 2])
        assert torch.equal(losses[others], clean_losses[others])
        assert all(torch.equal(gradients[key][others], clean[key][others]) for key in clean)


def draw_weights(network: Network, seed: int, replica: int) -> dict[str, Tensor]:
    network.redraw(np.random.default_rng([seed, replica]))
    return {key: weight.detach().clone() for key, weight in network.named_parameters()}


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_weights_are_all_used_and_redrawn(name: str, kind: str) -> None:
    data = load_dataset(EXAMPLES[kind])
    network = built(name, data, 2)
    before = draw_weights(network, 0, 0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.fill_(7.0)
    after = draw_weights(network, 0, 0)
    assert all(torch.equal(before[key], after[key]) for key in before)  # nothing is left of the sevens
    different = draw_weights(network, 0, 1)
    assert any(not torch.equal(before[key], different[key]) for key in before)
    cross_entropy(network, dict(network.named_parameters()), data.inputs[:64], data.targets[:64]).backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.parameters())


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_hundred_adam_steps_lower_the_loss(name: str, kind: str) -> None:
    everything = split(load_dataset(EXAMPLES[kind]), "train")
    data = Dataset(everything.inputs[:400], everything.targets[:400], everything.classes)
    for seed in SEEDS[:2]:
        network = built(name, data, seed)
        weights = dict(network.named_parameters())
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        rng = torch.Generator().manual_seed(seed)
        before = float(cross_entropy(network, weights, *data[:2]).detach())
        for _ in range(100):
            batch = torch.randint(len(data.targets), (16,), generator=rng)
            optimizer.zero_grad()
            cross_entropy(network, weights, data.inputs[batch], data.targets[batch]).backward()
            optimizer.step()
        assert float(cross_entropy(network, weights, *data[:2]).detach()) < 0.95 * before


def changed_logits(network: nn.Module, x: Tensor, position: int) -> Tensor:
    """Which positions' logits depend on the symbol at one position, shape (T,)."""
    other = x.clone()
    other[:, position] = (other[:, position] + 1) % 64
    return (network(other) != network(x)).any(-1).any(0)


@pytest.mark.parametrize("name", CAUSAL)
def test_language_models_see_no_later_symbol(name: str) -> None:
    data = load_dataset("manual")
    for seed in SEEDS:
        changed = changed_logits(built(name, data, seed).double(), data.inputs[:4], 9)
        assert not changed[:9].any()
        assert changed[9:11].all()


def test_the_check_of_causality_can_fail() -> None:
    torch.manual_seed(0)
    leaky = nn.Sequential(nn.Embedding(64, 8), Attention(8, 2, causal=False), nn.Linear(8, 64)).double()
    assert changed_logits(leaky, load_dataset("manual").inputs[:4], 9)[:9].any()


@torch.no_grad()
def test_gated_recurrence_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = Recurrence(3, 5, gated=True).double(), nn.GRU(3, 5, batch_first=True).double()
    order = torch.cat([torch.arange(5, 10), torch.arange(5), torch.arange(10, 15)])  # torch has the reset gate first
    ours.inward.weight.copy_(theirs.weight_ih_l0[order])
    ours.inward.bias.copy_(theirs.bias_ih_l0[order])
    ours.again.weight.copy_(theirs.weight_hh_l0[order])
    theirs.bias_hh_l0.zero_()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x)[0])


@torch.no_grad()
def test_plain_recurrence_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = Recurrence(3, 5, gated=False).double(), nn.RNN(3, 5, batch_first=True).double()
    ours.inward.weight.copy_(theirs.weight_ih_l0)
    ours.inward.bias.copy_(theirs.bias_ih_l0)
    ours.again.weight.copy_(theirs.weight_hh_l0)
    theirs.bias_hh_l0.zero_()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x)[0])


@torch.no_grad()
@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 5), (7, 3, 5, 4)])
def test_batch_normalisation_is_that_of_torch(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    theirs = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)[len(shape) == 4](3)
    ours, x = BatchNorm(3), 2 * torch.randn(shape) + 1
    for weight, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        weight.copy_(torch.randn(3))
        other.copy_(weight)
    torch.testing.assert_close(ours(x), theirs(x))


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_torch(causal: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(8, 2, causal).double(), nn.MultiheadAttention(8, 2, batch_first=True).double()
    ours.inward.weight.copy_(theirs.in_proj_weight)
    ours.inward.bias.copy_(theirs.in_proj_bias)
    ours.outward.weight.copy_(theirs.out_proj.weight)
    ours.outward.bias.copy_(theirs.out_proj.bias)
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    mask = torch.ones(6, 6).triu(1).bool() if causal else None
    torch.testing.assert_close(ours(x), theirs(x, x, x, attn_mask=mask)[0])


@torch.no_grad()
def test_memory_is_the_recurrence_step_by_step() -> None:
    memory = DecayingMemory(4).double()
    u = torch.randn(3, 9, 4, dtype=torch.float64)
    state, states = torch.zeros(3, 4, dtype=torch.float64), []
    for u_t in u.unbind(1):
        state = memory.rate.sigmoid() * state + u_t
        states.append(state)
    torch.testing.assert_close(memory(u), torch.stack(states, 1))
