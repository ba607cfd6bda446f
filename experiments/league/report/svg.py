"""Charts drawn by hand as inline SVG: axes, lines, bands, dots and labels that keep clear of each other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from lrpilot.arrays import Floats

LETTER = 6.0  # width of a letter of a label, in units of the drawing


@dataclass(frozen=True)
class Axis:
    """A line of numbers on the drawing.

    Attributes:
        low: Number at its start.
        high: Number at its end.
        start: Where it starts, in units of the drawing.
        end: Where it ends.
        log: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return where a number lies, kept within the axis.

        Example:
            >>> Axis(1.0, 100.0, 0.0, 50.0, log=True).at(10.0)
            25.0
        """
        value = min(max(value, self.low), self.high)
        scale: Callable[[float], float] = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 4) -> list[float]:
        """Return about `count` round numbers on the axis: powers of two or ten on a log axis, else 1, 2 or 5 times one.

        Example:
            >>> Axis(-1.1, 0.2, 0.0, 100.0).ticks()
            [-1.0, -0.5, 0.0]
            >>> Axis(1 / 64, 64.0, 0.0, 100.0, log=True).ticks()
            [0.015625, 0.125, 1.0, 8.0, 64.0]
        """
        if self.log:
            octaves = math.log2(self.high / self.low)
            base = 2.0 if octaves <= 14 else 10.0
            first, last = (math.log(end, base) for end in (self.low, self.high))
            step = max(1, round((last - first) / count))
            numbers = range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)
            return [base**number for number in numbers if number % step == 0]
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step_size = min((size * power for size in (1, 2, 5, 10)), key=lambda size: abs(math.log(size / rough)))
        first_tick, last_tick = math.ceil(self.low / step_size - 1e-9), math.floor(self.high / step_size + 1e-9)
        return [round(number * step_size, 10) for number in range(first_tick, last_tick + 1)]


@dataclass(frozen=True)
class Frame:
    """A plane of two axes, and what can be drawn on it; all methods return SVG.

    Attributes:
        x: The horizontal axis.
        y: The vertical axis; it starts at the bottom.
    """

    x: Axis
    y: Axis

    def line(self, xs: Floats, ys: Floats, css: str, name: str = "") -> str:
        """Draw a line through points, broken where a number is missing.

        Args:
            xs: Shape (N,).
            ys: Shape (N,); NaN breaks the line.
            css: Classes.
            name: Shown when pointed at.

        Returns:
            The path; empty if there are fewer than two points.
        """
        finite = np.isfinite(xs) & np.isfinite(ys)
        if finite.sum() < 2:
            return ""
        parts, pen = [], "M"
        for x, y, shown in zip(xs, ys, finite, strict=True):
            if shown:
                parts.append(f"{pen}{self.x.at(float(x)):g} {self.y.at(float(y)):g}")
            pen = "L" if shown else "M"
        return f'<path class="line {css}" d="{"".join(parts)}">{_title(name)}</path>'

    def band(self, xs: Floats, low: Floats, high: Floats, css: str) -> str:
        """Fill the space between two lines, shape (N,) each; nothing if a number is missing."""
        if not np.isfinite([xs, low, high]).all() or len(xs) < 2:
            return ""
        there = [f"{self.x.at(float(x)):g} {self.y.at(float(y)):g}" for x, y in zip(xs, high, strict=True)]
        back = [f"{self.x.at(float(x)):g} {self.y.at(float(y)):g}" for x, y in zip(xs, low, strict=True)]
        return f'<path class="band {css}" d="M{"L".join(there + back[::-1])}Z"/>'

    def dot(self, x: float, y: float, css: str, name: str = "", radius: float = 3.0) -> str:
        """Draw a dot."""
        return (
            f'<circle class="dot {css}" cx="{self.x.at(x):g}" cy="{self.y.at(y):g}" r="{radius:g}">'
            f"{_title(name)}</circle>"
        )

    def cross(self, x: float, y: float, css: str, name: str = "") -> str:
        """Draw a small cross."""
        left, top = self.x.at(x) - 3, self.y.at(y) - 3
        path = f"M{left:g} {top:g}l6 6m0-6l-6 6"
        return f'<path class="cross {css}" d="{path}">{_title(name)}</path>'

    def span(self, low: float, high: float, y: float, css: str) -> str:
        """Draw a horizontal line from one number to another."""
        height = self.y.at(y)
        return f'<path class="span {css}" d="M{self.x.at(low):g} {height:g}H{self.x.at(high):g}"/>'

    def upright(self, x: float, css: str = "rule") -> str:
        """Draw a vertical hairline over the whole height."""
        return f'<path class="{css}" d="M{self.x.at(x):g} {self.y.start:g}V{self.y.end:g}"/>'

    def level(self, y: float, css: str = "rule") -> str:
        """Draw a horizontal hairline over the whole width."""
        return f'<path class="{css}" d="M{self.x.start:g} {self.y.at(y):g}H{self.x.end:g}"/>'

    def x_ticks(self, show: Callable[[float], str], unit: str, count: int = 4) -> str:
        """Draw the numbers of the horizontal axis and, below them, what they are."""
        foot, marks = self.y.start, []
        for tick in self.x.ticks(count):
            marks.append(text(self.x.at(tick), foot + 14, show(tick), "tick", "middle"))
            marks.append(f'<path class="rule" d="M{self.x.at(tick):g} {foot:g}v3"/>')
        marks.append(text((self.x.start + self.x.end) / 2, foot + 28, unit, "unit", "middle"))
        return "".join(marks) + self.level(self.y.low)

    def y_ticks(self, show: Callable[[float], str], count: int = 4) -> str:
        """Draw the numbers of the vertical axis and faint lines at them."""
        marks = []
        for tick in self.y.ticks(count):
            marks.append(self.level(tick, "grid"))
            marks.append(text(self.x.start - 6, self.y.at(tick) + 3.5, show(tick), "tick", "end"))
        return "".join(marks)

    def end_labels(self, labels: Sequence[tuple[float, str, str]], gap: float = 12.0) -> str:
        """Write names at the right end of lines, moved up or down where they would overlap.

        Args:
            labels: Number at which the line ends, name and CSS class of each.
            gap: Least distance of two names.

        Returns:
            The names, with thin leaders from where the lines end.
        """
        ordered = sorted((label for label in labels if math.isfinite(label[0])), key=lambda label: self.y.at(label[0]))
        wanted = [self.y.at(label[0]) for label in ordered]
        parts = []
        for (_, name, css), own, place in zip(ordered, wanted, apart(wanted, gap, self.y.start - 4), strict=True):
            start = self.x.end
            parts.append(f'<path class="leader {css}" d="M{start + 2:g} {own:g}L{start + 9:g} {place:g}"/>')
            parts.append(text(start + 11, place + 3.5, name, f"name {css}"))
        return "".join(parts)


def apart(wanted: Sequence[float], gap: float, bottom: float) -> list[float]:
    """Move increasing positions as little as needed to be `gap` apart, the last at most at the bottom.

    Args:
        wanted: Increasing.
        gap: Least distance.
        bottom: Largest position.

    Returns:
        As many positions.

    Example:
        >>> apart([10.0, 11.0, 50.0], 4.0, 50.0)
        [8.5, 12.5, 50.0]
    """
    groups: list[tuple[float, int]] = []  # centre and size of runs of labels that touch
    for position in wanted:
        centre, size = position, 1
        while groups and centre - groups[-1][0] < gap * (size + groups[-1][1]) / 2:
            other, others = groups.pop()
            centre, size = (centre * size + other * others) / (size + others), size + others
        groups.append((centre, size))
    places = [centre + gap * (place - (size - 1) / 2) for centre, size in groups for place in range(size)]
    for index in range(len(places) - 1, -1, -1):
        limit = bottom if index == len(places) - 1 else places[index + 1] - gap
        places[index] = min(places[index], limit)
    return places


def text(x: float, y: float, words: str, css: str, anchor: str = "start") -> str:
    """Write words, escaped."""
    return f'<text class="{css}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def clipped(name: str, width: float) -> str:
    """Shorten a name to what fits, with an ellipsis.

    Example:
        >>> clipped("linear-to-zero", 48.0)
        'linear-…'
    """
    letters = max(2, int(width / LETTER))
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def drawing(width: float, height: float, label: str, *parts: str, css: str = "chart") -> str:
    """Wrap parts as one SVG that scales with its place and says what it shows.

    Args:
        width: Of the drawing, in its own units.
        height: Likewise.
        label: What it shows, for those who can't see it.
        *parts: SVG.
        css: Class.

    Returns:
        An `svg` element.
    """
    return (
        f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _title(name: str) -> str:
    return f"<title>{escape(name)}</title>" if name else ""
