"""The league in TensorBoard: a run for each rival, so that schedules and losses of all lie over each other."""

import shutil
from pathlib import Path

import matplotlib as mpl
import numpy as np
from torch.utils.tensorboard import SummaryWriter

from lrpilot.configs import load_recipe
from lrpilot.experiments.league.document import Cell, League, RivalInfo
from lrpilot.experiments.probes import response
from lrpilot.policy import list_policies, load_policy

LR = "lr/{task}"  # geometric mean over the scored problems, in the task's unit
LOSS = "held_out_loss/{task}"  # mean log of the loss over that at the start
SURFACE = "response_surface"

mpl.use("Agg")


def record_league(league: League, folder: Path) -> None:
    """Write the league to TensorBoard, in place of what is there.

    Args:
        league: The table.
        folder: Its `tensorboard` folder; each rival and each shipped policy gets a run below it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for rival in league.rivals:
        if rival.kind != "hindsight":
            _record_rival(league, rival, folder / _file_name(rival.name))
    for name in list_policies():
        with SummaryWriter(str(folder / "policies" / name)) as writer:
            writer.add_figure(SURFACE, response(load_policy(name), load_recipe(name)))


def _record_rival(league: League, rival: RivalInfo, folder: Path) -> None:
    """Curves over steps, and one line a task on the HParams page."""
    with SummaryWriter(str(folder)) as writer:
        for task in league.tasks:
            cell = league.cell(task.name, rival.name)
            steps = np.rint(cell.shares * task.horizon).astype(int)
            for step, loss in zip(steps, cell.curve.mean(1), strict=True):
                writer.add_scalar(LOSS.format(task=task.name), loss, int(step))
            for step, lr in zip(steps[1:], _typical(cell), strict=True):
                if np.isfinite(lr):
                    writer.add_scalar(LR.format(task=task.name), lr, int(step))
            settings: dict[str, str | float] = {"rival": rival.name, "kind": rival.kind, "task": task.name}
            settings |= {"settings": cell.shape} | ({} if np.isnan(cell.base_lr) else {"base_lr": cell.base_lr})
            scores = {"final/log_loss": float(cell.final.mean()), "final/failed": float(cell.diverged.mean())}
            writer.add_hparams(settings, scores, run_name=task.name)


def _typical(cell: Cell) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Geometric mean LR over the problems at each moment but the first, shape (M,); NaN where there is none."""
    with np.errstate(divide="ignore"):
        typical = np.exp(np.log(np.maximum(cell.lr, 1e-12)).mean(1))
    return np.asarray(typical)


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
