"""How far and how straight the weights move: what they did in the last interval, beside what they did before."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.floating[Any]]  # (P,) for one run, (B, P) for B runs
FAST, SLOW = 0.7, 0.9  # how much of the earlier displacements is kept from one interval to the next


class Motion(NamedTuple):
    """The newest displacement of the weights, from one decision to the next; each shape () for one run, or (B,).

    Attributes:
        turn: Its cosine with the displacement before it; 0 where there is none, or the weights are not finite.
        fast: The same with the sum of recent ones.
        slow: The same with a longer memory.
        length: Its Euclidean norm; NaN or infinite where it is not known.
        descent: Its cosine with the negative of the newest gradient: the smaller, the more of it is noise, or
            bounces in steep directions; 0 where no gradient is known.
    """

    turn: Any = 0.0
    fast: Any = 0.0
    slow: Any = 0.0
    length: Any = math.nan
    descent: Any = 0.0


UNKNOWN = Motion()


@dataclass
class Travel:
    """Displacements of the weights, from one decision to the next; all fields have the shape of the weights.

    Where noise prevails, steep directions bounce back: successive displacements point against each other. Where a
    flat direction still makes progress, the newest displacement points along the sum of the earlier ones, long before
    the loss shows it.

    Attributes:
        last: The weights at the last decision; None before the first.
        turn: The displacement before that.
        fast: Decayed sum of the earlier displacements.
        slow: The same, decaying more slowly.
    """

    last: Weights | None = None
    turn: Weights | None = None
    fast: Weights | None = None
    slow: Weights | None = None

    def start(self, weights: Weights, slots: NDArray[np.bool_] | None = None) -> None:
        """Begin at these weights.

        Args:
            weights: Shape (P,) or (B, P).
            slots: Shape (B,), true for the runs that begin anew; None for all.
        """
        if slots is None or self.last is None or self.last.shape != weights.shape:
            self.last, zeros = weights.copy(), np.zeros_like(weights)
            self.turn, self.fast, self.slow = zeros, zeros.copy(), zeros.copy()
            return
        for name, value in self.state().items():
            value[slots] = weights[slots] if name == "last" else 0.0

    def move(self, weights: Weights, gradient: Weights | None = None) -> Motion:
        """Take in the weights at the next decision.

        Args:
            weights: Shape (P,) or (B, P), as at the start.
            gradient: That of the step just made, likewise; None where it is not known.

        Returns:
            The newest displacement, beside the one before it, the fast sum, the slow sum and the gradient.
        """
        if self.last is None or self.last.shape != weights.shape:  # parameters may have been added
            self.start(weights)
            return UNKNOWN
        assert self.turn is not None
        assert self.fast is not None
        assert self.slow is not None
        with np.errstate(invalid="ignore", over="ignore"):
            step = weights - self.last
            downhill = np.zeros_like(step) if gradient is None else -gradient
            motion = _motion(step, self.turn, self.fast, self.slow, downhill)
            self.last, self.turn = weights.copy(), step
            self.fast, self.slow = FAST * self.fast + step, SLOW * self.slow + step
        return motion

    def state(self) -> dict[str, Weights]:
        """Return the fields that are set; `Travel(**state)` restores them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def _motion(step: Weights, *others: Weights) -> Motion:
    if step.ndim > 1:
        length_sq = _inner(step, step)
        turn, fast, slow, descent = (_cosine(_inner(step, other), length_sq * _inner(other, other)) for other in others)
        return Motion(turn, fast, slow, np.sqrt(length_sq), descent)
    rows = np.array((step, *others), dtype=np.float64)  # of one run: a product or two, at a fifth of the cost
    inner, squares = rows[1:] @ rows[0], np.einsum("ij,ij->i", rows, rows)
    cosines = inner / np.sqrt(np.maximum(squares[1:] * squares[0], 1e-300))
    turn, fast, slow, descent = (cosine if math.isfinite(cosine) else 0.0 for cosine in cosines.tolist())
    return Motion(turn, fast, slow, math.sqrt(squares[0]), descent)


def _cosine(inner: Any, squares: Any) -> Any:
    return np.nan_to_num(inner / np.sqrt(np.maximum(squares, 1e-300)), nan=0.0, posinf=0.0, neginf=0.0)


def _inner(a: Weights, b: Weights) -> Any:
    return (a * b).sum(-1, dtype=np.float64)
