"""Losses as people's runs make them: what the scheduler is shown is what the table says, and so is the page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from lrpilot.experiments import reliability
from lrpilot.experiments.reliability import (
    MIDDLE,
    RESULTS,
    STREAMS,
    TASKS,
    WIDTHS,
    Case,
    Outcome,
    Stream,
    cases,
    compare,
    main,
    read,
    table,
    train,
)

SHORT = 60  # steps; `universal` makes as many decisions
PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "STEPS", SHORT)
    monkeypatch.setattr(reliability, "MIDDLE", SHORT // 2)
    monkeypatch.setattr(reliability, "GLITCHES", 0.1)


def shown(stream: Stream, clean: bool, step: int, loss: float, glitch: bool = False) -> list[tuple[str, float]]:
    """What a scheduler is called with at a step."""
    calls: list[tuple[str, float]] = []
    scheduler = SimpleNamespace(
        optimizer=SimpleNamespace(param_groups=[]),
        step=lambda loss: calls.append(("step", loss)),
        rescale_loss=lambda factor: calls.append(("rescale_loss", factor)),
    )
    assert reliability._show(stream, clean, step, loss, glitch, scheduler) == calls[-1][1]  # type: ignore[arg-type]
    return calls


def test_the_clean_stream_is_above_zero_on_one_scale_and_has_no_glitches() -> None:
    assert shown(Stream("hinge", shift=0.5), True, 0, 0.0) == [("step", 0.5)]
    assert shown(Stream("hinge", shift=0.5), False, 0, 0.0) == [("step", 0.0)]
    rescaled = Stream("cross-entropy", factor=10.0)
    assert shown(rescaled, True, MIDDLE, 20.0) == shown(rescaled, True, MIDDLE - 1, 2.0) == [("step", 2.0)]
    assert shown(rescaled, False, MIDDLE, 20.0) == [("step", 20.0)]
    glitches = Stream("cross-entropy", glitch=0.0)
    assert shown(glitches, True, 3, 2.0, glitch=True) == shown(glitches, False, 3, 2.0) == [("step", 2.0)]
    assert shown(glitches, False, 3, 2.0, glitch=True) == [("step", 0.0)]


def test_a_rescaling_is_announced_once_before_the_first_such_loss() -> None:
    stream = Stream("cross-entropy", factor=10.0, announced=True)
    assert shown(stream, False, MIDDLE, 20.0) == [("rescale_loss", 10.0), ("step", 20.0)]
    assert shown(stream, False, MIDDLE + 1, 20.0) == [("step", 20.0)]
    assert shown(stream, True, MIDDLE, 20.0) == [("step", 2.0)]


def test_every_stream_is_met_by_every_policy() -> None:
    assert {(case.policy, case.stream) for case in cases()} == {
        (policy, stream) for policy in ("universal", "nmf") for stream in STREAMS
    }
    assert {stream.task for stream in STREAMS.values()} == set(TASKS)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("policy", ["universal", "nmf"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_row_is_run(name: str, policy: str) -> None:
    outcome = compare(Case(name, "AdamW", policy, 1.0), (1,))
    assert all(math.isfinite(number) for number in (*outcome.score, *outcome.clean, *outcome.difference))
    assert outcome.clean_lrs[0] == outcome.lrs[0] > 0
    has_glitches, falls_below_zero = STREAMS[name].glitch is not None, STREAMS[name].task == "likelihood"
    may_be_zero = STREAMS[name].task in ("hinge", "triplet")  # if the policy is quick
    assert (outcome.unusual > 0) == (has_glitches or falls_below_zero) or may_be_zero


@pytest.mark.usefixtures("short")
def test_both_runs_are_the_same_but_for_what_is_shown() -> None:
    as_it_is = Case("1 % shown as NaN", "SGD", "universal", 1.0)
    assert train(as_it_is, True, 1) == train(as_it_is._replace(stream="1 % shown as 0"), True, 1)
    assert train(as_it_is, True, 1) != train(as_it_is, True, 2)
    assert train(as_it_is, True, 1) != train(as_it_is, False, 1)


def outcome_of(case: Case, gap: float) -> Outcome:
    return Outcome(case, 0.5, [gap - 1.0] * 8, [-1.0] * 8, (gap, gap - 0.5, gap + 0.5), gap <= 0.5, [0.1], [0.2])


def test_the_table_shows_every_row_within_100_columns() -> None:
    rows = [outcome_of(case, place - 1.0) for place, case in enumerate(cases()[:8])]
    lines = table(rows).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("| worse" in line for line in lines) == sum(not row.not_worse for row in rows) == len(rows) - 2 == 6
    assert "-1.000 [-1.500, -0.500] | 0.5      | not worse |" in lines[4]
    assert all(len(f"{case.stream}, {case.optimizer}") <= WIDTHS[0] for case in cases())


def test_command_writes_every_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def played(jobs: list[Case], seeds: range) -> list[Outcome]:
        assert [*seeds] == [0, 1]
        return [outcome_of(case, 0.1) for case in jobs]

    monkeypatch.setattr(reliability, "_play", played)
    file = tmp_path / "reliability.json"
    main(["--quick", "--output", str(file)])
    first = capsys.readouterr().out
    assert read(file) == [outcome_of(case, 0.1) for case in cases()]
    assert json.loads(file.read_text())["command"] == "python -m lrpilot.experiments.reliability --seeds 2"
    main(["--show", "--output", str(file)])
    assert first.endswith(capsys.readouterr().out)


@pytest.mark.skipif(not PAGE.exists(), reason="beside a wheel there is no whole checkout")
def test_the_page_shows_the_measured_figures() -> None:
    page, measured = PAGE.read_text(encoding="utf-8"), table(read(PAGE.parents[1] / RESULTS))
    assert not [line for line in measured.splitlines() if line not in page]
