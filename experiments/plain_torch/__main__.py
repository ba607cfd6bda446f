"""The commands of the plain_torch benchmark: python -m lrpilot.experiments.plain_torch COMMAND."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from lrpilot.experiments.plain_torch import controls as against
from lrpilot.experiments.plain_torch.network import Network, Role
from lrpilot.experiments.plain_torch.networks import networks_of
from lrpilot.experiments.plain_torch.plan import HORIZONS, LONG, SEEDS, at, own_horizons, units
from lrpilot.experiments.plain_torch.report import report, sensitivity
from lrpilot.experiments.plain_torch.store import BASELINES, FOLDER, Store
from lrpilot.experiments.plain_torch.tables import best_table, check_table, controls_table, report_table
from lrpilot.experiments.plain_torch.work import PROCESSES, run_units
from lrpilot.files import write_json

REMINDER = "test networks are for the end: choose policies by --role validation"
ROLES: dict[str, tuple[Role, ...]] = {
    "validation": ("validation",),
    "test": ("test",),
    "large": ("large",),
    "all": ("validation", "test"),
}
CHECK_HORIZON = 1000
WIDTH = 170  # of tables, characters


def networks_in(role: str) -> list[Network]:
    """Return the networks of a role, or of validation and test, in this order.

    Args:
        role: A key of `ROLES`.
    """
    return [network for one in ROLES[role] for network in networks_of(one)]


def horizons_in(given: argparse.Namespace, *usual: int) -> tuple[int, ...]:
    """Return the horizons that are asked for, else those of the networks' own, else the usual ones."""
    return tuple(given.horizon or own_horizons(networks_in(given.role)) or usual)


def baselines(given: argparse.Namespace, console: Console) -> None:
    """Run the baselines that are missing, the most urgent first."""
    horizons = horizons_in(given, *HORIZONS, LONG)
    roles = [units(networks_of(role), horizons) for role in ROLES[given.role]]
    work = [unit for units_of_role in roles for unit in units_of_role if unit.linear or not given.linear]
    store = Store(given.folder)
    try:
        run_units(store, work, given.processes)
    except KeyboardInterrupt:
        console.print("stopped: all runs that were finished are kept; the same command goes on from there")
    console.print(f"{len(store.results)} runs are known; `export` writes those of baselines to {BASELINES}")


def policy(given: argparse.Namespace, console: Console) -> None:
    """Run policies and print a table for each horizon."""
    if given.role == "test":
        console.print(f"[bold]{REMINDER}[/bold]")
    horizons = horizons_in(given, *HORIZONS)
    store = Store(given.folder)
    data = report(given.policies, given.role, horizons, given.seeds, given.hidden, store, given.processes)
    for horizon, rows in data["horizons"].items():
        console.print(report_table(rows, horizon, len(at(networks_in(given.role), int(horizon)))))
        if given.role == "large":
            console.print(best_table(rows, horizon))
    if given.output:
        write_json(given.output, data)
        console.print(f"written to {given.output}")


def controls(given: argparse.Namespace, console: Console) -> None:
    """Run a policy and its controls and print a table for each horizon: what training and sight gain."""
    if given.role == "test":
        console.print(f"[bold]{REMINDER}[/bold]")
    torch.set_num_threads(1)  # for the mean replay, which is made in this process
    horizons = given.horizon or against.HORIZONS
    data = against.compare_controls(
        given.policy, given.role, horizons, given.seeds, Store(given.folder), given.processes
    )
    for horizon, part in data["horizons"].items():
        console.print(controls_table(part["rows"], horizon))
    if others := data["state_blind_differs_in"]:
        console.print(f"the recipe of the state-blind agent is another one in: {', '.join(others)}")
    if given.output:
        write_json(given.output, data)
        console.print(f"written to {given.output}")


def check(given: argparse.Namespace, console: Console) -> None:
    """Print how much each network says about LRs."""
    for horizon in horizons_in(given, CHECK_HORIZON):
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
    for command in (baselines, policy, controls, check, export):
        sub = commands.add_parser(command.__name__, help=(command.__doc__ or "").removesuffix("."))
        sub.set_defaults(command=command)
        learned = command in {policy, controls}
        roles: tuple[str, ...] = ("validation", "test") if learned else ("all", "validation", "test")
        roles += () if command is controls else ("large",)
        sub.add_argument("--role", choices=roles, default=roles[0], help="which networks")
        sub.add_argument(
            "--horizon", type=int, nargs="+", action="extend", metavar="T", help="steps of a run; by default all"
        )
        sub.add_argument("--folder", type=Path, default=FOLDER, help="where runs are kept")
        sub.add_argument("--processes", type=int, default=PROCESSES, help="workers")
        sub.add_argument(
            "--output", type=Path, metavar="FILE", help="where policies' figures go as JSON, and what `export` writes"
        )
        if command is baselines:
            sub.add_argument("--linear", action="store_true", help="only linear")
        if command is policy:
            sub.add_argument("policies", nargs="+", metavar="POLICY", help="name or path")
            sub.add_argument("--hidden", action="store_true", help="hide gradients from the policies")
        if command is controls:
            sub.add_argument("policy", metavar="POLICY", help="name or path")
        if learned:
            sub.add_argument(
                "--seeds",
                type=int,
                default=len(SEEDS) if command is controls else None,
                help="of each run; by default as many as baselines have",
            )
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
