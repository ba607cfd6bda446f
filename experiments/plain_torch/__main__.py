"""The commands of the plain_torch benchmark: python -m lrpilot.experiments.plain_torch COMMAND."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.networks import networks_of
from lrpilot.experiments.plain_torch.plan import HORIZONS, LONG, SEEDS, units
from lrpilot.experiments.plain_torch.report import report, sensitivity
from lrpilot.experiments.plain_torch.store import BASELINES, FOLDER, Store
from lrpilot.experiments.plain_torch.tables import check_table, report_table
from lrpilot.experiments.plain_torch.work import PROCESSES, run_units
from lrpilot.files import write_json

REMINDER = "test networks are for the end: choose policies by --role validation"
CHECK_HORIZON = 1000
WIDTH = 170  # of tables, characters


def networks_in(role: str) -> list[Network]:
    """Return the networks of a role, or of both, those for validation first.

    Args:
        role: "validation", "test" or "all".
    """
    return [network for one in ("validation", "test") if role in {one, "all"} for network in networks_of(one)]


def baselines(given: argparse.Namespace, console: Console) -> None:
    """Run the baselines that are missing, the most urgent first."""
    horizons = tuple(given.horizon or (*HORIZONS, LONG))
    roles = [units(networks, horizons) for role in ("validation", "test") if (networks := _of(role, given.role))]
    work = [unit for units_of_role in roles for unit in units_of_role if unit.linear or not given.linear]
    store = Store(given.folder)
    try:
        run_units(store, work, given.processes)
    except KeyboardInterrupt:
        console.print("stopped: all runs that were finished are kept; the same command goes on from there")
    console.print(f"{len(store.results)} runs are known; `export` writes those of baselines to {BASELINES}")


def _of(role: str, wanted: str) -> list[Network]:
    return networks_in(role) if wanted in {role, "all"} else []


def policy(given: argparse.Namespace, console: Console) -> None:
    """Run policies and print a table for each horizon."""
    if given.role == "test":
        console.print(f"[bold]{REMINDER}[/bold]")
    horizons = given.horizon or HORIZONS
    store = Store(given.folder)
    data = report(given.policies, given.role, horizons, given.seeds, given.hidden, store, given.processes)
    for horizon, rows in data["horizons"].items():
        count = sum(network.long or int(horizon) != LONG for network in networks_in(given.role))
        console.print(report_table(rows, horizon, count))
    if given.output:
        write_json(given.output, data)
        console.print(f"written to {given.output}")


def check(given: argparse.Namespace, console: Console) -> None:
    """Print how much each network says about LRs."""
    for horizon in given.horizon or [CHECK_HORIZON]:
        costs = sensitivity(networks_in(given.role), horizon, Store(given.folder).results)
        console.print(check_table(costs, horizon))


def export(given: argparse.Namespace, console: Console) -> None:
    """Write the runs of baselines to the file that is committed."""
    count = Store(given.folder).export(given.output or BASELINES)
    console.print(f"{count} runs written to {given.output or BASELINES}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    result = argparse.ArgumentParser(prog="python -m lrpilot.experiments.plain_torch", description=__doc__)
    commands = result.add_subparsers(required=True)
    for command in (baselines, policy, check, export):
        sub = commands.add_parser(command.__name__, help=(command.__doc__ or "").removesuffix("."))
        sub.set_defaults(command=command)
        roles = ("validation", "test") if command is policy else ("validation", "test", "all")
        sub.add_argument(
            "--role", choices=roles, default=roles[0] if command is policy else "all", help="which networks"
        )
        sub.add_argument(
            "--horizon", type=int, nargs="+", action="extend", metavar="T", help="steps of a run; by default all"
        )
        sub.add_argument("--folder", type=Path, default=FOLDER, help="where runs are kept")
        sub.add_argument("--processes", type=int, default=PROCESSES, help="workers")
        sub.add_argument(
            "--output", type=Path, metavar="FILE", help="where `policy` writes JSON, and `export` its file"
        )
        if command is baselines:
            sub.add_argument("--linear", action="store_true", help="only linear")
        if command is policy:
            sub.add_argument("policies", nargs="+", metavar="POLICY", help="name or path")
            sub.add_argument("--seeds", type=int, default=len(SEEDS), help="of the policies")
            sub.add_argument("--hidden", action="store_true", help="hide gradients from the policies")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments: Those of the command line, if None.
    """
    given = parser().parse_args(arguments)
    given.command(given, Console(width=WIDTH))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by kill as by Ctrl-C
    main()
