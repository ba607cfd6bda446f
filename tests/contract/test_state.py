"""What a schedule remembers: a resumed run is the uninterrupted one."""

from __future__ import annotations

import copy
import gc
import json
import subprocess
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR

HORIZON = 60


@pytest.mark.parametrize("cut", [1, 2, 7, 30, HORIZON - 1])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(Loop: Any, cut: int) -> None:
    whole = Loop()
    trace = [whole.step() for _ in range(HORIZON)]
    first = Loop()
    for _ in range(cut):
        first.step()
    second = Loop()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load(first.save())
        assert [second.step() for _ in range(HORIZON - cut)] == trace[cut:]
    assert all(torch.equal(a, b) for a, b in zip(second.model.parameters(), whole.model.parameters(), strict=True))


GO_ON = """
import sys
sys.path.insert(0, sys.argv[1])
from conftest import MAKERS, TrainingLoop

loop = TrainingLoop(MAKERS[sys.argv[2]])
with open(sys.argv[3], "rb") as file:
    loop.load(file)
lrs = [loop.step() for _ in range(int(sys.argv[4]))]
print(lrs, [parameter.tolist() for parameter in loop.model.parameters()])
"""


@pytest.mark.parametrize("make", ["universal", "greedy"], indirect=True)
def test_a_fresh_process_goes_on_bit_for_bit(Loop: Any, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    whole, first, cut = Loop(), Loop(), 23
    trace = [whole.step() for _ in range(HORIZON)]
    for _ in range(cut):
        first.step()
    (tmp_path / "state.pt").write_bytes(first.save().getvalue())
    arguments = [Path(__file__).parent, request.node.callspec.params["make"], tmp_path / "state.pt", HORIZON - cut]
    words = [sys.executable, "-c", GO_ON, *map(str, arguments)]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == f"{trace[cut:]} {[parameter.tolist() for parameter in whole.model.parameters()]}"


def test_state_does_not_share_memory_with_the_scheduler(Loop: Any) -> None:
    loop = Loop()
    loop.step()
    state = loop.scheduler.state_dict()
    before = copy.deepcopy(state)
    other = Loop()
    other.scheduler.load_state_dict(state)
    for _ in range(9):
        loop.step(), other.step()
    assert repr(state) == repr(before)


def test_state_of_something_else_is_refused_by_name(Loop: Any) -> None:
    scheduler = Loop().scheduler
    other = ConstantLR(SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    with pytest.raises(ValueError, match="state"):
        scheduler.load_state_dict(other.state_dict())


def test_state_with_more_groups_than_the_optimizer_is_refused(Loop: Any) -> None:
    loop = Loop()
    loop.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(2))], "lr": 0.01})
    loop.step()
    with pytest.raises(ValueError, match="3 parameter groups and the optimizer 2"):
        Loop().scheduler.load_state_dict(loop.scheduler.state_dict())


def test_no_cyclic_references(Loop: Any) -> None:
    gc.disable()
    try:
        loop = Loop()
        loop.step(), loop.step()
        reference = weakref.ref(loop.scheduler)
        del loop
        assert reference() is None
    finally:
        gc.enable()


def test_state_can_be_written_as_json_if_lrs_are_numbers(Loop: Any) -> None:
    loop = Loop()
    for _ in range(9):
        loop.step()
    state = {key: value for key, value in loop.scheduler.state_dict().items() if key != "travel"}
    assert json.loads(json.dumps(state)) == state


def test_a_state_from_before_a_signal_was_added_is_loaded_and_one_of_a_later_version_is_refused(Loop: Any) -> None:
    loop, again = Loop(), Loop()
    for _ in range(20):
        loop.step()
    state = loop.scheduler.state_dict()
    if "schedule" not in state:
        pytest.skip("a rule without signals")
    older = {key: value for key, value in state["schedule"].items() if key != "signals.descent"}
    again.scheduler.load_state_dict({**state, "schedule": older})
    assert again.scheduler.state_dict()["schedule"]["signals.descent"] == 0.0
    with pytest.raises(ValueError, match=r"a later version of lrpilot, which alone knows signals\.new"):
        again.scheduler.load_state_dict({**state, "schedule": {**state["schedule"], "signals.new": 1.0}})
