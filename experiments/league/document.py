"""What a league table is made of, as plain data: tasks, rivals, and a cell for each pair of them."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.files import write_json

Kind = Literal["schedule", "feedback", "optimizer", "search", "learned", "control", "hindsight"]
KINDS: dict[Kind, str] = {
    "learned": "learned policies",
    "schedule": "schedules, fixed before the run",
    "feedback": "rules that watch losses or gradients",
    "optimizer": "optimizers that need no schedule",
    "search": "hyper-parameter search at equal cost",
    "control": "controls of the learned policies",
    "hindsight": "hindsight, not attainable",
}


@dataclass(frozen=True)
class TaskInfo:
    """One task of the suite.

    Attributes:
        name: Its id.
        family: "nmf", "linear", "cnn" or "nlp".
        horizon: SGD steps of a run.
        problems: Scored problems, P; as many others are tuned on.
        unit: What base LRs are multiples of.
        key: Digest of all that its problems depend on.
    """

    name: str
    family: str
    horizon: int
    problems: int
    unit: str
    key: str


@dataclass(frozen=True)
class RivalInfo:
    """One row of the table.

    Attributes:
        name: Its name.
        kind: What it is, a key of `KINDS`.
        source: Where it comes from, for the report.
        tuned: Whether it was tuned for each task; else it ran once, as it comes.
        training_passes: Gradient evaluations of meta-training; 0 if there was none.
    """

    name: str
    kind: Kind
    source: str
    tuned: bool = True
    training_passes: float = 0.0


@dataclass(frozen=True)
class Cell:
    """One rival on one task: its chosen setting on the P scored problems.

    All losses are logs over those at the start, in nats.

    Attributes:
        task: Name of the task.
        rival: Name of the rival.
        base_lr: Chosen base LR, in the task's unit; NaN where there is none.
        shape: Chosen values of its other settings, as text.
        tried: Settings tried.
        on_edge: Whether the chosen base LR is the lowest or highest tried, though the grid grew as far as it may.
        final: Final loss, shape (P,).
        failed: Runs that ended tenfold worse than they began, shape (P,).
        shares: Moments as shares of the horizon, shape (M + 1,).
        curve: Held-out loss at those moments, shape (M + 1, P).
        lr: LR in the task's unit at those moments but the first, shape (M, P); NaN where there is none.
        multiples: Base LRs tried with the chosen shape, in the task's unit, increasing, shape (C,).
        sensitivity: Final losses from each of those, shape (C, P).
        failures: Failed runs from each of those, of P, shape (C,).
        passes: Gradient evaluations of one run.
        tuning_passes: Gradient evaluations of the tuning, on all P problems.
        seconds: CPU time of one run, s.
        tuning_seconds: CPU time of the tuning, on all P problems, s.
        wall_seconds: Wall-clock time of the tuning and of a run, on all P problems, s.
    """

    task: str
    rival: str
    base_lr: float
    shape: str
    tried: int
    on_edge: bool
    final: Floats
    diverged: NDArray[np.bool_]
    shares: Floats
    curve: Floats
    lr: Floats
    multiples: Floats
    sensitivity: Floats
    failures: NDArray[np.int64]
    passes: float
    tuning_passes: float
    seconds: float
    tuning_seconds: float
    wall_seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return plain data; NaN and infinity become null."""
        return {_OLD.get(field.name, field.name): _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the cell that `as_json` described."""
        arrays = {name: np.array(data[name], dtype=float) for name in ("final", "shares", "curve", "lr", "multiples")}
        arrays["sensitivity"] = np.array(data["sensitivity"], dtype=float).reshape(-1, len(data["final"]))
        data = {name: value for name, value in data.items() if name not in _OLD.values()} | {
            name: data[old] for name, old in _OLD.items()
        }
        whole = {"diverged": np.array(data["diverged"], dtype=bool), "failures": np.array(data["failures"], dtype=int)}
        base_lr = float("nan") if data["base_lr"] is None else data["base_lr"]
        return cls(**{**data, **arrays, **whole, "base_lr": base_lr})


_OLD = {"diverged": "failed"}  # fields of cells -> their keys in published tables


@dataclass(frozen=True)
class League:
    """A whole league table.

    Attributes:
        suite: Name of the suite.
        quick: Whether it is the small version.
        seed: Of problems and mini-batches.
        commit: Of the program.
        date: When it was finished, ISO 8601, UTC.
        command: What makes it again.
        machine: Cores, versions of Python, torch and the rivals' packages, by name.
        tasks: In the suite's order.
        rivals: In any order.
        cells: One for each task and rival.
    """

    suite: str
    quick: bool
    seed: int
    commit: str
    date: str
    command: str
    machine: dict[str, str]
    tasks: tuple[TaskInfo, ...]
    rivals: tuple[RivalInfo, ...]
    cells: tuple[Cell, ...]

    def cell(self, task: str, rival: str) -> Cell:
        """Return one cell; KeyError if there is none."""
        for cell in self.cells:
            if (cell.task, cell.rival) == (task, rival):
                return cell
        raise KeyError((task, rival))

    def of_kind(self, *kinds: Kind) -> list[RivalInfo]:
        """Return the rivals of some kinds, in the table's order."""
        return [rival for rival in self.rivals if rival.kind in kinds]

    def finals(self, rival: str) -> Floats:
        """Return the final losses of a rival on all tasks, shape (T, P)."""
        return np.array([self.cell(task.name, rival).final for task in self.tasks])

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {"tasks": [asdict(task) for task in self.tasks], "rivals": [asdict(rival) for rival in self.rivals]}
        write_json(path, plain | {"cells": [cell.as_json() for cell in self.cells]})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a table that `save` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["tasks"] = tuple(TaskInfo(**task) for task in data["tasks"])
        data["rivals"] = tuple(RivalInfo(**rival) for rival in data["rivals"])
        data["cells"] = tuple(Cell.from_json(cell) for cell in data["cells"])
        return cls(**data)


def _plain(value: Any) -> Any:
    """Arrays as nested lists, six digits, with null for what JSON has no number for."""
    if isinstance(value, np.ndarray) and value.ndim:
        return [_plain(entry) for entry in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
