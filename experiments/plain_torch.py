"""The plain_torch benchmark: python -m lrpilot.experiments.plain_torch (or make plain-torch).

Networks in plain torch on data never trained on, by the loop that the README shows: one untuned run with `LearnedLR`
from the LR that people begin with, and from LRs 16 times off, against schedules tuned for each network.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from lrpilot import LearnedLR
from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.arrays import Floats
from lrpilot.configs import load_recipe
from lrpilot.envs.data.dataset import Dataset, split
from lrpilot.envs.data.datasets import load_dataset
from lrpilot.experiments.baselines import Candidate
from lrpilot.experiments.networks import SHAPES, SOLVED
from lrpilot.experiments.plain_torch_models import MODELS, OPTIMIZERS
from lrpilot.experiments.stats import Paired, paired
from lrpilot.files import commit, write_json

RESULTS = Path("docs") / "results" / "plain_torch.json"
HORIZONS = (100, 300, 1000)  # steps of a run
MULTIPLES = (1 / 16, 1.0, 16.0)  # base LR over the usual one
GRID = tuple(4.0**power for power in range(-4, 5))  # that baselines are tuned over, in units of the usual LR
TUNED = ("linear-to-zero", "cosine")
TUNING_SEEDS, SEEDS = (100, 101), (0, 1, 2)
BATCH, SAMPLES, HELD_OUT = 16, 2048, 512
PROCESSES = 2
Role = Literal["validation", "test"]


class Case(NamedTuple):
    """A network on a data set, for so many steps."""

    network: str
    data: str
    horizon: int


@dataclass(frozen=True)
class Outcome:
    """What became of the schedules in one case.

    Attributes:
        tuned: By family, log of test loss over that at the start, at the base LR tuned for the case, one for each seed.
        from_multiples: By schedule or policy, the same from each of the untuned base LRs, shape (MULTIPLES, seeds).
        base_lr: By family, the tuned base LR over the usual one.
    """

    case: Case
    tuned: dict[str, list[float]]
    from_multiples: dict[str, list[list[float]]]
    base_lr: dict[str, float]


def cases(role: Role, horizons: Sequence[int] = HORIZONS) -> list[Case]:
    """Return every network on every data set of a role that it takes, at each horizon.

    Args:
        role: "validation" while a policy is being chosen; its data are those of the recipe `universal`.
        horizons: Steps of a run.
    """
    names = getattr(load_recipe("universal").data, role)
    fits = [(network, data) for network, entry in MODELS.items() for data in names if _kind(data) in entry.kinds]
    return [Case(network, data, horizon) for horizon in horizons for network, data in fits]


def _kind(data: str) -> str:
    return load_dataset(data).kind


def train(case: Case, schedule: str, multiple: float, seed: int) -> tuple[float, float]:
    """Train once, as a user would.

    Args:
        case: The network, its data and the steps.
        schedule: A family of baselines, or the name or path of a policy.
        multiple: Base LR over the usual one.
        seed: Of weights and mini-batches.

    Returns:
        log of the loss on validation samples over that at the start, and of that on test samples; at most log 10.
    """
    torch.manual_seed(seed)
    data, model_class = load_dataset(case.data), MODELS[case.network]
    learned, *held_out = _parts(case.data)
    model = model_class.make(data)
    optimizer_class, lr = OPTIMIZERS[model_class.optimizer]
    optimizer = optimizer_class(list(model.parameters()), lr * multiple)
    scheduler_step = _scheduler(schedule, optimizer, case.horizon)
    before = [_loss(model, part) for part in held_out]
    generator = torch.Generator().manual_seed(seed)
    for _ in range(case.horizon):
        batch = torch.randint(len(learned.targets), (BATCH,), generator=generator)
        optimizer.zero_grad()
        loss = cross_entropy(model(learned.inputs[batch]), learned.targets[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler_step(loss)
    validation, test = (_log_ratio(_loss(model, part), start) for part, start in zip(held_out, before, strict=True))
    return validation, test


def _scheduler(schedule: str, optimizer: torch.optim.Optimizer, horizon: int) -> Callable[[torch.Tensor], None]:
    if schedule not in SHAPES:
        return LearnedLR(optimizer, schedule, horizon=horizon).step
    shape = Candidate(schedule, SHAPES[schedule], "bound", 1.0)
    fixed = LambdaLR(optimizer, lambda step: float(shape.multiplier(np.array([min(step / horizon, 1.0)]))[0]))
    return lambda _: fixed.step()


@cache
def _parts(name: str) -> tuple[Dataset, ...]:
    """Samples to train on, to tune by and to score by."""
    data, sizes = load_dataset(name), {"train": SAMPLES, "validation": HELD_OUT, "test": HELD_OUT}
    return tuple(_first(split(data, part), count) for part, count in sizes.items())


def _first(data: Dataset, count: int) -> Dataset:
    return Dataset(data.inputs[:count], data.targets[:count], data.classes)


def _loss(model: torch.nn.Module, part: Dataset) -> float:
    model.eval()
    with torch.no_grad():
        loss = cross_entropy(model(part.inputs), part.targets).item()
    model.train()
    return loss


def _log_ratio(loss: float, start: float) -> float:
    ratio = loss / start
    return float(np.log(max(ratio, SOLVED))) if ratio < np.exp(DIVERGED_SCORE) else DIVERGED_SCORE


def compare_case(case: Case, policies: Sequence[str], earlier: Sequence[Outcome] = ()) -> Outcome:
    """Tune the baselines for a case, and run all schedules from untuned base LRs.

    Args:
        case: The network, its data and the steps.
        policies: Names or paths.
        earlier: Outcomes whose baselines are taken over; if the case is among them, policies alone are run.
    """
    torch.set_num_threads(1)
    for known in (outcome for outcome in earlier if outcome.case == case):
        baselines = {name: known.from_multiples[name] for name in TUNED}
        return Outcome(case, known.tuned, _untuned(case, policies) | baselines, known.base_lr)
    tuned, base_lr = {}, {}
    for family in TUNED:
        tries = [np.mean([train(case, family, lr, seed)[0] for seed in TUNING_SEEDS]) for lr in GRID]
        base_lr[family] = GRID[int(np.argmin(tries))]
        tuned[family] = [train(case, family, base_lr[family], seed)[1] for seed in SEEDS]
    return Outcome(case, tuned, _untuned(case, (*policies, *TUNED)), base_lr)


def _untuned(case: Case, schedules: Sequence[str]) -> dict[str, list[list[float]]]:
    return {
        schedule: [[train(case, schedule, multiple, seed)[1] for seed in SEEDS] for multiple in MULTIPLES]
        for schedule in schedules
    }


def read(path: Path) -> list[Outcome]:
    """Return the outcomes that `main` wrote.

    Args:
        path: Its file.
    """
    entries = json.loads(path.read_text(encoding="utf-8"))["outcomes"]
    return [Outcome(**entry | {"case": Case(*entry["case"])}) for entry in entries]


def _commit_of(path: Path | None) -> str | None:
    return str(json.loads(path.read_text(encoding="utf-8"))["commit"]) if path else None


def play(jobs: Sequence[Case], policies: Sequence[str], earlier: Sequence[Outcome] = ()) -> Iterator[Outcome]:
    """Run cases on several processes.

    Args:
        jobs: The cases.
        policies: Names or paths.
        earlier: Outcomes whose baselines are taken over.

    Yields:
        Their outcomes, in order.
    """
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        yield from pool.map(partial(compare_case, policies=policies, earlier=earlier), jobs)


def excess(outcomes: Sequence[Outcome], schedule: str, multiple: float) -> Floats:
    """Return by how much a schedule's log test loss is above that of tuned linear-to-zero, mean over seeds.

    Args:
        outcomes: C of them.
        schedule: Its name.
        multiple: One of `MULTIPLES`, the base LR that it starts from.

    Returns:
        Shape (C,), nats.
    """
    place = MULTIPLES.index(multiple)
    gaps = [np.mean(o.from_multiples[schedule][place]) - np.mean(o.tuned[TUNED[0]]) for o in outcomes]
    return np.array(gaps)


def summary(outcomes: Sequence[Outcome], schedule: str, multiple: float) -> Paired:
    """Return how a schedule compares with tuned linear-to-zero; positive: better."""
    gaps = excess(outcomes, schedule, multiple)
    return paired(gaps, np.zeros_like(gaps))


def new_table(outcomes: Sequence[Outcome], policies: Sequence[str]) -> Table:
    """Return the table of one horizon."""
    horizon, count = outcomes[0].case.horizon, len(outcomes)
    title = f"{horizon} steps, {count} networks: log test loss over that of linear-to-zero tuned for each, nats"
    table = Table(title=title, box=box.SIMPLE)
    table.add_column("one run from")
    for heading in ("usual LR ÷ 16", "usual LR", "usual LR × 16"):
        table.add_column(heading, justify="right", no_wrap=True)
    for schedule in (*policies, *TUNED):
        table.add_row(schedule, *(_cell(outcomes, schedule, multiple) for multiple in MULTIPLES))
    return table


def _cell(outcomes: Sequence[Outcome], schedule: str, multiple: float) -> str:
    gain = summary(outcomes, schedule, multiple)
    place = MULTIPLES.index(multiple)
    diverged = sum(loss >= DIVERGED_SCORE for outcome in outcomes for loss in outcome.from_multiples[schedule][place])
    return f"{-gain.mean:+.3f} [{-gain.high:+.3f}, {-gain.low:+.3f}]" + (f" ({diverged} failed)" if diverged else "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases, print a table for each horizon and write everything as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--role", choices=("validation", "test"), default="test", help="which data; test: to report")
    parser.add_argument("--policy", action="append", help="name or path; by default universal")
    parser.add_argument("--horizon", type=int, action="append", help=f"steps of a run; by default {HORIZONS}")
    parser.add_argument("--reuse", type=Path, metavar="FILE", help="take over the baselines of this earlier output")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="where all numbers go")
    given = parser.parse_args(arguments)
    policies, horizons = given.policy or ["universal"], given.horizon or HORIZONS
    jobs, console = cases(given.role, horizons), Console(width=120)
    earlier = read(given.reuse) if given.reuse else []
    outcomes = list(track(play(jobs, policies, earlier), "training", len(jobs), console=console))
    origin = {"commit": commit(), "role": given.role, "baselines_from": _commit_of(given.reuse)}
    write_json(given.output, origin | {"outcomes": [asdict(o) for o in outcomes]})
    for horizon in horizons:
        console.print(new_table([outcome for outcome in outcomes if outcome.case.horizon == horizon], policies))
    console.print(f"written to {given.output}")


if __name__ == "__main__":
    main()
