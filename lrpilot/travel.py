"""How straight the weights move: cosines between what they did in the last interval and what they did before."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.floating[Any]]  # (P,) for one run, (B, P) for B runs
Cosines = tuple[Any, Any, Any]  # each () or (B,)

UNKNOWN: Cosines = (0.0, 0.0, 0.0)
FAST, SLOW = 0.7, 0.9  # how much of the earlier displacements is kept from one interval to the next


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

    def move(self, weights: Weights) -> Cosines:
        """Take in the weights at the next decision.

        Args:
            weights: Shape (P,) or (B, P), as at the start.

        Returns:
            Cosines of the newest displacement with the one before, with the fast sum and with the slow sum; 0 where
            there is none, or the weights are not finite.
        """
        if self.last is None or self.last.shape != weights.shape:  # parameters may have been added
            self.start(weights)
            return UNKNOWN
        assert self.turn is not None
        assert self.fast is not None
        assert self.slow is not None
        with np.errstate(invalid="ignore", over="ignore"):
            step = weights - self.last
            cosines = _cosines(step, self.turn, self.fast, self.slow)
            self.last, self.turn = weights.copy(), step
            self.fast, self.slow = FAST * self.fast + step, SLOW * self.slow + step
        return cosines

    def state(self) -> dict[str, Weights]:
        """Return the fields that are set; `Travel(**state)` restores them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def _cosines(step: Weights, *earlier: Weights) -> Cosines:
    if step.ndim > 1:
        return tuple(_cosine(step, other) for other in earlier)
    rows = np.array((step, *earlier), dtype=np.float64)  # of one run: a product or two, at a fifth of the cost
    inner, squares = rows[1:] @ rows[0], np.einsum("ij,ij->i", rows, rows)
    cosines = inner / np.sqrt(np.maximum(squares[1:] * squares[0], 1e-300))
    return tuple(cosine if math.isfinite(cosine) else 0.0 for cosine in cosines.tolist())  # type: ignore[return-value]


def _cosine(a: Weights, b: Weights) -> Any:
    inner, a_sq, b_sq = ((x * y).sum(-1, dtype=np.float64) for x, y in ((a, b), (a, a), (b, b)))
    return np.nan_to_num(inner / np.sqrt(np.maximum(a_sq * b_sq, 1e-300)), nan=0.0, posinf=0.0, neginf=0.0)
