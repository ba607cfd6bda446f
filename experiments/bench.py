"""Speed, in one run: python -m lrpilot.experiments.bench (or make bench)."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from lrpilot import GreedyLR, LearnedLR, load_policy
from lrpilot.envs.families import FAMILIES, make_process
from lrpilot.envs.tasks.nets.problems import NetProblems, part_of
from lrpilot.envs.tasks.nets.task import NetTask
from lrpilot.signals import SIGNALS

HORIZON = 4_800
COMMON, ALL = 40, 240  # the schedulers decide at some of the multiples of the first, and all at those of the second
REPEATS = 30
REFERENCE = "ReduceLROnPlateau"
SIZES = ((577, 3, False), (1825, 3, False), (4080, 3, False), (4080, 3, True))  # width, layers, whether turned
SIZED, BATCH = 20, 32  # steps of such networks, and samples in one
INTERVAL = 16  # as in a run of a thousand steps


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


class Overhead(NamedTuple):
    """Median times of a scheduler's step, µs, and what they are over those of `REFERENCE`, measured in turns."""

    between: float  # decisions
    ratio: float
    at_one: float  # the same where a scheduler decides at every step


def scheduler_overhead(name: str, loss: float | Tensor, gradients: bool) -> Overhead:
    """Measure the steps of a scheduler and of `REFERENCE`, in turns of `COMMON` steps; the optimizer's don't count.

    Args:
        name: A key of `SCHEDULERS`.
        loss: What it is given: a number, or a tensor that a training loop has at hand.
        gradients: Whether there are any to read.

    Returns:
        Over a run of `HORIZON` steps.
    """
    steps = [_scheduled(key, gradients) for key in (name, REFERENCE)]
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * HORIZON // COMMON):
        step, mine = steps[turn % 2], times[turn % 2]
        for _ in range(COMMON):
            start = time.perf_counter_ns()
            step(loss)
            mine.append((time.perf_counter_ns() - start) / 1e3)
    each, reference = np.array(times)
    step_number = np.arange(1, HORIZON + 1)
    between, at_one = step_number % COMMON > 0, step_number % ALL == 0
    turns = [np.median(of.reshape(-1, COMMON)[:, :-1], axis=1) for of in (each, reference)]
    return Overhead(
        float(np.median(each[between])), float(np.median(turns[0] / turns[1])), float(np.median(each[at_one]))
    )


def _scheduled(name: str, gradients: bool) -> Callable[[float | Tensor], object]:
    parameters = [torch.nn.Parameter(torch.rand(40, 8)), torch.nn.Parameter(torch.rand(8, 40))]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    step = SCHEDULERS[name](optimizer)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = torch.rand_like(parameter) if gradients else None
    return step


def decision_cost(width: int, layers: int, turned: bool = False) -> tuple[float, float, float]:
    """Measure what a decision costs beside a training step of a network of plain layers, on batches of 32.

    Args:
        width: Of each layer.
        layers: How many.
        turned: Whether weights lie transposed in memory.

    Returns:
        Parameters; ms of a decision; ms of a training step with the optimizer's. Both are medians.
    """
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(layers)))
    for parameter in model.parameters():
        parameter.data = parameter.data.t().contiguous().t() if turned and parameter.ndim > 1 else parameter.data
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    scheduler = LearnedLR(optimizer, "universal", horizon=60)  # decides at each step
    inputs = torch.randn(BATCH, width)
    steps, decisions = [], []
    for _ in range(SIZED):
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward()
        optimizer.step()
        middle = time.perf_counter()
        scheduler.step(loss)
        decisions.append(time.perf_counter() - middle)
        steps.append(middle - begin)
    count = sum(parameter.numel() for parameter in model.parameters())
    return count, 1e3 * float(np.median(decisions)), 1e3 * float(np.median(steps))


def _one_cycle(optimizer: torch.optim.Optimizer) -> Callable[[float | Tensor], object]:
    scheduler = OneCycleLR(optimizer, 0.1, total_steps=HORIZON + 1)
    return lambda _: scheduler.step()


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Callable[[float | Tensor], object]]] = {
    "ReduceLROnPlateau": lambda optimizer: ReduceLROnPlateau(optimizer).step,
    "OneCycleLR": _one_cycle,
    "LearnedLR, universal": lambda optimizer: LearnedLR(optimizer, "universal", horizon=HORIZON).step,
    "LearnedLR, nmf, bound": lambda optimizer: LearnedLR(optimizer, "nmf", horizon=HORIZON, bound=lambda: 0.1).step,
    "GreedyLR": lambda optimizer: GreedyLR(optimizer, every=COMMON).step,
}


def environment_speed() -> float:
    """Return SGD steps a second over all problems of one batch, bound and noise included, one thread."""
    count = FAMILIES["nmf"].at_once
    process = make_process("nmf", count)
    process.seed(0)
    process.reset()
    action = np.zeros(count)
    return count * process.times[1] / (microseconds(lambda: process.step(action), 1) * 1e-6)


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
    print("scheduler.step          between decisions, over ReduceLROnPlateau; at a decision, without gradients")
    for name in SCHEDULERS:
        for kind, loss in (("a float", 1.5), ("a tensor", torch.tensor(1.5))):
            made, without = (scheduler_overhead(name, loss, gradients) for gradients in (True, False))
            times = f"{made.between:5.1f} µs, {made.ratio:4.2f} ×; {made.at_one:6.1f} µs, {without.at_one:6.1f} µs"
            print(f"{name:22s} {times} (the loss is {kind})")
    print(f"a decision of universal by size, and its share of a step where {INTERVAL} steps lie between two decisions")
    for width, layers, turned in SIZES:
        count, decision, step = decision_cost(width, layers, turned)
        print(
            f"{count / 1e6:5.1f} M parameters{', turned' if turned else ''}: {decision:.2f} ms beside a step of "
            f"{step:.1f} ms, {decision / step / INTERVAL:.2%}"
        )
    print(f"NMF environment         {environment_speed():8,.0f} problem-steps a second, one thread")
    together, alone = network_speed()
    print(f"CNNs, 64 side by side   {together:8,.0f} net-steps a second, one thread")
    print(
        f"CNNs, one at a time     {alone:8,.0f} net-steps a second, one thread: side by side {together / alone:.1f} ×"
    )


if __name__ == "__main__":
    main()
