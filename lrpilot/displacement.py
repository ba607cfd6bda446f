"""How far and how straight the weights move: what they did in the last interval, beside what they did before."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Weights

KEPT_FAST, KEPT_SLOW = 0.7, 0.9  # how much of the earlier displacements is kept from one interval to the next


class DisplacementCosines(NamedTuple):
    """The newest displacement of the weights, from one decision to the next; each shape () for one run, or (B,).

    Attributes:
        previous: Its cosine with the displacement before it; 0 where there is none, or the weights are not finite.
        recent: The same with the sum of recent ones.
        earlier: The same with a longer memory.
        length: Its Euclidean norm; NaN or infinite where it is not known.
        descent: Its cosine with the negative of the newest gradient: the smaller, the more of it is noise, or
            bounces in steep directions; 0 where no gradient is known.
        size: Euclidean norm of the weights; NaN where it is not known.
    """

    previous: Any = 0.0
    recent: Any = 0.0
    earlier: Any = 0.0
    length: Any = math.nan
    descent: Any = 0.0
    size: Any = math.nan


UNKNOWN = DisplacementCosines()


def alone(gradient_sq: float, cosines: DisplacementCosines) -> tuple[float, DisplacementCosines]:
    """Return what was read of gradients and weights as it is: there are no other ranks to agree with."""
    return gradient_sq, cosines


@dataclass
class DisplacementTracker:
    """Displacements of the weights, from one decision to the next; all fields have the shape of the weights.

    Where noise prevails, steep directions bounce back: successive displacements point against each other. Where a
    flat direction still makes progress, the newest displacement points along the sum of the earlier ones, long before
    the loss shows it.

    Attributes:
        weights: The weights at the last decision; None before the first.
        previous: The displacement before that; as all others empty before the first decision.
        recent: Decayed sum of the earlier displacements.
        earlier: The same, decaying more slowly.
    """

    weights: Weights | None = None
    previous: Weights = field(default_factory=lambda: np.zeros(0))
    recent: Weights = field(default_factory=lambda: np.zeros(0))
    earlier: Weights = field(default_factory=lambda: np.zeros(0))

    def start(self, weights: Weights, slots: NDArray[np.bool_] | None = None) -> None:
        """Begin at these weights.

        Args:
            weights: Shape (P,) or (B, P).
            slots: Shape (B,), true for the runs that begin anew; None for all.
        """
        if slots is None or self.weights is None or self.weights.shape != weights.shape:
            self.weights, zeros = weights.copy(), np.zeros_like(weights)
            self.previous, self.recent, self.earlier = zeros, zeros.copy(), zeros.copy()
            return
        for name, value in vars(self).items():
            value[slots] = weights[slots] if name == "weights" else 0.0

    def move(self, weights: Weights, gradient: Weights | None = None) -> DisplacementCosines:
        """Take in the weights at the next decision.

        Args:
            weights: Shape (P,) or (B, P), as at the start.
            gradient: That of the step just made, likewise; None where it is not known.

        Returns:
            The newest displacement, beside the one before it, the recent ones, the earlier ones and the gradient.
        """
        if self.weights is None or self.weights.shape != weights.shape:  # parameters may have been added
            self.start(weights)
            return UNKNOWN
        with np.errstate(invalid="ignore", over="ignore"):
            step = weights - self.weights
            downhill = np.zeros_like(step) if gradient is None else -gradient
            cosines = _cosines(step, self.previous, self.recent, self.earlier, downhill)._replace(size=_norm(weights))
            self.weights, self.previous = weights.copy(), step
            self.recent, self.earlier = KEPT_FAST * self.recent + step, KEPT_SLOW * self.earlier + step
        return cosines

    def state(self) -> dict[str, Weights]:
        """Return what is known, by the names that states have; `DisplacementTracker.of` restores it."""
        return {} if self.weights is None else {name: getattr(self, attribute) for name, attribute in _STATE.items()}

    @classmethod
    def of(cls, state: Mapping[str, Weights]) -> Self:
        """Return a tracker as it was when `state` was called; sums that an older state lacks begin anew."""
        tracker = cls()
        if "last" in state:
            tracker.start(state["last"])
        for name in _STATE.keys() & state.keys():
            setattr(tracker, _STATE[name], state[name])
        return tracker


_STATE = {"last": "weights", "turn": "previous", "fast": "recent", "slow": "earlier"}  # name in the state -> attribute


def _cosines(step: Weights, *others: Weights) -> DisplacementCosines:
    if step.ndim > 1:
        length_sq = _inner(step, step)
        cosines = [_cosine(_inner(step, other), length_sq * _inner(other, other)) for other in others]
        return DisplacementCosines(cosines[0], cosines[1], cosines[2], np.sqrt(length_sq), cosines[3])
    rows = np.array((step, *others), dtype=np.float64)  # of one run: a product or two, at a fifth of the cost
    inner, squares = rows[1:] @ rows[0], np.einsum("ij,ij->i", rows, rows)
    ratios = inner / np.sqrt(np.maximum(squares[1:] * squares[0], 1e-300))
    previous, recent, earlier, descent = (c if math.isfinite(c) else 0.0 for c in ratios.tolist())
    return DisplacementCosines(previous, recent, earlier, math.sqrt(squares[0]), descent)


def _cosine(inner: Any, squares: Any) -> Any:
    return np.nan_to_num(inner / np.sqrt(np.maximum(squares, 1e-300)), nan=0.0, posinf=0.0, neginf=0.0)


def _norm(weights: Weights) -> Any:
    return np.sqrt(_inner(weights, weights)) if weights.ndim > 1 else math.sqrt(weights @ weights)


def _inner(a: Weights, b: Weights) -> Any:
    return (a * b).sum(-1, dtype=np.float64)
