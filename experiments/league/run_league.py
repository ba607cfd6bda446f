"""The whole league: every rival on every task, on several processes, kept cell by cell."""

import os
import platform
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lrpilot.experiments.league.document import League, RivalInfo, TaskInfo
from lrpilot.experiments.league.rivals import all_rivals
from lrpilot.experiments.league.store import Kept, Store
from lrpilot.experiments.league.tune_and_score import HINDSIGHT, Budget, best_in_hindsight, tune_and_score
from lrpilot.experiments.league.workload import Workload, load_suite
from lrpilot.files import commit

PROCESSES = 2
PACKAGES = ("torch", "numpy", "schedulefree", "prodigyopt", "dadaptation")
ORACLE = RivalInfo(HINDSIGHT, "hindsight", "best of all tuned schedules' settings, by final loss", tuned=False)


def play_league(
    suite: str, budget: Budget, seed: int, folder: Path, command: str, console: Console, reuse: Path | None = None
) -> League:
    """Run what is not there yet, and put the table together.

    Args:
        suite: Name of the suite.
        budget: What every rival may spend.
        seed: Of problems and mini-batches.
        folder: Where `league.json` and `cells.zip` are written; cells are kept beside it.
        command: What makes the table again.
        console: Where progress is shown.
        reuse: A `cells.zip`; what it has of the same program and settings is not computed again.

    Returns:
        The league.

    Raises:
        ConfigError: There is no such file to reuse.
    """
    workloads = _some(load_suite(budget.problems, seed, suite), budget.tasks_of_family)
    rivals = all_rivals()
    store = Store(folder.parent / "cells")
    paths = {
        (task, rival): store.path(rivals[rival], workloads[task], budget)
        for task in range(len(workloads))
        for rival in range(len(rivals))
    }
    taken = 0 if reuse is None else store.take(paths.values(), reuse)
    missing = [(*pair, path) for pair, path in paths.items() if store.load(path) is None]
    console.print(f"{len(paths)} cells: {len(rivals)} rivals on {len(workloads)} tasks; {len(missing)} to compute")
    _compute(missing, workloads, budget, store, console)
    store.pack(paths.values(), folder / "cells.zip")
    kept = {pair: _loaded(store, path) for pair, path in paths.items()}
    cells = [entry.cell for entry in kept.values()]
    for task, workload in enumerate(workloads):
        fixed = [kept[task, index] for index, rival in enumerate(rivals) if rival.info.kind == "schedule"]
        cells.append(best_in_hindsight([entry.cell for entry in fixed], [entry.every for entry in fixed], workload))
    league = League(
        suite=suite,
        quick=budget.tasks_of_family is not None,
        seed=seed,
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        command=command,
        machine=machine() | ({"cells from elsewhere": f"{taken} of {len(paths)}"} if taken else {}),
        tasks=tuple(_task_info(workload) for workload in workloads),
        rivals=(*(rival.info for rival in rivals), ORACLE),
        cells=tuple(cells),
    )
    league.save(folder / "league.json")
    return league


def machine() -> dict[str, str]:
    """Return what the numbers were computed on."""
    versions = {name: version(name) for name in PACKAGES}
    return {
        "device": "CPU",
        "cores": str(os.cpu_count()),
        "processor": platform.machine(),
        "Python": platform.python_version(),
        **versions,
    }


def _compute(
    missing: Sequence[tuple[int, int, Path]],
    workloads: Sequence[Workload],
    budget: Budget,
    store: Store,
    console: Console,
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
    )
    with (
        Progress(*columns, TimeRemainingColumn(), console=console) as progress,
        ProcessPoolExecutor(PROCESSES, get_context("spawn"), torch.set_num_threads, (1,)) as pool,
    ):
        bar = progress.add_task("cells", total=len(missing))
        try:
            mixed = sorted(missing, key=lambda cell: cell[1])  # dear and cheap tasks: the estimate holds from the start
            jobs = [pool.submit(_play_cell, rival, workloads[task], budget, path) for task, rival, path in mixed]
            for job in as_completed(jobs):
                job.result()
                progress.advance(bar)
        except BaseException:  # Ctrl-C too: what is finished is kept
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _play_cell(rival: int, workload: Workload, budget: Budget, path: Path) -> None:
    """Compute one cell, in a process of its own, which makes the rivals anew: their parts can't be sent."""
    Store(path.parent).save(path, *tune_and_score(all_rivals()[rival], workload, budget))


def _loaded(store: Store, path: Path) -> Kept:
    kept = store.load(path)
    assert kept is not None
    return kept


def _some(workloads: Sequence[Workload], of_family: int | None) -> list[Workload]:
    """The first tasks of each family."""

    def chosen() -> Iterator[Workload]:
        seen: dict[str, int] = {}
        for workload in workloads:
            seen[workload.family] = seen.get(workload.family, 0) + 1
            if of_family is None or seen[workload.family] <= of_family:
                yield workload

    return list(chosen())


def _task_info(workload: Workload) -> TaskInfo:
    return TaskInfo(workload.name, workload.family, workload.horizon, workload.problems, workload.unit, workload.key())
