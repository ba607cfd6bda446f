"""Zero-shot transfer: every row is another place than training, and what is said of it is what was measured."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lrpilot import PolicyError, SchedulePolicy
from lrpilot.card import control_entries
from lrpilot.configs import load_recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments.networks import ERRORS, SCORED
from lrpilot.experiments.stats import Paired
from lrpilot.experiments.transfer import RESULTS, ROWS, Transfer, main, new_table, show, transfers

SMALL = ["problems.architectures=[mlp]", "unseen=[]", "data.test=[iris]", "data.train=[wine]", "horizon=60"]


def rows() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ROWS.read_text())
    return loaded


def test_six_rows_each_somewhere_else_than_training() -> None:
    assert len(rows()) == 6
    for name, row in rows().items():
        recipe, trained = load_recipe(row["recipe"], row["overrides"]), load_recipe(row["policy"])
        assert isinstance(recipe, NetRecipe)
        kind = trained.problems
        known = {"architectures": ()} | {field.name: getattr(kind, field.name) for field in fields(kind)}
        elsewhere = {
            "horizon": recipe.horizon > max(trained.decisions.steps) * trained.decisions.decisions,
            "width": recipe.problems.widen > known.get("widen", 1),
            "optimizer": not {*recipe.problems.optimizers} & {*known["optimizers"]},
            "network": not {*recipe.problems.architectures} & {*known["architectures"]},
            "data": not {*recipe.data.test} & {*trained.data.train},
        }
        assert any(elsewhere.values()), name
        assert elsewhere["data"], name


def test_a_row_is_run_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*SMALL, "comparison.processes=1"]
    still = SchedulePolicy(
        {"name": "still", "signals": ["progress"]}
        | control_entries(load_recipe("universal", ["decisions.log_start=0"]).decisions),
        ((np.zeros((1, 1), np.float32), np.zeros(1, np.float32)),),
    )
    monkeypatch.setattr("lrpilot.experiments.transfer.load_policy", lambda _: still)
    (row,) = transfers({"iris": {"policy": "still", "recipe": "cnn", "overrides": overrides}}, 1)
    assert row.diverged[1] == len(ERRORS) * SCORED
    assert row.by_error[ERRORS.index(1.0)] == pytest.approx(-row.right.mean, abs=1e-4)
    assert row.right.mean == pytest.approx(0, abs=1e-4)  # it follows linear-to-zero
    assert row.wrong.mean == pytest.approx(-np.mean(row.by_error), abs=1e-3)


def test_a_policy_that_does_not_exist_is_named_before_anything_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrpilot.experiments.transfer.compare_networks", lambda *_, **__: pytest.fail("it was run"))
    fits = {"policy": "universal", "recipe": "cnn", "overrides": []}
    with pytest.raises(PolicyError, match="no policy 'nope'"):
        next(transfers({"first": fits, "second": fits | {"policy": "nope"}}, 1))


@pytest.mark.parametrize(("high", "diverged", "holds"), [(0.01, 0, True), (-0.01, 0, False), (0.01, 1, False)])
def test_a_row_holds_without_failures_if_the_interval_reaches_zero(high: float, diverged: int, holds: bool) -> None:
    gain = Paired(high - 0.1, high - 0.2, high, 0.4, 0.0, 0.6)
    row = Transfer("there", "universal", gain, gain, [0.1] * 5, [0.2] * 5, (diverged, 20))
    assert row.holds is holds
    table = new_table(1)
    show(row, table)
    assert table.row_count == 1


def test_one_row_is_measured_anew_and_the_others_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, gain = tmp_path / "transfer.json", Paired(0.1, 0.0, 0.2, 0.6, 0.0, 0.4)
    output.write_text(RESULTS.read_text())
    name = list(rows())[1]
    monkeypatch.setattr(
        "lrpilot.experiments.transfer.transfers",
        lambda chosen, *_: (Transfer(row, "universal", gain, gain, [0.0] * 5, [0.0] * 5, (0, 1)) for row in chosen),
    )
    main(["--row", name, "--output", str(output)])
    before, after = (json.loads(path.read_text())["rows"] for path in (RESULTS, output))
    assert [row["row"] for row in after] == list(rows())
    assert [row["row"] for row, old in zip(after, before, strict=True) if row != old] == [name]
