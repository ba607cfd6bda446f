"""Response surfaces: the action of a policy over two signals at a time, the others at their typical values.

Typical is the median of what runs on micro networks of validation saw: over all decisions, or, where an axis is the
share of the run that is done, over the decisions around that one. Axes span the middle 98 % of what those runs saw, and
dots are some of it: far from any dot the policy answers what it was never asked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from lrpilot.arrays import Floats
from lrpilot.experiments.probes import Trace
from lrpilot.policy import SchedulePolicy
from lrpilot.signals import SIGNAL_NAMES

POINTS, DOTS, AT_ONCE = 81, 400, 6  # of a surface along an axis, of runs, and surfaces in the figure
AROUND = 4  # decisions before and after one
LEVELS = 33  # between colours; the middle one is 0
SPAN = (1.0, 99.0)  # percentiles of what runs saw, that axes reach to
COSINES = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
DECADES = tuple(10.0**power for power in range(-12, 13))
SIGNED = (-100.0, -30.0, -10.0, -3.0, -1.0, 0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
NATS = (-3.0, -0.3, -0.03, 0.0, 0.03, 0.3, 3.0)


class Scale(NamedTuple):
    """An axis: a signal in the units that people think in.

    Attributes:
        label: Quantity and unit.
        signal: From the quantity to the value of the signal.
        ticks: Of the quantity; those outside are left out.
    """

    label: str
    signal: Callable[[Any], Any]
    ticks: tuple[float, ...]


def _log(per: float, origin: float = 1.0) -> Callable[[Any], Any]:
    return lambda x: np.log(np.asarray(x) / origin) / per


def _squashed(x: Any) -> Any:
    return np.arcsinh(100 * np.asarray(x)) / 2


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: factor * np.asarray(x)


PROGRESS = "progress"
SCALES = {
    PROGRESS: Scale("share of the run that is done", _times(1), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    "log_multiple": Scale("LR / base LR, last interval", _log(3), DECADES),
    "best_multiple": Scale("LR / LR at the lowest level of the loss", _log(3), DECADES),
    "change_score": Scale("change of the loss, standard errors", np.arcsinh, SIGNED),
    "slow_score": Scale("loss over its slow average,\nstandard errors", np.arcsinh, SIGNED),
    "best": Scale("log loss above its lowest level, nats", _squashed, NATS),
    "trend": Scale("trend of the log loss, nats an interval", _squashed, NATS),
    "spread": Scale("scatter of the log loss, nats", _squashed, NATS),
    "steepest": Scale("steepest fall so far, nats an interval", _squashed, NATS),
    "drift": Scale("fast average of the loss over\nthe slowest, usual changes", np.arcsinh, SIGNED),
    "gradient": Scale("what a step at the base LR promises:\nbase LR · ‖gradient‖² / loss", _log(3), DECADES),
    "gradient_change": Scale("‖gradient‖ / ‖first gradient‖", _log(3), DECADES),
    "relative_stride": Scale("‖step‖ / ‖weights‖", _log(3, float(np.exp(-7))), DECADES),
    "persistence": Scale("cosine of the last displacement\nwith recent ones", _times(2), COSINES),
    "mean_persistence": Scale("cosine of displacements,\naverage", _times(4), COSINES),
    "mean_descent": Scale("cosine of displacement and −gradient,\naverage", _times(4), COSINES),
}
PAIRS = (
    ("log_multiple", "change_score"),
    ("log_multiple", "gradient"),
    ("relative_stride", "gradient_change"),
    (PROGRESS, "persistence"),
    ("mean_descent", "mean_persistence"),
    ("log_multiple", "drift"),
    ("best_multiple", "best"),
    (PROGRESS, "slow_score"),
    ("log_multiple", "steepest"),
    ("spread", "trend"),
)  # horizontal and vertical axis, in order of preference


class Surface(NamedTuple):
    """The action over two signals.

    Attributes:
        x: Values of the first, shape (n,).
        y: Values of the second, shape (m,).
        action: From -1 to 1, shape (m, n).
    """

    x: Floats
    y: Floats
    action: Floats


def pairs_of(policy: SchedulePolicy) -> list[tuple[str, str]]:
    """Return the pairs of signals that are drawn: the first ones of which a policy reads both."""
    return [pair for pair in PAIRS if {*pair} <= {*policy.card.signals}][:AT_ONCE]


def surface(policy: SchedulePolicy, record: Trace, x_name: str, y_name: str) -> Surface:
    """Compute the action over two signals.

    Args:
        policy: The policy.
        record: What untouched runs saw.
        x_name: A signal.
        y_name: Another one.
    """
    first, second = SIGNAL_NAMES.index(x_name), SIGNAL_NAMES.index(y_name)
    y = _span(record.observation[:, second])
    if x_name == PROGRESS:
        x = record.observation[:, first].mean(1)
        typical = np.array([_around(record.observation, decision) for decision in range(len(x))]).T  # (S, K)
    else:
        x = _span(record.observation[:, first])
        typical = np.repeat(np.median(record.observation, (0, 2))[:, None], len(x), 1)  # (S, n)
        typical[first] = x
    actions = []
    for value in y:
        typical[second] = value
        actions.append(policy.action(typical))
    return Surface(x, y, np.array(actions))


def _around(observation: Floats, decision: int) -> Floats:
    """Medians over some decisions of observations (K, S, B), shape (S,)."""
    return np.median(observation[max(0, decision - AROUND) : decision + AROUND + 1], (0, 2))


def _span(values: Floats) -> Floats:
    """Evenly spaced values over what was seen; never all alike."""
    low, high = np.percentile(values, SPAN)
    return np.linspace(low, max(high, low + 1e-3), POINTS)


def draw(policy: SchedulePolicy, record: Trace) -> Figure:
    """Draw the surfaces, with a line where the LR is left alone.

    Args:
        policy: The policy; it reads both signals of some pair.
        record: What untouched runs saw.

    Returns:
        The figure.
    """
    pairs = pairs_of(policy)
    surfaces = [surface(policy, record, *pair) for pair in pairs]
    columns = min(3, len(pairs))
    figure = Figure(figsize=(0.8 + 3.9 * columns, 0.6 + 3.3 * -(-len(pairs) // columns)), layout="constrained")
    figure.suptitle(f"What {policy.card['name']} answers; other signals at their typical values")
    largest = max(float(np.abs(part.action).max()) for part in surfaces) or 1.0
    levels = np.linspace(-largest, largest, LEVELS) * (1 + 1e-6)
    grid = figure.subplots(-(-len(pairs) // columns), columns, squeeze=False).flatten()
    for axes, pair, part in zip(grid, pairs, surfaces, strict=False):
        image = axes.contourf(*part, levels=levels, cmap="RdBu_r")
        if part.action.min() < 0 < part.action.max():
            axes.contour(*part, levels=[0.0], colors="black", linewidths=1)
        _dots(axes, record, *pair)
        _label(axes, part, *pair)
    for axes in grid[len(pairs) :]:
        axes.set_axis_off()
    change = policy.control.max_change
    meaning = "level of the LR, from its lowest to its highest" if change is None else f"1: LR × {np.exp(change):.2g}"
    bar = figure.colorbar(image, ax=list(grid), shrink=0.8, pad=0.01)
    bar.set_label(f"action ({meaning}); black line: 0")
    bar.set_ticks(list(np.linspace(-largest, largest, 9)))
    bar.formatter = StrMethodFormatter("{x:.2f}")
    return figure


def _dots(axes: Axes, record: Trace, x_name: str, y_name: str) -> None:
    """Some of what runs saw."""
    seen = np.array([record.observation[:, SIGNAL_NAMES.index(name)].ravel() for name in (x_name, y_name)])
    chosen = np.random.default_rng(0).permutation(seen.shape[1])[:DOTS]
    axes.plot(*seen[:, chosen], ".", color="black", markersize=1.5, alpha=0.35)


def _label(axes: Axes, part: Surface, x_name: str, y_name: str) -> None:
    """Labels and ticks in the units of the scales."""
    for axis, limits, name in ((axes.xaxis, part.x[[0, -1]], x_name), (axes.yaxis, part.y[[0, -1]], y_name)):
        scale = SCALES[name]
        ticks = [tick for tick in scale.ticks if limits[0] <= scale.signal(tick) <= limits[1]]
        axis.set_ticks([float(scale.signal(tick)) for tick in ticks], [f"{tick:g}".replace("-", "−") for tick in ticks])
        axis.set_label_text(scale.label)
    axes.set(xlim=part.x[[0, -1]], ylim=part.y[[0, -1]])
