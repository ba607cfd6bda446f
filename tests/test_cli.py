"""The command line as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lrpilot.cli import main


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "lrpilot", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def test_import_brings_no_rl_stack() -> None:
    code = "import sys, lrpilot; print({'stable_baselines3', 'gymnasium', 'scipy', 'pydantic'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_policies_and_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies"]) == 0
    assert "nmf: stochastic NMF" in capsys.readouterr().out
    assert main(["inspect", "nmf"]) == 0
    card, _ = json.JSONDecoder().raw_decode(capsys.readouterr().out)
    assert card["name"] == "nmf"
    assert card["results"]["policy_seeds"] >= 3


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
def test_bad_input_is_one_line_code_2_and_nothing_written(words: list[str], message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "negative.npy", np.array([[-1.0, 2.0], [1.0, 1.0]]))
    np.save(tmp_path / "infinite.npy", np.array([[1.0, 2.0], [np.inf, 1.0]]))
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    result = run(*words, folder=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    assert len(list(tmp_path.iterdir())) == 3


def test_example_runs_and_lowers_the_loss() -> None:
    path = Path(__file__).parents[1] / "examples" / "nmf.py"
    result = subprocess.run([sys.executable, str(path), "iris"], capture_output=True, text=True, check=True)
    before, after = result.stdout.removeprefix("loss ").split(" -> ")
    assert float(after) < 0.5 * float(before)


@pytest.mark.slow
def test_smoke_training_and_resume(tmp_path: Path) -> None:
    result = run("train", "nmf", "--smoke", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "runs" / "nmf" / "seed0"
    names = {
        "config.yaml",
        "policy.safetensors",
        "tensorboard",
        "checkpoints",
        "compare.csv",
        "compare.json",
        "figures",
    }
    assert names <= {path.name for path in folder.iterdir()}
    again = run("train", "--resume", str(folder), folder=tmp_path)
    assert again.returncode == 0
