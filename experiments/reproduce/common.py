"""What all reproductions share: a command line, a picture, a file with every number, and a table beside the claims."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from lrpilot.files import commit, write_json

FOLDER = Path("docs/results/reproduce")
RED, BLUE, GREEN, ORANGE, PURPLE, GREY = "#c1121f", "#1d5fa8", "#2a7f4f", "#d9822b", "#7b4ea3", "#8a8a8a"


@dataclass(frozen=True)
class Options:
    """What a reproduction is told on the command line.

    Attributes:
        quick: Small sizes: under a minute, not the numbers to quote.
        seed: Of problems and mini-batches.
        league: A `league.json` whose tuned cells are taken, where the reproduction can use one.
    """

    quick: bool = False
    seed: int = 0
    league: Path | None = None


@dataclass(frozen=True)
class Number:
    """One number, measured, beside the published one.

    Attributes:
        name: What it is, with its unit.
        measured: The number; infinite or NaN where there is none.
        low: Lower end of its 95 % interval, if it has one.
        high: Upper end.
        published: What was claimed, as text; empty if nothing was.
        source: Where.
    """

    name: str
    measured: float
    low: float | None = None
    high: float | None = None
    published: str = ""
    source: str = ""


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction returns.

    Attributes:
        figure: The picture.
        numbers: The numbers beside the claims.
        data: All that was drawn, and settings: numbers, texts, arrays, lists and dictionaries of them.
    """

    figure: Figure
    numbers: Sequence[Number]
    data: Mapping[str, Any]


Draw = Callable[[Options], Reproduction]


def main(name: str, draw: Draw, takes_league: bool = False, arguments: Sequence[str] | None = None) -> None:
    """Measure, write `NAME.png` and `NAME.json`, and print the numbers beside the claims.

    Args:
        name: Of the module.
        draw: Measures and draws.
        takes_league: Whether there is an option `--league`.
        arguments: Of the command line, if not those of the program.
    """
    parser = argparse.ArgumentParser(description=(sys.modules[draw.__module__].__doc__ or name).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: under a minute, not the numbers to quote")
    parser.add_argument("--seed", type=int, default=0, help="of problems and mini-batches")
    parser.add_argument("--output", type=Path, default=FOLDER, metavar="DIR", help="where picture and numbers go")
    if takes_league:
        parser.add_argument("--league", type=Path, metavar="FILE", help="a league.json to take tuned rivals from")
    given = parser.parse_args(arguments)
    options = Options(given.quick, given.seed, given.league if takes_league else None)
    torch.set_num_threads(1)
    result = draw(options)
    given.output.mkdir(parents=True, exist_ok=True)
    write_json(given.output / f"{name}.json", as_json(name, options, result))  # first: it asks if the tree is clean
    result.figure.savefig(given.output / f"{name}.png", dpi=150)
    show(name, result, Console())


def command(name: str, options: Options) -> str:
    """Return what makes a result again.

    Example:
        >>> command("nmf_step_decay", Options(quick=True, seed=3))
        'python -m lrpilot.experiments.reproduce.nmf_step_decay --quick --seed 3'
    """
    words = ["python -m", f"lrpilot.experiments.reproduce.{name}"]
    words += ["--quick"] if options.quick else []
    words += [f"--seed {options.seed}"] if options.seed else []
    words += [f"--league {options.league}"] if options.league else []
    return " ".join(words)


def as_json(name: str, options: Options, result: Reproduction) -> dict[str, Any]:
    """Return everything that a reader needs to believe or repeat a result, as plain data."""
    document = {
        "name": name,
        "command": command(name, options),
        "commit": commit(),
        "seed": options.seed,
        "quick": options.quick,
        "numbers": [asdict(number) for number in result.numbers],
        "data": dict(result.data),
    }
    return as_plain(document)


def as_plain(value: Any) -> Any:
    """Return nested data without arrays, six digits, with None for what JSON has no number for.

    Example:
        >>> as_plain({"a": np.array([1.0, np.nan]), "b": (np.int64(2), True, "c")})
        {'a': [1.0, None], 'b': [2, True, 'c']}
    """
    if isinstance(value, Mapping):
        return {str(key): as_plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return as_plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [as_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return as_plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def show(name: str, result: Reproduction, console: Console) -> None:
    """Print the numbers beside the claims."""
    table = Table(title=name, box=box.SIMPLE, padding=(0, 1))
    table.add_column("number")
    table.add_column("measured [95 %]", justify="right", no_wrap=True)
    table.add_column("published")
    for number in result.numbers:
        table.add_row(number.name, written(number), number.published)
    console.print(table)
    for source in dict.fromkeys(number.source for number in result.numbers if number.source):
        console.print(f"published: {source}")


def written(number: Number) -> str:
    """Return a measured number with its interval.

    Example:
        >>> written(Number("gain, nats", 0.25, 0.125, 0.5)), written(Number("runs", 12.0))
        ('0.25 [0.125, 0.5]', '12')
    """
    text = f"{number.measured:.3g}"
    return text if number.low is None else f"{text} [{number.low:.3g}, {number.high:.3g}]"


def panels(rows: int, columns: int, width: float = 4.6, height: float = 3.6) -> tuple[Figure, list[list[Axes]]]:
    """Return an empty figure and its axes, row by row.

    Args:
        rows: Of panels.
        columns: Of panels.
        width: Of one panel, inches.
        height: Of one panel, inches.
    """
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, [list(row) for row in grid]
