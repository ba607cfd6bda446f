"""Released policies are what they were: the same fingerprints, and the same LRs to the last bit."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from lrpilot import load_policy
from lrpilot.card import FORMAT
from lrpilot.policy import known_fingerprint, list_policies
from tests.golden.traces import NEWEST, RECORDED, RELEASED, TRACES, in_same_sums

BEFORE = json.loads(RECORDED.read_text())


def test_every_file_has_traces() -> None:
    assert BEFORE.keys() == RELEASED.keys()


@pytest.mark.parametrize("name", RELEASED)
def test_fingerprints_stay(name: str) -> None:
    policy = load_policy(RELEASED[name])
    assert policy.fingerprint == BEFORE[name]["fingerprint"]
    assert policy.card["format"] == FORMAT


@pytest.mark.parametrize("name", list_policies())
def test_shipped_policies_are_those_that_were_released(name: str) -> None:
    assert load_policy(name).fingerprint == BEFORE[NEWEST[name]]["fingerprint"] == known_fingerprint(name)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """What the tree makes of every trace now."""
    path = tmp_path_factory.mktemp("traces") / "now.json"
    in_same_sums(path, RELEASED)
    traces: dict[str, dict[str, list[str]]] = json.loads(path.read_text())
    return traces


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("name", RELEASED)
def test_traces_stay(name: str, trace: str, traced: dict[str, dict[str, list[str]]]) -> None:
    now, before = traced[name][trace], BEFORE[name][trace]
    if platform.machine() in ("x86_64", "AMD64"):
        assert now == before
    else:  # a processor that sums in another order
        np.testing.assert_allclose([float.fromhex(lr) for lr in now], [float.fromhex(lr) for lr in before], rtol=1e-3)


@pytest.mark.parametrize("name", RELEASED)
def test_saved_again_it_is_the_same_policy(name: str, tmp_path: Path) -> None:
    policy = load_policy(RELEASED[name])
    policy.save(tmp_path / "again.safetensors")
    again = load_policy(tmp_path / "again.safetensors")
    assert again.card == policy.card
    assert again.fingerprint == policy.fingerprint
