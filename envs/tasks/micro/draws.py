"""Draws of sizes and choices for the structure of a network."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from lrpilot.envs.tasks.micro.layers import ACTIVATIONS, Style

_NORMS = ("layer", "batch")


class Ranges(Protocol):
    """The part of `MicroProblems` that networks are drawn from."""

    @property
    def widths(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def inputs(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def depth(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def outputs(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def normalised(self) -> float: ...  # noqa: D102


class Draws:
    """Draws from the ranges of a distribution of problems.

    Args:
        ranges: The distribution.
        rng: The only source of randomness.
    """

    def __init__(self, ranges: Ranges, rng: np.random.Generator) -> None:
        self.ranges, self.rng = ranges, rng

    def whole(self, low: int, high: int) -> int:
        """Return a whole number, both bounds included, drawn log-uniformly."""
        return min(int(np.exp(self.rng.uniform(np.log(low), np.log(high + 1)))), high)

    def even(self, low: int, high: int) -> int:
        """Return a whole number, both bounds included, each with the same probability."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        """Return True with that probability."""
        return bool(self.rng.random() < probability)

    def choose(self, shares: Mapping[str, float], among: Sequence[str] = ()) -> str:
        """Return one of the keys, or of some of them, drawn by their shares."""
        names = [name for name in shares if name in among or not among]
        share = np.array([shares[name] for name in names])
        return names[int(self.rng.choice(len(names), p=share / share.sum()))]

    def width(self, most: int | None = None) -> int:
        """Return the width of a layer, no larger than `most` unless the distribution has no smaller one."""
        low, high = self.ranges.widths
        return self.whole(low, max(low, min(high, most or high)))

    def style(self, norms: Sequence[str] = _NORMS) -> Style:
        """Return activation, normalisation (one of those named, or none), and whether layers are residual."""
        activation = self.choose({name: 2.0 if name == "relu" else 1.0 for name in ACTIVATIONS})
        norm = norms[self.even(0, len(norms) - 1)] if self.chance(self.ranges.normalised) else "none"
        return Style(activation, norm, self.chance(0.5), self.chance(0.35))
