"""What the docs say is what the published table holds."""

from pathlib import Path

import pytest

from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.report import brief_table, results_markdown

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def published() -> League:
    return League.load(ROOT / "docs" / "results" / "suite" / "league.json")


def test_table_in_the_docs_is_the_published_one(published: League) -> None:
    page = (ROOT / "docs" / "league.md").read_text(encoding="utf-8")
    assert brief_table(published) in page
    assert published.commit[:12] in page
    assert published.date[:10] in page


def test_results_are_those_of_the_published_table(published: League) -> None:
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results_markdown(published)


def test_no_baseline_was_tuned_to_an_edge_of_its_grid(published: League) -> None:
    assert not [(cell.task, cell.rival) for cell in published.cells if cell.on_edge]
