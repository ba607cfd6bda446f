"""Speed, in one run: python -m lrpilot.experiments.bench (or make bench)."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from lrpilot import GreedyLR, LearnedLR, load_policy
from lrpilot.agents.problem_sets import CHUNK
from lrpilot.envs.families import make_process
from lrpilot.envs.tasks.nets.problems import NetProblems, part_of
from lrpilot.envs.tasks.nets.task import NetTask
from lrpilot.signals import SIGNALS

HORIZON = 4_800
COMMON, ALL = 40, 240  # the schedulers decide at some of the multiples of the first, and all at those of the second
REPEATS = 30


def microseconds(call: Callable[[], object], count: int) -> float:
    """Return the median over repeats of the mean time of a call, µs.

    Args:
        call: What is timed.
        count: Calls in a repeat.
    """
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - start) / count * 1e6)
    return float(np.median(times))


def scheduler_overhead(name: str, loss: float | Tensor) -> tuple[float, float]:
    """Return the median time of a scheduler's step between decisions and at one, µs; the optimizer's is not counted.

    Args:
        name: A key of `SCHEDULERS`.
        loss: What it is given: a number, or a tensor that a training loop has at hand.

    Returns:
        Both medians over a run of `HORIZON` steps; equal for schedulers that decide at every step.
    """
    parameters = [torch.nn.Parameter(torch.rand(40, 8)), torch.nn.Parameter(torch.rand(8, 40))]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = torch.rand_like(parameter)
    step = SCHEDULERS[name](optimizer)
    optimizer.step()
    times = []
    for _ in range(HORIZON):
        start = time.perf_counter_ns()
        step(loss)
        times.append((time.perf_counter_ns() - start) / 1e3)
    each = np.array(times)
    step_number = np.arange(1, HORIZON + 1)
    between, at_one = each[step_number % COMMON > 0], each[step_number % ALL == 0]
    return float(np.median(between)), float(np.median(at_one))


def _one_cycle(optimizer: torch.optim.Optimizer) -> Callable[[float | Tensor], object]:
    scheduler = OneCycleLR(optimizer, 0.1, total_steps=HORIZON + 1)
    return lambda _: scheduler.step()


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Callable[[float | Tensor], object]]] = {
    "ReduceLROnPlateau": lambda optimizer: ReduceLROnPlateau(optimizer).step,
    "OneCycleLR": _one_cycle,
    "LearnedLR, universal": lambda optimizer: LearnedLR(optimizer, "universal", horizon=HORIZON).step,
    "LearnedLR, nmf": lambda optimizer: LearnedLR(optimizer, "nmf", horizon=HORIZON).step,
    "GreedyLR": lambda optimizer: GreedyLR(optimizer, every=COMMON).step,
}


def environment_speed() -> float:
    """Return SGD steps a second over all problems of one batch, bound and noise included, one thread."""
    process = make_process("nmf", CHUNK)
    process.seed(0)
    process.reset()
    action = np.zeros(CHUNK)
    return CHUNK * process.steps / (microseconds(lambda: process.step(action), 1) * 1e-6)


def network_speed() -> tuple[float, float]:
    """Return steps of CNNs on digits a second, 64 side by side and one after the other, one thread.

    One at a time means torch's own module and optimizer on a mini-batch that is at hand. Medians over five networks.
    """
    problems = NetProblems(alike=64, data=("digits",), architectures=("cnn",), optimizers=("sgd",), batch_sizes=(8,))
    together, alone = [], []
    for seed in range(5):
        task = NetTask(problems, 64)
        task.reset(np.random.default_rng(seed))
        group = task.groups[0]
        lr = 0.1 * task.reference()
        together.append(64e6 / microseconds(lambda task=task, lr=lr: task.sgd_step(lr), 1))  # type: ignore[misc]
        digits = part_of("digits", "train")
        step = _single_step(group.structure.network, digits.inputs[:8], digits.targets[:8])
        alone.append(1e6 / microseconds(step, 20))
    return float(np.median(together)), float(np.median(alone))


def _single_step(network: torch.nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def main() -> None:
    """Print all figures."""
    torch.set_num_threads(1)
    policy, observation = load_policy("nmf"), np.zeros(len(SIGNALS))
    print(f"policy evaluation       {microseconds(lambda: policy.action(observation), 1000):8.1f} µs")
    for name in SCHEDULERS:
        times = [scheduler_overhead(name, loss) for loss in (1.5, torch.tensor(1.5))]
        between, at_one = (" and ".join(f"{time:5.1f}" for time in kind) for kind in zip(*times, strict=True))
        print(f"{name:22s} {between} µs a step, {at_one} µs at a decision (loss a float and a tensor)")
    print(f"NMF environment         {environment_speed():8,.0f} problem-steps a second, one thread")
    together, alone = network_speed()
    print(f"CNNs, 64 side by side   {together:8,.0f} net-steps a second, one thread")
    print(
        f"CNNs, one at a time     {alone:8,.0f} net-steps a second, one thread: side by side {together / alone:.1f} ×"
    )


if __name__ == "__main__":
    main()
