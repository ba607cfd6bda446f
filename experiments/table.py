"""The comparison as a table on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from lrpilot.experiments.compare import LEARNED, Comparison, rows


def show(result: Comparison, console: Console) -> None:
    """Print the table and the verdict, losses beside wins.

    Args:
        result: The results.
        console: Where to.
    """
    problems = result.recipe.comparison.test_problems
    title = f"log(final loss / first loss) on {problems} unseen problems; gain of the learned schedule, nats"
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1))
    table.add_column("method", no_wrap=True)
    for heading in ("mean", "IQM", "gain [95 %]", "win/tie/loss %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows(result):
        gain = shares = ""
        if row["method"] != LEARNED:
            gain = f"{row['gain_mean']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
            shares = "/".join(f"{100 * row[f'gain_{key}']:.0f}" for key in ("win", "tie", "loss"))
        seeds = "1 seed" if len(result.episodes) == 1 else f"{len(result.episodes)} seeds"
        name = f"{row['method']} ({seeds})" if row["method"] == LEARNED else row["method"]
        cells = (name, f"{row['mean']:.3f}", f"{row['iqm']:.3f}", gain, shares)
        style = "bold" if row["method"] == LEARNED else ""
        table.add_row(*cells, style=style)
    console.print(table)
    verdict = result.against(result.best)
    console.print(
        f"Against the best tuned baseline, {result.best}: {verdict.mean:+.3f} nats "
        f"[{verdict.low:+.3f}, {verdict.high:+.3f}], wins {verdict.win:.0%}, loses {verdict.loss:.0%}. "
        f"Closes {result.gap_closed:.0%} of the gap to the best of {result.oracle_size} schedules chosen for each "
        "problem in hindsight."
    )
    diverged = sum(int(episodes.diverged.sum()) for episodes in result.episodes)
    console.print(f"Learned runs that diverged: {diverged} of {problems * len(result.episodes)}.")
    passes = ", ".join(f"{name} {count:,}" for name, count in result.passes.items())
    console.print(f"Gradient evaluations: {passes}.")
