"""Exports: the ONNX network is the policy, whoever reads it; the replayed schedule is the schedule."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrpilot import SchedulePolicy, list_policies, load_policy
from lrpilot.control import Anchor
from lrpilot.describe import lr_formula
from lrpilot.export.onnx_file import CONVENTIONS, onnx_bytes
from lrpilot.export.replay import TraceError, read_trace, replay, table_text
from lrpilot.signals import SIGNAL_NAMES, SIGNALS, Signals
from tests.conftest import make_policy


def random_policy(seed: int) -> SchedulePolicy:
    """Up to four layers of any width; weights of the size that they have at the start of training."""
    rng = np.random.default_rng(seed)
    signals = [str(name) for name in rng.permutation(SIGNAL_NAMES)[: rng.integers(1, len(SIGNAL_NAMES) + 1)]]
    sizes = [len(signals), *map(int, rng.integers(1, 97, rng.integers(0, 4))), 1]
    layers = [(rng.normal(0, i**-0.5, (o, i)), rng.normal(0, 0.5, o)) for i, o in pairwise(sizes)]
    card = {**make_policy().card, "signals": signals}
    return SchedulePolicy(card, tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers))


def observations(seed: int) -> NDArray[np.float64]:
    """Of all signals, near 0 and out to the clip: shape (S, 200)."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-4, 4, (len(SIGNALS), 200)) * rng.choice([0.05, 0.3, 1.0], 200)


def session(data: bytes) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def by_onnx_alone(data: bytes, full: NDArray[np.float64]) -> NDArray[np.float32]:
    """Evaluate the file with nothing but what is in it."""
    network = session(data)
    columns = json.loads(network.get_modelmeta().custom_metadata_map["signals"])
    own = np.stack([full[SIGNAL_NAMES.index(column["name"])] for column in columns], axis=1)
    (action,) = network.run(["action"], {"observation": own.astype(np.float32)})
    assert action.shape == (full.shape[1], 1)
    return np.asarray(action[:, 0])


@pytest.mark.parametrize("name", list_policies())
def test_onnx_acts_like_each_shipped_policy(name: str) -> None:
    pytest.importorskip("onnx")
    policy, full = load_policy(name), observations(0)
    action = by_onnx_alone(onnx_bytes(policy), full)
    # Sums of several hundred products, in single precision, in another order: 1.2e-6 has been seen.
    np.testing.assert_allclose(action, policy.action(full), rtol=0, atol=3e-6)
    np.testing.assert_allclose(action, [policy.action(one) for one in full.T], rtol=0, atol=3e-6)
    assert action.std() > 0.05


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_onnx_acts_like_any_policy(seed: int) -> None:
    pytest.importorskip("onnx")
    policy, full = random_policy(seed), observations(seed)
    # The sums of up to 96 products, in single precision, in another order: 8.3e-7 was the largest of 600,000.
    np.testing.assert_allclose(by_onnx_alone(onnx_bytes(policy), full), policy.action(full), rtol=0, atol=2e-6)


def test_onnx_check_would_see_a_weight_off_by_a_thousandth() -> None:
    pytest.importorskip("onnx")
    policy, full = load_policy("nmf"), observations(0)
    for index, (weight, bias) in enumerate(policy.layers):
        off = (*policy.layers[:index], (weight, bias + np.float32(1e-3)), *policy.layers[index + 1 :])
        action = by_onnx_alone(onnx_bytes(SchedulePolicy(policy.card, off)), full)
        assert np.abs(action - policy.action(full)).max() > 1e-5


def test_onnx_clips_the_action() -> None:
    pytest.importorskip("onnx")
    policy = make_policy()
    weight, bias = policy.layers[-1]
    large = SchedulePolicy(policy.card, (*policy.layers[:-1], (100 * weight, bias)))
    action = by_onnx_alone(onnx_bytes(large), observations(1))
    assert (action.min(), action.max()) == (-1.0, 1.0)


def test_onnx_is_valid_and_says_what_a_stranger_must_know() -> None:
    onnx = pytest.importorskip("onnx")
    policy = load_policy("universal")
    model = onnx.load_from_string(onnx_bytes(policy))
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(entries["lrpilot"]) == policy.card
    assert entries["fingerprint"] == policy.fingerprint
    assert entries["learning_rate"] == lr_formula(policy.control)
    signals = json.loads(entries["signals"])
    assert [signal["name"] for signal in signals] == policy.card["signals"]
    assert all(set(signal) == {"name", "meaning", "unit", "low", "high"} for signal in signals)
    (observation,), (action,) = model.graph.input, model.graph.output
    shapes = [[d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] for x in (observation, action)]
    assert shapes == [["batch", len(signals)], ["batch", 1]]


def test_conventions_in_the_file_are_those_of_the_signals() -> None:
    assert not Signals().vector(0.0).any()
    squashed = [signal.name for signal in SIGNALS if signal.unit == "squashed nats"]
    assert "squashed is asinh(100 x) / 2" in CONVENTIONS
    signals = Signals(level=0.03, change=0.03, swing=0.03, trend=0.03, spread=0.03, steepest=0.03)
    vector = dict(zip(SIGNAL_NAMES, signals.vector(0.0), strict=True))
    assert {vector[name] for name in squashed} == {math.asinh(3.0) / 2}
    large = Signals(level=1e9, change=-1e9, has_gradient=1.0, efficiency=1e9).vector(0.0)
    assert all(signal.low <= entry <= signal.high for signal, entry in zip(SIGNALS, large, strict=True))


@pytest.mark.parametrize("anchor", get_args(Anchor))
@pytest.mark.parametrize("manner", [{}, {"max_change": 1.5, "log_start": -3.0}])
@pytest.mark.parametrize("action", [-1.0, -0.25, 0.5])
def test_formula_in_the_file_gives_the_lr_of_the_schedule(
    anchor: Anchor, manner: dict[str, float], action: float
) -> None:
    card = {**make_policy(log_low=-4.0, log_high=1.0, anchor=anchor, action="multiple_of_base", **manner).card}
    zeros = np.zeros((1, len(SIGNALS)), np.float32)
    policy = SchedulePolicy(card, ((zeros, np.full(1, action, np.float32)),))
    schedule = policy.schedule(0.3, 80)
    factors, m = re.fullmatch(r"base LR(.*) × exp\(m\), m = (.*), where a in .*", lr_formula(policy.control)).groups()
    m, log = re.sub(r"the m before \(.*\)(.*?),.*", r"log\1", m.replace("·", "*")), -3.0
    for step in range(79):
        if step % 2 == 0:
            log = min(max(eval(m, {"log": log, "a": action}), -4.0), 1.0)
        anchored = 1 - step / 80 if factors == " × (1 − progress)" else 1.0
        assert schedule.lr == pytest.approx(0.3 * anchored * math.exp(log), rel=1e-6)
        schedule(1.0)


def test_onnx_bytes_are_the_same_in_another_process_and_differ_between_policies() -> None:
    pytest.importorskip("onnx")
    code = (
        "import sys, lrpilot, lrpilot.export.onnx_file as f; "
        "sys.stdout.buffer.write(f.onnx_bytes(lrpilot.load_policy('nmf')))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert other == onnx_bytes(load_policy("nmf"))
    assert other != onnx_bytes(load_policy("linear"))


def test_without_onnx_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, policy: SchedulePolicy) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs onnx: pip install 'lrpilot\[export\]'"):
        onnx_bytes(policy)


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
@pytest.mark.filterwarnings("ignore:10 losses in a row:UserWarning")
@pytest.mark.filterwarnings("ignore:losses :UserWarning")
@settings(max_examples=50, deadline=None)
@given(
    losses=st.lists(st.one_of(st.floats(), st.sampled_from([1.0, 0.0, math.nan, math.inf])), min_size=1, max_size=120),
    horizon=st.one_of(st.none(), st.integers(1, 200)),
    decisions=st.integers(1, 60),
)
def test_replay_is_the_schedule_and_strict_json(losses: list[float], horizon: int | None, decisions: int) -> None:
    policy = make_policy(decisions=decisions)
    table = replay(policy, losses, 0.3, horizon)
    schedule = policy.schedule(0.3, horizon or len(losses))
    lrs = [schedule.lr, *(schedule(loss) for loss in losses)]
    assert [*(row["lr"] for row in table["rows"]), table["next_lr"]] == lrs
    assert table["skipped"] == schedule.skipped == sum(isinstance(row["loss"], str) for row in table["rows"])
    np.testing.assert_array_equal([float(row["loss"]) for row in table["rows"]], losses)
    assert json.loads(table_text(table), parse_constant=pytest.fail) == table
    json.dumps(table, allow_nan=False)


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
@pytest.mark.parametrize(("horizon", "decisions"), [(10, 40), (100, 40), (100, 7), (30, 1), (250, 40), (101, 100)])
def test_replay_marks_the_steps_at_which_the_policy_was_asked(
    horizon: int, decisions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, original = make_policy(decisions=decisions), SchedulePolicy.action
    losses, asked, made = list(np.geomspace(5, 1, 120)), [], [0]
    monkeypatch.setattr(SchedulePolicy, "action", lambda *words: asked.append(made[0]) or original(*words))
    schedule = policy.schedule(0.3, horizon)
    for loss in losses:
        made[0] += 1
        schedule(loss)
    monkeypatch.undo()
    marked = [row["step"] for row in replay(policy, losses, 0.3, horizon)["rows"] if row["decision"]]
    assert marked == [step for step in asked if step < len(losses)]


def test_notes_say_what_a_replay_lacks() -> None:
    assert "base_lr stands for it" in " ".join(replay(load_policy("nmf"), [1.0], 0.1)["notes"])
    assert "gradients" in " ".join(replay(load_policy("nmf"), [1.0], 0.1)["notes"])
    assert "gradients" in " ".join(replay(load_policy("universal"), [1.0], 0.1)["notes"])
    blind = make_policy(0, signals=["progress", "level"], action="multiple_of_base")
    assert len(replay(blind, [1.0], 0.1)["notes"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "3\n2.5\nnan\n-inf\n",
        "\ufeff3\r\n2.5\r\nNaN\r\n-Infinity\r\n\r\n",
        "loss\n3\n2.5\nnan\n-inf",
        "step, Loss ,lr\n0,3,1\n\n1,2.5,1\n2,nan,1\n3,-inf,1\n",
        '"loss"\n"3"\n"2.5"\n"nan"\n"-inf"\n',
        "[3, 2.5, null, -Infinity]",
        ' [3,\n 2.5, "nan", "-inf"]\n',
    ],
)
def test_traces_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(text, encoding="utf-8", newline="")
    np.testing.assert_array_equal(read_trace(tmp_path / "trace"), [3.0, 2.5, math.nan, -math.inf])


@pytest.mark.filterwarnings("ignore:10 losses in a row:UserWarning")
@pytest.mark.filterwarnings("ignore:losses :UserWarning")
@settings(max_examples=50, deadline=None)
@given(losses=st.lists(st.floats(), min_size=1, max_size=30))
def test_a_replayed_loss_comes_back_as_a_trace(losses: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("trace") / "trace"
    path.write_text(json.dumps([row["loss"] for row in replay(make_policy(), losses, 1.0)["rows"]], allow_nan=False))
    np.testing.assert_array_equal(read_trace(path), losses)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no loss; write one a line"),
        ("loss\n", "holds no loss"),
        ("[]", "holds no loss"),
        ("3\n\nabc\n", "line 3: 'abc' is no number; write one loss a line (nan or inf"),
        ("3\n2 1\n", "line 2: '2 1' is no number"),
        ("1.O\n2\n", "line 1: '1.O' is no number"),
        ("3,5\n", "line 1: '3,5' has 2 columns, must have 1; name them in the first line, one of them 'loss'"),
        ("step,train\n0,3\n", "'step,train' has 2 columns"),
        ("step,loss\n0,3\n1\n", "line 3: '1' has 1 columns, must have 2"),
        ("step,loss\n0,\n", "line 2: '' is no number"),
        ("3\nloss\n4\n", "line 2: 'loss' is no number"),
        ("[3, true]", "entry 1: 'True' is no number"),
        ("[3, [2]]", "entry 1: '[2]' is no number"),
        ("[1" + "0" * 400 + "]", "entry 0"),
        ("[3, 2", "no JSON (Expecting ',' delimiter: line 1"),
        ('{"loss": [3]}', "a JSON dict, must be a list of numbers"),
        ("[" * 100_000, "JSON"),
        ('"' + "1" * 200_000, "line 1: no CSV (field larger"),
    ],
)
def test_bad_traces_are_refused_by_place_and_value(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as error:
        read_trace(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_traces_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="no UTF-8 text"):
        read_trace(tmp_path / "binary")
    with pytest.raises(TraceError, match="can't be read"):
        read_trace(tmp_path)
    with pytest.raises(TraceError, match="nowhere: can't be read"):
        read_trace(tmp_path / "nowhere")
