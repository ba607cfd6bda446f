"""Problems that are made up: real-valued inputs with classes or a random teacher, and chains of symbols."""

import numpy as np
import torch
from torch import Tensor

from lrpilot.envs.ranges import scale
from lrpilot.envs.tasks.micro.inputs import AbstractInputs, Clouds, Templates, Waves, normal
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.samples import AbstractSource, Samples, wrong_targets

TEACHER = 16  # hidden units of a teacher


class Teacher:
    """A random network of one hidden layer: what is to be predicted of inputs without classes.

    Args:
        inputs: Numbers of a sample.
        outputs: Values.
        rng: Source of randomness.
    """

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        steep = scale(rng, 0.5, 4.0)
        self.weight, self.bias = normal(rng, inputs, TEACHER) * (steep / inputs**0.5), normal(rng, TEACHER) * 0.5
        self.out = normal(rng, TEACHER, outputs) * (1.4 / TEACHER**0.5 / steep)

    def __call__(self, x: Tensor) -> Tensor:
        """Map inputs (n, …) to values (n, outputs) of about unit variance."""
        hidden: Tensor = torch.relu(x.flatten(1) @ self.weight + self.bias) @ self.out
        return hidden


class Head:
    """Makes targets of inputs and their classes, for one kind of loss.

    Args:
        network: Whose targets; one with as many outputs as a sample has numbers may reconstruct its inputs.
        loss: A key of `LOSSES`.
        classes: k, of this problem.
        inputs: Numbers of a sample.
        rng: Source of randomness.
    """

    def __init__(
        self, network: AbstractNetwork, loss: str, classes: int, inputs: int, rng: np.random.Generator
    ) -> None:
        self.loss, self.classes, self.reconstructs = loss, classes, network.reconstructs
        outputs = classes if loss == "cross_entropy" else network.outputs
        self.teacher = Teacher(inputs, outputs, rng)
        self.scale = scale(rng, 0.3, 3.0)
        self.noise = 0.0 if rng.random() < 0.4 else scale(rng, 0.1, 1.0)

    def __call__(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """Return targets of inputs (n, …) with classes (n,), or None."""
        if self.loss == "cross_entropy" and labels is not None:
            return labels % self.classes
        values = self.teacher(x)
        chance = torch.rand(values.shape, generator=generator).clamp_(1e-6, 1 - 1e-6)
        if self.loss == "cross_entropy":
            return (values - self.noise * torch.log(-torch.log(chance))).argmax(1)
        if self.loss == "binary":
            return (values + self.noise * torch.logit(chance) > 0).float()
        return self.scale * (values + self.noise * torch.randn(values.shape, generator=generator))


class MadeUp(AbstractSource):
    """Real-valued inputs, their features scaled by a power law in random order, and targets.

    Args:
        network: That is to be trained.
        loss: A key of `LOSSES`.
        classes: k, of this problem.
        label_noise: Share of the targets that are random.
        rng: Source of randomness.
    """

    def __init__(
        self, network: AbstractNetwork, loss: str, classes: int, label_noise: float, rng: np.random.Generator
    ) -> None:
        self.label_noise, self.classes = label_noise, classes
        self.inputs = _inputs(network.shape, max(classes, 2), rng)
        self.head = Head(network, loss, classes, int(np.prod(network.shape)), rng)
        self.spread = Spread(network.shape, rng)

    def draw(self, count: int, generator: torch.Generator, held_out: bool = False) -> Samples:
        """Draw samples; see `AbstractSource.draw`."""
        x, labels = self.inputs.draw(count, generator)
        inputs = self.spread(x)
        if self.head.reconstructs:
            return Samples(inputs, inputs)
        targets = self.head(x, labels if self.inputs.labelled else None, generator)
        noise = 0.0 if held_out else self.label_noise
        return Samples(inputs, wrong_targets(targets, noise, self.classes, generator))


def _inputs(shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> AbstractInputs:
    kinds = ("clouds", "teacher") if len(shape) == 1 else ("clouds", "teacher", "templates", "templates", "waves")
    kind = kinds[int(rng.integers(len(kinds)))]
    if kind == "templates":
        return Templates(shape, classes, rng)
    return Waves(shape, classes, rng) if kind == "waves" else Clouds(shape, classes if kind == "clouds" else 0, rng)


class Spread:
    """Scale and offset of each feature; of each channel, if a sample has positions.

    The variances follow a power law over the features, in random order; so Hessians have a wide spectrum.

    Args:
        shape: Of a sample.
        rng: Source of randomness.
    """

    def __init__(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        law = np.arange(1, shape[-1] + 1.0) ** -rng.uniform(0, 1.5)
        law *= scale(rng, 0.3, 3.0) / np.sqrt((law**2).mean())
        self.scale = torch.from_numpy(rng.permutation(law).astype(np.float32))
        self.offset = self.scale * (0.0 if rng.random() < 0.7 else rng.uniform(0.3, 1.5))

    def __call__(self, x: Tensor) -> Tensor:
        """Map inputs (n, *shape) to the same shape."""
        return x * self.scale + self.offset


class Chain(AbstractSource):
    """Markov chains of symbols, one for each class: to be classified, or to be continued.

    A language model meets one to four chains, and can find out which one from the symbols before.

    Args:
        network: That is to be trained.
        classes: k, of this problem.
        label_noise: Share of the targets that are random.
        rng: Source of randomness.
    """

    def __init__(self, network: AbstractNetwork, classes: int, label_noise: float, rng: np.random.Generator) -> None:
        self.language, self.length, self.label_noise = network.kind == "language", network.shape[0], label_noise
        self.symbols = network.symbols
        self.chains = int(rng.integers(1, 5)) if self.language else classes
        logits = normal(rng, self.chains, self.symbols, self.symbols) * scale(rng, 0.8, 4.0)
        self.cumulative = logits.softmax(2).cumsum(2)[..., :-1].reshape(self.chains * self.symbols, -1).contiguous()

    def draw(self, count: int, generator: torch.Generator, held_out: bool = False) -> Samples:
        """Draw samples; see `AbstractSource.draw`."""
        chain = torch.randint(self.chains, (count,), generator=generator)
        now, steps = torch.randint(self.symbols, (count,), generator=generator), self.length + self.language
        chance, drawn = torch.rand(steps, count, 1, generator=generator), [now]
        for step in range(1, steps):
            now = (chance[step] > self.cumulative[chain * self.symbols + now]).sum(1)
            drawn.append(now)
        text = torch.stack(drawn, 1)
        targets, classes = (text[:, 1:], self.symbols) if self.language else (chain, self.chains)
        noise = 0.0 if held_out else self.label_noise
        return Samples(text[:, : self.length], wrong_targets(targets, noise, classes, generator))
