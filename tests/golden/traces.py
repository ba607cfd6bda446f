"""The LR traces that released policies must give for ever.

Files of released policies lie in `format1`, …, named by the format of their cards. A new one is copied there, and
`python -m tests.golden.traces` records its traces; those that are recorded already stay as they are.
Inputs are numbers, not the outcome of a training, so a trace depends on the policy file and on our code alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lrpilot import LearnedLR, SchedulePolicy, load_policy

HERE = Path(__file__).parent
RELEASED = {f"{path.parent.name}/{path.stem}": path for path in sorted(HERE.glob("format*/*.safetensors"))}
NEWEST = {path.stem: name for name, path in RELEASED.items()}  # by the name of the policy
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
    # Two groups, a warm-up, and steps of which no gradients are seen for a while, made by hand.
    rng = np.random.default_rng(13)
    parameters = [torch.nn.Parameter(torch.from_numpy(rng.random(shape))) for shape in ((40, 3), (2100,))]
    groups = [{"params": [parameter], "lr": lr} for parameter, lr in zip(parameters, (0.05, 0.2), strict=True)]
    optimizer = torch.optim.SGD(groups)
    scheduler = LearnedLR(optimizer, policy, horizon=240, warmup=10)
    yield from scheduler.get_last_lr()
    for step, loss in enumerate(losses(245, 5)):
        for parameter in parameters:
            parameter.grad = torch.from_numpy(rng.random(tuple(parameter.shape)) - 0.4)
        if 100 < step < 140:
            for group in optimizer.param_groups:
                group["params"][0].data.add_(group["params"][0].grad, alpha=-group["lr"])
            optimizer.zero_grad()
        else:
            optimizer.step()
        scheduler.step(torch.tensor(loss, dtype=torch.float64) if step % 3 else loss)
        yield from scheduler.get_last_lr()


TRACES: dict[str, Callable[[SchedulePolicy], Iterator[float]]] = {
    "plain": plain,
    "limited": limited,
    "with_gradients": with_gradients,
    "in_torch": in_torch,
}


def recorded(name: str) -> dict[str, list[str] | str]:
    policy = load_policy(RELEASED[name])
    traces = {trace: [float(lr).hex() for lr in make(policy)] for trace, make in TRACES.items()}
    return {"fingerprint": policy.fingerprint, **traces}


def in_same_sums(path: Path, names: Iterable[str]) -> None:
    """Write traces in a process that sums as any x86 processor with AVX2 can: bits don't differ by machine."""
    script = "import sys; from tests.golden.traces import write; write(*sys.argv[1:])"
    words = [sys.executable, "-c", script, str(path), *names]
    subprocess.run(words, check=True, cwd=HERE.parents[1], env={**os.environ, **SAME_SUMS})


def write(path: str, *names: str) -> None:
    torch.set_num_threads(1)
    Path(path).write_text(json.dumps({name: recorded(name) for name in names}, indent=0) + "\n")


def record_new() -> None:
    """Record the traces of files that have none."""
    before = json.loads(RECORDED.read_text())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.json"
        in_same_sums(path, RELEASED.keys() - before.keys())
        RECORDED.write_text(json.dumps({**before, **json.loads(path.read_text())}, indent=0) + "\n")


if __name__ == "__main__":
    record_new()
