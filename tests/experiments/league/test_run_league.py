"""The whole league in small: every rival on a task of each family, stopped and gone on with, and what it writes."""

import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lrpilot.cli import DONE, WRONG, main
from lrpilot.experiments.league import command, run_league
from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.rivals import all_rivals
from lrpilot.experiments.league.tensorboard_log import record_league
from tests.experiments.league.leagues import synthetic_league


def test_rivals_have_names_of_their_own_and_a_source() -> None:
    rivals = [rival.info for rival in all_rivals()]
    assert len({rival.name for rival in rivals}) == len(rivals) >= 25
    assert all(rival.source for rival in rivals)
    assert {rival.kind for rival in rivals} == {"learned", "control", "schedule", "feedback", "optimizer", "search"}
    assert all(rival.training_passes > 1e6 for rival in rivals if rival.kind == "learned")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "nmf", "--quick"], "are for compare suite"),
        (["compare", "suite", "ppo.iterations=3"], "seed=N alone"),
        (["compare", "suite", "seed=x"], "seed=N alone"),
        (["compare", "suite", "--policy", "nmf"], "neither --policy nor --json"),
        (["compare", "suite", "--smoke", "--reuse", "nowhere.zip"], "must be a cells.zip that compare suite wrote"),
        (["compare", "suite", "--smoke", "--reuse", "README.md"], "must be a cells.zip that compare suite wrote"),
        (["compare", "nmf", "--reuse", "cells.zip"], "are for compare suite"),
        (["report", "nowhere"], "made by lrpilot compare suite"),
    ],
)
def test_wrong_words_are_refused_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("no archive")
    assert main(words) == WRONG
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [["compare", "suite", "--quick"], ["report", "nowhere"]])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("lrpilot.experiments.league.command")
    monkeypatch.setitem(sys.modules, "lrpilot.experiments.league.command", None)
    assert main(words) == WRONG
    assert "pip install 'lrpilot[train,baselines]'" in capsys.readouterr().err


def test_report_writes_page_and_markdown_from_the_file(tmp_path: Path) -> None:
    synthetic_league().save(tmp_path / "league.json")
    assert main(["report", str(tmp_path)]) == DONE
    assert "cosine" in (tmp_path / "report.html").read_text()
    assert "cosine" in (tmp_path / "results.md").read_text()
    assert len((tmp_path / "brief.md").read_text().splitlines()) == 2 + len(synthetic_league().rivals)


def test_table_on_the_terminal_names_every_rival() -> None:
    league = synthetic_league()
    console = Console(width=120, record=True, file=StringIO())
    command.show(league, console)
    text = console.export_text()
    assert all(rival.name in text for rival in league.rivals)


def test_tensorboard_lays_curves_of_all_rivals_over_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrpilot.experiments.league.tensorboard_log.list_policies", lambda: ["linear"])
    league = synthetic_league()
    record_league(league, tmp_path)
    task = league.tasks[0]
    for rival in ("policy", "cosine"):
        cell = league.cell(task.name, rival)
        events = EventAccumulator(str(tmp_path / rival)).Reload()
        losses = events.Scalars(f"held_out_loss/{task.name}")
        np.testing.assert_allclose([event.value for event in losses], cell.curve.mean(1), rtol=1e-5)
        assert losses[-1].step == task.horizon
        assert len(events.Scalars(f"lr/{task.name}")) == len(cell.lr)
    surfaces = EventAccumulator(str(tmp_path / "policies" / "linear")).Reload()
    assert surfaces.Tags()["images"] == ["response_surface"]


@pytest.mark.slow
def test_whole_league_in_small_and_nothing_is_computed_twice(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    assert main(["compare", "suite", "--smoke"]) == DONE
    league = League.load(Path("runs/suite/smoke/league.json"))
    assert {task.family for task in league.tasks} == {"nmf", "linear", "cnn", "nlp"}
    assert len(league.cells) == len(league.tasks) * len(league.rivals)
    assert all(np.isfinite(cell.final).all() for cell in league.cells)
    capsys.readouterr()
    monkeypatch.setattr(run_league, "tune_and_score", None)  # would fail if it were called
    assert main(["compare", "suite", "--smoke"]) == DONE
    assert "; 0 to compute" in capsys.readouterr().out
    archive = str(Path("runs/suite/smoke/cells.zip").resolve())
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["compare", "suite", "--smoke", "--reuse", archive]) == DONE
    assert "; 0 to compute" in capsys.readouterr().out
    again = League.load(Path("runs/suite/smoke/league.json"))
    cells = len(again.tasks) * (len(again.rivals) - 1)
    assert again.machine["cells from elsewhere"] == f"{cells} of {cells}"
    assert Path("runs/suite/smoke/cells.zip").read_bytes() == Path(archive).read_bytes()
