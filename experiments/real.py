"""Whole real matrices, factorised in a plain PyTorch loop: learned schedule against each tuned baseline."""

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor
from torch.nn import Parameter

from lrpilot import LearnedLR
from lrpilot.arrays import Floats
from lrpilot.configs.recipe import NMFRecipe
from lrpilot.configs.settings import RealRuns
from lrpilot.envs.data.matrices import load_matrix
from lrpilot.experiments.baselines import BASELINES, Candidate
from lrpilot.experiments.compare import Comparison
from lrpilot.experiments.stats import Paired, paired
from lrpilot.files import write_json
from lrpilot.theory import NMFBound

Step = Callable[[Tensor], None]  # takes the loss of the step just made
MakeScheduler = Callable[[torch.optim.Optimizer, NMFBound], Step]


@dataclass(frozen=True)
class BaselineSchedule:
    """A tuned baseline as the loop's scheduler, clipped to the same bound as the learned one."""

    candidate: Candidate
    horizon: int

    def __call__(self, optimizer: torch.optim.Optimizer, bound: NMFBound) -> Step:
        """Return the loop's step function; sets the first LR."""
        multipliers = self.candidate.multiplier(np.arange(self.horizon) / self.horizon) * self.candidate.base_lr
        remaining = iter(multipliers)

        def step(_: Tensor) -> None:
            limit = float(bound())
            unit = limit if self.candidate.unit == "bound" else 1.0
            optimizer.param_groups[0]["lr"] = min(float(next(remaining, 0.0)) * unit, limit)

        step(torch.zeros(()))
        return step


@dataclass(frozen=True)
class LearnedSchedule:
    """A policy file as the loop's scheduler."""

    policy: Path
    horizon: int

    def __call__(self, optimizer: torch.optim.Optimizer, bound: NMFBound) -> Step:
        """Return the loop's step function."""
        return LearnedLR(optimizer, self.policy, horizon=self.horizon, bound=bound).step


def factorise(X: Tensor, settings: RealRuns, seed: int, make_scheduler: MakeScheduler) -> float:
    """Run projected SGD on ½‖WH − X‖²_F from a random start.

    Args:
        X: Data, shape (m, n), non-negative.
        settings: Rank, steps, size of the mini-batches and noise.
        seed: Seed of initialisation, batches and noise.
        make_scheduler: Builds the scheduler from the optimizer and the bound.

    Returns:
        log of the full loss at the end over that at the start.
    """
    rng = torch.Generator().manual_seed(seed)
    m, n = X.shape
    size = 2 * (X.mean() / settings.rank).sqrt()
    W = Parameter(size * torch.rand(m, settings.rank, generator=rng))
    H = Parameter(size * torch.rand(settings.rank, n, generator=rng))
    optimizer = torch.optim.SGD([W, H], lr=1.0)

    def draw() -> Tensor:
        return torch.randperm(n, generator=rng)[: max(1, round(settings.batch_fraction * n))]

    def full_loss() -> Tensor:
        return (W @ H - X).square().sum() / 2

    start = full_loss()
    W_gradient, H_gradient = torch.autograd.grad(start, (W, H))
    gradient_norm = float(torch.nn.utils.get_total_norm([W_gradient, H_gradient]))
    noise = settings.gradient_noise * gradient_norm / math.sqrt(W.numel() + H.numel())
    columns, samples = draw(), X.T.contiguous()
    step = make_scheduler(optimizer, NMFBound(W, H, X, columns=lambda: columns))
    for _ in range(settings.steps):
        optimizer.zero_grad()
        R = W @ H[:, columns] - samples.index_select(0, columns).T
        loss = n / len(columns) * R.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        for factor in (W, H):
            assert factor.grad is not None
            factor.grad += noise * torch.randn(factor.shape, generator=rng)
        optimizer.step()
        with torch.no_grad():
            W.clamp_(min=0)
            H.clamp_(min=0)
        columns = draw()
        step(loss.detach())
    return (full_loss() / start).log().item()


@dataclass(frozen=True)
class RealResult:
    """Final log losses on the real matrices.

    Attributes:
        learned: By matrix, shape (seeds,).
        baselines: By family and matrix, shape (seeds,).
    """

    learned: dict[str, Floats]
    baselines: dict[str, dict[str, Floats]]

    def against(self, family: str, matrix: str) -> Paired:
        """The learned schedule against one tuned baseline on one matrix, paired by seed."""
        return paired(self.learned[matrix], self.baselines[family][matrix])

    def strongest(self, matrix: str) -> str:
        """The baseline with the lowest mean on this very matrix, in hindsight."""
        return min(self.baselines, key=lambda family: self.baselines[family][matrix].mean())


def factorise_all(
    recipe: NMFRecipe, policy: Path, tuned: dict[str, tuple[Candidate, float]], console: Console
) -> RealResult:
    """Factorise every real test matrix under the policy and under each tuned baseline.

    Args:
        recipe: The matrices and the settings of the loop.
        policy: A policy file.
        tuned: Tuned baselines with their scores on the tuning problems; each family's better unit is used.
        console: Where progress is shown.

    Returns:
        The results.
    """
    schedulers: dict[str, MakeScheduler] = {"": LearnedSchedule(policy, recipe.real.steps)}
    for family in BASELINES:
        candidates = [(score, candidate) for candidate, score in tuned.values() if candidate.family == family]
        best = min(candidates, key=lambda pair: pair[0])[1]
        schedulers[family] = BaselineSchedule(best, recipe.real.steps)
    jobs = [(matrix, name) for matrix in recipe.data.test for name in schedulers]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    results: dict[tuple[str, str], Floats] = {}
    context = get_context("spawn")
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("factorising the real test matrices", total=len(jobs))
        with ProcessPoolExecutor(recipe.comparison.processes, context, torch.set_num_threads, (1,)) as pool:
            work = partial(_seeds, settings=recipe.real)
            losses = pool.map(work, [job[0] for job in jobs], [schedulers[job[1]] for job in jobs])
            for job, final in zip(jobs, losses, strict=True):
                results[job] = final
                progress.advance(bar)
    learned = {matrix: results[matrix, ""] for matrix in recipe.data.test}
    others = {name: {matrix: results[matrix, name] for matrix in recipe.data.test} for name in schedulers if name}
    return RealResult(learned, others)


def _seeds(matrix: str, make_scheduler: MakeScheduler, settings: RealRuns) -> Floats:
    X = torch.from_numpy(load_matrix(matrix).T.copy()).float().T  # each column in one piece: they are what is drawn
    return np.array([factorise(X, settings, seed, make_scheduler) for seed in range(settings.seeds)])


def evidence(result: Comparison, policy: Path, folder: Path, console: Console) -> dict[str, Any]:
    """Factorise the real test matrices, print the result and write `real.json`.

    Args:
        result: The comparison, for its recipe and its tuned baselines.
        policy: A policy file.
        folder: Where to write.
        console: Where progress and result are shown.

    Returns:
        What the policy's card says of it.
    """
    assert isinstance(result.recipe, NMFRecipe)
    matrices = factorise_all(result.recipe, policy, result.tuned, console)
    write_json(folder / "real.json", as_json(matrices))
    show(matrices, console)
    gains = {
        matrix: {family: round(matrices.against(family, matrix).mean, 4) for family in matrices.baselines}
        for matrix in matrices.learned
    }
    return {"real_matrices_gain_over": gains}


def show(result: RealResult, console: Console) -> None:
    """Print learned against each tuned baseline for every matrix.

    Args:
        result: The results.
        console: Where to.
    """
    table = Table(title="Real matrices: the learned schedule is better by, nats", box=box.SIMPLE)
    table.add_column("than", no_wrap=True)
    for matrix in result.learned:
        table.add_column(matrix, justify="right", no_wrap=True)
    for family in result.baselines:
        table.add_row(family, *(_cell(result, family, matrix) for matrix in result.learned))
    finals = (f"{final.mean():.3f} " for final in result.learned.values())
    table.add_row("final log loss", *finals, style="bold")
    console.print(table)
    console.print("± half the 95 % interval over seeds; * the best baseline on this very matrix")


def _cell(result: RealResult, family: str, matrix: str) -> str:
    gain = result.against(family, matrix)
    mark = "*" if family == result.strongest(matrix) else " "
    return f"{gain.mean:+.3f}±{(gain.high - gain.low) / 2:.3f}{mark}"


def as_json(result: RealResult) -> dict[str, object]:
    """Return the results as plain data."""
    gains = {
        family: {matrix: result.against(family, matrix).as_dict() for matrix in by_matrix}
        for family, by_matrix in result.baselines.items()
    }
    return {
        "learned": {matrix: final.tolist() for matrix, final in result.learned.items()},
        "baselines": {f: {m: final.tolist() for m, final in by.items()} for f, by in result.baselines.items()},
        "learned_is_better_by": gains,
    }
