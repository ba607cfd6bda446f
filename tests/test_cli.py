"""The command line as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lrpilot
from lrpilot import PolicyError
from lrpilot.cli import main
from lrpilot.policy import SHIPPED, load_policy, read_card


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "lrpilot", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, in this process."""
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, *capsys.readouterr()


def test_import_brings_no_rl_stack() -> None:
    code = (
        "import sys, lrpilot; print({'stable_baselines3', 'gymnasium', 'scipy', 'pydantic', 'onnx'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_policies_and_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies"]) == 0
    assert "nmf: stochastic NMF" in capsys.readouterr().out
    assert main(["inspect", "nmf"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("nmf: ")
    brief = ("for", "not for", "measured", "LR", "decisions", "reads", "trained")
    assert len(text.splitlines()) <= 15
    assert main(["inspect", "nmf", "--full"]) == 0
    full = capsys.readouterr().out
    for section in (*brief, "signals", "selected"):
        assert f"\n{section:<13}" in full
        assert (f"\n{section:<13}" in text) == (section in brief)
    assert "weights not read" in text.splitlines()[-1]
    assert main(["inspect", "nmf", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card == read_card("nmf")
    assert card["results"]["policy_seeds"] >= 3


def test_inspect_reads_a_file_with_damaged_weights_and_verify_refuses_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes((SHIPPED / "nmf.safetensors").read_bytes()[:-100])
    assert main(["inspect", str(path)]) == 0
    assert capsys.readouterr().out.startswith("nmf: ")
    assert main(["inspect", str(path), "--verify"]) == 2
    assert "not a whole safetensors file" in capsys.readouterr().err
    assert main(["inspect", "nmf", "--verify"]) == 0
    assert load_policy("nmf").fingerprint in capsys.readouterr().out.splitlines()[-1]
    assert main(["inspect", "nmf", "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == load_policy("nmf").fingerprint


def test_export_onnx_writes_one_file_named_after_the_policy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    assert main(["export", "nmf", "--format", "onnx"]) == 0
    assert capsys.readouterr().out == "nmf.onnx\n"
    assert main(["export", str(SHIPPED / "nmf.safetensors"), "--format", "onnx", "--output", "again"]) == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["again", "nmf.onnx"]
    assert Path("again").read_bytes() == Path("nmf.onnx").read_bytes()
    for nowhere in ("no/x.onnx", "again/x.onnx", "."):
        assert main(["export", "nmf", "--format", "onnx", "--output", nowhere]) == 2
        assert f"lrpilot: can't write {nowhere} (" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2


def test_export_onnx_without_onnx_says_what_to_install(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", "nmf", "--format", "onnx"]) == 2
    assert capsys.readouterr().err == "lrpilot: an ONNX file needs onnx: pip install 'lrpilot[export]'\n"
    assert list(tmp_path.iterdir()) == []


def test_export_json_is_the_schedule_on_the_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    losses, trace, output = [3.0, 2.5, float("nan"), 2.0], tmp_path / "trace.csv", tmp_path / "table.json"
    trace.write_text("loss\n" + "\n".join(map(str, losses)))
    words = ["export", "universal", "--format", "json", "--losses", str(trace), "--base-lr", "1e-2"]
    assert main([*words, "--horizon", "400"]) == 0
    table = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    schedule = load_policy("universal").schedule(0.01, 400)
    assert [row["lr"] for row in table["rows"]] == [schedule.lr, *(schedule(loss) for loss in losses[:-1])]
    assert [row["decision"] for row in table["rows"]] == [True, False, False, False]
    assert (table["policy"], table["base_lr"], table["horizon"]) == ("universal", 0.01, 400)
    assert main([*words, "--output", str(output)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(output.read_text())["horizon"] == 4


def test_tasks_lists_the_environments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    assert "lrpilot/NMF-v0" in capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "foo"], "no recipe 'foo': there are cnn, linear, nlp, nmf, universal"),
        (["train", ""], "no recipe ''"),
        (["train"], "needs a recipe"),
        (["train", "nmf", "ppo.foo=1"], "unknown key 'ppo.foo'"),
        (["train", "nmf", "problems.rank=[-2, 3]"], "rank must be"),
        (["train", "nmf", "--smoke", "ppo.foo=1"], "unknown key 'ppo.foo'"),
        (["train", "nmf", "seed=1", "--smoke", "ppo.foo=1"], "unknown key 'ppo.foo'"),
        (["train", "nmf", "--smok"], "unrecognized arguments: --smok"),
        (["inspect", "nmf", "more"], "unrecognized arguments: more"),
        (["train", "nmf", "data.test=[nope]"], "no matrix 'nope'"),
        (["train", "nmf", "data.test=[negative.npy]"], "entry [0, 0] is -1.0"),
        (["train", "nmf", "data.test=[infinite.npy]"], "entry [1, 0] is inf"),
        (["train", "--resume", "nowhere"], "no run in nowhere"),
        (["compare", "nmf", "--policy", "nope"], "no policy 'nope'"),
        (["compare", "nmf", "--policy", "cut.safetensors"], "cut.safetensors: not a whole safetensors file"),
        (["inspect", "cut.safetensors"], "not a whole safetensors file"),
        (["frobnicate"], "invalid choice"),
    ],
)
def test_bad_input_is_one_line_code_2_and_nothing_written(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("negative.npy", np.array([[-1.0, 2.0], [1.0, 1.0]]))
    np.save("infinite.npy", np.array([[1.0, 2.0], [np.inf, 1.0]]))
    Path("cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    code, out, err = said(words, capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_bad_input_typed_at_a_prompt_is_one_line_too(tmp_path: Path) -> None:
    result = run("train", "foo", folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("lrpilot: no recipe 'foo'")
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nmf"], "required: --format"),
        (["nmf", "--format", "pickle"], "invalid choice: 'pickle'"),
        (["nope", "--format", "onnx"], "no policy 'nope'"),
        (["nmf", "--format", "onnx", "--base-lr", "1"], "--base-lr: only --format json replays"),
        (["nmf", "--format", "json", "--base-lr", "1"], "give --losses TRACE and --base-lr LR"),
        (["nmf", "--format", "json", "--losses", "binary", "--base-lr", "1"], "no UTF-8 text"),
        (["nmf", "--format", "json", "--losses", "nope", "--base-lr", "1"], "nope: can't be read (No such"),
        (["nmf", "--format", "json", "--losses", "x", "--base-lr", "nan"], "'nan' is no positive number"),
        (["nmf", "--format", "json", "--losses", "x", "--base-lr", "fast"], "'fast' is no positive number"),
        (["nmf", "--format", "json", "--losses", "x", "--horizon", "1.5"], "'1.5' is no whole number"),
        (["nmf", "--format", "json", "--losses", "x", "--horizon", "0"], "'0' is no whole number"),
    ],
)
def test_bad_exports_are_one_line_code_2_and_nothing_written(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("binary").write_bytes(b"\xff")
    code, out, err = said(["export", *words], capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["binary"]


def test_a_place_that_can_not_be_written_to_is_one_line_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("not a folder")
    for words in (["train", "nmf", "--smoke"], ["compare", "nmf", "--smoke"]):
        code, out, err = said(words, capsys)
        assert (code, out) == (2, "")
        assert "can't write to runs/nmf" in err
        assert "or run from another one" in err
        assert len(err.strip().splitlines()) == 1


def test_verify_and_a_pinned_fingerprint_refuse_a_flipped_weight(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = load_policy("nmf")
    data = bytearray((SHIPPED / "nmf.safetensors").read_bytes())
    data[-3] ^= 0x01
    (tmp_path / "nmf.safetensors").write_bytes(data)
    monkeypatch.setattr("lrpilot.policy.SHIPPED", tmp_path)
    assert load_policy("nmf").fingerprint != original.fingerprint
    code, out, err = said(["inspect", "nmf", "--verify"], capsys)
    assert (code, out) == (2, "")
    assert f"must be {original.fingerprint}: the file is not the one that was released" in err
    with pytest.raises(PolicyError, match=r"fingerprint is .*, must be"):
        load_policy("nmf", fingerprint=original.fingerprint)
    monkeypatch.undo()
    for pinned in (original.fingerprint, original.fingerprint[:8]):
        assert load_policy("nmf", fingerprint=pinned).fingerprint == original.fingerprint
    with pytest.raises(PolicyError, match="8 digits at least"):
        load_policy("nmf", fingerprint=original.fingerprint[:7])


def test_version_and_public_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(["--version"], capsys) == (0, f"lrpilot {lrpilot.__version__}\n", "")
    assert {"GreedyLR", "LearnedLR", "PolicyError", "SchedulePolicy", "list_policies", "load_policy"} == {
        *lrpilot.__all__
    }


@pytest.mark.parametrize("name", ["", "nfm"])
def test_make_refuses_an_unknown_recipe_before_it_installs_anything(name: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    if not (root / "Makefile").is_file():
        pytest.skip("a checkout without its Makefile")
    words = ["make", "-C", str(root), "train-agent", f"ENV={name}", f"VENV={tmp_path / 'venv'}"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"ENV is '{name}': give ENV=NAME, one of cnn linear nlp nmf universal" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "lrpilot", "inspect", "nlp", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()  # as `| head` does
        assert process.stderr.read() == b""
    assert process.returncode == 1
