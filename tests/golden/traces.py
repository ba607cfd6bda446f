"""The LR traces that released policies must give for ever; `python -m tests.golden.traces` records them.

Inputs are numbers, not the outcome of a training, so a trace depends on the policy file and on our code alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from lrpilot import LearnedLR, SchedulePolicy, load_policy

HERE = Path(__file__).parent
POLICIES = sorted(path.stem for path in (HERE / "format1").glob("*.safetensors"))
RECORDED = HERE / "traces.json"
SAME_SUMS = {  # read by OpenBLAS, NumPy and PyTorch when they are imported
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ATEN_CPU_CAPABILITY": "avx2",
}


def losses(count: int, seed: int) -> list[float]:
    """Positive, finite, falling under noise, with two spikes."""
    noise = np.random.default_rng(seed).random(count)
    values = [2.0 * (0.5 + share) / (1.0 + step / 25) for step, share in enumerate(noise.tolist())]
    for spike in (count // 5, count // 2):
        values[spike] *= 9.0
    return values


def plain(policy: SchedulePolicy) -> Iterator[float]:
    # Losses alone, runs shorter and longer than the decisions, a horizon that is passed.
    for horizon in (17, 60, 240, 1003):
        schedule = policy.schedule(0.3, horizon)
        yield schedule.lr
        for loss in losses(horizon + 5, horizon):
            yield schedule(loss)


def limited(policy: SchedulePolicy) -> Iterator[float]:
    # A bound that moves, under each guard, with limits.
    for guard in ("strict", "relaxed", "off"):
        rng = np.random.default_rng(7)
        schedule = policy.schedule(
            0.1, 130, bound=lambda rng=rng: 0.01 + float(rng.random()), lr_min=1e-3, lr_max=0.4, guard=guard
        )
        yield schedule.lr
        for loss in losses(130, 3):
            yield schedule(loss)


def with_gradients(policy: SchedulePolicy) -> Iterator[float]:
    # What a loop of one's own can tell beside the losses.
    rng = np.random.default_rng(11)
    weights = rng.random(50).astype(np.float32)
    for horizon in (90, 300):
        schedule = policy.schedule(0.02, horizon)
        yield schedule.lr
        for loss in losses(horizon, horizon + 1):
            gradient = rng.random(50).astype(np.float32) - np.float32(0.4)
            weights = weights - np.float32(0.01) * gradient
            yield schedule(loss, float(gradient @ gradient), weights, gradient)


def in_torch(policy: SchedulePolicy) -> Iterator[float]:
    # Two groups, a warm-up, and gradients that are hidden for a while.
    rng = np.random.default_rng(13)
    parameters = [torch.nn.Parameter(torch.from_numpy(rng.random(shape))) for shape in ((40, 3), (2100,))]
    groups = [{"params": [parameter], "lr": lr} for parameter, lr in zip(parameters, (0.05, 0.2), strict=True)]
    optimizer = torch.optim.SGD(groups)
    scheduler = LearnedLR(optimizer, policy, horizon=240, warmup=10)
    yield from scheduler.get_last_lr()
    for step, loss in enumerate(losses(245, 5)):
        for parameter in parameters:
            parameter.grad = torch.from_numpy(rng.random(tuple(parameter.shape)) - 0.4)
        optimizer.step()
        if 100 < step < 140:
            optimizer.zero_grad()
        scheduler.step(torch.tensor(loss, dtype=torch.float64) if step % 3 else loss)
        yield from scheduler.get_last_lr()


TRACES: dict[str, Callable[[SchedulePolicy], Iterator[float]]] = {
    "plain": plain,
    "limited": limited,
    "with_gradients": with_gradients,
    "in_torch": in_torch,
}


def recorded(name: str) -> dict[str, list[str] | str]:
    policy = load_policy(HERE / "format1" / f"{name}.safetensors")
    traces = {trace: [float(lr).hex() for lr in make(policy)] for trace, make in TRACES.items()}
    return {"fingerprint": policy.fingerprint, **traces}


def record(path: Path) -> None:
    """Write all traces in a process that sums as any x86 processor with AVX2 can: bits don't differ by machine."""
    script = "import sys; from tests.golden.traces import write; write(sys.argv[1])"
    root = HERE.parents[1]
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, cwd=root, env={**os.environ, **SAME_SUMS})


def write(path: str) -> None:
    torch.set_num_threads(1)
    Path(path).write_text(json.dumps({name: recorded(name) for name in POLICIES}, indent=0) + "\n")


if __name__ == "__main__":
    record(RECORDED)
