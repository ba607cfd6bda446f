"""What the pages say of themselves: links lead somewhere, the README is short, and its example and commands work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from lrpilot import LearnedLR
from lrpilot.experiments import readme_figure

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?:(?!\1).)+\1", re.DOTALL)  # inline code
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|`)((?:lrpilot|make) [^`#\n]+)", re.MULTILINE)
whole_checkout = pytest.mark.skipif(
    not (ROOT / "Makefile").exists(), reason="beside a wheel there is no whole checkout"
)


def blocks(text: str, language: str) -> list[str]:
    return [match[2] for match in BLOCK.finditer(text) if match[1] == language]


def snippets() -> dict[Path, list[str]]:
    """Python by page, the complete example of the README apart."""
    found = {page: blocks(page.read_text(encoding="utf-8"), "python") for page in PAGES}
    found[ROOT / "README.md"] = found[ROOT / "README.md"][1:]
    return {page: texts for page, texts in found.items() if texts}


def anchors(text: str) -> set[str]:
    """Where links into a page may lead, as GitHub makes them of headings, and those that stand in it."""
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = 0
        while slug in found:
            count += 1
            slug = f"{base}-{count}"
        found.add(slug)
    return found


def commands() -> list[str]:
    """The commands of the README, in the order of the page."""
    return [match.strip() for match in COMMAND.findall(README)]


@whole_checkout
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = CODE.sub("", BLOCK.sub("", page.read_text(encoding="utf-8")))
    wrong = []
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(link)
    assert not wrong


def test_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 300


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the example of the README prints, run as a reader runs it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "example.py").write_text(blocks(README, "python")[0], encoding="utf-8")
    words, environment = [sys.executable, "-W", "error", "example.py"], {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_example_prints_what_the_readme_says(printed: str) -> None:
    (said,) = blocks(README, "text")
    number = re.compile(r"\d+\.\d+(e[+-]\d+)?")
    assert number.sub("#", printed) == number.sub("#", said)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", printed)]
    assert losses[-2] < losses[0] - 0.5  # of the first and the last step that is printed
    assert losses[-1] == pytest.approx(float(said.split()[-1]), abs=0.1)  # texts differ from Python to Python


def test_example_is_the_run_of_the_figure(printed: str) -> None:
    run = readme_figure.train("universal", readme_figure.USUAL_LR, seed=0, every=readme_figure.STEPS)
    assert printed.splitlines()[-1] == f"held-out loss {run.held_out[-1]:.2f}"


@pytest.mark.parametrize("page", [*snippets()], ids=lambda page: str(page.relative_to(ROOT)))
def test_other_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = given()
    for snippet in snippets()[page]:
        exec(compile(snippet, str(page), "exec"), names)


def given() -> dict[str, Any]:
    """What the snippets take for granted: a model in training."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = 60
    batches = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(steps)]
    return {
        "torch": torch,
        "cross_entropy": cross_entropy,
        "LearnedLR": LearnedLR,
        "model": model,
        "optimizer": optimizer,
        "scheduler": LearnedLR(optimizer, "universal", horizon=steps),
        "steps": steps,
        "batches": batches,
        "step": 0,
        "writer": SimpleNamespace(add_scalar=lambda *_: None),
    }


def test_the_readme_has_commands() -> None:
    assert {"make test", "make train-agent ENV=nmf", "lrpilot inspect universal"} <= {*commands()}


@pytest.mark.parametrize("command", sorted(command for command in {*commands()} if command.startswith("lrpilot")))
def test_lrpilot_commands_of_the_readme_run(command: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", *shlex.split(command)]
    result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout


@whole_checkout
@pytest.mark.parametrize("command", sorted(command for command in {*commands()} if command.startswith("make")))
def test_make_commands_of_the_readme_exist(command: str) -> None:
    result = make(ROOT, "-n", *shlex.split(command)[1:])
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where the training command of the README ran, with SMOKE=1, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    result = make(folder, "train-agent", "ENV=nmf", "SMOKE=1", "READY=", f"BIN={Path(sys.executable).parent}")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@whole_checkout
def test_the_training_command_of_the_readme_runs(trained: tuple[Path, str]) -> None:
    folder, printed = trained
    assert "smoke run: everything ran, but small; its policy is not trained and its figures mean nothing" in printed
    made = {path.name for path in (folder / "runs" / "nmf" / "seed0").iterdir()}
    assert made >= {"config.yaml", "policy.safetensors", "tensorboard", "compare.csv", "compare.json", "figures"}


@whole_checkout
@pytest.mark.slow
def test_a_finished_run_is_resumed_without_a_word_of_complaint(trained: tuple[Path, str]) -> None:
    words = [sys.executable, "-m", "lrpilot", "train", "--resume", "runs/nmf/seed0"]
    again = subprocess.run(words, cwd=trained[0], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=folder, capture_output=True, text=True, check=False
    )
