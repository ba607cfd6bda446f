"""Finished cells on disk, by all that they depend on, so that a killed comparison computes nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.configs import ConfigError
from lrpilot.experiments.league.cell_version import source_digest
from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.tune_and_score import Budget
from lrpilot.experiments.league.workload import Workload
from lrpilot.files import write_json

TUNING = "lrpilot.experiments.league.tune_and_score"


class Store:
    """A folder of cells.

    Args:
        folder: Made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, rival: AbstractRival, workload: Workload, budget: Budget) -> Path:
        """Return where a cell is kept.

        Its name holds a digest of the problems, the rival, its policy, the budget and the modules that compute it.
        """
        rivals_own = [asdict(rival.info), rival.shapes, rival.fingerprint(workload)]
        content = [workload.key(), rivals_own, asdict(budget), source_digest(TUNING, *rival.modules())]
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

    def pack(self, paths: Iterable[Path], archive: Path) -> None:
        """Write cells to one file; the same cells give the same bytes."""
        with ZipFile(archive, "w", ZIP_DEFLATED) as file:
            for path in sorted(paths):
                file.writestr(ZipInfo(path.name), path.read_bytes(), ZIP_DEFLATED)

    def take(self, paths: Iterable[Path], archive: Path) -> int:
        """Take the cells that are missing here from what `pack` wrote.

        Args:
            paths: Of the cells that are wanted.
            archive: Where they may be.

        Returns:
            How many were found.

        Raises:
            ConfigError: There is no such archive, or it is none.
        """
        wanted = {path.name: path for path in paths if not path.is_file()}
        try:
            with ZipFile(archive) as file:
                found = wanted.keys() & set(file.namelist())
                for name in sorted(found):
                    write_json(wanted[name], json.loads(file.read(name)))
        except (OSError, BadZipFile) as error:
            raise ConfigError(f"--reuse {archive}: {error}; it must be a cells.zip that compare suite wrote") from error
        return len(found)


class Kept(NamedTuple):
    """A cell, and the final loss of the best of all its settings for each scored problem, shape (P,)."""

    cell: Cell
    every: Floats
