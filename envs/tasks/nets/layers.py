"""The pieces that networks are made of here; all work under `torch.func.vmap` and none has buffers or dropout."""

import numpy as np
import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "leaky": nn.LeakyReLU,
    "linear": nn.Identity,
}


class Network(nn.Sequential):
    """Layers one after the other, with weights that can be drawn anew: what every architecture builds.

    Args:
        layers: From the input to the logits.
        init_scale: Factor on every matrix of torch's own initialisation (vectors stay as they are), dimensionless.
    """

    def __init__(self, *layers: nn.Module, init_scale: float = 1.0) -> None:
        super().__init__(*layers)
        self.init_scale = init_scale

    def redraw(self, rng: np.random.Generator) -> None:
        """Draw all weights anew, in place; torch's global random state stays as it was.

        Args:
            rng: The only source of randomness: one draw from it.
        """
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(int(rng.integers(2**62)))
            for module in self.modules():
                if isinstance(module, _WITH_WEIGHTS):
                    module.reset_parameters()
            for weight in self.parameters():
                if weight.ndim > 1:
                    weight.mul_(self.init_scale)


class Residual(nn.Module):
    """x + f(x), f the layers one after the other."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x), shaped like x."""
        body: Tensor = self.body(x)
        return x + body


class Swap(nn.Module):
    """Exchange the last two axes: (n, channels, T) for (n, T, channels) and back."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the transposed view."""
        return x.mT


class Mean(nn.Module):
    """The mean over positions, the axis before the last."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, T, width) to (n, width)."""
        return x.mean(-2)


class BatchNorm(nn.Module):
    """Batch normalisation (arXiv 1502.03167) by the statistics of the batch at hand, also where nothing is learned.

    Args:
        width: Number of channels, each with a factor and a shift.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def reset_parameters(self) -> None:
        """Begin with factors 1 and shifts 0; nothing is random."""
        nn.init.ones_(self.factor)
        nn.init.zeros_(self.shift)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, width, …) to the same shape, with mean 0 and variance 1 in each channel before factor and shift."""
        others = (0, *range(2, x.ndim))
        centred = x - x.mean(others, keepdim=True)
        normal = centred * (centred.square().mean(others, keepdim=True) + 1e-5).rsqrt()
        of_channel = (-1, *[1] * (x.ndim - 2))
        return normal * self.factor.reshape(of_channel) + self.shift.reshape(of_channel)


class Positions(nn.Module):
    """A learned vector for each position, added.

    Args:
        length: T, number of positions.
        width: Size of each vector.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(length, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors, standard deviation 0.1."""
        nn.init.normal_(self.table, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return x (n, T, width) plus the table."""
        return x + self.table


class Attention(nn.Module):
    """Multi-head attention, softmax(QKᵀ/√d)V for each head (arXiv 1706.03762).

    Args:
        width: Size of the vectors; `heads` divides it.
        heads: Number of heads.
        causal: Whether a position sees itself and earlier ones only.
    """

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, T, width) to the same shape."""
        Q, K, V = self.inward(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (n, heads, T, d)
        scores = Q @ K.mT * Q.shape[-1] ** -0.5
        if self.causal:
            scores = scores + torch.full_like(scores[0, 0], -torch.inf).triu(1)
        return self.outward((scores.softmax(-1) @ V).transpose(1, 2).flatten(2))


class DecayingMemory(nn.Module):
    """Each channel remembers at its own rate: y_t = Σ_{s ≤ t} a^{t−s} u_s, a diagonal linear recurrence.

    Written as one triangular matrix a channel, which is faster than T steps for short sequences.

    Args:
        width: Number of channels; their rates a begin between 0.27 and 0.95.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.zeros(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Spread the rates evenly in their logits; nothing is random."""
        with torch.no_grad():
            self.rate.copy_(torch.linspace(-1, 3, len(self.rate)))

    def forward(self, u: Tensor) -> Tensor:
        """Map (n, T, width) to the same shape."""
        time = torch.arange(u.shape[1])
        gap = time[:, None] - time  # (T, T)
        log_a = nn.functional.logsigmoid(self.rate)[:, None, None]
        kernel = (log_a * gap.clamp_min(0)).exp() * (gap >= 0)  # (width, T, T)
        return (kernel @ u.permute(2, 1, 0)).permute(2, 1, 0)  # one product a channel: (T, T) by (T, n)


class Recurrence(nn.Module):
    """A recurrent layer without a bias of its own: h_t = tanh(u_t + Vh_{t−1}), or the gated unit (arXiv 1406.1078).

    Args:
        inputs: Size of the vectors that come in.
        width: Size of the state, 0 at the start.
        gated: Whether update and reset gates are used.
    """

    def __init__(self, inputs: int, width: int, gated: bool) -> None:
        super().__init__()
        gates = 3 if gated else 1
        self.width, self.gated = width, gated
        self.inward = nn.Linear(inputs, gates * width)
        self.again = nn.Linear(width, gates * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, T, inputs) to the states after each position, (n, T, width)."""
        incoming = self.inward(x)
        state = torch.zeros_like(incoming[:, 0, : self.width])
        states = []
        for u in incoming.unbind(1):
            state = self._gated(u, state) if self.gated else (u + self.again(state)).tanh()
            states.append(state)
        return torch.stack(states, 1)

    def _gated(self, u: Tensor, state: Tensor) -> Tensor:
        to_gates, to_fresh = u.tensor_split((2 * self.width,), -1)
        gates_again, fresh_again = self.again(state).tensor_split((2 * self.width,), -1)
        keep, reset = (to_gates + gates_again).sigmoid().chunk(2, -1)
        fresh = (to_fresh + reset * fresh_again).tanh()
        return fresh + keep * (state - fresh)


_WITH_WEIGHTS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Embedding,
    nn.LayerNorm,
    nn.GroupNorm,
    BatchNorm,
    Positions,
    DecayingMemory,
)
