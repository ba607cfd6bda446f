"""Losses as people's runs make them: python -m lrpilot.experiments.reliability [--quick].

Is a run under `LearnedLR` as good as the same run whose scheduler is shown a clean stream: above zero, on one scale, no
glitches? Small networks on real pictures. Both runs have the same weights at the start and the same mini-batches.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Generator, Tensor, nn
from torch.nn import functional

from lrpilot import LearnedLR
from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.envs.data.dataset import Dataset, split
from lrpilot.envs.data.datasets import load_dataset
from lrpilot.experiments.networks import SOLVED
from lrpilot.experiments.plain_torch.network import UsualOptimizer
from lrpilot.experiments.reproduce.common import as_plain
from lrpilot.experiments.stats import TIE, interval
from lrpilot.files import commit, write_json

RESULTS = Path("docs") / "results" / "reliability.json"
COMMAND = "python -m lrpilot.experiments.reliability"
DATA, PIXELS = "digits", 64
STEPS, BATCH, WIDTH = 600, 32, 64
SEEDS, QUICK_SEEDS = 8, 2
MIDDLE = STEPS // 2  # where losses are rescaled
GLITCHES = 0.01  # share of the losses that are shown wrong, in streams with glitches
SMALLEST_VARIANCE = 1e-2  # that the regression may claim: its loss can't fall below log(0.01) / 2 = -2.3
BOUND = 2.0  # usual LRs: `nmf` stays close to its bound, and at four SGD collapses where the stream is clean, too
TRACE = 50  # steps between two LRs that are written down
PROCESSES = 2
EXPECTED_WARNINGS = r"losses (of 0|are below 0)"
OPTIMIZERS = {
    "SGD": UsualOptimizer(lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9), 0.05),
    "AdamW": UsualOptimizer(torch.optim.AdamW, 1e-3),
}
STARTS = (("universal", 1.0), ("universal", 1 / 16), ("nmf", 1.0))  # policy, and base LR over the usual one
HEADINGS = ("loss, optimizer", "≤0/NaN", "clean", "difference [95 %]", "LR ratio", "")
WIDTHS = (30, 6, 5, 23, 8, 9)  # of the columns
BatchLoss = Callable[[nn.Module, Dataset, Tensor, Generator], Tensor]  # network, samples, which of them


class Task(NamedTuple):
    """What is trained; where the loss is positive, by nature, its log is compared, else the loss itself."""

    loss: BatchLoss
    inputs: int
    outputs: int
    positive: bool = True


class Stream(NamedTuple):
    """What the scheduler is shown, and what it is shown in the clean run of the same training.

    Attributes:
        task: What is trained, one of `TASKS`.
        shift: What is added to every loss in the clean run.
        factor: Of the loss from `MIDDLE` on, gradients included; the clean run shows neither.
        announced: Whether `rescale_loss` is called then.
        glitch: What is shown in place of one loss in a hundred; the clean run has none.
        optimizers: Names of those that it is run with.
    """

    task: str
    shift: float = 0.0
    factor: float = 1.0
    announced: bool = False
    glitch: float | None = None
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)


class Case(NamedTuple):
    """A row: a stream under a policy from a base LR."""

    stream: str
    optimizer: str
    policy: str
    multiple: float


@dataclass(frozen=True)
class Outcome:
    """A row of the table.

    Attributes:
        unusual: Share of the losses shown that were zero, below, or not finite.
        score: Held-out loss at the end less that at the start, of its log where it is positive, in nats, by seed.
        clean: The same with the clean stream.
        difference: Mean of score - clean over seeds, and its 95 % interval; above 0: worse than with the clean stream.
        not_worse: Whether the interval does not lie above 0, rounding apart.
        lrs: LR every `TRACE` steps, and that of the last step; geometric mean over seeds.
        clean_lrs: The same with the clean stream.
    """

    case: Case
    unusual: float
    score: list[float]
    clean: list[float]
    difference: tuple[float, float, float]
    not_worse: bool
    lrs: list[float]
    clean_lrs: list[float]


def _labels(criterion: Callable[[Tensor, Tensor], Tensor]) -> BatchLoss:
    return lambda network, part, batch, _: criterion(network(part.inputs[batch]), part.targets[batch])


def _likelihood(network: nn.Module, part: Dataset, batch: Tensor, generator: Generator) -> Tensor:
    """Negative log likelihood of the lower half of a picture, as normal with mean and variance by the network."""
    upper, lower = part.inputs[batch].tensor_split(2, 1)
    mean, spread = network(upper).chunk(2, 1)
    return functional.gaussian_nll_loss(mean, lower, functional.softplus(spread) + SMALLEST_VARIANCE)


def _triplet(network: nn.Module, part: Dataset, batch: Tensor, generator: Generator) -> Tensor:
    """Each picture with one of its class (itself, once in a hundred) and one of another, drawn at random."""
    classes, by_class, counts = part.targets[batch], part.targets.argsort(), part.targets.bincount()
    first, count, total = (counts.cumsum(0) - counts)[classes], counts[classes], len(by_class)
    like, unlike = torch.rand(2, len(batch), generator=generator)
    positive = by_class[first + (like * count).long()]
    negative = by_class[(first + count + (unlike * (total - count)).long()) % total]
    places = network(part.inputs[torch.cat([batch, positive, negative])]).chunk(3)
    return functional.triplet_margin_loss(*places)


TASKS = {
    "hinge": Task(_labels(functional.multi_margin_loss), PIXELS, 10),
    "triplet": Task(_triplet, PIXELS, 16),
    "likelihood": Task(_likelihood, PIXELS // 2, PIXELS, positive=False),
    "cross-entropy": Task(_labels(functional.cross_entropy), PIXELS, 10),
}
STREAMS = {
    f"{task}, clean + {shift:g}": Stream(task, shift) for task in ("hinge", "triplet") for shift in (0.0001, 0.01)
}
STREAMS |= {
    "likelihood, clean + 3": Stream("likelihood", 3.0),
    "1 % shown as 0": Stream("cross-entropy", glitch=0.0),
    "1 % shown as NaN": Stream("cross-entropy", glitch=float("nan")),
}
STREAMS |= {
    f"× {factor:g}" + announced: Stream("cross-entropy", 0.0, factor, bool(announced), optimizers=("AdamW",))
    for factor in (0.1, 10.0, 1000.0)
    for announced in ("", ", rescale_loss")
}


def cases() -> list[Case]:
    """Return all rows, table by table."""
    rows = [(name, optimizer) for name, stream in STREAMS.items() for optimizer in stream.optimizers]
    return [Case(*row, *start) for start in STARTS for row in rows]


@cache
def _part(name: str) -> Dataset:
    part = split(load_dataset(DATA), name)
    return part._replace(inputs=part.inputs.flatten(1))


def train(case: Case, clean: bool, seed: int) -> tuple[float, list[float], float]:
    """Train once; return held-out score, LRs and share of unusual losses, as in `Outcome`."""
    torch.manual_seed(seed)
    stream, learned, usual = STREAMS[case.stream], _part("train"), OPTIMIZERS[case.optimizer]
    task, generator = TASKS[stream.task], Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(task.inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    network.append(nn.Linear(WIDTH, task.outputs))
    optimizer = usual.make(list(network.parameters()), usual.lr * case.multiple)
    bound = (lambda: BOUND * usual.lr) if case.policy == "nmf" else None
    scheduler = LearnedLR(optimizer, case.policy, horizon=STEPS, bound=bound)
    start, lrs, shown = _held_out(network, task), [], []
    glitches = np.random.default_rng(seed).random(STEPS) < GLITCHES
    for step in range(STEPS):
        batch = torch.randint(len(learned.targets), (BATCH,), generator=generator)
        loss = task.loss(network, learned, batch, generator) * (stream.factor if step >= MIDDLE else 1.0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if step % TRACE == 0 or step == STEPS - 1:
            lrs.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        shown.append(_show(stream, clean, step, loss.item(), bool(glitches[step]), scheduler))
    unusual = np.mean([not 0 < loss < np.inf for loss in shown])
    return _score(_held_out(network, task), start, task.positive), lrs, float(unusual)


def _show(stream: Stream, clean: bool, step: int, loss: float, glitch: bool, scheduler: LearnedLR) -> float:
    """Show the scheduler the loss of a step, and return what was shown.

    In the clean run gradients, which a policy may read, are put back as well to what they were before the rescaling.
    """
    factor = stream.factor if step >= MIDDLE else 1.0
    if clean:
        loss = loss / factor + stream.shift
        for weights in (weights for group in scheduler.optimizer.param_groups for weights in group["params"]):
            weights.grad /= factor
    elif stream.announced and step == MIDDLE:
        scheduler.rescale_loss(factor)
    elif stream.glitch is not None and glitch:
        loss = stream.glitch
    scheduler.step(loss)
    return loss


def _held_out(network: nn.Module, task: Task) -> float:
    """Loss on samples that are never trained on, always with the same triplets."""
    part = _part("test")
    with torch.no_grad():
        return task.loss(network, part, torch.arange(len(part.targets)), Generator().manual_seed(0)).item()


def _score(loss: float, start: float, positive: bool) -> float:
    if not np.isfinite(loss):
        return DIVERGED_SCORE
    return min(float(np.log(max(loss / start, SOLVED))) if positive else loss - start, DIVERGED_SCORE)


def compare(case: Case, seeds: Sequence[int]) -> Outcome:
    """Run a row; warnings that its losses are zero or below are expected, and not given."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", EXPECTED_WARNINGS, UserWarning)
        both = [[train(case, clean, seed) for seed in seeds] for clean in (False, True)]
    score, clean = ([run[0] for run in runs] for runs in both)
    gaps = np.array(score) - np.array(clean)
    low, high = interval(gaps)
    lrs = (np.exp(np.log([run[1] for run in runs]).mean(0)).tolist() for runs in both)
    unusual = float(np.mean([run[2] for run in both[0]]))
    return Outcome(case, unusual, score, clean, (float(gaps.mean()), low, high), low <= TIE, *lrs)


def _play(jobs: Sequence[Case], seeds: Sequence[int]) -> Iterator[Outcome]:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        yield from pool.map(partial(compare, seeds=seeds), jobs)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return all rows as Markdown, within 100 columns."""
    lines = []
    for policy, multiple in STARTS:
        base = f"bound {BOUND:g} × the usual LR" if policy == "nmf" else "the usual base LR"
        lines += [f"### {policy}, {base}" + (f" ÷ {1 / multiple:g}" if multiple != 1 else ""), ""]
        rows = [_cells(o) for o in outcomes if (o.case.policy, o.case.multiple) == (policy, multiple)]
        for row in (HEADINGS, ["-" * width for width in WIDTHS], *rows):
            padded = [cell.ljust(width) for cell, width in zip(row, WIDTHS, strict=True)]
            lines.append(f"| {' | '.join(padded)} |")
        lines.append("")
    return "\n".join(lines)


def _cells(outcome: Outcome) -> list[str]:
    mean, low, high = outcome.difference
    return [
        f"{outcome.case.stream}, {outcome.case.optimizer}",
        f"{100 * outcome.unusual:.1f} %",
        f"{np.mean(outcome.clean):+.2f}",
        f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
        f"{outcome.lrs[-1] / outcome.clean_lrs[-1]:.2g}",
        "not worse" if outcome.not_worse else "worse",
    ]


def read(path: Path) -> list[Outcome]:
    """Return the outcomes that `main` wrote to a file."""
    rows = json.loads(path.read_text(encoding="utf-8"))["outcomes"]
    return [Outcome(**row | {"case": Case(*row["case"]), "difference": tuple(row["difference"])}) for row in rows]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all rows, write every number as JSON and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="how many runs of each kind")
    parser.add_argument("--quick", action="store_const", dest="seeds", const=QUICK_SEEDS, help="2: not to be quoted")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="where all numbers go")
    parser.add_argument("--show", action="store_true", help="print the tables of an earlier FILE, and train nothing")
    given = parser.parse_args(arguments)
    jobs, command = cases(), COMMAND + (f" --seeds {given.seeds}" if given.seeds != SEEDS else "")
    if not given.show:
        outcomes = list(track(_play(jobs, range(given.seeds)), "training", len(jobs)))
        origin = {"command": command, "commit": commit(), "seeds": given.seeds, "steps": STEPS}
        write_json(given.output, as_plain(origin | {"outcomes": [asdict(o) for o in outcomes]}))
    print(table(read(given.output)))


if __name__ == "__main__":
    main()
