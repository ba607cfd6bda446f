"""Displacements of the weights: known geometry, one definition for one run and for many, exact state."""

from __future__ import annotations

import numpy as np
import pytest

from lrpilot.displacement import UNKNOWN, DisplacementCosines, DisplacementTracker


def walk(*points: list[float]) -> list[DisplacementCosines]:
    tracker = DisplacementTracker()
    tracker.start(np.array(points[0]))
    return [tracker.move(np.array(point)) for point in points[1:]]


def test_a_straight_line_persists_and_a_bounce_turns_back() -> None:
    assert walk([0.0, 0.0], [3.0, 4.0]) == [DisplacementCosines(0.0, 0.0, 0.0, 5.0, 0.0, 5.0)]
    np.testing.assert_allclose(walk([0.0, 0.0], [3.0, 4.0], [9.0, 12.0])[-1], [1.0, 1.0, 1.0, 10.0, 0.0, 15.0])
    np.testing.assert_allclose(walk([0.0, 0.0], [3.0, 4.0], [0.0, 0.0])[-1], [-1.0, -1.0, -1.0, 5.0, 0.0, 0.0])
    across = walk([0.0, 0.0], [1.0, 0.0], [1.0, 2.0])[-1]
    np.testing.assert_allclose(across, [0.0, 0.0, 0.0, 2.0, 0.0, np.sqrt(5.0)], atol=1e-12)


def test_a_slow_drift_under_bouncing_shows_in_the_long_memory() -> None:
    """Steep direction bounces with ±1, flat one advances by 0.2: turn is against, persistence for."""
    points = [[(-1.0) ** k, 0.2 * k] for k in range(40)]
    turn, fast, slow, *_ = walk(*points)[-1]
    assert turn < -0.9
    assert fast < slow
    pure = walk(*[[(-1.0) ** k, 0.0] for k in range(40)])[-1]
    assert slow > pure.earlier + 0.1


def test_many_runs_are_the_single_ones_and_restart_alone() -> None:
    points = np.random.default_rng(0).normal(size=(8, 3, 5))
    both = DisplacementTracker()
    both.start(points[0])
    for point in points[1:6]:
        displacement_cosines = both.move(point)
    for run in range(3):
        np.testing.assert_allclose([entry[run] for entry in displacement_cosines], walk(*points[:6, run].tolist())[-1])
    both.start(points[6], np.array([True, False, False]))
    after = both.move(points[7])
    length = pytest.approx(np.linalg.norm(points[7, 0] - points[6, 0]))
    assert [entry[0] for entry in after] == [0.0, 0.0, 0.0, length, 0.0, pytest.approx(np.linalg.norm(points[7, 0]))]
    expected = walk(*points[:6, 1].tolist(), points[7, 1].tolist())[-1]
    np.testing.assert_allclose([entry[1] for entry in after], expected)


def test_descent_is_how_straight_the_weights_went_down_the_newest_gradient() -> None:
    downhill, across = np.array([[-2.0, 0.0], [0.0, 3.0]])
    both = DisplacementTracker()
    both.start(np.zeros((3, 2)))
    step = np.array([[0.5, 0.0], [0.5, 0.0], [-0.3, 0.4]])
    np.testing.assert_allclose(both.move(step, np.stack([downhill, across, downhill])).descent, [1.0, 0.0, -0.6])
    for moved, gradient, descent in ((step[0], downhill, 1.0), (step[2], downhill, -0.6), (step[2], across, -0.8)):
        one = DisplacementTracker()
        one.start(np.zeros(2))
        assert one.move(moved, gradient).descent == pytest.approx(descent)
    assert one.move(moved + 1.0, np.full(2, np.nan)).descent == 0.0


def test_new_parameters_and_weights_that_are_not_finite_are_unknown() -> None:
    tracker = DisplacementTracker()
    assert tracker.move(np.ones(3)) == UNKNOWN
    assert tracker.move(np.ones(5)) == UNKNOWN
    tracker.move(np.zeros(5))
    assert all(np.isfinite(tracker.move(np.full(5, bad))[:3]).all() for bad in (np.nan, np.inf, 1e300))
    assert not np.isfinite(tracker.move(np.full(5, np.nan)).length)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_do_not_matter_and_state_restores(scale: float) -> None:
    points = np.random.default_rng(1).normal(size=(6, 4))
    units = [1.0, 1.0, 1.0, scale, 1.0, scale]
    np.testing.assert_allclose(walk(*(scale * points).tolist()), np.array(walk(*points.tolist())) * units)
    tracker = DisplacementTracker()
    tracker.start(points[0])
    tracker.move(points[1])
    again = DisplacementTracker.of({name: value.copy() for name, value in tracker.state().items()})
    assert tracker.move(points[2]) == again.move(points[2])
