"""Small league tables for tests, made up from known effects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lrpilot.experiments.league.document import Cell, Kind, League, RivalInfo, TaskInfo

MOMENTS = 12  # at which runs are measured, the start apart
KINDS: dict[str, Kind] = {
    "policy": "learned",
    "cosine": "schedule",
    "constant": "schedule",
    "plateau": "feedback",
    "schedule-free": "optimizer",
    "oracle": "hindsight",
}
EFFECTS = {"policy": -0.1, "cosine": 0.0, "constant": 0.3, "plateau": 0.2, "schedule-free": 0.1, "oracle": -0.4}


def make_cell(final: ArrayLike = (-1.0, -1.0), **changes: Any) -> Cell:
    """Return a cell whose curve falls in a straight line to its final losses, tried from one base LR."""
    end = np.array(final, dtype=float)
    shares = np.linspace(0.0, 1.0, MOMENTS + 1)
    fields: dict[str, Any] = {
        "task": "task 0",
        "rival": "cosine",
        "base_lr": 1.0,
        "shape": "1",
        "tried": 1,
        "on_edge": False,
        "final": end,
        "diverged": np.zeros(len(end), dtype=bool),
        "shares": shares,
        "curve": shares[:, None] * end,
        "lr": np.ones((MOMENTS, len(end))),
        "multiples": np.array([1.0]),
        "sensitivity": end[None],
        "failures": np.zeros(1, dtype=np.int64),
        "passes": 240.0,
        "tuning_passes": 0.0,
        "seconds": 1.0,
        "tuning_seconds": 0.0,
        "wall_seconds": 1.0,
    }
    return Cell(**{**fields, **changes})


def make_league(finals: dict[str, ArrayLike], kinds: dict[str, Kind] = KINDS, **changes: Any) -> League:
    """Return a table with the final losses of each rival, shape (T, P), cells as `make_cell` makes them.

    Args:
        finals: By name of the rival.
        kinds: By name of the rival; `KINDS` for those that are missing.
        changes: Fields of all cells.
    """
    losses = {name: np.array(value, dtype=float) for name, value in finals.items()}
    count, problems = next(iter(losses.values())).shape
    tasks = tuple(TaskInfo(f"task {index}", "nmf", 240, problems, "the stability bound", "") for index in range(count))
    cells = tuple(
        make_cell(value[index], task=task.name, rival=name, **changes)
        for name, value in losses.items()
        for index, task in enumerate(tasks)
    )
    rivals = tuple(RivalInfo(name, (KINDS | kinds)[name], "made up") for name in losses)
    return League("suite", True, 0, "", "", "", {}, tasks, rivals, cells)


def synthetic_league(seed: int = 0, tasks: int = 3, problems: int = 8) -> League:
    """Return a table of all rivals of `EFFECTS`: mean final losses differ by these, in nats."""
    rng = np.random.default_rng(seed)
    levels = -np.linspace(1.0, 4.0, tasks)[:, None] + rng.normal(0, 0.5, (tasks, problems))
    return make_league({name: levels + effect + rng.normal(0, 0.02, levels.shape) for name, effect in EFFECTS.items()})
