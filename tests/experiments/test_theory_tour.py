"""What the pictures of the theory show, measured small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from lrpilot.arrays import Floats
from lrpilot.experiments import theory_tour as tour
from lrpilot.experiments.theory_tour import QUICK
from lrpilot.theory.greedy import climb_steps, lr_floor

PICTURES = ["bound_along_a_run", "edge_of_stability", "frontier", "greedy", "learned_lr_and_sharpness"]


def test_every_bound_is_on_its_side_of_the_truth_at_every_step() -> None:
    limits = tour.bounds_along_a_run(QUICK)
    assert all(values.shape == (QUICK.nmf_steps,) for values in limits.values())
    assert (limits["joint"] <= limits["top"] * (1 + 1e-9)).all()
    assert (limits["segment"] <= limits["joint"] * (1 + 1e-9)).all()
    assert (limits["segment"] <= limits["line"] * (1 + 1e-9)).all()
    assert (np.minimum(limits["W alone"], limits["H alone"]) >= limits["joint"]).all()
    assert (limits["joint"] * 1.2 > limits["top"]).any()  # so a constant 1.2 times as large would fail above


def test_runs_leave_above_the_bound_and_only_there() -> None:
    curves = tour.shares_that_leave(QUICK)
    multiple = curves.pop("multiple")
    assert len(curves) == 4
    for share in curves.values():
        assert (share[multiple <= 1] == 0).all()
        assert (np.diff(share) >= -1e-9).all()
    assert curves["200 steps"][multiple >= 1.06].min() == 1
    assert curves["10 steps"][-1] == 0


@pytest.fixture(scope="module")
def edge_runs() -> dict[float, dict[str, Floats]]:
    return tour.edge_of_stability(QUICK)


def test_sharpness_settles_at_two_over_the_lr(edge_runs: dict[float, dict[str, Floats]]) -> None:
    for lr, run in edge_runs.items():
        last = run["sharpness"][-len(run["sharpness"]) // 3 :]
        assert 0.9 < np.median(last) * lr / 2 < 1.2
        assert run["loss"][-1] < run["loss"][0] / 3
    low, high = (np.median(run["sharpness"][-10:]) for run in edge_runs.values())
    assert low / high > 1.5  # the LRs differ by 2: sharpness follows them


def test_the_learned_lr_stays_inside_the_bound_measured_on_the_network() -> None:
    run = tour.learned_run(QUICK)
    assert (run["lr"] <= run["bound"] * (1 + 1e-9)).all()
    assert (run["lr"] > 1e-3 * run["bound"]).all()
    assert 0.8 < np.median(run["bound"] / run["edge"]) < 1.25
    assert np.mean(run["loss"][-5:]) < np.mean(run["loss"][:5])


def test_greedy_runs_keep_their_floor_and_their_rate() -> None:
    curves = tour.greedy_runs(QUICK)
    for label, start in tour.GREEDY_STARTS.items():
        lr = curves[f"lr {label}"]
        assert lr[0] == 2 * start
        assert (lr >= lr_floor(2 * start, tour.GREEDY_FACTOR, 1.0) * (1 - 1e-12)).all()
        climb = climb_steps(max(1.0, 1 / start), tour.GREEDY_FACTOR)
        assert lr[climb] >= 2 * (1 - 1e-12) > (lr[climb - 1] if climb else 0)
        assert (curves[f"gap {label}"] <= curves[f"bound {label}"]).all()


def test_all_pictures_are_drawn_and_are_no_blank_sheets(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    edge_runs: dict[float, dict[str, Floats]],
) -> None:
    monkeypatch.setattr(tour, "edge_of_stability", lambda _: edge_runs)  # the slow one, measured once
    monkeypatch.setattr("sys.argv", ["theory_tour", str(tmp_path), "--quick"])
    tour.main()
    assert sorted(path.stem for path in tmp_path.iterdir()) == PICTURES
    for path in tmp_path.iterdir():
        image = imread(path)
        assert image.shape[1] >= 800
        assert (image[..., :3].min(-1) < 0.9).mean() > 0.01
    assert capsys.readouterr().out.count(".png") >= len(PICTURES)
