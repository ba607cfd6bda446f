"""Policy files: round trip, fingerprints, and refusal of whatever is malformed, by name and place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from lrpilot import PolicyError, SchedulePolicy, list_policies, load_policy
from lrpilot.policy import CARD_KEY

Maker = Callable[..., SchedulePolicy]


def test_round_trip_keeps_card_weights_and_fingerprint(policy: SchedulePolicy, tmp_path: Path) -> None:
    policy.save(tmp_path / "p.safetensors")
    loaded = load_policy(tmp_path / "p.safetensors")
    assert loaded.card == policy.card
    assert loaded.fingerprint == policy.fingerprint
    for ours, theirs in zip(policy.layers, loaded.layers, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]


def test_fingerprint_tells_policies_apart(policy_maker: Maker) -> None:
    prints = {policy_maker(seed, log_low=low).fingerprint for seed in (0, 1) for low in (-5.0, -4.0)}
    assert len(prints) == 4


def test_a_batch_of_observations_is_each_of_them(policy: SchedulePolicy) -> None:
    observations = np.random.default_rng(0).normal(size=(len(policy.card["signals"]), 5))
    single = [policy.action(observations[:, b]) for b in range(5)]
    np.testing.assert_allclose(policy.action(observations), single, atol=1e-5)


def test_a_policy_sees_only_the_signals_that_it_declares(policy_maker: Maker) -> None:
    policy = policy_maker(signals=["level", "progress"])
    observation = np.arange(21.0) / 21
    other = observation.copy()
    other[5] = 3.0
    assert policy.action(observation) == policy.action(other)
    assert not policy.reads_gradients


def test_shipped_policies_load() -> None:
    assert "nmf" in list_policies()
    for name in list_policies():
        card = load_policy(name).card
        assert card["name"] == name
        assert {"trained", "results", "summary"} <= set(card)


def test_unknown_policy_names_what_there_is() -> None:
    with pytest.raises(PolicyError, match=r"no policy 'nope': shipped are .*nmf"):
        load_policy("nope")


BAD_CARDS: list[tuple[dict[str, Any], str]] = [
    ({"format": 2}, "'format' is '2', must be 1"),
    ({"name": ""}, "'name'"),
    ({"action": "absolute"}, "one of fraction_of_bound, multiple_of_base"),
    ({"decisions": 0}, "1..10000"),
    ({"decisions": True}, "1..10000"),
    ({"log_low": 1.0}, "'log_high'"),
    ({"log_low": -1e9}, "within"),
    ({"log_high": "0"}, "'log_high'"),
    ({"signals": []}, "'signals'"),
    ({"signals": ["level", "level"]}, "different"),
    ({"signals": ["level", "secret"]}, "progress"),
    ({"signals": "level"}, "list"),
]


@pytest.mark.parametrize(("change", "message"), BAD_CARDS)
def test_bad_cards_are_refused(policy: SchedulePolicy, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(save(_tensors(policy), {CARD_KEY: json.dumps({**policy.card, **change})}))
    with pytest.raises(PolicyError, match=message) as error:
        load_policy(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def _tensors(policy: SchedulePolicy) -> dict[str, Any]:
    parts = [(f"{i}.{part}", j) for i in range(len(policy.layers)) for j, part in enumerate(("weight", "bias"))]
    return {name: policy.layers[int(name[0])][j] for name, j in parts}


def _write(policy: SchedulePolicy, path: Path, **changes: Any) -> Path:
    tensors = {**_tensors(policy), **{key.replace("_", "."): value for key, value in changes.items()}}
    path.write_bytes(save({k: v for k, v in tensors.items() if v is not None}, {CARD_KEY: json.dumps(policy.card)}))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0_weight": np.zeros((8, 3), np.float32)}, r"layer 0 has shapes \(8, 3\)"),
        ({"2_bias": np.zeros(2, np.float32)}, "layer 2"),
        ({"1_bias": np.full(8, np.nan, np.float32)}, "layer 1 holds a number that is not finite"),
        ({"1_bias": np.zeros(8, np.float64)}, "'1.bias' is F64, must be F32"),
        ({"1_bias": None}, "tensors are"),
        ({"extra": np.zeros(1, np.float32)}, "extra"),
    ],
)
def test_bad_tensors_are_refused(policy: SchedulePolicy, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(_write(policy, tmp_path / "bad.safetensors", **changes))


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999), flip=st.integers(0, 400))
def test_truncated_or_corrupted_files_are_refused_or_whole(
    tmp_path_factory: pytest.TempPathFactory, share: float, flip: int
) -> None:
    from tests.conftest import make_policy

    path = tmp_path_factory.mktemp("p") / "p.safetensors"
    make_policy().save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(PolicyError):
        load_policy(path)
    path.write_bytes(data[:flip] + bytes([data[flip] ^ 0x55]) + data[flip + 1 :])
    with contextlib.suppress(PolicyError):  # a flipped bit in a weight or a comment is no error; nothing else may rise
        load_policy(path)


def test_a_pickle_is_refused_without_being_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.safetensors"
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(PolicyError, match="not a whole safetensors file"):
        load_policy(path)
