"""The charts of the page, one small panel for each task, in one size that reads on a phone and on a desk."""

from collections.abc import Mapping, Sequence

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, League, RivalInfo
from lrpilot.experiments.league.report.digits import fixed, percent, ratio, signed
from lrpilot.experiments.league.report.svg import Axis, Frame, clipped, drawing, text
from lrpilot.experiments.league.statistics import Estimate
from lrpilot.experiments.stats import interval

WIDTH, HEIGHT, MARGIN, FOOT, NAMES = 380.0, 236.0, 44.0, 36.0, 108.0
CEILING = 0.3  # nats above the first loss: lines are cut off there, since failures would flatten all else
FLOOR_LR = 1e-4  # of the largest LR of a panel: lower ones are drawn there, since many schedules end at 0
EDGE, LEAST_EDGE = 2.0, 0.05  # panels of final losses end at this multiple of the third quartile; at least here, nats
HUES = ("hue-a", "hue-b", "hue-c")


def cast(league: League, order: Sequence[str], champion: str) -> dict[str, str]:
    """Choose the rivals that lines are drawn of: learned ones, the champion and the best of three other kinds.

    Args:
        league: The table.
        order: Names of all rivals, best first.
        champion: The best rival that is not learned.

    Returns:
        CSS class of each, in the order in which they are drawn, the learned last.
    """
    kinds = {rival.name: rival.kind for rival in league.rivals}
    best: dict[str, str] = {}
    for name in order:
        if kinds[name] in {"schedule", "feedback", "optimizer", "search"} and kinds[name] != kinds[champion]:
            best.setdefault(kinds[name], name)
    others = dict(zip(best.values(), HUES, strict=False))
    learned = [name for name in order if kinds[name] == "learned"][:2]
    styles = ("learned", "learned second")
    return {**others, champion: "champion"} | dict(zip(learned[::-1], styles[: len(learned)][::-1], strict=True))


def css_of(rival: RivalInfo, champion: str) -> str:
    """Return the CSS class of a rival where all rivals are shown."""
    if rival.kind in {"learned", "control", "hindsight"}:
        return rival.kind
    return "champion" if rival.name == champion else "other"


def bar(score: Estimate, ends: tuple[float, float], css: str, label: str) -> str:
    """Draw the small interval of a row of the table, with a hairline at 1.

    Args:
        score: What is drawn.
        ends: Lowest and highest number of the whole column, around 1.
        css: Class.
        label: The same in words.

    Returns:
        SVG.
    """
    frame = Frame(Axis(*ends, 4.0, 156.0), Axis(0.0, 1.0, 18.0, 0.0))
    parts = (frame.upright(1.0), frame.span(score.low, score.high, 0.5, css), frame.dot(score.value, 0.5, css))
    return drawing(160, 18, label, *parts, css="bar")


def final_losses(league: League, task: str, order: Sequence[str], champion: str) -> str:
    """Draw how far the final loss of every rival lies above the champion's on one task, best first.

    Args:
        league: The table.
        task: Name of the task.
        order: Names of all rivals, best first.
        champion: The best rival that is not learned.

    Returns:
        SVG: means and paired 95 % intervals over problems; arrows where a mean lies beyond the edge.
    """
    css = {rival.name: css_of(rival, champion) for rival in league.rivals}
    best = league.cell(task, champion).final
    excess = {name: league.cell(task, name).final - best for name in order}
    means = {name: float(excess[name].mean()) for name in sorted(order, key=lambda name: float(excess[name].mean()))}
    ends = {name: interval(excess[name]) for name in means}
    # Learned policies are never beyond the edge: where they lose is to be seen.
    edge = max(EDGE * float(np.quantile(list(means.values()), 0.75)), LEAST_EDGE)
    edge = max([edge, *(ends[name][1] for name in order if css[name] == "learned")])
    height = 15.0 * len(means)
    lows, highs = zip(*ends.values(), strict=True)
    frame = Frame(_padded(lows, [min(edge, max(highs))], 150.0, WIDTH - 8), Axis(0.0, float(len(means)), height, 4.0))
    unit = f"nats above {clipped(champion, 110)}, which ends at {fixed(float(best.mean()), 2)}"
    parts = [frame.x_ticks(_short, unit), frame.upright(0.0, "zero")]
    for place, (name, mean) in enumerate(means.items()):
        level = len(means) - place - 0.5
        parts.append(text(142, frame.y.at(level) + 3.5, clipped(name, 142), f"name {css[name]}", "end"))
        parts.append(_interval(frame, level, mean, ends[name], name, css[name]))
    first = ", ".join(f"{name} {signed(means[name])}" for name in list(means)[:3])
    return drawing(WIDTH, height + FOOT, f"Final losses on {task} above {champion}, best first: {first}", *parts)


def _interval(frame: Frame, level: float, mean: float, ends: tuple[float, float], name: str, css: str) -> str:
    if mean > frame.x.high:
        return text(frame.x.end, frame.y.at(level) + 3.5, f"{signed(mean, 2)} →", f"name {css}", "end")
    words = f"{name}: {signed(mean)} nats, 95 % interval {signed(ends[0])} to {signed(ends[1])}"
    return frame.span(*ends, level, css) + frame.dot(mean, level, css, words)


def training(league: League, task: str, drawn: Mapping[str, str]) -> str:
    """Draw the mean held-out loss over a run on one task.

    Args:
        league: The table.
        task: Name of the task.
        drawn: CSS class of each rival that is drawn.

    Returns:
        SVG.
    """
    lines = {name: (cell.shares, cell.curve.mean(1)) for name, cell in _cells(league, task, drawn)}
    frame = Frame(Axis(0.0, 1.0, MARGIN, WIDTH - NAMES), _losses(lines))
    axes = frame.y_ticks(_short) + frame.x_ticks(percent, "share of the run", 2)
    return _lines(frame, axes, lines, drawn, f"Mean held-out loss over the run on {task}")


def schedules(league: League, task: str, drawn: Mapping[str, str]) -> str:
    """Draw the LR over a run on one task: the median over problems, for learned policies with the middle 80 %.

    Args:
        league: The table.
        task: Name of the task.
        drawn: CSS class of each rival that is drawn.

    Returns:
        SVG.
    """
    lrs = {name: (cell.shares[1:], cell.lr) for name, cell in _cells(league, task, drawn)}
    lrs = {name: (shares, lr) for name, (shares, lr) in lrs.items() if np.isfinite(lr).any()}
    if not lrs:
        return ""
    top = max(float(np.nanmax(lr)) for _, lr in lrs.values())
    floor = max(FLOOR_LR * top, min(float(np.nanmin(lr[lr > 0], initial=top)) for _, lr in lrs.values()))
    lrs = {name: (shares, np.maximum(lr, floor)) for name, (shares, lr) in lrs.items()}
    frame = Frame(Axis(0.0, 1.0, MARGIN, WIDTH - NAMES), Axis(floor / 1.2, 1.2 * top, HEIGHT - FOOT, 8.0, log=True))
    bands = [
        frame.band(shares, np.quantile(lr, 0.1, axis=1), np.quantile(lr, 0.9, axis=1), drawn[name])
        for name, (shares, lr) in lrs.items()
        if "learned" in drawn[name]
    ]
    axes = frame.y_ticks(_power) + frame.x_ticks(percent, "share of the run", 2) + "".join(bands)
    medians = {name: (shares, _median(lr)) for name, (shares, lr) in lrs.items()}
    return _lines(frame, axes, medians, drawn, f"LR over the run on {task}, log scale")


def sensitivity(league: League, task: str, drawn: Mapping[str, str]) -> str:
    """Draw the mean final loss over the base LR on one task; crosses are base LRs from which runs failed.

    Args:
        league: The table.
        task: Name of the task.
        drawn: CSS class of each rival that is drawn.

    Returns:
        SVG; empty if no rival has a base LR.
    """
    cells = {name: cell for name, cell in _cells(league, task, drawn) if len(cell.multiples)}
    if not cells:
        return ""
    lines = {name: (cell.multiples, cell.sensitivity.mean(1)) for name, cell in cells.items()}
    low, high = (end([end(cell.multiples) for cell in cells.values()]) for end in (min, max))
    x = Axis(float(min(low, 1 / 64)), float(max(high, 64)), MARGIN, WIDTH - NAMES, log=True)
    frame = Frame(x, _losses(lines))
    axes = frame.y_ticks(_short) + frame.x_ticks(ratio, "base LR, in the task's unit")
    marks = [
        frame.cross(lr, loss, drawn[name], f"{name} at {ratio(lr)}: {diverged} of {cell.sensitivity.shape[1]} failed")
        for name, cell in cells.items()
        for lr, loss, diverged in zip(cell.multiples, lines[name][1], cell.failures, strict=True)
        if diverged
    ]
    return _lines(frame, axes, lines, drawn, f"Final loss over the base LR on {task}", "".join(marks))


def profile(tau: Floats, shares: Mapping[str, Floats], drawn: Mapping[str, str]) -> str:
    """Draw performance profiles.

    Args:
        tau: Times over the best, shape (K,).
        shares: Share of tasks on which each rival reaches the target within them, shape (K,).
        drawn: CSS class of each rival that is drawn.

    Returns:
        SVG.
    """
    across = Axis(float(tau[0]), float(tau[-1]), MARGIN, WIDTH - NAMES)
    frame = Frame(across, Axis(0.0, 1.0, HEIGHT - FOOT, 8.0))
    axes = frame.y_ticks(percent) + frame.x_ticks(_short, "cost to target, over that of the quickest")
    lines = {name: (tau, shares[name]) for name in drawn}
    return _lines(frame, axes, lines, drawn, "Performance profiles: share of tasks within a multiple of the least cost")


def _lines(
    frame: Frame,
    axes: str,
    lines: Mapping[str, tuple[Floats, Floats]],
    drawn: Mapping[str, str],
    label: str,
    marks: str = "",
) -> str:
    paths = [frame.line(xs, ys, drawn[name], name) for name, (xs, ys) in lines.items()]
    ends = [(float(ys[-1]), clipped(name, NAMES - 12), drawn[name]) for name, (_, ys) in lines.items()]
    words = f"{label}; at the end: {', '.join(f'{name} {fixed(float(ys[-1]))}' for name, (_, ys) in lines.items())}"
    return drawing(WIDTH, HEIGHT, words, axes, *paths, marks, frame.end_labels(ends))


def _cells(league: League, task: str, drawn: Mapping[str, str]) -> list[tuple[str, Cell]]:
    return [(name, league.cell(task, name)) for name in drawn]


def _losses(lines: Mapping[str, tuple[Floats, Floats]]) -> Axis:
    """An axis for losses, cut off above `CEILING`."""
    values = np.concatenate([ys for _, ys in lines.values()])
    return _padded([float(values.min())], [min(float(values.max()), CEILING)], HEIGHT - FOOT, 8.0)


def _padded(lows: Sequence[float], highs: Sequence[float], start: float, end: float) -> Axis:
    low, high = min(lows), max(highs)
    room = 0.05 * max(high - low, 0.02)
    return Axis(low - room, high + room, start, end)


def _median(lr: Floats) -> Floats:
    """The median over problems, NaN where no problem has an LR, shape (M, P) -> (M,)."""
    known = np.isfinite(lr).any(1)
    median = np.full(len(lr), np.nan)
    median[known] = np.nanmedian(lr[known], axis=1)
    return median


def _short(value: float) -> str:
    """A number on an axis, with no more digits than it needs."""
    return fixed(value, next(digits for digits in range(5) if abs(value - round(value, digits)) < 1e-9 or digits == 4))


def _power(value: float) -> str:
    return ratio(value) if value >= 1 / 128 else f"{value:.0e}".replace("e-0", "e−").replace("e-", "e−")
