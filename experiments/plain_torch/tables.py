"""Tables of the benchmark for the terminal."""

from typing import Any

from rich import box
from rich.table import Table

from lrpilot.experiments.plain_torch.report import TUNED_ROW

HEADINGS = ("÷ 16", "× 1", "× 16", "mean [95 %]", "median", "best chk.", "largest (network)", "spread", "ahead", "div.")
CLEAR = 0.1  # nats that a factor of four must cost in one direction at least
CLOSE = 0.03  # nats above the best tuned schedule that a policy may be, from each base LR


def report_table(rows: list[dict[str, Any]], horizon: str, count: int) -> Table:
    """Return the table of one horizon.

    Args:
        rows: Of `report()["horizons"][horizon]`.
        horizon: Steps.
        count: Networks of the role at that horizon.
    """
    title = (
        f"{horizon} steps, {count} networks: log held-out loss above that of linear tuned for each, nats, by base LR; "
        "best checkpoint; spread over base LRs; share ahead of cosine at the usual LR; diverged runs"
    )
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("schedule")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_line(row, count))
    return table


def _line(row: dict[str, Any], count: int) -> list[str]:
    known = len(row["networks"])
    name = row["name"] if known == count else f"{row['name']} ({known} networks)"
    means = [f"{mean:+.3f}" for mean, _, _ in row["by_base_lr"]]
    mean, low, high = row["all"]
    network, largest = row["largest"]
    return [
        name,
        *(means if len(means) > 1 else ["", "", ""]),
        f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
        f"{row['median']:+.3f}",
        f"{row['best_checkpoint'][0]:+.3f}",
        f"{largest:+.2f} {network}",
        "" if row["spread"] is None else f"{row['spread']:.3f}",
        "" if row["ahead_of_cosine"] is None else f"{row['ahead_of_cosine']:.0%}",
        f"{row['diverged']}/{row['runs']}",
    ]


def controls_table(rows: list[dict[str, Any]], horizon: str) -> Table:
    """Return what a policy gains over its controls at one horizon.

    Args:
        rows: Of `controls.compare_controls()["horizons"][horizon]`, the policy first.
        horizon: Steps.
    """
    count = len(rows[0]["scores"][0])
    title = (
        f"{horizon} steps, {count} networks: nats that the policy gains in log held-out loss, by base LR, with 95 % "
        f"intervals over networks; share of wrong base LRs where it wins; diverged of {rows[0]['runs']} runs by base LR"
    )
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("over")
    for heading in (f"{HEADINGS[0]} and {HEADINGS[2]}", "wins", *HEADINGS[:3], "diverged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        gains = row["gains"]
        cells = [f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]" for gain in gains.values()]
        figures = [cells[0], f"{gains['wrong']['win']:.0%}", *cells[1:]] if gains else [""] * 5
        table.add_row(row["name"], *figures, ", ".join(map(str, row["diverged"])))
    return table


def best_table(rows: list[dict[str, Any]], horizon: str) -> Table:
    """Return how far each policy is above the best of the tuned schedules, by network and base LR.

    Args:
        rows: Of `report()["horizons"][horizon]`.
        horizon: Steps.
    """
    tuned = [row for row in rows if row["name"].endswith(TUNED_ROW)]
    title = f"{horizon} steps: log held-out loss above that of the best of the tuned schedules, nats, by base LR"
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for heading in ("schedule", "network", "best of the tuned", *HEADINGS[:3], ""):
        table.add_column(heading, justify="right" if heading in HEADINGS else "left")
    for row in rows:
        for network, *excess in zip(row["networks"], *row["excess"], strict=True) if len(row["excess"]) > 1 else ():
            known = {r["name"]: r["excess"][0][r["networks"].index(network)] for r in tuned if network in r["networks"]}
            best = min(known, key=known.__getitem__)
            above = [value - known[best] for value in excess]
            verdict = f"{'within' if max(above) <= CLOSE else 'not within'} {CLOSE}"
            of = f"{best.removesuffix(TUNED_ROW)}, of {len(known)}"
            table.add_row(row["name"], network, of, *(f"{value:+.3f}" for value in above), verdict)
    return table


def check_table(costs: dict[str, tuple[int, float, float, float]], horizon: int) -> Table:
    """Return what an LR that is off by a factor of four costs linear, by network.

    Args:
        costs: Of `report.sensitivity`.
        horizon: Steps.
    """
    table = Table(title=f"linear at {horizon} steps: nats that an LR off by 4 costs", box=box.SIMPLE)
    for heading in ("network", "tuned LR ÷ usual", "log loss", "÷ 4", "× 4", ""):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for network, (octave, score, low, high) in costs.items():
        verdict = "" if max(low, high) >= CLEAR else "says too little"
        table.add_row(network, f"2^{octave}", f"{score:.3f}", f"{low:+.3f}", f"{high:+.3f}", verdict)
    return table
