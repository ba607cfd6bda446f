"""Classes of networks with a recurrence over symbols: classifiers and language models."""

from typing import ClassVar, Self

import torch
from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.functions import tanh
from lrpilot.envs.tasks.micro.layers import Dense, Views, embedding, parameters_of
from lrpilot.envs.tasks.micro.network import LABELS, AbstractNetwork


class AbstractRecurrent(AbstractNetwork):
    """Embeddings and a recurrent layer: a classifier by its last or mean state, or a language model.

    Args:
        length: Positions, T.
        symbols: Different ones.
        vector: Width of an embedding.
        width: Units of the recurrent layer.
        readout: "last", "mean", or "all" for a language model.
        outputs: Classes, or as many as there are symbols.
    """

    losses: ClassVar = LABELS
    gates: ClassVar[int] = 1  # rows of pre-activations, in units of the width

    def __init__(self, length: int, symbols: int, vector: int, width: int, readout: str, outputs: int) -> None:
        self.kind = "language" if readout == "all" else "symbols"  # type: ignore[misc]
        self.shape, self.symbols, self.outputs, self.readout, self.width = (length,), symbols, outputs, readout, width
        self.table = embedding("table", symbols, vector, 0.6)
        self.entry = Dense("entry", vector, self.gates * width)
        self.state = Dense("state", width, self.gates * width, 0.8)
        self.head = Dense("head", width, outputs)
        self.parameters = parameters_of(self.table, self.entry, self.state, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        length, symbols, vector = draws.even(5, 10), draws.whole(6, 32), draws.whole(4, 16)
        readout = draws.choose({"last": 1, "mean": 1, "all": 2})
        width = draws.width(32 if cls.gates == 1 else 20)
        return cls(length, symbols, vector, width, readout, symbols if readout == "all" else outputs)

    def advance(self, x: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """Return the next state (B, width, n) from both pre-activations (B, gates · width, n) and the state."""
        raise NotImplementedError

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, symbols, T, n) to (B, outputs, n), or (B, outputs, T, n)."""
        entries = self.entry(views, self.table(views, x)).unbind(2)
        state, states = torch.zeros(len(x), self.width, x.shape[3]), []
        for entry in entries:
            state = self.advance(entry, self.state(views, state), state)
            states.append(state)
        if self.readout == "last":
            return self.head(views, state)
        every = torch.stack(states, 2)
        return self.head(views, every.mean(2) if self.readout == "mean" else every)


class Recurrent(AbstractRecurrent):
    """A tanh recurrence: h ← tanh(x + U h)."""

    def advance(self, x: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """Return the next state; see `AbstractRecurrent.advance`."""
        return tanh(x + recurrent)


class Gated(AbstractRecurrent):
    """A gated recurrence (GRU, arXiv 1406.1078) in PyTorch's form, order of the gates r, z, n."""

    gates: ClassVar[int] = 3

    def advance(self, x: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
        """Return the next state; see `AbstractRecurrent.advance`."""
        both = 2 * self.width
        reset, keep = torch.sigmoid(x[:, :both] + recurrent[:, :both]).chunk(2, 1)
        new = tanh(x[:, both:] + reset * recurrent[:, both:])
        return torch.lerp(new, state, keep)
