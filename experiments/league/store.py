"""Finished cells on disk, by all that they depend on, so that a killed comparison computes nothing twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lrpilot.agents.run import write_json
from lrpilot.experiments.league.compete import Budget
from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.workload import Workload
from lrpilot.signals import Floats

COMPUTING = ("", ".agents", ".configs", ".envs", ".envs.tasks", ".experiments", ".experiments.league",
             ".experiments.league.rules", ".theory")  # fmt: skip


class Store:
    """A folder of cells.

    Args:
        folder: Made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, rival: AbstractRival, workload: Workload, budget: Budget) -> Path:
        """Return where a cell is kept: its name holds a digest of problems, rival, its policy, budget and program."""
        rivals_own = [asdict(rival.info), rival.shapes, rival.fingerprint(workload)]
        content = [workload.key(), rivals_own, asdict(budget), source_digest()]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f"{workload.name}-{digest}.json"

    def save(self, path: Path, cell: Cell, every: Floats) -> None:
        """Keep a cell and the best of all its settings; whole or not at all."""
        write_json(path, {"cell": cell.as_json(), "every": every.tolist()})

    def load(self, path: Path) -> Kept | None:
        """Return what `save` kept, or None."""
        if not path.is_file():
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
        return Kept(Cell.from_json(data["cell"]), np.array(data["every"]))


class Kept(NamedTuple):
    """A cell, and the final loss of the best of all its settings for each scored problem, shape (P,)."""

    cell: Cell
    every: Floats


@cache
def source_digest() -> str:
    """Return a digest of the program that computes cells."""
    digest = hashlib.sha256()
    for package in COMPUTING:
        folder = Path(str(import_module(f"lrpilot{package}").__file__)).parent
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
