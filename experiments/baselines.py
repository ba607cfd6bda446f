"""The schedules that people use, as functions of progress, and the grids that they are tuned on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrpilot.arrays import Floats

Shape = Callable[[Floats], Floats]  # progress in [0, 1) -> LR over base LR
Unit = Literal["bound", "raw"]  # base LR as a multiple of the current bound, or in plain units of LR
UNITS: tuple[Unit, ...] = ("bound", "raw")
RANGES: dict[Unit, tuple[float, float]] = {"bound": (2.0**-3, 2.0**9), "raw": (1e-6, 1e6)}
ORACLE_RANGE = (2.0**-6, 2.0**6)  # for the hindsight oracle, in units of the bound: lower, as noisy problems want it


@dataclass(frozen=True)
class Baseline:
    """A family of schedules: one name, and the shapes that are tried."""

    name: str
    shapes: dict[str, Shape]


@dataclass(frozen=True)
class Candidate:
    """One schedule: family, shape, base LR and its unit."""

    family: str
    shape: str
    unit: Unit
    base_lr: float

    @property
    def label(self) -> str:
        """Text for tables."""
        of = " × bound" if self.unit == "bound" else ""
        return f"{self.family} ({self.shape}), {self.base_lr:.3g}{of}"

    def multiplier(self, progress: Floats) -> Floats:
        """LR over base LR; progress and result have the same shape."""
        return SCHEDULES[self.family].shapes[self.shape](progress)


def _steps(count: int, factor: float) -> Shape:
    return lambda p: factor ** np.floor(p * count)


def _cosine(final: float) -> Shape:
    return lambda p: final + (1 - final) * (1 + np.cos(np.pi * p)) / 2


def _exponential(final: float) -> Shape:
    return lambda p: final**p


def _inverse_sqrt(scale: float) -> Shape:
    return lambda p: 1 / np.sqrt(1 + p / scale)


def _wsd(decay: float) -> Shape:
    return lambda p: np.minimum(1.0, (1 - p) / decay)


def _restarts(cycles: int) -> Shape:
    """Arxiv 1608.03983, with cycles of the same length."""
    return lambda p: (1 + np.cos(np.pi * (p * cycles % 1))) / 2


def _one_cycle(peak: float) -> Shape:
    """As `torch.optim.lr_scheduler.OneCycleLR` by default: by cosines from 1/25 to 1, then to 4e-6."""
    low, last = 1 / 25, 1 / 25e4

    def multiplier(p: Floats) -> Floats:
        rising = low + (1 - low) * (1 - np.cos(np.pi * p / peak)) / 2
        falling = last + (1 - last) * (1 + np.cos(np.pi * (p - peak) / (1 - peak))) / 2
        return np.where(p < peak, rising, falling)

    return multiplier


def _polynomial(power: float) -> Shape:
    return lambda p: (1 - p) ** power


_FAMILIES = (
    Baseline("constant", {"1": np.ones_like}),
    Baseline(
        "step decay",
        {
            "÷10 at ½, ¾": lambda p: 0.1 ** ((p >= 0.5) + (p >= 0.75) * 1.0),
            "÷2 × 5": _steps(5, 0.5),
            "÷e × 4": _steps(4, np.exp(-1)),
        },
    ),
    Baseline("cosine", {"to 0": _cosine(0.0), "to 1 %": _cosine(0.01), "to 10 %": _cosine(0.1)}),
    Baseline("linear-to-zero", {"to 0": lambda p: 1 - p}),
    Baseline(
        "exponential",
        {"to 10 %": _exponential(0.1), "to 1 %": _exponential(0.01), "to 0.1 %": _exponential(1e-3)},
    ),
    Baseline(
        "inverse sqrt",
        {"τ 1 %": _inverse_sqrt(0.01), "τ 5 %": _inverse_sqrt(0.05), "τ 25 %": _inverse_sqrt(0.25)},
    ),
    Baseline("WSD", {"decay 20 %": _wsd(0.2), "decay 40 %": _wsd(0.4), "decay 60 %": _wsd(0.6)}),
)
_RARER = (
    Baseline("cosine with restarts", {"2 cycles": _restarts(2), "3 cycles": _restarts(3), "5 cycles": _restarts(5)}),
    Baseline(
        "one-cycle", {"peak at 30 %": _one_cycle(0.3), "peak at 10 %": _one_cycle(0.1), "at 50 %": _one_cycle(0.5)}
    ),
    Baseline("polynomial", {"power 2": _polynomial(2.0), "power 0.5": _polynomial(0.5), "power 4": _polynomial(4.0)}),
)
BASELINES = {family.name: family for family in _FAMILIES}  # of the comparison of one family of tasks
SCHEDULES = BASELINES | {family.name: family for family in _RARER}  # of the league table
MOST_SHAPES = max(len(family.shapes) for family in _FAMILIES)


def grid(family: str, unit: Unit, base_lrs: int) -> list[Candidate]:
    """Return a family's tuning grid; every family has the same number of candidates.

    Args:
        family: A key of `BASELINES`.
        unit: Unit of the base LR.
        base_lrs: Base LRs for each shape of the families with the most shapes; families with fewer shapes
            search more finely, so that all have the same budget.

    Returns:
        The candidates.

    Example:
        >>> [len(grid(family, "bound", 9)) for family in ("constant", "cosine")]
        [27, 27]
    """
    shapes = BASELINES[family].shapes
    low, high = RANGES[unit]
    lrs = np.geomspace(low, high, base_lrs * MOST_SHAPES // len(shapes))
    return [Candidate(family, shape, unit, float(lr)) for shape in shapes for lr in lrs]


def all_grids(base_lrs: int) -> Iterator[Candidate]:
    """Yield the grids of all families in both units."""
    for family in BASELINES:
        for unit in UNITS:
            yield from grid(family, unit, base_lrs)
