"""Two ranks with different data decide alike: the same LRs at every step, and the state of one is that of both."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
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
SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer, int], AbstractMetricLR]] = {
    "universal": lambda optimizer, steps: LearnedLR(optimizer, "universal", horizon=steps),
    "cnn": lambda optimizer, steps: LearnedLR(optimizer, "cnn", horizon=steps),  # reads gradients and weights
    "greedy": lambda optimizer, steps: GreedyLR(optimizer, patience=0, factor=0.9, every=steps // 60),
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


class Run:
    """A training on the rank's own data; only the ranks named in `observed` pass their losses on."""

    def __init__(self, scheduler: str, observed: str, wrapper: str, rank: int, steps: int = STEPS) -> None:
        torch.manual_seed(0)
        self.model = WRAPPERS[wrapper](torch.nn.Linear(300, 5))  # more weights than are read of a tensor
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.scheduler = SCHEDULERS[scheduler](self.optimizer, steps)
        self.observed = str(rank) in observed
        torch.manual_seed(1 + rank)
        self.x, self.y = torch.randn(steps, 8, 300), (1 + 9 * rank) * torch.randn(steps, 8, 5)  # losses differ by 100

    def step(self, step: int) -> float:
        self.optimizer.zero_grad()
        loss = (self.model(self.x[step]) - self.y[step]).square().mean()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step(loss if self.observed else None)
        return float(self.scheduler.get_last_lr()[0])

    def weights(self) -> torch.Tensor:
        return torch.cat([whole(part.detach()).flatten().clone() for part in self.model.parameters()])


def whole(weight: torch.Tensor) -> torch.Tensor:
    """Return a parameter with the parts of all ranks."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def train(scheduler: str, observed: str, wrapper: str, rank: int) -> dict[str, Any]:
    run = Run(scheduler, observed, wrapper, rank)
    collectives, lrs, weights = _waited_for(), [], []
    for step in range(STEPS):
        lrs.append(run.step(step))
        weights.append(run.weights())
    return {"lrs": torch.tensor(lrs), "weights": torch.stack(weights), "collectives": len(collectives)}


def _waited_for() -> list[torch.Tensor]:
    original, seen = distributed.all_reduce, []

    def counting(table: torch.Tensor, async_op: bool = False, **more: Any) -> Any:
        if not async_op:
            seen.append(table)
        return original(table, async_op=async_op, **more)

    ranks.distributed.all_reduce = counting  # type: ignore[assignment]
    return seen


def resume(scheduler: str, way: str, wrapper: str, rank: int) -> dict[str, Any]:
    """Save in the middle of an interval; go on with what rank 0 saved, or a distributed checkpoint."""
    steps, cut = 5 * STEPS, 322  # ten steps a decision
    run, folder = Run(scheduler, "01", wrapper, rank, steps), sys.argv[1]
    for step in range(cut):
        run.step(step)
    model, optimizer = run.model.state_dict(), run.optimizer.state_dict()
    state = run.scheduler.state_dict()  # no rank waits for another
    if way == "distributed":
        dcp.save({"scheduler": state}, checkpoint_id=f"{folder}/checkpoint")
    elif rank == 0:
        torch.save(state, f"{folder}/state.pt")
    again = Run(scheduler, "01", wrapper, rank, steps)
    again.model.load_state_dict({name: value.clone() for name, value in model.items()})
    again.optimizer.load_state_dict(optimizer)
    on = [run.step(step) for step in range(cut, steps - 1)]
    if way == "distributed":
        loaded = {"scheduler": again.scheduler.state_dict()}
        dcp.load(loaded, checkpoint_id=f"{folder}/checkpoint")
        again.scheduler.load_state_dict(loaded["scheduler"])
    else:
        distributed.barrier()
        again.scheduler.load_state_dict(torch.load(f"{folder}/state.pt", weights_only=True))
    return {"on": torch.tensor(on), "resumed": torch.tensor([again.step(step) for step in range(cut, steps - 1)])}


def disagree(scheduler: str, observed: str, wrapper: str, rank: int) -> dict[str, Any]:
    """Give the ranks different horizons, then different intervals of GreedyLR."""
    errors = []
    for name in ("universal", "greedy"):
        with pytest.raises(ValueError, match="the same on all ranks") as error:
            Run(name, "01", wrapper, rank, 120 + 60 * rank)
        errors.append(str(error.value))
    return {"errors": errors}


MODES = {"train": train, "resume": resume, "disagree": disagree}


def two_ranks(folder: Path, mode: str, *words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run this file as two processes."""
    command = [sys.executable, "-W", "error::UserWarning:lrpilot", __file__, str(folder), mode, *words]
    both = [subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True) for rank in range(2)]
    errors = [rank.communicate(timeout=120)[1] for rank in both]
    assert all(rank.returncode == 0 for rank in both), errors
    first, second = (torch.load(io.BytesIO((folder / f"{rank}.pt").read_bytes())) for rank in range(2))
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
def test_ranks_stay_equal_and_wait_once_a_decision_and_once_for_gradients(
    tmp_path: Path, scheduler: str, observed: str
) -> None:
    first, second = two_ranks(tmp_path, "train", scheduler, observed, "together")
    assert torch.equal(first["lrs"], second["lrs"])
    assert torch.equal(first["weights"], second["weights"])
    assert first["lrs"].unique().numel() > 9
    each = 1 if scheduler == "universal" else 0  # it reads gradients, and what ranks read is averaged, too
    decisions = {STEPS // INTERVAL - 1, STEPS // INTERVAL}
    assert first["collectives"] == second["collectives"] in {each * count for count in decisions}


@pytest.mark.parametrize("wrapper", ["apart", "sharded", pytest.param("together", marks=pytest.mark.slow)])
def test_ranks_that_read_other_gradients_set_the_same_lrs(tmp_path: Path, wrapper: str) -> None:
    first, second = two_ranks(tmp_path, "train", "cnn", "01", wrapper)
    assert torch.equal(first["lrs"], second["lrs"])
    assert torch.equal(first["weights"], second["weights"]) == (wrapper != "apart")
    assert first["lrs"].unique().numel() > 9
    decisions = load_policy("cnn").card["decisions"] - 1  # the first is made at the start
    each = 4 if wrapper == "sharded" else 1  # norm of the gradients, sketches of weights and gradients
    assert first["collectives"] == second["collectives"] == each * decisions


@pytest.mark.parametrize(
    ("scheduler", "way", "wrapper"),
    [
        ("cnn", "rank 0", "together"),
        ("cnn", "distributed", "sharded"),
        pytest.param("cnn", "rank 0", "sharded", marks=pytest.mark.slow),
        pytest.param("universal", "rank 0", "together", marks=pytest.mark.slow),
        pytest.param("greedy", "rank 0", "apart", marks=pytest.mark.slow),
        pytest.param("greedy", "distributed", "together", marks=pytest.mark.slow),
    ],
)
def test_both_go_on_with_the_state_of_one_as_if_never_interrupted(
    tmp_path: Path, scheduler: str, way: str, wrapper: str
) -> None:
    first, second = two_ranks(tmp_path, "resume", scheduler, way, wrapper)
    assert torch.equal(first["resumed"], second["resumed"])
    assert torch.equal(first["resumed"], first["on"])
    assert first["on"].unique().numel() > 9


@pytest.mark.slow
def test_shards_are_read_as_the_whole_they_are_of(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    parts, _ = two_ranks(tmp_path / "a", "train", "cnn", "01", "sharded")
    copies, _ = two_ranks(tmp_path / "b", "train", "cnn", "01", "together")
    torch.testing.assert_close(parts["lrs"][:20], copies["lrs"][:20], rtol=1e-3, atol=0.0)


def test_ranks_that_disagree_are_told_at_construction(tmp_path: Path) -> None:
    for made in two_ranks(tmp_path, "disagree", "universal", "01", "apart"):
        assert made["errors"] == [
            f"{name} must be the same on all ranks, since they decide together, not {values}"
            for name, values in {
                "horizon": "120 on rank 0, 180 on rank 1",
                "every": "2 on rank 0, 3 on rank 1",
            }.items()
        ]


if __name__ == "__main__":
    folder, mode, scheduler, observed, wrapper, rank = sys.argv[1:]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=int(rank), world_size=2)
    torch.save(MODES[mode](scheduler, observed, wrapper, int(rank)), f"{folder}/{rank}.pt")
    distributed.barrier()
    os._exit(0)  # threads of gloo that are still there when the interpreter ends may abort it
