"""Small networks pre-trained on real data, to first order around the weights reached: their outputs and kernels."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from lrpilot.arrays import Floats
from lrpilot.envs.data.labelled import IMAGES, load_labelled

OUTPUTS = 4  # outputs of every network
SAMPLES = 192  # samples at which a network is expanded
CLASSES = 8  # that those samples have at most
COMPONENTS = 32  # principal components of the inputs that a fully connected network sees
LARGEST_SIDE = 14  # pictures are averaged down to at most this size
SLOPES = (0.01, 0.5)  # of the leaky ReLU for negative inputs
PRETRAINING_LR = 3e-3
MOST_STEPS = 200


@dataclass(frozen=True)
class Expansion:
    """A network to first order around the weights it was pre-trained to: f(x; w) ≈ f₀(x) + J(x)(w − w₀).

    Attributes:
        outputs: f₀ at M samples, shape (M, C).
        kernel: J Jᵀ between all pairs of sample and output, shape (M, C, M, C), float32.
        labels: Class of each sample, shape (M,).
    """

    outputs: Floats
    kernel: NDArray[np.float32]
    labels: NDArray[np.int64]


@cache
def expansions(data: tuple[str, ...], count: int) -> tuple[Expansion, ...]:
    """Pre-train and expand a pool of networks; the same arguments give the same pool.

    Half of the classes (of pictures and other sets alike) are for pre-training, and samples of all classes are
    expanded at: so a problem made of them is fine-tuning to something new. Architecture, widths, slope of the leaky
    ReLU, and the length of pre-training (0 to 200 steps of Adam) differ.

    Args:
        data: Names of labelled data sets; the networks take turns.
        count: Size of the pool.

    Returns:
        The pool.

    Raises:
        DataError: A data set does not exist.
    """
    return tuple(_expansion(data[index % len(data)], index) for index in range(count))


def _expansion(name: str, index: int) -> Expansion:
    rng = np.random.default_rng([index, *name.encode()])
    inputs, labels = load_labelled(name)
    kinds = rng.permutation(labels.max() + 1)[:CLASSES]
    chosen = rng.permutation(np.flatnonzero(np.isin(labels, kinds)))
    as_picture = name in IMAGES and rng.random() < 0.5
    x = _pictures(inputs, IMAGES[name]) if as_picture else _components(inputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        network = (_convolutional(x.shape[-2:], rng) if as_picture else _connected(x.shape[1], rng)).double()
        known = torch.from_numpy(labels)
        rest = torch.from_numpy(chosen[SAMPLES:] if len(chosen) > 2 * SAMPLES else chosen)
        _pretrain(network, x[rest], known[rest], kinds[: max(2, len(kinds) // 2)], int(rng.integers(MOST_STEPS + 1)))
    at = chosen[:SAMPLES]
    return Expansion(*_expand(network, x[at]), labels[at])


def _components(inputs: Floats) -> Tensor:
    """Standardised inputs in their principal components, of mean square 1 in all, shape (N, ≤ 32)."""
    x = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-6 * np.abs(inputs).max())
    _, _, directions = np.linalg.svd(x[:1000], full_matrices=False)
    x = x @ directions[:COMPONENTS].T
    return torch.from_numpy(x / np.sqrt((x**2).mean()))


def _pictures(inputs: Floats, shape: tuple[int, int]) -> Tensor:
    """Pictures of mean 0 and variance 1, shape (N, 1, height, width) with sides of at most 14."""
    x = torch.from_numpy((inputs - inputs.mean()) / inputs.std()).reshape(-1, 1, *shape)
    return nn.functional.avg_pool2d(x, -(-max(shape) // LARGEST_SIDE)) if max(shape) > LARGEST_SIDE else x


def _connected(features: int, rng: np.random.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    slope = rng.uniform(*SLOPES)
    for width in rng.integers(8, 33, size=int(rng.integers(1, 4))).tolist():
        layers += [nn.Linear(features, width), nn.LeakyReLU(slope)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, OUTPUTS))


def _convolutional(sides: torch.Size, rng: np.random.Generator) -> nn.Module:
    slope, channels = rng.uniform(*SLOPES), int(rng.integers(3, 9))
    area = int(np.prod([(side + 3) // 4 for side in sides]))  # two strides of 2, rounded up
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, stride=2, padding=1),
        nn.LeakyReLU(slope),
        nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
        nn.LeakyReLU(slope),
        nn.Flatten(),
        nn.Linear(2 * channels * area, OUTPUTS),
    )


def _pretrain(network: nn.Module, x: Tensor, labels: Tensor, kinds: NDArray[np.int64], steps: int) -> None:
    """Adam on the squared loss: output j learns the j-th class of `kinds`, round robin."""
    targets = torch.zeros(len(x), OUTPUTS, dtype=x.dtype)
    for position, kind in enumerate(kinds):
        targets[labels == int(kind), position % OUTPUTS] = 1.0
    optimizer = torch.optim.Adam(network.parameters(), lr=PRETRAINING_LR)
    for _ in range(steps):
        batch = torch.randint(len(x), (64,))
        loss = (network(x[batch]) - targets[batch]).square().sum(1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _expand(network: nn.Module, x: Tensor) -> tuple[Floats, NDArray[np.float32]]:
    """Outputs (M, C) and the kernel (M, C, M, C) at the inputs."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}

    def output(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(network, weights, (one[None],))[0]

    with torch.no_grad():
        outputs: Tensor = network(x)
    by_weight = vmap(jacrev(output), (None, 0))(weights, x)
    jacobian = torch.cat([part.flatten(2) for part in by_weight.values()], -1)  # (M, C, P)
    kernel = torch.einsum("mcp,ndp->mcnd", jacobian, jacobian)
    return outputs.numpy(), kernel.float().numpy()
