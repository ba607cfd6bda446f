"""The report says what the numbers say, and is one well-formed page."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, Kind, League, RivalInfo, TaskInfo
from lrpilot.experiments.league.report import results_markdown, write_report
from lrpilot.experiments.league.report.content import Report
from lrpilot.experiments.league.report.markdown import markdown, plain
from lrpilot.experiments.league.report.page import html
from lrpilot.experiments.league.report.sections import make_report
from lrpilot.experiments.league.report.svg import Axis, apart

P = 8
TASKS = [
    ("nmf-synthetic", "nmf"),
    ("nmf <real>", "nmf"),
    ("linear", "linear"),
    ("cnn-sgd", "cnn"),
    ("gru & code", "nlp"),
]
RIVALS: list[tuple[str, Kind, float]] = [  # name, kind, nats above the best schedule
    ("universal", "learned", -0.02),
    ("universal, own family", "learned", 0.01),
    ("constant", "schedule", 0.35),
    ("linear-to-zero", "schedule", 0.0),
    ("cosine", "schedule", 0.03),
    ("WSD", "schedule", 0.02),
    ("GreedyLR", "feedback", 0.12),
    ("plateau <0.5>", "feedback", 0.2),
    ("Prodigy", "optimizer", 0.15),
    ("schedule-free AdamW", "optimizer", 0.05),
    ("random search", "search", 0.06),
    ("replay of the mean schedule", "control", 0.04),
    ("best of 48 & hindsight", "hindsight", -0.15),
]
NO_BASE_LR = {"Prodigy", "universal"}
NO_LR = {"schedule-free AdamW"}
GRID = 2.0 ** np.arange(-6, 7, 1.5)


def cell(task: int, rival: int, shift: float) -> Cell:
    rng = np.random.default_rng([task, rival])
    name, kind, lag = RIVALS[rival]
    level = np.random.default_rng(task).normal(-3.0 + 0.5 * task, 0.3, P)
    final: Floats = level + lag * (0.5 + 0.3 * task) + rng.normal(0, 0.03, P) + shift * (kind == "learned")
    diverged = np.zeros(P, dtype=bool)
    if name == "constant" and task == 3:
        final[0], diverged[0] = np.log(10), True
    shares = np.linspace(0, 1, 13)
    pace = 1.5 + 0.4 * rival % 3
    curve = np.outer(1 - np.exp(-pace * shares), final / (1 - np.exp(-pace)))
    lr = 0.8 * np.outer(
        1 - shares[1:] + (kind == "feedback") * 0.1, np.exp(rng.normal(0, 0.3 * (kind == "learned"), P))
    )
    wanting = name in NO_BASE_LR
    multiples = np.array([]) if wanting else GRID
    off = (0.02 + 0.005 * rival) * (np.log2(multiples) + 1)[:, None] ** 2
    sensitivity = np.minimum(final + off, np.log(10))
    failures = (sensitivity > 0.2).sum(1)
    return Cell(
        TASKS[task][0], name, float("nan") if wanting else 0.5, "warm-up 5 %" if kind == "schedule" else "",
        1 if wanting else 27, name == "constant" and task == 1, final, diverged, shares, curve,
        np.full((12, P), np.nan) if name in NO_LR else lr, multiples, sensitivity, failures,
        240.0 * (1 + (kind == "search")), 0.0 if wanting else 240.0 * 27 * P, 0.31, 9.5, 12.5,
    )  # fmt: skip


def league(shift: float = 0.0) -> League:
    """A table with all kinds of rivals; learned policies end `shift` nats higher."""
    return League(
        "suite-v1", False, 0, "0123456789ab", "2026-01-02T03:04:05Z", "lrpilot league seed=0",
        {"cores": "2", "python": "3.11.7", "torch": "2.13.0", "prodigyopt": "1.1"},
        tuple(TaskInfo(name, family, 240, P, "the stability bound", f"{index:016x}")
              for index, (name, family) in enumerate(TASKS)),
        tuple(RivalInfo(name, kind, "arXiv 1234.56789", name not in NO_BASE_LR, 2.4e8 * (kind == "learned"))
              for name, kind, _ in RIVALS),
        tuple(cell(task, rival, shift) for task in range(len(TASKS)) for rival in range(len(RIVALS))),
    )  # fmt: skip


class Outline(HTMLParser):
    """Fails at a tag that is not closed; gathers words, labels and what would be loaded."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@cache
def report_of(shift: float) -> Report:
    return make_report(league(shift))


@pytest.fixture(scope="module")
def report() -> Report:
    return report_of(0.0)


@pytest.fixture(scope="module")
def page(report: Report) -> Outline:
    outline = Outline()
    outline.feed(html(report))
    outline.close()
    return outline


def test_the_outline_notices_a_tag_that_is_not_closed() -> None:
    with pytest.raises(AssertionError):
        Outline().feed("<p><b>bold</p>")


def test_the_page_is_well_formed_and_loads_nothing(page: Outline, report: Report) -> None:
    assert page.open == []
    loaded = [value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "href"}]
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert loaded
    assert {str(target) for target in loaded} <= {f"#{anchor}" for anchor in anchors}
    assert not re.search(r"url\(|@import|https?:", html(report))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe"})


def test_every_chart_has_a_label_and_every_table_a_caption(page: Outline) -> None:
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert len(labels) == len(RIVALS) + 4 * len(TASKS) + 1
    assert all(labels)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 6


def test_all_names_are_there_and_escaped(page: Outline, report: Report) -> None:
    for name in (*(name for name, *_ in RIVALS), *(name for name, _ in TASKS)):
        assert name in page.words
    assert "<real>" not in html(report)
    assert "<0.5>" not in html(report)
    assert not re.search(r"\bnan\b|\binf\b|None", html(report))


def test_numbers_have_true_minus_signs(report: Report) -> None:
    cells = [cell for section in report.sections for table in section.tables for row in table.rows for cell in row]
    assert any(cell.startswith("−") for cell in cells)
    assert not [cell for cell in cells if re.match(r"[\[+]?-\d", cell)]


@pytest.mark.parametrize(
    ("shift", "start"),
    [
        (-0.5, "Learned schedules win: universal,"),
        (0.02, "No clear winner"),
        (0.5, "Learned schedules lose: universal,"),
    ],
)
def test_the_verdict_follows_the_numbers(shift: float, start: str) -> None:
    verdict = report_of(shift).verdict
    assert verdict[0].startswith(start)
    assert 2 <= len(verdict) <= 4
    finals = league(shift).finals
    gain = float((finals("linear-to-zero") - finals("universal")).mean())
    assert f"{abs(gain):.3f} nats" in verdict[0]


@pytest.mark.parametrize(("shift", "count"), [(-3.0, 0), (3.0, 2 * 10 * len(TASKS))])
def test_losses_are_all_listed_worst_first(shift: float, count: int) -> None:
    section = next(section for section in report_of(shift).sections if section.anchor == "losses")
    rows = [row for table in section.tables if table.columns[1].heading == "loses on" for row in table.rows]
    assert len(rows) == count
    assert ("nowhere" in section.words[0]) == (count == 0)
    excess = [float(row[3].replace("−", "-")) for row in rows]
    assert excess == sorted(excess, reverse=True)


def test_a_failure_and_a_choice_on_the_edge_are_said(report: Report) -> None:
    table = report.sections[0].tables[0]
    diverged = [column.heading for column in table.columns].index("Failed")
    assert {row[0]: row[diverged] for row in table.rows if row[diverged] != "0"} == {"constant": "1"}
    fairness = next(section for section in report.sections if section.anchor == "fairness")
    assert "constant on nmf <real>" in fairness.words[0]


def test_markdown_has_all_rows() -> None:
    lines = markdown(report_of(0.0)).splitlines()
    heads = [line for line in lines if line.startswith("| Rival | Kind")]
    first = lines.index(heads[0])
    body = lines[first + 2 : first + 2 + len(RIVALS)]
    assert {line.split(" | ")[0].removeprefix("| ") for line in body} == {plain(name) for name, *_ in RIVALS}
    assert {re.subn(r"(?<!\\)\|", "", line)[1] for line in (heads[0], *body)} == {len(heads[0].split("|")) - 1}
    assert "<svg" not in "".join(lines)


def test_a_saved_table_gives_the_same_verdict(tmp_path: Path) -> None:
    league().save(tmp_path / "league.json")
    loaded = League.load(tmp_path / "league.json")
    assert plain(report_of(0.0).verdict[0]) in results_markdown(loaded)
    path = write_report(loaded, tmp_path / "new")
    assert report_of(0.0).verdict[0].split(";")[0].split(" nats")[0] in path.read_text(encoding="utf-8")


def test_a_league_without_learned_policies() -> None:
    whole = league()
    kept = tuple(rival for rival in whole.rivals if rival.kind in {"schedule", "optimizer"})
    few = replace(whole, rivals=kept, cells=tuple(cell for cell in whole.cells if cell.rival in {r.name for r in kept}))
    assert make_report(few).verdict == ("No learned policy takes part; the best tuned schedule is linear-to-zero.",)


def test_positions_on_an_axis() -> None:
    axis = Axis(-2.0, 2.0, 100.0, 0.0)
    assert [axis.at(value) for value in (-9.0, -2.0, 0.0, 1.0, 2.0, 9.0)] == [100.0, 100.0, 50.0, 25.0, 0.0, 0.0]


def test_labels_keep_their_distance_and_order() -> None:
    wanted = np.sort(np.random.default_rng(0).uniform(0, 100, 8)).tolist()
    places = apart(wanted, 12.0, 100.0)
    assert np.diff(places).min() >= 12.0 - 1e-9
    assert places[-1] <= 100.0
