"""Rivals that move the parameters themselves: the rules, as rows of the table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pkgutil import iter_modules

import numpy as np
import torch

from lrpilot.arrays import Floats
from lrpilot.experiments.league import rules as all_rules
from lrpilot.experiments.league.document import Kind
from lrpilot.experiments.league.parameter_access import AbstractParameterAccess, accesses
from lrpilot.experiments.league.rival import AbstractRival, play_steps
from lrpilot.experiments.league.rules.base import AbstractRule
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.workload import Workload

Make = Callable[[AbstractParameterAccess], AbstractRule]


class ByRule(AbstractRival):
    """A method of `rules`.

    Args:
        name: Its name.
        kind: "feedback" or "optimizer".
        source: Its paper or package.
        shapes: By name, what makes the rule on an access.
        has_base_lr: Whether the base LR makes a difference.
    """

    def __init__(self, name: str, kind: Kind, source: str, shapes: Mapping[str, Make], has_base_lr: bool = True):
        super().__init__(name, kind, source, tuple(shapes), has_base_lr=has_base_lr)
        self._make = dict(shapes)

    def modules(self) -> tuple[str, ...]:
        """Return the names of the modules that the rival is made of: all rules count as one."""
        names = (f"{all_rules.__name__}.{entry.name}" for entry in iter_modules(all_rules.__path__))
        return (*super().modules(), *names)

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run the rule from several base LRs; see `AbstractRival.play`."""
        process = workload.start(len(multiples))
        task = process.task
        rules = [self._make[shape](access) for access in accesses(task)]
        base = np.tile(multiples, task.batch_size // len(multiples))
        sizes = [len(rule.access.parameters) for rule in rules]
        first = task.reference().copy()

        def step(_: int) -> Floats:
            reference = task.reference()
            parts = torch.split(torch.from_numpy(base * (reference if self.has_base_lr else first)), sizes)
            for rule, part in zip(rules, parts, strict=True):
                rule.step(part)
            lr: Floats = torch.cat([rule.lr for rule in rules]).double().numpy()
            return lr / reference

        runs = play_steps(step, process, len(multiples), partial(_showing, rules))
        return replace(runs, passes=float(np.average([rule.passes for rule in rules], weights=sizes)))


@contextmanager
def _showing(rules: Sequence[AbstractRule]) -> Iterator[None]:
    """For the time being, move the runs to where the methods would hand them to their users."""
    shown = [(rule.access, rule.shown(), rule.access.parameters) for rule in rules]
    elsewhere = [(access, there, here) for access, there, here in shown if there is not here]
    for access, there, _ in elsewhere:
        access.place(there)
    yield
    for access, _, here in elsewhere:
        access.place(here)
