"""The optimizers of torch for B runs side by side: one flat tensor of parameters, an LR for each run."""

from abc import ABC, abstractmethod
from typing import NamedTuple, Self

import torch
from torch import Tensor

EPSILON = 1e-8  # torch's default


class Hyper(NamedTuple):
    """What the optimizers of B runs are set to.

    Attributes:
        momentum: SGD's momentum, or β₁ of AdamW and Adamax, shape (B,).
        beta2: β₂ of these two, or RMSprop's α, shape (B,); SGD has no use for it.
        weight_decay: λ, shape (B,): added to SGD's gradient as λw; AdamW shrinks w by the factor 1 − lr·λ.
    """

    momentum: Tensor
    beta2: Tensor
    weight_decay: Tensor


class AbstractOptimizer(ABC):
    """The state of one kind of optimizer for B runs of P parameters each.

    Args:
        hyper: Settings of the B runs.
        like: Parameters, shape (B, P); their shape and dtype are taken.

    Attributes:
        momentum: As in `Hyper`, shape (B, 1); so are `beta2` and `weight_decay`.
        first: Running sum or mean of what moves the parameters, shape (B, P).
        second: Running size of the gradients, shape (B, P).
        steps: Made so far, shape (B, 1).
    """

    def __init__(self, hyper: Hyper, like: Tensor) -> None:
        self.momentum, self.beta2, self.weight_decay = (entry.to(like.dtype, copy=True)[:, None] for entry in hyper)
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like)
        self.steps = torch.zeros(len(like), 1, dtype=like.dtype)
        self._scratch = torch.empty_like(like)  # (B, P): new memory at each step would cost more than the arithmetic

    @abstractmethod
    def step(self, parameters: Tensor, gradient: Tensor, lr: Tensor) -> None:
        """Move the parameters, in place; a run that is not finite stays so and touches no other.

        Args:
            parameters: Shape (B, P), changed.
            gradient: Shape (B, P), left as it is.
            lr: LR of each run, shape (B,), per step.
        """

    def insert(self, slots: Tensor, other: Self) -> None:
        """Take over settings and state of another optimizer of the same kind.

        Args:
            slots: Shape (B,), bool: the runs that are replaced.
            other: Holds as many runs as are marked.
        """
        for name, value in vars(self).items():
            value[slots] = getattr(other, name)


class SGD(AbstractOptimizer):
    """SGD with momentum m: g′ = g + λw, v ← m·v + g′, w ← w − lr·v, or w − lr·(g′ + m·v) in Nesterov's form.

    The same numbers as `torch.optim.SGD` with dampening 0. Near a minimum a step goes lr/(1 − m) as far as without
    momentum.

    Example:
        Two runs on w²/2 from w = 1, with momentum 0 and 0.9; the second step uses g = 0.5:

        >>> w = torch.ones(2, 1)
        >>> sgd = SGD(Hyper(torch.tensor([0.0, 0.9]), torch.zeros(2), torch.zeros(2)), w)
        >>> for _ in range(2): sgd.step(w, w.clone(), torch.full((2,), 0.5))
        >>> w[:, 0]
        tensor([ 0.2500, -0.2000])
    """

    nesterov = False

    def step(self, parameters: Tensor, gradient: Tensor, lr: Tensor) -> None:
        """Make one step; see `AbstractOptimizer.step`."""
        gradient = torch.addcmul(gradient, self.weight_decay, parameters, out=self._scratch)
        self.first.mul_(self.momentum).add_(gradient)
        update = gradient.addcmul_(self.momentum, self.first) if self.nesterov else self.first
        parameters.addcmul_(update, lr[:, None], value=-1)


class Nesterov(SGD):
    """SGD that looks ahead along the momentum."""

    nesterov = True


class AdamW(AbstractOptimizer):
    """Adam with decoupled weight decay (arXiv 1711.05101); Adam itself for λ = 0.

    With m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g² and t the steps of the run so far:

        w ← (1 − lr·λ)w − lr · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)

    The same numbers as `torch.optim.AdamW` with its default ε = 1e-8.

    Example:
        The first step goes lr along the sign of the gradient, whatever its size:

        >>> w = torch.ones(1, 2, dtype=torch.float64)
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> g = torch.tensor([[3.0, -1e-3]], dtype=torch.float64)
        >>> AdamW(Hyper(0.9 * one, 0.999 * one, 0 * one), w).step(w, g, 0.1 * one)
        >>> w
        tensor([[0.9000, 1.1000]], dtype=torch.float64)
    """

    def step(self, parameters: Tensor, gradient: Tensor, lr: Tensor) -> None:
        """Make one step; see `AbstractOptimizer.step`."""
        self.steps += 1
        self.first.lerp_(gradient, 1 - self.momentum)
        self.second.mul_(self.beta2).add_(torch.square(gradient, out=self._scratch).mul_(1 - self.beta2))
        size = torch.sqrt(self.second, out=self._scratch).div_((1 - self.beta2**self.steps).sqrt()).add_(EPSILON)
        parameters.mul_(1 - lr[:, None] * self.weight_decay)
        update = torch.div(self.first, size, out=size)
        parameters.addcmul_(update, lr[:, None] / (1 - self.momentum**self.steps), value=-1)


class RMSprop(AbstractOptimizer):
    """RMSprop with momentum m: v ← αv + (1 − α)g′², u ← m·u + g′ / (√v + ε), w ← w − lr·u, where g′ = g + λw.

    The same numbers as `torch.optim.RMSprop`, not centred. α is `Hyper.beta2`.

    Example:
        The first step goes lr / √(1 − α) along the sign of the gradient, whatever its size:

        >>> w = torch.ones(1, 2, dtype=torch.float64)
        >>> zero = torch.zeros(1, dtype=torch.float64)
        >>> g = torch.tensor([[3.0, -0.1]], dtype=torch.float64)
        >>> RMSprop(Hyper(zero, zero + 0.75, zero), w).step(w, g, zero + 0.1)
        >>> w
        tensor([[0.8000, 1.2000]], dtype=torch.float64)
    """

    def step(self, parameters: Tensor, gradient: Tensor, lr: Tensor) -> None:
        """Make one step; see `AbstractOptimizer.step`."""
        gradient = torch.addcmul(gradient, self.weight_decay, parameters, out=self._scratch)
        size = gradient.square()
        self.second.mul_(self.beta2).add_(size.mul_(1 - self.beta2))
        size = torch.sqrt(self.second, out=size).add_(EPSILON)
        self.first.mul_(self.momentum).add_(torch.div(gradient, size, out=size))
        parameters.addcmul_(self.first, lr[:, None], value=-1)


class Adamax(AbstractOptimizer):
    """Adam with the largest gradient of late in place of its mean square (arXiv 1412.6980, algorithm 2).

    With g′ = g + λw, m ← β₁m + (1 − β₁)g′, u ← max(β₂u, |g′| + ε) and t the steps of the run so far:

        w ← w − lr · m / (1 − β₁ᵗ) / u

    The same numbers as `torch.optim.Adamax` with its default ε = 1e-8.

    Example:
        The first step goes lr along the sign of the gradient; a smaller gradient then makes a smaller step:

        >>> w = torch.zeros(1, 1, dtype=torch.float64)
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> adamax = Adamax(Hyper(0 * one, one, 0 * one), w)
        >>> for size in (2.0, 1.0): adamax.step(w, w + size - w, 0.1 * one)
        >>> w
        tensor([[-0.1500]], dtype=torch.float64)
    """

    def step(self, parameters: Tensor, gradient: Tensor, lr: Tensor) -> None:
        """Make one step; see `AbstractOptimizer.step`."""
        gradient = torch.addcmul(gradient, self.weight_decay, parameters, out=self._scratch)
        self.steps += 1
        self.first.lerp_(gradient, 1 - self.momentum)
        self.second = torch.maximum(self.beta2 * self.second, gradient.abs().add_(EPSILON))
        parameters.addcmul_(self.first / self.second, lr[:, None] / (1 - self.momentum**self.steps), value=-1)


OPTIMIZERS: dict[str, type[AbstractOptimizer]] = {
    "sgd": SGD,
    "nesterov": Nesterov,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adamax": Adamax,
}
ADAMS = frozenset({"adamw", "adamax"})  # whose momentum is β₁, of an average of gradients
SIGN_LIKE = ADAMS | {"rmsprop"}  # whose first step goes along the sign of the gradient
