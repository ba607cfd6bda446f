"""What a run writes to TensorBoard beyond PPO's own diagnostics. All tags are here, and in the README's table."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from stable_baselines3.common.logger import Figure as LoggedFigure
from stable_baselines3.common.logger import Logger
from torch.utils.tensorboard import SummaryWriter

from lrpilot.agents.evaluate import Episodes
from lrpilot.configs import Recipe

SCORE = "validation/final_log_loss"
DIVERGED = ("validation/diverged", "validation/exploded")  # the second as it was called earlier
MULTIPLE = "learned_lr/{}_at_{:02.0f}_percent"
MULTIPLES = {"bound": "fraction_of_bound", "base LR": "multiple_of_base_lr"}
ACTIONS = "learned_lr/actions"
PROBES = "learned_lr/schedules_on_probes"
MOMENTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of the horizon at which the learned LR is logged
PROBE_COUNT = 8

mpl.use("Agg")


def record_validation(logger: Logger, episodes: Episodes, reference: str) -> None:
    """Record one validation; it is written with the next dump of PPO's diagnostics.

    Args:
        logger: The model's logger.
        episodes: Runs on the validation problems.
        reference: What LRs are multiples of: see `Family.reference`.
    """
    logger.record(SCORE, float(episodes.final.mean()))
    for tag in DIVERGED:
        logger.record(tag, float(episodes.diverged.sum()))
    for moment in MOMENTS:
        decision = np.searchsorted(episodes.shares[1:-1], moment, "right")
        logger.record(
            MULTIPLE.format(MULTIPLES[reference], 100 * moment),
            float(np.exp(episodes.log_multiple[decision].mean())),
        )
    logger.record(ACTIONS, torch.from_numpy(episodes.action))
    logger.record(PROBES, LoggedFigure(probe_figure(episodes, reference), close=True))


def probe_figure(episodes: Episodes, reference: str) -> Figure:
    """Draw LR over its reference on fixed probe problems, beside the mean over all.

    Args:
        episodes: Runs whose first few problems are the probes.
        reference: What it is: see `Family.reference`.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    progress = episodes.shares[:-1]
    for index in range(min(PROBE_COUNT, episodes.log_multiple.shape[1])):
        axes.step(progress, np.exp(episodes.log_multiple[:, index]), where="post", alpha=0.6, linewidth=1)
    axes.step(
        progress,
        np.exp(episodes.log_multiple.mean(1)),
        "k",
        where="post",
        linewidth=2,
        label="geometric mean of all problems",
    )
    axes.set(
        yscale="log", xlabel="share of the horizon", ylabel=f"LR / {reference}", title="Schedules on probe problems"
    )
    axes.axhline(1, color="grey", linestyle=":", linewidth=1)
    axes.legend(frameon=False)
    return figure


def record_hparams(folder: Path, recipe: Recipe, scores: dict[str, float]) -> None:
    """Write the run's hyper-parameters beside its final scores, for TensorBoard's HParams page.

    Args:
        folder: The run's `tensorboard` folder.
        recipe: Source of the hyper-parameters.
        scores: Final scores by name, in nats.
    """
    flat: dict[str, Any] = {"seed": recipe.seed}
    for section in ("ppo", "decisions"):
        for key, value in recipe.model_dump(mode="json")[section].items():
            flat[f"{section}.{key}"] = value if isinstance(value, int | float | str) else str(value)
    with SummaryWriter(str(folder)) as writer:
        writer.add_hparams(flat, {f"final/{name}": value for name, value in scores.items()}, run_name="hparams")
