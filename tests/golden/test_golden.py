"""Released policies are what they were: the same fingerprints, and the same LRs to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lrpilot import load_policy
from lrpilot.card import FORMAT
from lrpilot.policy import known_fingerprint
from tests.golden.traces import HERE, POLICIES, RECORDED, TRACES, probe

BEFORE = json.loads(RECORDED.read_text())
FORMATS = sorted(path.name for path in HERE.glob("format*"))


@pytest.mark.parametrize("version", FORMATS)
@pytest.mark.parametrize("name", POLICIES)
def test_fingerprints_stay(name: str, version: str) -> None:
    policy = load_policy(HERE / version / f"{name}.safetensors")
    assert policy.fingerprint == BEFORE[name]["fingerprint"]
    assert policy.card["format"] == FORMAT


@pytest.mark.parametrize("name", POLICIES)
def test_shipped_policies_are_those_that_were_released(name: str) -> None:
    assert load_policy(name).fingerprint == BEFORE[name]["fingerprint"] == known_fingerprint(name)


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("name", POLICIES)
def test_traces_stay(name: str, trace: str) -> None:
    policy = load_policy(HERE / "format1" / f"{name}.safetensors")
    now, before = list(TRACES[trace](policy)), [float.fromhex(lr) for lr in BEFORE[name][trace]]
    if probe(policy) == BEFORE[name]["probe"]:
        assert now == before
    else:  # a processor that sums in another order
        np.testing.assert_allclose(now, before, rtol=1e-3)


@pytest.mark.parametrize("name", POLICIES)
def test_saved_again_it_is_the_same_policy(name: str, tmp_path: Path) -> None:
    policy = load_policy(HERE / "format1" / f"{name}.safetensors")
    policy.save(tmp_path / "again.safetensors")
    again = load_policy(tmp_path / "again.safetensors")
    assert again.card == policy.card
    assert again.fingerprint == policy.fingerprint
