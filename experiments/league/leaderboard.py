"""The standing: one row for each rival, derived from a league table."""

from dataclasses import dataclass, replace

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Kind, League, RivalInfo
from lrpilot.experiments.league.profiles import REFERENCE, target, time_to_target
from lrpilot.experiments.league.sensitivity import sensitivity
from lrpilot.experiments.league.statistics import (
    Estimate,
    holm,
    interquartile,
    mean_over_tasks,
    sign_flip_p,
    win_tie_loss,
)
from lrpilot.experiments.stats import Paired, paired

LEAST = 0.05  # nats: a reference that lowers the loss by less counts as lowering it by this


@dataclass(frozen=True)
class Row:
    """One rival over all tasks.

    Attributes:
        name: Its name.
        kind: What it is.
        score: Interquartile mean of `scores` over tasks × problems; higher is better.
        gain: How much lower its final losses are than the champion's, mean over tasks, nats; positive is better.
        p: Of no difference to the champion (`sign_flip_p`), Holm's correction over all rivals; NaN for the champion.
        win: Share of task × problem on which it is better than the champion by over 0.01 nats.
        tie: Share within 0.01 nats.
        loss: Share on which it is worse.
        failures: Share of failed runs, of all tasks × problems.
        octaves: `Sensitivity.octaves`, median over the tasks that have it.
        time: `time_to_target`, median over tasks, as a share of the horizon; infinite if most are never reached.
        passes: Gradient evaluations of the table's tuning, on all P problems, and of one run, sum over tasks.
        seconds: CPU time of the same, s.
    """

    name: str
    kind: Kind
    score: Estimate
    gain: Estimate
    p: float
    win: float
    tie: float
    loss: float
    failures: float
    octaves: float
    time: float
    passes: float
    seconds: float


def leaderboard(league: League, reference: str = REFERENCE) -> list[Row]:
    """Return the rows of all rivals, the lowest mean loss first.

    Args:
        league: The table, with P ≥ 2 problems in each task.
        reference: The rival that sets the unit of scores and the targets.

    Returns:
        The rows.
    """
    best = champion(league)
    rows = [_row(league, rival, best, reference) for rival in league.rivals]
    others = [index for index, row in enumerate(rows) if row.name != best]
    for index, p in zip(others, holm(np.array([rows[index].p for index in others])), strict=True):
        rows[index] = replace(rows[index], p=float(p))
    return sorted(rows, key=lambda row: -row.gain.value)


def champion(league: League) -> str:
    """Return the name of the best tuned schedule: the lowest mean over tasks of final losses.

    It is chosen on the problems that are scored, so luck favours it: learned rivals are compared with a champion that
    looks a little better than it is.

    Args:
        league: The table.

    Returns:
        The name.

    Raises:
        ValueError: No schedule was tuned.
    """
    schedules = [rival.name for rival in league.of_kind("schedule") if rival.tuned]
    if not schedules:
        raise ValueError("the league has no tuned schedule, so no champion")
    return min(schedules, key=lambda name: float(league.finals(name).mean()))


def scores(league: League, rival: str, reference: str = REFERENCE) -> Floats:
    """Final losses in a unit in which tasks count alike: 0 is the loss at the start, 1 the tuned reference's.

    The score is the log reduction of the loss over the reference's mean log reduction on the task, as Agarwal et al.
    (arXiv 2108.13264) put games between a random and a human player. In nats, tasks whose loss may fall a thousandfold
    would outweigh those whose loss is bounded by noise. The gap between two tuned methods as the unit, such as constant
    and cosine or the best in hindsight, was rejected: it is near 0, or negative, just where the schedule hardly
    matters, and noise would rule the score there. The reduction from the start is neither, for a task that can be
    learned at all, and it depends on no other rival.

    Args:
        league: The table.
        rival: Name of the rival.
        reference: Name of the rival that scores 1 on average.

    Returns:
        Shape (T, P), higher is better; negative where the loss rose. A reference that lowers the loss by less than
        0.05 nats counts as lowering it by that.
    """
    reduction = -league.finals(reference).mean(1, keepdims=True)
    return -league.finals(rival) / np.maximum(reduction, LEAST)


def by_task(league: League, rival: str, other: str) -> dict[str, Paired]:
    """Return the paired comparison of two rivals on each task; its ties are those of `stats.paired`, 1e-4 nats.

    Args:
        league: The table.
        rival: The first; positive means that it is better.
        other: The second.

    Returns:
        The comparison for each name of a task.
    """
    losses = zip(league.tasks, league.finals(rival), league.finals(other), strict=True)
    return {task.name: paired(first, second) for task, first, second in losses}


def uses_to_break_even(league: League) -> dict[str, float]:
    """Return after how many runs each learned rival has cost fewer gradient evaluations than tuning the champion.

    The user of a schedule tunes it for every run; the user of a policy meta-trains it once, and tunes it too if it was
    tuned in the table. To tune is to try every setting on one problem, not on all P as the table did, which would
    favour the policies P-fold. Costs of a use are means over tasks.

    Args:
        league: The table.

    Returns:
        By name of the learned rival, the smallest whole number of uses n with
        training + n · (own tuning and run) < n · (the champion's); infinite if there is none.
    """
    schedule = _use(league, champion(league))
    result = {}
    for rival in league.of_kind("learned"):
        saved = schedule - _use(league, rival.name)
        result[rival.name] = float(np.floor(rival.training_passes / saved) + 1) if saved > 0 else float("inf")
    return result


def _use(league: League, rival: str) -> float:
    """Gradient evaluations of tuning on one problem and of one run, mean over tasks."""
    cells = ((task.problems, league.cell(task.name, rival)) for task in league.tasks)
    return float(np.mean([cell.tuning_passes / problems + cell.passes for problems, cell in cells]))


def _row(league: League, rival: RivalInfo, best: str, reference: str) -> Row:
    """The row of one rival, its p not yet corrected."""
    gains = league.finals(best) - league.finals(rival.name)
    cells = [league.cell(task.name, rival.name) for task in league.tasks]
    octaves = np.array([sensitivity(cell).octaves for cell in cells])
    known = octaves[~np.isnan(octaves)]
    win, tie, loss = win_tie_loss(gains)
    return Row(
        name=rival.name,
        kind=rival.kind,
        score=interquartile(scores(league, rival.name, reference)),
        gain=mean_over_tasks(gains),
        p=float("nan") if rival.name == best else sign_flip_p(gains),
        win=win,
        tie=tie,
        loss=loss,
        failures=float(np.mean([cell.diverged.mean() for cell in cells])),
        octaves=float(np.median(known)) if len(known) else float("nan"),
        time=float(np.median([time_to_target(cell, target(league, cell.task, reference)) for cell in cells])),
        passes=float(sum(cell.tuning_passes + cell.passes for cell in cells)),
        seconds=float(sum(cell.tuning_seconds + cell.seconds for cell in cells)),
    )
