"""Runs cells on several processes and keeps each result at once: a killed command computes nothing twice."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lrpilot.experiments.plain_torch.cell import Cell, Result
from lrpilot.experiments.plain_torch.plan import LINEAR, Unit, expected_cells, needed
from lrpilot.experiments.plain_torch.schedules import is_learned
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.plain_torch.train import policy_of, run

PROCESSES = 2
LINES = 200  # that tell how far it is, where there is no terminal
Todo = Callable[[], Iterator[Cell]]  # the cells that can be run now, most urgent first; empty when all is done


def run_cell(cell: Cell, paths: dict[str, str]) -> Result:
    """Run a cell in a worker.

    Args:
        cell: What to run.
        paths: Of policies, by fingerprint.
    """
    policy = policy_of(paths[cell.schedule], cell.schedule) if is_learned(cell.schedule) else None
    return run(cell, policy)


def run_units(store: Store, work: list[Unit], processes: int = PROCESSES) -> None:
    """Compute baselines.

    Args:
        store: Where results go; what is there is not run again.
        work: Most urgent first; see `plan.units`.
        processes: Workers.
    """
    waiting = list(work)

    def todo() -> Iterator[Cell]:
        while waiting and next(needed(waiting[0], store.results), None) is None:
            waiting.pop(0)
        for unit in waiting:
            yield from needed(unit, store.results)

    expected = sum(expected_cells(unit) * unit.horizon for unit in work)
    kinds = {(unit.network.name, unit.network.version, unit.horizon, unit.linear) for unit in work}
    known = sum(
        cell.horizon
        for cell in store.results
        if not is_learned(cell.schedule) and (*cell[:3], cell.schedule == LINEAR) in kinds
    )
    run_all(store, todo, {}, max(expected - known, 0), processes)


def run_cells(store: Store, cells: list[Cell], paths: dict[str, str], processes: int = PROCESSES) -> None:
    """Run those of some cells that have no result yet.

    Args:
        store: Where results go.
        cells: Which are wanted.
        paths: Of policies, by fingerprint.
        processes: Workers.
    """
    waiting = list(cells)

    def todo() -> Iterator[Cell]:
        waiting[:] = [cell for cell in waiting if cell not in store.results]
        yield from waiting

    run_all(store, todo, paths, sum(cell.horizon for cell in cells if cell not in store.results), processes)


def run_all(store: Store, todo: Todo, paths: dict[str, str], steps: int, processes: int) -> None:
    """Run cells until there are none, and show how far it is.

    Args:
        store: Where results go, each as soon as it is there.
        todo: Which cells.
        paths: Of policies, by fingerprint.
        steps: Of all of them, about.
        processes: Workers.
    """
    if next(todo(), None) is None:
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin)
    running: dict[Future[Result], Cell] = {}
    try:
        with _progress() as progress:
            bar, done = progress.add_task("steps", total=steps), 0
            while True:
                store.refresh()
                fresh = (cell for cell in todo() if cell not in running.values())
                for cell in islice(fresh, processes + 1 - len(running)):
                    running[pool.submit(run_cell, cell, paths)] = cell
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    cell = running.pop(future)
                    store.add(cell, future.result())
                    done += cell.horizon
                    _show(progress, bar, done, cell)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """Ctrl-C is for the parent, which keeps what is finished."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))


def _show(progress: Progress, bar: TaskID, done: int, cell: Cell) -> None:
    """Move the bar, or, where there is no terminal, print a line now and then."""
    total = progress.tasks[bar].total or 1
    text = f"{cell.network}, {cell.horizon} steps"
    progress.update(bar, completed=done, description=text)
    if not progress.console.is_terminal and LINES * done // total > LINES * (done - cell.horizon) // total:
        progress.console.print(f"{done:,} of about {total:,} steps; {text}")
