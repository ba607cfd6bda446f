"""Two ranks with different data decide alike: the same LRs at every step, a collective or two at each decision."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from lrpilot import GreedyLR, LearnedLR
from lrpilot.policy import load_policy
from lrpilot.schedulers import ranks
from lrpilot.schedulers.base import AbstractMetricLR

STEPS, INTERVAL = 120, 2  # a policy of 60 decisions
SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], AbstractMetricLR]] = {
    "universal": lambda optimizer: LearnedLR(optimizer, "universal", horizon=STEPS),
    "cnn": lambda optimizer: LearnedLR(optimizer, "cnn", horizon=STEPS),  # reads gradients and weights
    "greedy": lambda optimizer: GreedyLR(optimizer, patience=0, factor=0.9, every=INTERVAL),
}


def apart(model: torch.nn.Module) -> torch.nn.Module:
    """Return a model whose ranks share nothing."""
    return model


def sharded(model: torch.nn.Module) -> torch.nn.Module:
    """Return a model of which each rank holds a part."""
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    return model


WRAPPERS: dict[str, Callable[[torch.nn.Module], torch.nn.Module]] = {
    "together": DistributedDataParallel,
    "apart": apart,
    "sharded": sharded,
}


def train(scheduler: str, observed: str, wrapper: str, rank: int) -> dict[str, Any]:
    """Train on the rank's own data; only the ranks named in `observed` pass their losses on."""
    torch.manual_seed(0)
    model = WRAPPERS[wrapper](torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = SCHEDULERS[scheduler](optimizer)
    torch.manual_seed(1 + rank)
    x, y = torch.randn(STEPS, 8, 4), (1 + 9 * rank) * torch.randn(STEPS, 8, 2)  # losses differ by about 100
    collectives, lrs, weights = _counted_collectives(), [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = (model(x[step]) - y[step]).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step(loss if str(rank) in observed else None)
        lrs.append(schedule.get_last_lr()[0])
        weights.append(torch.cat([whole(part.detach()).flatten().clone() for part in model.parameters()]))
    return {"lrs": torch.tensor(lrs), "weights": torch.stack(weights), "collectives": len(collectives)}


def whole(weight: torch.Tensor) -> torch.Tensor:
    """Return a parameter with the parts of all ranks."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def _counted_collectives() -> list[torch.Tensor]:
    original, seen = distributed.all_reduce, []

    def counting(table: torch.Tensor) -> None:
        seen.append(table)
        original(table)

    ranks.distributed.all_reduce = counting  # type: ignore[assignment]
    return seen


def two_ranks(
    folder: Path, scheduler: str, observed: str, wrapper: str = "together"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run this file as two processes."""
    command = [sys.executable, __file__, str(folder), scheduler, observed, wrapper]
    both = [subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True) for rank in range(2)]
    errors = [rank.communicate(timeout=120)[1] for rank in both]
    assert all(rank.returncode == 0 for rank in both), errors
    first, second = (torch.load(folder / f"{rank}.pt") for rank in range(2))
    return first, second


@pytest.mark.parametrize(
    ("scheduler", "observed"),
    [
        ("universal", "01"),
        ("greedy", "1"),
        pytest.param("universal", "1", marks=pytest.mark.slow),
        pytest.param("greedy", "01", marks=pytest.mark.slow),
    ],
)
def test_ranks_stay_equal_with_a_collective_a_decision_and_one_for_gradients(
    tmp_path: Path, scheduler: str, observed: str
) -> None:
    first, second = two_ranks(tmp_path, scheduler, observed)
    assert torch.equal(first["lrs"], second["lrs"])
    assert torch.equal(first["weights"], second["weights"])
    assert first["lrs"].unique().numel() > 9
    each = 2 if scheduler == "universal" else 1  # it reads gradients, and what ranks read is averaged, too
    decisions = {STEPS // INTERVAL - 1, STEPS // INTERVAL}
    assert first["collectives"] == second["collectives"] in {each * count for count in decisions}


@pytest.mark.parametrize("wrapper", ["apart", "sharded", pytest.param("together", marks=pytest.mark.slow)])
def test_ranks_that_read_other_gradients_set_the_same_lrs(tmp_path: Path, wrapper: str) -> None:
    first, second = two_ranks(tmp_path, "cnn", "01", wrapper)
    assert torch.equal(first["lrs"], second["lrs"])
    assert torch.equal(first["weights"], second["weights"]) == (wrapper != "apart")
    assert first["lrs"].unique().numel() > 9
    decisions = load_policy("cnn").card["decisions"] - 1  # the first is made at the start
    assert first["collectives"] == second["collectives"] == 2 * decisions


if __name__ == "__main__":
    folder, scheduler, observed, wrapper, rank = sys.argv[1:]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=int(rank), world_size=2)
    torch.save(train(scheduler, observed, wrapper, int(rank)), f"{folder}/{rank}.pt")
    distributed.barrier()
    os._exit(0)  # threads of gloo that are still there when the interpreter ends may abort it
