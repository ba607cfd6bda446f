"""Classes of networks with a recurrence over symbols: classifiers and language models."""

from typing import ClassVar, Self

import torch
from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.layers import Dense, Embedding, Views, parameters_of
from lrpilot.envs.tasks.micro.network import LABELS, AbstractNetwork


class AbstractRecurrent(AbstractNetwork):
    """Embeddings and a recurrent layer: a classifier by its last or mean state, or a language model.

    Args:
        length: Positions, T.
        symbols: Different ones.
        embedding: Width of an embedding.
        width: Units of the recurrent layer.
        readout: "last", "mean", or "all" for a language model.
        outputs: Classes, or as many as there are symbols.
    """

    losses: ClassVar = LABELS
    gates: ClassVar[int] = 1  # rows of pre-activations, in units of the width

    def __init__(self, length: int, symbols: int, embedding: int, width: int, readout: str, outputs: int) -> None:
        self.kind = "language" if readout == "all" else "symbols"  # type: ignore[misc]
        self.shape, self.symbols, self.outputs, self.readout, self.width = (length,), symbols, outputs, readout, width
        self.table = Embedding("table", symbols, embedding, 0.6)
        self.entry = Dense("entry", embedding, self.gates * width)
        self.state = Dense("state", width, self.gates * width, 0.8)
        self.head = Dense("head", width, outputs)
        self.parameters = parameters_of(self.table, self.entry, self.state, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        length, symbols, embedding = draws.even(5, 10), draws.whole(6, 32), draws.whole(4, 16)
        readout = draws.choose({"last": 1, "mean": 1, "all": 2})
        width = draws.width(32 if cls.gates == 1 else 20)
        return cls(length, symbols, embedding, width, readout, symbols if readout == "all" else outputs)

    def advance(self, x: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """Return the next state (B, n, width) from both pre-activations (B, n, gates · width) and the state."""
        raise NotImplementedError

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, n, T) to (B, n, outputs), or (B, n, T, outputs)."""
        runs, samples, length = x.shape
        h = self.table(views, x).view(runs, samples * length, -1)
        entries = self.entry(views, h).view(runs, samples, length, -1).unbind(2)
        state, states = torch.zeros(runs, samples, self.width), []
        for entry in entries:
            state = self.advance(entry, self.state(views, state), state)
            states.append(state)
        if self.readout == "last":
            return self.head(views, state)
        if self.readout == "mean":
            return self.head(views, torch.stack(states).mean(0))
        every = torch.stack(states, 2).view(runs, samples * length, -1)
        return self.head(views, every).view(runs, samples, length, -1)


class Recurrent(AbstractRecurrent):
    """A tanh recurrence: h ← tanh(x + U h)."""

    def advance(self, x: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """Return the next state; see `AbstractRecurrent.advance`."""
        return torch.tanh(x + recurrent)


class Gated(AbstractRecurrent):
    """A gated recurrence (GRU, arXiv 1406.1078) in PyTorch's form, order of the gates r, z, n."""

    gates: ClassVar[int] = 3

    def advance(self, x: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """Return the next state; see `AbstractRecurrent.advance`."""
        both = 2 * self.width
        reset, keep = torch.sigmoid(x[..., :both] + recurrent[..., :both]).chunk(2, -1)
        new = torch.tanh(x[..., both:] + reset * recurrent[..., both:])
        return torch.lerp(new, state, keep)
