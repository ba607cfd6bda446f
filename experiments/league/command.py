"""What `lrpilot compare suite` and `lrpilot report` do."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from lrpilot.configs import ConfigError
from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.leaderboard import Row, champion, leaderboard
from lrpilot.experiments.league.report import brief_table, results_markdown, write_report
from lrpilot.experiments.league.report.digits import split
from lrpilot.experiments.league.run_league import play_league
from lrpilot.experiments.league.tensorboard_log import record_league
from lrpilot.experiments.league.tune_and_score import FULL, QUICK, SMOKE
from lrpilot.experiments.league.workload import SUITE
from lrpilot.files import write_text

BUDGETS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


def play(
    folder: Path, overrides: Sequence[str], quick: bool, smoke: bool, console: Console, reuse: Path | None = None
) -> League:
    """Play the league, or go on where it was stopped; write it, its cells and its report in three forms.

    Args:
        folder: Holds a folder of each size and seed, and one with all finished cells.
        overrides: Nothing, or "seed=N".
        quick: A task of each family, with a small budget.
        smoke: The same as small as it gets.
        console: Where everything is shown.
        reuse: A `cells.zip` of another league, whose cells need not be computed again where nothing has changed.

    Returns:
        The league.

    Raises:
        ConfigError: An override is wrong, or there is no such file to reuse.
    """
    seed = _seed(overrides)
    size = "smoke" if smoke else "quick" if quick else "full"
    words = ["lrpilot compare suite", *([] if size == "full" else [f"--{size}"]), *([f"seed={seed}"] if seed else [])]
    place = folder / (f"{size}-seed{seed}" if seed else size)
    place.mkdir(parents=True, exist_ok=True)
    try:
        league = play_league(SUITE, BUDGETS[size], seed, place, " ".join(words), console, reuse)
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here, finished cells are kept")
        raise
    show(league, console)
    record_league(league, place / "tensorboard")
    report(place, console)
    return league


def report(place: Path, console: Console) -> None:
    """Write report.html, results.md and brief.md (the README's table) of a league again from its `league.json`.

    Args:
        place: The folder of the league.
        console: Where the files are named.

    Raises:
        ConfigError: There is no such league.
    """
    path = place / "league.json"
    if not path.is_file():
        raise ConfigError(f"no {path}: give the folder of a league, made by lrpilot compare suite")
    league = League.load(path)
    write_text(place / "results.md", results_markdown(league))
    write_text(place / "brief.md", brief_table(league))
    console.print(f"written to {write_report(league, place)}, {place / 'results.md'} and {place / 'brief.md'}")


def show(league: League, console: Console) -> None:
    """Print the table, best first, losses beside wins."""
    best = champion(league)
    title = f"{league.suite}, {len(league.tasks)} tasks; 1.00 = tuned cosine; gain over {best}, the best tuned schedule"
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1))
    table.add_column("rival", no_wrap=True)
    for heading in ("score [95 %]", "gain [95 %], nats", "p", "win/tie/loss %", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in leaderboard(league):
        table.add_row(*_cells(row), style="bold" if row.kind == "learned" else "")
    console.print(table)


def _cells(row: Row) -> tuple[str, ...]:
    shares = split(row.win, row.tie, row.loss, between="/")
    score, gain = row.score, row.gain
    return (
        row.name,
        f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]",
        f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        "" if np.isnan(row.p) else f"{row.p:.3f}",
        shares,
        f"{row.failures:.0%}",
    )


def _seed(overrides: Sequence[str]) -> int:
    for override in overrides:
        key, _, value = override.partition("=")
        if key != "seed" or not value.isdecimal():
            raise ConfigError(f"override {override!r}: compare suite knows seed=N alone, N a whole number")
    return int(overrides[-1].partition("=")[2]) if overrides else 0
