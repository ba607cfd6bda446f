"""The tables of a report, as text."""

import math

from lrpilot.experiments.league.document import Kind
from lrpilot.experiments.league.leaderboard import Row
from lrpilot.experiments.league.profiles import REFERENCE
from lrpilot.experiments.league.report.charts import bar
from lrpilot.experiments.league.report.content import Column, Table
from lrpilot.experiments.league.report.digits import NONE, compact, fixed, interval, ratio, signed, split
from lrpilot.experiments.league.report.facts import LEVEL, Facts, Lost

TAGS: dict[Kind, str] = {
    "learned": "learned",
    "schedule": "schedule",
    "feedback": "rule",
    "optimizer": "optimizer",
    "search": "search",
    "control": "control",
    "hindsight": "hindsight",
}
LOWEST_SHOWN = 12  # lost pairs before the fold


def league_table(facts: Facts) -> Table:
    """Return the table of all rivals, best first."""
    columns = (
        Column("Rival"),
        Column("Kind", css="left quiet"),
        Column("Score", f"{REFERENCE} = 1"),
        Column("95 %", place="written"),
        Column("", place="drawn"),
        Column("Gain", "nats"),
        Column("95 %", css="quiet"),
        Column("p", "Holm"),
        Column("Win / tie / loss", "%"),
        Column("Failed", f"of {facts.runs}"),
        Column("LR width", "octaves"),
        Column("To target", "% of the run"),
        Column("Cost", "evaluations"),
    )
    return Table(
        f"All rivals, lowest mean loss first; gains are over {facts.champion}, the best tuned schedule.",
        columns,
        tuple(_league_row(row, facts) for row in facts.rows),
        tuple("champion" if row.name == facts.champion else row.kind for row in facts.rows),
    )


def _league_row(row: Row, facts: Facts) -> tuple[str, ...]:
    first = row.name == facts.champion
    low, high = (min(each.score.low for each in facts.rows), max(each.score.high for each in facts.rows))
    label = f"score {fixed(row.score.value)}, 95 % interval {fixed(row.score.low)} to {fixed(row.score.high)}"
    css = "champion" if first else "other" if row.kind not in {"learned", "control", "hindsight"} else row.kind
    return (
        row.name,
        "champion" if first else TAGS[row.kind],
        fixed(row.score.value),
        interval(row.score.low, row.score.high),
        bar(row.score, (min(low, 1.0), max(high, 1.0)), css, label),
        NONE if first else signed(row.gain.value),
        NONE if first else interval(row.gain.low, row.gain.high, plus=True),
        p_text(row.p),
        NONE if first else split(row.win, row.tie, row.loss),
        str(round(row.failures * facts.runs)),
        fixed(row.octaves, 1),
        "never" if math.isinf(row.time) else fixed(100 * row.time, 0),
        compact(row.passes),
    )


def against_champion(facts: Facts) -> Table:
    """Return how each learned policy does against the champion on each task."""
    columns = (
        Column("Task"),
        Column("Policy", css="left"),
        Column("Gain", "nats"),
        Column("95 %", css="quiet"),
        Column("Win / tie / loss", "% of problems"),
        Column("", css="left"),
    )
    rows, css = [], []
    for task in facts.league.tasks:
        for policy in facts.learned:
            gain = facts.against[policy.name, facts.champion][task.name]
            shares = split(gain.win, gain.tie, gain.loss)
            outcome = "better" if gain.low > 0 else "worse" if gain.high < 0 else "level"
            span = interval(gain.low, gain.high, plus=True)
            rows.append((task.name, policy.name, signed(gain.mean), span, shares, outcome))
            css.append(outcome)
    caption = (
        f"Learned policies against {facts.champion} on each task; + is better for the policy. Better or worse: the "
        "whole paired interval over problems is on one side of 0. Ties are within 0.0001 nats here."
    )
    return Table(caption, columns, tuple(rows), tuple(css))


def final_losses(facts: Facts) -> Table:
    """Return the mean final loss of every rival on every task."""
    league = facts.league
    rows = tuple(
        (row.name, *(fixed(float(league.cell(task.name, row.name).final.mean())) for task in league.tasks))
        for row in facts.rows
    )
    return Table(
        "Mean log(final loss / first loss) over problems, nats; lower is better.",
        (Column("Rival"), *(Column(task.name) for task in league.tasks)),
        rows,
        tuple("champion" if row.name == facts.champion else row.kind for row in facts.rows),
        "All final losses as numbers",
    )


def lost_pairs(facts: Facts) -> tuple[Table, ...]:
    """Return where learned policies lose, worst first: the worst, and the rest folded; none if they lose nowhere."""
    lost = facts.lost()
    caption = "Where the whole 95 % interval of a learned policy's final loss over a rival's is above 0, worst first."
    tables = [_lost(lost[:LOWEST_SHOWN], caption, "")] if lost else []
    if rest := lost[LOWEST_SHOWN:]:
        tables.append(_lost(rest, "The rest, worst first.", f"{len(rest)} more"))
    return tuple(tables)


def _lost(lost: list[Lost], caption: str, folded: str) -> Table:
    columns = (
        Column("Policy"),
        Column("loses on", css="left"),
        Column("to", css="left"),
        Column("by", "nats"),
        Column("95 %", css="quiet"),
        Column("Final loss", "% higher"),
    )
    rows = tuple(
        (
            pair.learned,
            pair.task,
            pair.rival,
            signed(pair.excess.value),
            interval(pair.excess.low, pair.excess.high, plus=True),
            f"{100 * math.expm1(pair.excess.value):.0f}",
        )
        for pair in lost
    )
    return Table(caption, columns, rows, folded=folded)


def controls(facts: Facts) -> Table:
    """Return what learned policies gain over their controls."""
    rows = tuple(
        (policy, control, signed(gain.value), interval(gain.low, gain.high, plus=True))
        for (policy, control), gain in facts.over_controls.items()
    )
    columns = (
        Column("Policy"),
        Column("over the control", css="left"),
        Column("Gain", "nats"),
        Column("95 %", css="quiet"),
    )
    caption = "What policies gain over controls, mean over tasks. If a replay of the mean schedule is level, "
    return Table(f"{caption}nothing shows that the policy gains by what it sees of a run.", columns, rows)


def cost_table(facts: Facts) -> Table:
    """Return what each rival costs."""
    league = facts.league
    infos = {rival.name: rival for rival in league.rivals}
    rows = []
    for row in facts.rows:
        cells = [league.cell(task.name, row.name) for task in league.tasks]
        uses = facts.uses.get(row.name)
        rows.append((
            row.name,
            compact(infos[row.name].training_passes),
            compact(sum(cell.tuning_passes for cell in cells)),
            compact(sum(cell.passes for cell in cells)),
            fixed(sum(cell.tuning_seconds for cell in cells), 0),
            fixed(sum(cell.seconds for cell in cells), 1),
            fixed(sum(cell.wall_seconds for cell in cells), 0),
            NONE if uses is None else "never" if math.isinf(uses) else compact(uses),
        ))
    columns = (
        Column("Rival"),
        Column("Meta-training", "evaluations"),
        Column("Tuning", "evaluations, all tasks"),
        Column("A run", "evaluations, all tasks"),
        Column("Tuning", "CPU s, all tasks"),
        Column("A run", "CPU s, all tasks"),
        Column("Both", "wall-clock s"),
        Column("Pays after", "runs"),
    )
    css = tuple("champion" if row.name == facts.champion else row.kind for row in facts.rows)
    caption = "Gradient evaluations and time, on one core; a forward pass alone counts as a third of an evaluation."
    return Table(caption, columns, tuple(rows), css)


def handicap_table(facts: Facts) -> Table:
    """Return where a neighbour of the tuned base LR would have been better."""
    rows = tuple(
        (
            found.rival,
            found.task,
            ratio(found.base_lr),
            ratio(found.better),
            signed(found.gain.value),
            interval(found.gain.low, found.gain.high, plus=True),
        )
        for found in sorted(facts.check.found, key=lambda found: -found.gain.value)
    )
    columns = (
        Column("Rival"),
        Column("Task", css="left"),
        Column("Tuned base LR", "task's unit"),
        Column("Better", "task's unit"),
        Column("Gain", "nats"),
        Column("95 %", css="quiet"),
    )
    caption = "Tuned base LRs of which a neighbour on the grid is clearly better on the scored problems."
    return Table(caption, columns, rows, folded=f"{len(rows)} base LRs with a better neighbour")


def p_text(p: float) -> str:
    """Return a p-value, starred where it is significant.

    Example:
        >>> p_text(0.0004), p_text(0.03), p_text(0.5)
        ('< 0.001 *', '0.030 *', '0.500')
    """
    if math.isnan(p):
        return NONE
    return f"{'< 0.001' if p < 0.001 else fixed(p)}{' *' if p < LEVEL else ''}"
