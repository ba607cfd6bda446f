"""The command line. What needs the extra `[train]` is imported when it is asked for, and not before."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lrpilot.policy import PolicyError, list_policies, load_policy

if TYPE_CHECKING:
    from rich.console import Console

DONE, FAILED, WRONG = 0, 1, 2
RUNS = Path("runs")


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
    if options.command in {"policies", "inspect"}:
        return _guarded(options, (PolicyError,))
    try:
        from lrpilot.configs import ConfigError
        from lrpilot.envs.data import DataError
    except ModuleNotFoundError as error:
        return _complain(f"{options.command} needs {error.name}: pip install 'lrpilot[train]'")
    return _guarded(options, (PolicyError, ConfigError, DataError))


def _guarded(options: argparse.Namespace, wrong: tuple[type[Exception], ...]) -> int:
    try:
        _COMMANDS[options.command](options)
    except wrong as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return FAILED
    return DONE


def _complain(message: str) -> int:
    print(f"lrpilot: {message}", file=sys.stderr)
    return WRONG


def _policies(_: argparse.Namespace) -> None:
    for name in list_policies():
        card = load_policy(name).card
        print(f"{name}: {card.get('summary', card['action'])}")


def _inspect(options: argparse.Namespace) -> None:
    policy = load_policy(options.policy)
    card = dict(policy.card)
    recipe = card.get("trained", {}).pop("recipe", "") if isinstance(card.get("trained"), dict) else ""
    print(json.dumps({**card, "fingerprint": policy.fingerprint}, indent=2, ensure_ascii=False))
    print(recipe, end="")


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
        train_agent(run, _console())
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: lrpilot train --resume {run.folder}", file=sys.stderr)
        raise


def _compare(options: argparse.Namespace) -> None:
    from lrpilot.configs import load_recipe
    from lrpilot.experiments.pipeline import check_data, compare_policies

    recipe = load_recipe(options.config, options.overrides, options.smoke)
    check_data(recipe)
    names = options.policy or [recipe.env]
    compare_policies(recipe, names, RUNS / recipe.env / "compare", options.json, _console())


def _console() -> Console:
    """The terminal, or a log file of 120 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


_COMMANDS = {
    "policies": _policies,
    "inspect": _inspect,
    "tasks": _tasks,
    "train": _train,
    "compare": _compare,
}


class _OneLineParser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong with the command."""
        self.exit(WRONG, f"lrpilot: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="lrpilot", description="Learned learning-rate schedules.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("policies", help="list the shipped policies")
    inspect = commands.add_parser("inspect", help="print the card of a policy")
    inspect.add_argument("policy", help="name or path")
    commands.add_parser("tasks", help="list the registered environments")
    train = commands.add_parser("train", help="train a policy, compare it, try it on real data")
    train.add_argument("config", nargs="?", help="recipe: a name or a YAML file")
    train.add_argument("--resume", metavar="RUN", help="folder of an interrupted run")
    train.add_argument("--name", help="name of the run; by default its seed")
    compare = commands.add_parser("compare", help="compare policies with tuned baselines")
    compare.add_argument("config", help="recipe: a name or a YAML file")
    compare.add_argument("--policy", action="append", help="name or path; several count as seeds of one method")
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the result here, and nothing else")
    for command in (train, compare):
        command.add_argument("overrides", nargs="*", metavar="key=value", help="such as ppo.iterations=10")
        command.add_argument("--smoke", action="store_true", help="everything, small: a minute")
    return parser
