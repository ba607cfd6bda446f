"""Each example as its user reads and runs it."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lrpilot import PolicyError, load_policy

EXAMPLES = Path(__file__).parents[2] / "examples"
# What each needs besides lrpilot, and the arguments of a run that takes a moment, on the CPU
NEEDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "plain_pytorch": ([], {"epochs": 1}),
    "numpy_loop": ([], {"steps": 20}),
    "nmf": ([], {"steps": 20}),
    "huggingface_trainer": (["transformers", "accelerate"], {"steps": 5, "use_cpu": True}),
    "accelerate_loop": (["accelerate"], {"epochs": 1, "cpu": True}),
    "lightning_module": (["lightning"], {"epochs": 1, "accelerator": "cpu"}),
    "ignite_engine": (["pytorch-ignite"], {"epochs": 1}),
    "keras_callback": (["keras"], {"epochs": 1}),
}
MODULES = {"pytorch-ignite": "ignite"}  # where the package has another name
POLICIES = {"nmf": ("nmf", "linear")}  # the default policy and another one; the rest have "universal" and "cnn"
in_this_process = pytest.mark.filterwarnings("ignore")  # what frameworks warn of is filtered in their own tests


def tree(name: str) -> ast.Module:
    return ast.parse((EXAMPLES / f"{name}.py").read_text())


def modules(name: str) -> set[str]:
    return {MODULES.get(package, package) for package in NEEDS[name][0]}


@pytest.fixture(params=sorted(NEEDS))
def runnable(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    for module in modules(request.param):  # the name of an example whose packages are installed
        if not find_spec(module):
            pytest.skip(f"{module} is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
    yield request.param
    if "accelerate" in NEEDS[request.param][0]:  # it keeps its state in singletons
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def test_every_example_is_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*NEEDS}


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_the_header_says_what_to_install_how_to_run_it_and_what_to_copy(name: str) -> None:
    header = ast.get_docstring(tree(name)) or ""
    (install,) = re.findall(r"^Install: pip install \.(.*)$", header, re.MULTILINE)
    assert install.split() == NEEDS[name][0]
    assert re.search(rf"^Run: .*\bexamples/{name}\.py\b.* \[POLICY\]", header, re.MULTILINE)
    assert re.search(r"^In your script: ", header, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_it_imports_what_the_install_line_brings_and_nothing_private(name: str) -> None:
    nodes = [*ast.walk(tree(name))]
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    origins = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not any(node.level for node in origins)
    imported += [str(node.module) for node in origins]
    packages = {module.split(".")[0] for module in imported}
    brought = {"lrpilot", "torch", "numpy", "safetensors"} | modules(name)
    assert packages - sys.stdlib_module_names <= brought
    assert {module for module in imported if module.split(".")[0] == "lrpilot"} <= {"lrpilot", "lrpilot.theory"}
    ours = [(node.module, alias.name) for node in origins for alias in node.names if "lrpilot" in str(node.module)]
    assert ours
    hidden = [f"{package}.{word}" for package, word in ours if find_spec(f"{package}.{word}")]
    assert not hidden  # as `from lrpilot import envs` would be


@in_this_process
def test_a_policy_file_gives_the_lrs_of_the_shipped_policy_that_was_saved(
    runnable: str, example: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    module = example(runnable)
    run = module.factorise if runnable == "nmf" else module.train
    shipped, other = POLICIES.get(runnable, ("universal", "cnn"))
    load_policy(shipped).save(tmp_path / "own.safetensors")
    policies = str(tmp_path / "own.safetensors"), shipped, other
    of_file, of_shipped, of_other = (run(**NEEDS[runnable][1], policy=policy)[1] for policy in policies)
    assert of_file == of_shipped
    assert of_other != of_shipped
    assert inspect.signature(run).parameters["policy"].default == shipped


@in_this_process
def test_a_wrong_policy_is_one_line_and_exit_code_2(
    runnable: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = str(tmp_path / "absent.safetensors")
    with pytest.raises(PolicyError) as refused:
        load_policy(wrong)
    path = EXAMPLES / f"{runnable}.py"
    monkeypatch.setattr(sys, "argv", [str(path), wrong])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(path), run_name="__main__")
    assert stopped.value.code == 2
    assert capfd.readouterr() == ("", f"{refused.value}\n")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def run(name: str, *words: str) -> str:
        path = str(EXAMPLES / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [path, *words])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_command_line_chooses_the_policy(said: Callable[..., str], tmp_path: Path) -> None:
    own = str(tmp_path / "own.safetensors")
    load_policy("universal").save(own)
    assert said("numpy_loop") == said("numpy_loop", own) != said("numpy_loop", "cnn")


def test_nmf_takes_a_matrix_and_a_policy_in_any_order(said: Callable[..., str], tmp_path: Path) -> None:
    matrix, own = str(tmp_path / "own.npy"), str(tmp_path / "own.safetensors")
    np.save(matrix, np.random.default_rng(0).random((9, 12)))
    load_policy("linear").save(own)
    assert said("nmf", matrix, own) == said("nmf", own, matrix) != said("nmf", matrix)


def test_an_absent_matrix_is_one_line_and_exit_code_2(
    said: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        said("nmf", str(tmp_path / "absent.npy"))
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "absent.npy" in line


@pytest.mark.slow
def test_it_prints_one_line_and_lowers_the_loss(runnable: str, tmp_path: Path) -> None:
    words = [sys.executable, str(EXAMPLES / f"{runnable}.py")]
    result = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120)
    (line,) = result.stdout.splitlines()
    numbers = re.match(r"loss (\S+) -> (\S+)", line)
    assert numbers
    assert float(numbers[2]) < 0.8 * float(numbers[1])
    assert not [*tmp_path.iterdir()]  # nothing is left behind
