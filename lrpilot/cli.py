"""The command line. What needs the extra `[train]` is imported when it is asked for, and not before."""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from lrpilot import PolicyError, __version__
from lrpilot.describe import describe
from lrpilot.errors import UserError
from lrpilot.export.onnx_file import onnx_bytes
from lrpilot.export.replay import read_trace, replay, table_text
from lrpilot.files import write_bytes
from lrpilot.policy import known_fingerprint, list_policies, load_policy, read_card

DONE, FAILED, WRONG = 0, 1, 2
RUNS = Path("runs")
SUITE = "suite"


class CommandError(UserError):
    """The words of a command don't go together, or it can't write where it should; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Words after `lrpilot`; those of the process if None.

    Returns:
        0 done, 1 the work failed, 2 the command or a file it names was wrong (one line says what).
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if any(word.startswith("-") or "overrides" not in options for word in rest):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # overrides behind an option, which argparse does not connect with those before it
        options.overrides += rest
    try:
        _COMMANDS[options.command](options)
        sys.stdout.flush()
    except UserError as error:
        return _complain(str(error))
    except ModuleNotFoundError as error:
        if str(error.name).startswith("lrpilot"):
            raise
        hint = f"{options.command} needs {error.name}: pip install 'lrpilot[train]'"
        return _complain(str(error) if options.command == "export" else hint)
    except BrokenPipeError:  # who reads, such as head, has seen enough; Python would complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    return DONE


def _complain(message: str) -> int:
    print(f"lrpilot: {message}", file=sys.stderr)
    return WRONG


def _policies(_: argparse.Namespace) -> None:
    for name in list_policies():
        card = read_card(name)
        print(f"{name}: {card.get('summary', card['action'])}")


def _inspect(options: argparse.Namespace) -> None:
    card, seal = read_card(options.policy), "weights not read; --verify reads and checks them"
    if options.verify:
        policy = load_policy(options.policy)
        card, seal = policy.card, policy.fingerprint
        known = known_fingerprint(options.policy)
        if known not in {None, seal}:
            raise PolicyError(
                f"{options.policy}: fingerprint is {seal}, must be {known}: the file is not the one that was released; "
                "install lrpilot anew"
            )
    if options.json:
        print(json.dumps({**card, "fingerprint": seal} if options.verify else card, indent=2))
        return
    print(describe(card, options.full), end="")
    if options.verify:
        print(f"verified     the weights are whole; this is {'the released' if known else 'no shipped'} policy")
    print(f"fingerprint  {seal}")


def _export(options: argparse.Namespace) -> None:
    replayed = {"--losses": options.losses, "--base-lr": options.base_lr, "--horizon": options.horizon}
    if options.format == "onnx":
        given = [name for name, value in replayed.items() if value is not None]
        if given:
            raise CommandError(f"{' '.join(given)}: only --format json replays losses; leave it out for onnx")
        output = options.output or Path(f"{Path(options.policy).stem}.onnx")
        _write(output, onnx_bytes(load_policy(options.policy)))
        print(output)
        return
    if options.losses is None or options.base_lr is None:
        raise CommandError("--format json replays the losses of a recorded run: give --losses TRACE and --base-lr LR")
    policy = load_policy(options.policy)
    text = table_text(replay(policy, read_trace(options.losses), options.base_lr, options.horizon))
    if options.output is None:
        print(text, end="")
    else:
        _write(options.output, text.encode())


def _write(path: Path, data: bytes) -> None:
    try:
        write_bytes(path, data)
    except OSError as error:
        raise CommandError(
            f"can't write {path} ({error.strerror}); give --output FILE in an existing folder"
        ) from error


def _tasks(_: argparse.Namespace) -> None:
    from gymnasium.envs.registration import registry

    import lrpilot.envs  # noqa: F401 (registers them)

    for name in sorted(registry):
        if name.startswith("lrpilot/"):
            print(name)


def _train(options: argparse.Namespace) -> None:
    from lrpilot.agents.run import Run
    from lrpilot.configs import ConfigError, load_recipe
    from lrpilot.experiments.pipeline import check_data, train_agent

    if options.resume:
        if options.config or options.overrides:
            raise ConfigError("--resume takes everything from the run; give no recipe and no overrides with it")
        run = Run.reopen(Path(options.resume))
    elif options.config is None:
        raise ConfigError("train needs a recipe, such as nmf, or --resume RUN")
    else:
        recipe = load_recipe(options.config, options.overrides, options.smoke)
        check_data(recipe)
        run = Run.start(recipe, RUNS, options.name)
    try:
        train_agent(run, _console(), options.smoke)
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: lrpilot train --resume {run.folder}", file=sys.stderr)
        raise


def _compare(options: argparse.Namespace) -> None:
    from lrpilot.configs import ConfigError, load_recipe

    if options.config == SUITE:
        _play_league(options)
        return
    if options.quick or options.reuse:
        raise ConfigError(f"--quick and --reuse are for compare {SUITE}; a recipe has --smoke")
    from lrpilot.experiments.pipeline import check_data, compare_policies

    recipe = load_recipe(options.config, options.overrides, options.smoke)
    check_data(recipe)
    names = options.policy or [recipe.env]
    folder = RUNS / recipe.env / "compare"
    compare_policies(recipe, names, folder, options.json, _console(), options.smoke)


def _play_league(options: argparse.Namespace) -> None:
    if options.policy or options.json:
        raise CommandError(f"compare {SUITE} takes neither --policy nor --json: all shipped policies take part")
    _league().play(RUNS / SUITE, options.overrides, options.quick, options.smoke, _console(), options.reuse)


def _report(options: argparse.Namespace) -> None:
    _league().report(Path(options.run), _console())


def _league() -> ModuleType:
    try:
        from lrpilot.experiments.league import command
    except ModuleNotFoundError as error:
        raise CommandError(f"the league needs {error.name}: pip install 'lrpilot[train,baselines]'") from error
    return command


def _console() -> Any:
    """The terminal, or a log file of 120 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


_COMMANDS = {
    "policies": _policies,
    "inspect": _inspect,
    "export": _export,
    "tasks": _tasks,
    "train": _train,
    "compare": _compare,
    "report": _report,
}


class _OneLineParser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong with the command."""
        self.exit(WRONG, f"lrpilot: {message}\n")


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return number


def _steps(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of steps, at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="lrpilot", description="Learned learning-rate schedules.")
    parser.add_argument("--version", action="version", version=f"lrpilot {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("policies", help="list the shipped policies")
    inspect = commands.add_parser("inspect", help="print the card of a policy; its weights are not read")
    inspect.add_argument("policy", help="name or path")
    inspect.add_argument("--verify", action="store_true", help="read and check the weights too; print the fingerprint")
    inspect.add_argument("--full", action="store_true", help="all of the card, not the first lines of each entry")
    inspect.add_argument("--json", action="store_true", help="the raw card, with the recipe")
    export = commands.add_parser("export", help="a policy as an ONNX network, or its schedule on recorded losses")
    export.add_argument("policy", help="name or path")
    export.add_argument("--format", choices=("onnx", "json"), required=True, help="json: the schedule, step by step")
    export.add_argument("--losses", type=Path, metavar="TRACE", help="one loss a line, CSV with a column loss, or JSON")
    export.add_argument("--base-lr", type=_positive, metavar="LR", help="per step; fraction_of_bound: the bound")
    export.add_argument("--horizon", type=_steps, metavar="N", help="steps of the run; by default one a loss")
    export.add_argument("--output", type=Path, metavar="FILE", help="by default POLICY.onnx, json: standard output")
    commands.add_parser("tasks", help="list the registered environments")
    train = commands.add_parser("train", help="train a policy, compare it, try it on real data")
    train.add_argument("config", nargs="?", help="recipe: a name or a YAML file")
    train.add_argument("--resume", metavar="RUN", help="folder of an interrupted run")
    train.add_argument("--name", help="name of the run; by default its seed")
    compare = commands.add_parser("compare", help="compare policies with tuned baselines")
    compare.add_argument("config", help=f"recipe: a name or a YAML file; {SUITE}: every rival on every task")
    compare.add_argument("--policy", action="append", help="name or path; several count as seeds of one method")
    compare.add_argument("--quick", action="store_true", help=f"{SUITE} alone: a task of each family, in minutes")
    compare.add_argument(
        "--reuse", type=Path, metavar="CELLS", help=f"{SUITE} alone: a cells.zip, for what is unchanged"
    )
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the result here, and nothing else")
    report = commands.add_parser("report", help="write the page of a league table anew")
    report.add_argument("run", help=f"folder of a compare {SUITE}, such as {RUNS / SUITE / 'quick'}")
    for command in (train, compare):
        command.add_argument("overrides", nargs="*", metavar="key=value", help="such as ppo.iterations=10")
        command.add_argument("--smoke", action="store_true", help="everything, small: a minute")
    return parser
