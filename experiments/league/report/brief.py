"""The league table in short, as the README shows it."""

from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.leaderboard import Row, champion, leaderboard
from lrpilot.experiments.league.report.digits import NONE, compact, fixed, interval, signed, split
from lrpilot.experiments.league.report.facts import LEVEL

HEADINGS = ("rival", "score", "gain [95 %]", "win/tie/loss, %", "failed, %", "LR width", "cost")


def brief_table(league: League) -> str:
    """Return the rows of all rivals, the lowest mean loss first, as a Markdown table; learned policies are bold.

    Args:
        league: The table.

    Returns:
        Lines without a caption. * is p < 0.05 after Holm's correction.
    """
    best = champion(league)
    rows = [_row(row, row.name == best) for row in leaderboard(league)]
    rules = ["---"] * len(HEADINGS)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEADINGS, rules, *rows)) + "\n"


def _row(row: Row, first: bool) -> tuple[str, ...]:
    star = " *" if row.p < LEVEL else ""
    gain = f"{signed(row.gain.value)} {interval(row.gain.low, row.gain.high, plus=True)}{star}"
    return (
        f"**{row.name}**" if row.kind == "learned" else row.name,
        fixed(row.score.value, 2),
        NONE if first else gain,
        NONE if first else split(row.win, row.tie, row.loss, between="/"),
        fixed(100 * row.failures, 0),
        fixed(row.octaves, 1),
        compact(row.passes),
    )
