"""The registry of networks that tasks train: what each is called, what draws one, and which data it suits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from lrpilot.envs.tasks.nets import feedforward, sequence_models
from lrpilot.envs.tasks.nets.layers import Network

Build = Callable[[np.random.Generator, tuple[int, ...], int, int], Network]


@dataclass(frozen=True)
class Architecture:
    """A family of networks.

    Attributes:
        name: The key in `ARCHITECTURES`.
        draw: Draws width, depth, activation, normalisation and scale of the initial weights from a generator, for
            inputs of a shape (without the samples), a number of classes and a factor on the width.
        suits: Kinds of data sets (`Dataset.kind`) that it can be trained on.
    """

    name: str
    draw: Build
    suits: tuple[str, ...]

    def build(self, rng: np.random.Generator, shape: tuple[int, ...], classes: int, widen: int = 1) -> Network:
        """Return a network and its weights, drawn from the generator alone: first the structure, then the weights.

        It maps inputs (n, *shape) to logits, (n, classes), or (n, T, classes) for a language model. It has no
        buffers, no dropout and nothing in place; `network.redraw(rng)` gives other weights to the same structure.

        Args:
            rng: The only source of randomness.
            shape: Of one sample's inputs.
            classes: Number of classes or symbols.
            widen: Factor on the width of its layers.

        Returns:
            The network, float32.

        Example:
            >>> network = ARCHITECTURES["mlp"].build(np.random.default_rng(0), (13,), 3)
            >>> tuple(network(torch.zeros(5, 13)).shape)
            (5, 3)
        """
        with torch.random.fork_rng(devices=[]):  # the layers begin with weights from torch's global state
            network = self.draw(rng, shape, classes, widen)
        network.redraw(rng)
        return network


_FLAT = ("vector", "image", "signal")
_TEXT = ("text classification",)
_NEXT = ("language model",)
_ALL = (
    Architecture("mlp", feedforward.mlp, _FLAT),
    Architecture("residual_mlp", feedforward.residual_mlp, _FLAT),
    Architecture("gated_mlp", feedforward.gated_mlp, _FLAT),
    Architecture("cnn", feedforward.cnn, ("image", "signal")),
    Architecture("resnet", feedforward.resnet, ("image", "signal")),
    Architecture("mixer", feedforward.mixer, ("image",)),
    Architecture("patch_transformer", feedforward.patch_transformer, ("image",)),
    Architecture("byte_pool", sequence_models.byte_pool, _TEXT),
    Architecture("byte_cnn", sequence_models.byte_cnn, _TEXT),
    Architecture("byte_transformer", sequence_models.byte_transformer, _TEXT),
    Architecture("gru", sequence_models.gru, _NEXT),
    Architecture("rnn", sequence_models.rnn, _NEXT),
    Architecture("transformer", sequence_models.transformer, _NEXT),
    Architecture("memory", sequence_models.memory, _NEXT),
    Architecture("causal_cnn", sequence_models.causal_cnn, _NEXT),
    Architecture("bn_mlp", feedforward.bn_mlp, _FLAT),
    Architecture("bn_cnn", feedforward.bn_cnn, ("image", "signal")),
    Architecture("bn_byte_cnn", partial(sequence_models.byte_cnn, batch_norm=True), _TEXT),
)
ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}
