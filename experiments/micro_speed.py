"""Speed of micro networks on one core: python -m lrpilot.experiments.micro_speed [--structures N].

How many training steps of one network a second, in 128 runs: 16 problems with 8 replicas. Four ways, with the same
networks, data, mini-batches and optimizers: batched products (`MicroTask`), vmap over all runs, vmap over 32 runs at a
time (as the families `cnn` and `nlp` compute theirs), and one network after the other. All but the first use plain
functions of torch.nn (`micro_plain`); vmap warns that it differentiates attention run by run. The times are those of
the processor, with one thread.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from lrpilot.envs.tasks.micro.networks import NETWORKS
from lrpilot.envs.tasks.micro.problems import MicroProblems
from lrpilot.envs.tasks.micro.samples import Samples
from lrpilot.envs.tasks.micro.task import MicroTask
from lrpilot.envs.tasks.optimizers import OPTIMIZERS, Hyper
from lrpilot.experiments.micro_plain import plain_loss
from lrpilot.files import commit, write_json

RESULTS = Path("docs") / "results" / "micro_speed.json"
COMMAND = "python -m lrpilot.experiments.micro_speed"
GROUPS, REPLICAS = 16, 8
RUNS = GROUPS * REPLICAS
PART = 32  # runs in one call of vmap, in the families `cnn` and `nlp`
STRUCTURES = 8
REPEATS, STEPS = 3, 8
SMALL_LR = 0.01  # over the guess: losses stay finite
PRODUCTS = (torch.ops.aten.bmm.default, torch.ops.aten.baddbmm.default)
WAYS = ("batched", "vmap", "vmap_32", "alone")
HEADS = ("class", "P", "rows", *WAYS, "×vmap", "×vmap_32", "×alone", "objective", "products")

Step = Callable[[], object]


@dataclass(frozen=True)
class Speed:
    """Steps of one network a second, over some structures of a class.

    Attributes:
        name: Class of networks.
        parameters: Mean number of parameters.
        rows: Mean number of samples in a mini-batch.
        batched: By `MicroTask`.
        vmap: By vmap over all runs.
        vmap_32: By vmap over 32 runs at a time.
        alone: By one network after the other.
        objective: What the held-out loss costs in `MicroTask`, in units of a step.
        products: Share of a step of `MicroTask` that is spent in matrix products, which vmap makes as well.
    """

    name: str
    parameters: float
    rows: float
    batched: float
    vmap: float
    vmap_32: float
    alone: float
    objective: float
    products: float


class Plain:
    """The runs of a task in plain torch: same networks, mini-batches, clipping and optimizer.

    Args:
        task: Whose runs.
    """

    def __init__(self, task: MicroTask) -> None:
        self.task, self.model = task, task.model
        unused = task.settings.unused
        self.unused = unused[:, :, 0].repeat_interleave(task.replicas, 0)
        self.lr = torch.from_numpy(SMALL_LR * task.reference() / task.lr_error.numpy()).float()

    def loss(self, parameters: Tensor, inputs: Tensor, targets: Tensor, weights: Tensor, unused: Tensor) -> Tensor:
        """Return the loss of one run, parameters (P,)."""
        own = {name: view[0] for name, view in self.model.views(parameters[None]).items()}
        structure = self.task.structure
        return plain_loss(structure.network, structure.loss, own, Samples(inputs, targets), weights, unused)

    def by_vmap(self, chunk: int | None) -> Step:
        """Return what makes a step of all runs."""
        task, function = self.task, vmap(grad_and_value(self.loss), chunk_size=chunk)

        def step() -> None:
            samples = task.stream.next().repeated(task.replicas)
            gradient, _ = function(task.parameters, *samples, task._weights, self.unused)
            task.optimizer.step(task.parameters, task._clipped(gradient), self.lr)

        return step

    def alone(self) -> Step:
        """Return what makes a step of one run; the mini-batches of all problems are drawn at each, as in the others."""
        task = self.task
        settings = task.settings
        hyper = Hyper(settings.momentum[:1], settings.beta2[:1], settings.shrink[:1])
        own = task.parameters[:1].clone()
        optimizer = OPTIMIZERS[task.structure.optimizer](hyper, own)
        samples = task.stream.next()
        fixed = (samples.inputs[0], samples.targets[0], task._weights[0], self.unused[0])

        def step() -> None:
            leaf = own[0].detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.loss(leaf, *fixed), leaf)
            optimizer.step(own, gradient[None], self.lr[:1])

        return step


def seconds(steps: dict[str, Step]) -> dict[str, float]:
    """Return the processor's time of a step of each kind: the least mean over some repeats, in turns."""
    best = dict.fromkeys(steps, np.inf)
    for step in steps.values():
        step()
    for _ in range(REPEATS):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(STEPS):
                step()
            best[name] = min(best[name], (time.process_time() - start) / STEPS)
    return best


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the processor's time that matrix products take.

    Attributes:
        seconds: So far.
    """

    seconds = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call an operator."""
        start = time.process_time()
        result = func(*args, **(kwargs or {}))
        if func in PRODUCTS:
            self.seconds += time.process_time() - start
        return result


def products(step: Step) -> float:
    """Return the processor's time that matrix products take in a step, seconds: the least of some."""
    least = np.inf
    for _ in range(STEPS):
        with Products() as counted:  # type: ignore[no-untyped-call]
            step()
        least = min(least, counted.seconds)
    return float(least)


def measure(name: str, structures: int) -> Speed:
    """Return the speed of one class of networks, over so many structures of it."""
    times: dict[str, float] = dict.fromkeys((*WAYS, "objective"), 0.0)
    sizes, in_products = [], 0.0
    for seed in range(structures):
        task = MicroTask(MicroProblems(classes=(name,)), RUNS, replicas=REPLICAS)
        task.reset(np.random.default_rng([seed, len(name)]))
        plain = Plain(task)
        lr = plain.lr.double().numpy()
        steps: dict[str, Step] = {
            "batched": lambda task=task, lr=lr: task.sgd_step(lr),  # type: ignore[misc]
            "vmap": plain.by_vmap(None),
            "vmap_32": plain.by_vmap(PART),
            "alone": plain.alone(),
            "objective": task._held_out_loss,
        }
        for way, taken in seconds(steps).items():
            times[way] += taken
        in_products += products(steps["batched"])
        sizes.append((task.structure.network.size, task.structure.rows))
    parameters, rows = np.mean(sizes, 0)
    rates = {way: structures * (1 if way == "alone" else RUNS) / times[way] for way in WAYS}
    batched = times["batched"]
    shares = {"objective": times["objective"] / batched, "products": in_products / batched}
    return Speed(name, float(parameters), float(rows), **rates, **shares)


def table(speeds: list[Speed]) -> str:
    """Return the speeds as a table."""
    lines: list[tuple[str, ...]] = [HEADS]
    for speed in speeds:
        rates = [getattr(speed, way) for way in WAYS]
        ratios = [f"{rates[0] / other:.1f}" for other in rates[1:]]
        counts = [f"{value:,.0f}" for value in (speed.parameters, speed.rows, *rates)]
        lines.append((speed.name, *counts, *ratios, f"{speed.objective:.1f}", f"{speed.products:.0%}"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure all classes and write a table and a file."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--structures", type=int, default=STRUCTURES, metavar="N", help="how many of each class")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="where all numbers go")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    speeds = [measure(name, given.structures) for name in track(NETWORKS, "measuring")]
    origin = {"command": COMMAND, "commit": commit(), "structures": given.structures, "runs": RUNS}
    write_json(given.output, origin | {"unit": "net-steps/s", "speeds": [asdict(speed) for speed in speeds]})
    print(table(speeds))


if __name__ == "__main__":
    main()
