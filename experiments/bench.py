"""Speed, in one run: python -m lrpilot.experiments.bench (or make bench)."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from lrpilot import LearnedLR, load_policy
from lrpilot.agents.problem_sets import CHUNK
from lrpilot.envs.families import make_process
from lrpilot.envs.tasks.net import NetTask
from lrpilot.envs.tasks.net_problems import NetProblems, part_of
from lrpilot.signals import SIGNALS

HORIZON, REPEATS = 200, 30


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


def scheduler_overhead(kind: str) -> float:
    """Return µs a step over whole runs of 200 steps; the optimizer's step is not counted.

    Args:
        kind: "learned", "plateau" or "one-cycle".
    """
    parameters = [torch.nn.Parameter(torch.rand(40, 8)), torch.nn.Parameter(torch.rand(8, 40))]
    losses = np.geomspace(10, 1, HORIZON).tolist()
    times = []
    for _ in range(REPEATS):
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        for parameter in parameters:
            parameter.grad = torch.rand_like(parameter)
        step = _stepper(kind, optimizer)
        optimizer.step()
        start = time.perf_counter()
        for loss in losses:
            step(loss)
        times.append((time.perf_counter() - start) / HORIZON * 1e6)
    return float(np.median(times))


def _stepper(kind: str, optimizer: torch.optim.Optimizer) -> Callable[[float], object]:
    if kind == "learned":
        return LearnedLR(optimizer, "nmf", horizon=HORIZON).step
    if kind == "plateau":
        return ReduceLROnPlateau(optimizer).step
    one_cycle = OneCycleLR(optimizer, 0.1, total_steps=HORIZON + 1)
    return lambda _: one_cycle.step()


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
    for kind in ("learned", "plateau", "one-cycle"):
        print(f"scheduler, {kind:12s} {scheduler_overhead(kind):8.1f} µs a step (mean over {HORIZON} steps)")
    print(f"NMF environment         {environment_speed():8,.0f} problem-steps a second, one thread")
    together, alone = network_speed()
    print(f"CNNs, 64 side by side   {together:8,.0f} net-steps a second, one thread")
    print(
        f"CNNs, one at a time     {alone:8,.0f} net-steps a second, one thread: side by side {together / alone:.1f} ×"
    )


if __name__ == "__main__":
    main()
