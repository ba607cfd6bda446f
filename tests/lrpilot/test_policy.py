"""Policy files: round trip, fingerprints, and refusal of whatever is malformed, by name and place."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from lrpilot import PolicyError, SchedulePolicy, list_policies, load_policy
from lrpilot.card import CARD_KEY, MAX_BYTES, MAX_DEPTH
from lrpilot.describe import WIDTH, describe
from lrpilot.policy import read_card

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


def test_weights_in_another_order_of_memory_are_written_as_they_are(policy: SchedulePolicy, tmp_path: Path) -> None:
    layers = tuple((np.asfortranarray(weight), bias) for weight, bias in policy.layers)
    SchedulePolicy(policy.card, layers).save(tmp_path / "p.safetensors")
    assert load_policy(tmp_path / "p.safetensors").fingerprint == policy.fingerprint


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
    ({"format": 3}, "'format' is 3, must be in 1..2; a newer lrpilot reads it"),
    ({"format": True}, "'format' is True"),
    ({"format": None}, "'format' is None"),
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


def test_card_is_read_though_the_weights_are_cut_off_spoilt_or_huge(policy: SchedulePolicy, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    policy.save(path)
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for damaged in (data[:header], data[: header + 10], data + b"more"):
        path.write_bytes(damaged)
        assert read_card(path) == policy.card
        with pytest.raises(PolicyError, match="not a whole safetensors file"):
            load_policy(path)
    os.truncate(path, 100 * MAX_BYTES)  # sparse: takes no room
    assert read_card(path) == policy.card
    with pytest.raises(PolicyError, match="larger than 16,000,000 bytes"):
        load_policy(path)
    _write(policy, path, **{"1_bias": np.full(8, np.nan, np.float32)})
    assert read_card(path) == policy.card


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 2000), flip=st.integers(0, 400))
def test_a_damaged_header_is_refused_or_says_what_loading_says(
    tmp_path_factory: pytest.TempPathFactory, length: int, flip: int
) -> None:
    from tests.conftest import make_policy

    path = tmp_path_factory.mktemp("p") / "p.safetensors"
    make_policy().save(path)
    data = path.read_bytes()
    if length < 8 + int.from_bytes(data[:8], "little"):
        path.write_bytes(data[:length])
        with pytest.raises(PolicyError):
            read_card(path)
    path.write_bytes(data[:flip] + bytes([data[flip] ^ 0x55]) + data[flip + 1 :])
    with contextlib.suppress(PolicyError):
        assert load_policy(path).card == read_card(path)


def _with_header(path: Path, header: bytes, announced: int | None = None) -> Path:
    path.write_bytes((len(header) if announced is None else announced).to_bytes(8, "little") + header)
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "a header of 0 bytes"),
        (b"[]", "the header is no JSON object"),
        (b"[" * 100_000, "the header is no JSON object"),
        (b"\xff", "the header is no JSON object"),
        (b"{}", "no lrpilot policy"),
        (b'{"__metadata__": 1}', "no lrpilot policy"),
        (b'{"__metadata__": {"lrpilot": 1}}', "no lrpilot policy"),
        (b'{"__metadata__": {"lrpilot": "[]"}}', "the card is a list"),
    ],
)
def test_bad_headers_are_refused(tmp_path: Path, header: bytes, message: str) -> None:
    path = _with_header(tmp_path / "bad.safetensors", header)
    for read in (read_card, load_policy):
        with pytest.raises(PolicyError, match=message):
            read(path)


def test_an_announced_header_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    path = _with_header(tmp_path / "bad.safetensors", b"{}", 2**63)
    with pytest.raises(PolicyError, match="a header of 9,223,372,036,854,775,808 bytes is announced"):
        read_card(path)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('"log_low": NaN', "not JSON"),
        ('"results": -Infinity', "not JSON"),
        ('"results": 1e999', "not JSON"),
        ('"log_low": -1' + "0" * 400, "within"),
        ('"results": ' + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 16"),
    ],
)
def test_cards_hold_nothing_that_can_not_be_written_again(
    policy: SchedulePolicy, tmp_path: Path, field: str, message: str
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(save(_tensors(policy), {CARD_KEY: f"{json.dumps(policy.card)[:-1]}, {field}}}"}))
    with pytest.raises(PolicyError, match=message):
        load_policy(path)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(free=st.dictionaries(st.sampled_from(["summary", "not_for", "results", "trained", "selection", "x"]), ANYTHING))
def test_any_card_can_be_described_and_none_commands_the_terminal(free: dict[str, Any]) -> None:
    from tests.conftest import make_policy

    for full in (False, True):
        text = describe(make_policy(**free).card, full)
        assert all(character.isprintable() for character in text.replace("\n", ""))


def test_a_stranger_can_not_clear_the_screen(policy_maker: Maker) -> None:
    text = describe(policy_maker(name="\x1b[2J", summary="a\nname: \u202efalse\ud800", x={"\x9b1m": 1}).card, full=True)
    assert text.startswith("\\x1b[2J: a learned")
    assert "a\\nname: \\u202efalse\\ud800" in text
    assert "\\x9b1m" in text


@pytest.mark.parametrize("name", list_policies())
def test_descriptions_hold_all_that_a_card_says(name: str) -> None:
    card = read_card(name)
    assert len(describe(card).splitlines()) <= 14
    for full in (False, True):
        assert all(len(line) <= WIDTH for line in describe(card, full).splitlines())
    words = " ".join(describe(card, full=True).split())
    for entry in (
        card["name"],
        card["summary"],
        card["not_for"],
        card["trained"]["commit"],
        ", ".join(card["signals"]),
    ):
        assert " ".join(entry.split()) in words
    assert f"{card['decisions']} a run" in words
    assert "the card does not say" not in words


def test_a_stranger_can_not_overwrite_what_the_card_really_says(policy_maker: Maker) -> None:
    card = policy_maker().card
    lines = describe({**card, "LR": "small", "reads": "nothing", "other": 1}, full=True).splitlines()
    whole = describe(card, full=True).splitlines()
    assert lines[: len(whole)] == whole
    assert [line.split() for line in lines[-3:]] == [["other", "LR", "small"], ["reads", "nothing"], ["other", "1"]]


def test_description_of_a_bare_card_says_what_it_does_not_say(policy: SchedulePolicy) -> None:
    lines = describe(policy.card, full=True).splitlines()
    assert [line.split("  ")[0] for line in lines if "the card does not say" in line] == [
        "for",
        "not for",
        "measured",
        "trained",
        "selected",
    ]
