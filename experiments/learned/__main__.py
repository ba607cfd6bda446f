"""What a policy learned, made visible: python -m lrpilot.experiments.learned universal [--output FOLDER].

Three figures of a policy that begins with a base LR:

- `schedules.png`: the LRs that it chooses on a network in plain torch in runs of 300, 3,000 and 30,000 steps, from base
  LRs that are 16 times too low, right and 16 times too high, with gradients and without, and the losses below. The
  dashed line is a linear decay from the right LR. See `schedules`.
- `response.png`: what it answers to two signals at a time. See `response`.
- `signals.png` and `signals.json`: what each signal tells it: how much higher the final loss is if its values are
  wrong. See `signals`.

With one core it takes six minutes: over one for the schedules, five for the signals. --smoke takes seconds.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lrpilot.errors import UserError
from lrpilot.experiments.learned import response, schedules, signals, signals_figure
from lrpilot.experiments.learned.schedules import MODES, modes_of
from lrpilot.experiments.plain_torch.networks import NETWORKS
from lrpilot.experiments.plain_torch.store import FOLDER as RUNS
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.probes import Trace
from lrpilot.files import commit, make_folder, write_json
from lrpilot.policy import SchedulePolicy, load_policy

FOLDER = Path("docs") / "results" / "universal" / "figures"
NETWORK = "shallow MLP"  # fast, with data that never repeat, so that the training loss is honest
SMOKE_SEEDS = {60: 1, 100: 1}
DPI = 150
Bar = Callable[[str, int], Callable[[int], None]]  # description and all that is to do -> called with what was done


def loaded(policy: str) -> SchedulePolicy:
    """Load a policy that these figures can be made of.

    Args:
        policy: Name or path.

    Raises:
        UserError: It does not exist, or does not begin with a base LR.
    """
    result = load_policy(policy)
    if result.control.action != "multiple_of_base":
        raise UserError(f"{policy} chooses a fraction of a bound: these figures are for policies that begin with an LR")
    return result


def draw_schedules(policy: SchedulePolicy, network: str, smoke: bool, bar: Bar, folder: Path) -> Path:
    """Run and draw the schedules; return the file."""
    seeds = SMOKE_SEEDS if smoke else schedules.SEEDS
    tick = bar("schedules", schedules.steps_of(policy, seeds))
    panels = schedules.run_all(policy, NETWORKS[network], Store(RUNS).results, seeds, tick)
    path = folder / "schedules.png"
    schedules.draw(panels, policy.card["name"], NETWORKS[network]).savefig(path, dpi=DPI)
    return path


def draw_response(policy: SchedulePolicy, record: Trace, folder: Path) -> list[Path]:
    """Draw the response surfaces; return the file, or none if there is no pair that the policy reads."""
    path = folder / "response.png"
    if not response.pairs_of(policy):
        return []
    response.draw(policy, record).savefig(path, dpi=DPI)
    return [path]


def measure_signals(
    policy: SchedulePolicy, records: dict[bool, dict[int, Trace]], sizes: signals.Sizes, bar: Bar
) -> dict[str, Any]:
    """Measure what each signal tells; return what `signals.json` holds."""
    modes = {}
    for hidden, record in records.items():
        tick = bar(f"signals: {MODES[hidden].lower()}", signals.work_of_effects(policy, hidden, sizes))
        modes[MODES[hidden]] = signals.measure(policy, record, hidden, sizes, tick)
    return {
        "policy": policy.card["name"],
        "fingerprint": policy.fingerprint,
        "commit": commit(),
        "unit": "nats of final log loss, higher than that of untouched runs: mean, low and high (95 % over networks)",
        "networks": {str(steps): count for steps, count in sizes.networks.items()},
        "problems_of_each": sizes.problems,
        "modes": modes,
    }


def draw_signals(document: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what each signal tells, and write the numbers; return the files."""
    paths = [folder / "signals.png", folder / "signals.json"]
    signals_figure.draw(document).savefig(paths[0], dpi=DPI)
    write_json(paths[1], document)
    return paths


def make(policy: SchedulePolicy, given: argparse.Namespace, bar: Bar) -> list[Path]:
    """Make the figures that were asked for.

    Args:
        policy: One that begins with a base LR.
        given: Options, see `parser`.
        bar: Shows how far it is.

    Returns:
        The files.
    """
    sizes = signals.SMOKE if given.smoke else signals.FULL.fewer(given.share)
    paths: list[Path] = []
    if "schedules" in given.only:
        paths.append(draw_schedules(policy, given.network, given.smoke, bar, given.output))
    modes = modes_of(policy) if "signals" in given.only else modes_of(policy)[:1]
    if {"response", "signals"} & {*given.only}:
        tick = bar("what untouched runs see", signals.work_of_record(sizes) * len(modes))
        records = {hidden: signals.record(policy, hidden, sizes, tick) for hidden in modes}
    if "response" in given.only:
        of_modes = records[modes[0]]
        paths += draw_response(policy, of_modes[max(of_modes)], given.output)
    if "signals" in given.only:
        paths += draw_signals(measure_signals(policy, records, sizes, bar), given.output)
    return paths


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    result = argparse.ArgumentParser("python -m lrpilot.experiments.learned", description=(__doc__ or "").split(":")[0])
    figures = ("schedules", "response", "signals")
    result.add_argument("policy", nargs="?", default="universal", metavar="POLICY", help="name or path")
    result.add_argument(
        "--output", type=Path, default=FOLDER, metavar="FOLDER", help="where to; by default %(default)s"
    )
    result.add_argument("--only", nargs="+", choices=figures, default=figures, help="these figures; by default all")
    of_schedules = f"of the plain_torch benchmark, for the schedules; by default {NETWORK}"
    result.add_argument("--network", choices=NETWORKS, default=NETWORK, metavar="NAME", help=of_schedules)
    result.add_argument(
        "--share", type=float, default=1.0, help="of the networks that signals are measured on; by default 1"
    )
    result.add_argument("--smoke", action="store_true", help="everything once, small: a test of the command")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the figures and print their paths.

    Args:
        arguments: Those of the command line, if None.
    """
    torch.set_num_threads(1)
    command, console = parser(), Console()
    given = command.parse_args(arguments)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    try:
        policy = loaded(given.policy)
        make_folder(given.output)
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:

            def bar(description: str, total: int) -> Callable[[int], None]:
                task = progress.add_task(description, total=total)
                return lambda done: progress.advance(task, done)

            paths = make(policy, given, bar)
    except UserError as error:
        command.error(str(error))
    for path in paths:
        console.print(str(path), soft_wrap=True)


if __name__ == "__main__":
    main()
