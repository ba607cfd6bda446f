"""The frame of all reproductions: what is written, and what is printed."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from lrpilot.experiments.reproduce.common import Number, Options, Reproduction, command, main
from lrpilot.files import commit

NUMBERS = [Number("gain, nats", 0.5, 0.25, 0.75, "superior", "a paper"), Number("steps", np.inf)]
seen: list[Options] = []


def draw(options: Options) -> Reproduction:
    seen.append(options)
    return Reproduction(Figure(), NUMBERS, {"curve": np.array([1.0, np.nan]), "tasks": ("a", "b")})


def test_writes_picture_and_numbers_beside_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main("sample", draw, arguments=["--quick", "--seed", "3", "--output", str(tmp_path / "new")])
    assert seen[-1] == Options(quick=True, seed=3)
    document = json.loads((tmp_path / "new" / "sample.json").read_text())
    assert document["command"] == "python -m lrpilot.experiments.reproduce.sample --quick --seed 3"
    assert (document["commit"], document["seed"]) == (commit(), 3)
    first, second = document["numbers"]
    assert (first["measured"], first["low"], first["high"], first["published"]) == (0.5, 0.25, 0.75, "superior")
    assert second["measured"] is None  # JSON has no infinity
    assert document["data"] == {"curve": [1.0, None], "tasks": ["a", "b"]}
    assert (tmp_path / "new" / "sample.png").read_bytes()[1:4] == b"PNG"
    printed = capsys.readouterr().out
    assert "0.5 [0.25, 0.75]" in printed
    assert "published: a paper" in printed


def test_only_those_that_can_use_a_league_take_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main("sample", draw, arguments=["--league", "x.json"])
    assert "--league" in capsys.readouterr().err
    main("sample", draw, takes_league=True, arguments=["--league", "x.json", "--output", str(tmp_path)])
    assert seen[-1].league == Path("x.json")
    assert command("sample", seen[-1]).endswith("sample --league x.json")
