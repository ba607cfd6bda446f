from pathlib import Path

import pytest

from lrpilot.experiments.league import cell_version
from lrpilot.experiments.league.cell_version import ancestors, source_digest
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.rivals import all_rivals
from lrpilot.experiments.league.store import TUNING

EVERY = pytest.mark.parametrize("rival", all_rivals(), ids=lambda rival: rival.info.name)


@EVERY
def test_a_cell_depends_on_the_tasks_and_not_on_how_it_is_reported(rival: AbstractRival) -> None:
    behind = ancestors(TUNING, *rival.modules())
    assert {"lrpilot.envs.tasks.nets.task", "lrpilot.envs.tasks.nmf.task", "lrpilot.envs.process", TUNING} <= behind
    assert not any("league.report" in name or "league.statistics" in name for name in behind)


def test_each_kind_of_rival_depends_on_what_it_is_made_of() -> None:
    behind = {rival.info.name: ancestors(*rival.modules()) for rival in all_rivals()}
    assert {name for name, modules in behind.items() if "lrpilot.theory.cdat" in modules} >= {"CDAT"}
    assert "lrpilot.schedule" in behind["universal"]
    assert "lrpilot.agents.train" not in behind["cosine"]
    assert "lrpilot.experiments.baselines" in behind["cosine"]
    assert "lrpilot.schedulers.greedy_rule" in behind["GreedyLR"]


def test_an_edit_changes_the_digest_of_what_imports_the_module_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    original = cell_version._file
    signals = original("lrpilot.signals")

    class Edited(type(signals)):  # type: ignore[misc]
        def read_bytes(self) -> bytes:
            return bytes(super().read_bytes()) + b"# edited"

    before = source_digest("lrpilot.card"), source_digest("lrpilot.control")
    monkeypatch.setattr(cell_version, "_file", lambda name: _file(name, original, Edited))
    source_digest.cache_clear()
    after = source_digest("lrpilot.card"), source_digest("lrpilot.control")
    source_digest.cache_clear()
    assert after[0] != before[0]
    assert after[1] == before[1]


def _file(name: str, original, edited) -> Path:  # type: ignore[no-untyped-def]
    path: Path = original(name)
    return edited(path) if name == "lrpilot.signals" else path
