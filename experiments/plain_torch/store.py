"""Finished cells on disk: a file of JSON lines that only grows, and a committed one of all baselines."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lrpilot.experiments.plain_torch.cell import Cell, Result
from lrpilot.experiments.plain_torch.networks import NETWORKS
from lrpilot.experiments.plain_torch.schedules import is_learned
from lrpilot.files import commit, make_folder, write_text

FOLDER = Path("runs") / "plain_torch"
BASELINES = Path("docs") / "results" / "plain_torch" / "baselines.json"


class Store:
    """Results by cell. Several processes may write to the same folder.

    Args:
        folder: Where `cells.jsonl` is, or will be.
        baselines: A file that `export` wrote; it need not exist.

    Raises:
        OutputError: The folder can't be written to.
    """

    def __init__(self, folder: Path = FOLDER, baselines: Path | None = BASELINES) -> None:
        make_folder(folder)
        self.path, self._offset = folder / "cells.jsonl", 0
        self.results: dict[Cell, Result] = {}
        if baselines is not None and baselines.is_file():
            data = json.loads(baselines.read_text(encoding="utf-8"))
            self.results = {cell: result for row in data["cells"] for cell, result in [_entry(row)]}
        self.refresh()

    def refresh(self) -> None:
        """Read the lines that were added since; one that was cut short is left out."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                cell, result = _entry(json.loads(line))
            except (ValueError, TypeError):
                continue
            self.results.setdefault(cell, result)

    def add(self, cell: Cell, result: Result) -> None:
        """Keep a result: one write at the end of the file."""
        with self.path.open("ab+") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(_line(cell, result).encode() + b"\n")
        self.results.setdefault(cell, result)

    def export(self, path: Path = BASELINES) -> int:
        """Write the cells of baselines of the present networks to one file, sorted, one a line.

        Args:
            path: Where to.

        Returns:
            How many.
        """
        now = {(network.name, network.version) for network in NETWORKS.values()}
        kept = sorted(cell for cell in self.results if cell[:2] in now and not is_learned(cell.schedule))
        rows = ",\n".join(_line(cell, self.results[cell]) for cell in kept)
        fields = json.dumps([*Cell._fields, *Result._fields])
        make_folder(path.parent)
        write_text(path, f'{{"commit": {json.dumps(commit())},\n"fields": {fields},\n"cells": [\n{rows}\n]}}\n')
        return len(kept)


def _line(cell: Cell, result: Result) -> str:
    return json.dumps([*cell, *result], allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def _entry(row: list[Any]) -> tuple[Cell, Result]:
    fields = len(Cell._fields)
    return Cell(*row[:fields]), Result(*row[fields:])


def missing(cells: Iterable[Cell], results: Mapping[Cell, Result]) -> list[Cell]:
    """Return the cells that have no result yet, in order."""
    return [cell for cell in cells if cell not in results]
