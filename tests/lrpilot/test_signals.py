"""Signals: no units, one definition for one run and for many, exact state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrpilot.arrays import Floats
from lrpilot.displacement import DisplacementCosines
from lrpilot.signals import RANGE, SIGNAL_NAMES, SIGNALS, Signals

COSINES = DisplacementCosines(0.3, -0.2, 0.1, 0.6, 0.5)
losses = st.lists(st.floats(1e-3, 1e3), min_size=12, max_size=40)


def observe(stream: list[float], unit: float = 1.0, lr_unit: float = 1.0) -> Floats:
    signals = Signals()
    for k, loss in enumerate(stream):
        signals.observe(loss * unit)
        if k % 4 == 3:
            displacement_cosines = COSINES._replace(length=COSINES.length * (unit * lr_unit) ** 0.5)
            signals.close(-0.1 * k, (1 + k) * lr_unit, (2.0 + k) * unit / lr_unit, displacement_cosines)
    return signals.vector(0.5)


@settings(max_examples=100, deadline=None)
@given(stream=losses, unit=st.floats(1e-6, 1e6), lr_unit=st.floats(1e-6, 1e6))
@example(stream=12 * [1.0], unit=7e-4, lr_unit=1.0)  # equal losses are equal in any unit, rounding or not
def test_rescaling_loss_or_lr_leaves_the_observation(stream: list[float], unit: float, lr_unit: float) -> None:
    np.testing.assert_allclose(observe(stream, unit, lr_unit), observe(stream), atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(stream=losses)
def test_many_runs_side_by_side_are_the_single_ones(stream: list[float]) -> None:
    both = Signals()
    other = stream[::-1]
    for k, pair in enumerate(zip(stream, other, strict=True)):
        both.observe(np.array(pair))
        if k % 4 == 3:
            both.close(np.full(2, -0.1 * k), np.full(2, 1.0 + k), np.full(2, 2.0 + k), COSINES)
    single = np.stack([observe(stream), observe(other)])
    np.testing.assert_allclose(both.vector(np.full(2, 0.5), np.ones(2)).T, single, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(stream=st.lists(st.floats(-1e300, 1e300), min_size=8, max_size=20))
def test_whatever_finite_comes_in_the_observation_stays_in_range(stream: list[float]) -> None:
    vector = observe(stream)
    assert np.isfinite(vector).all()
    for entry, signal in zip(vector, SIGNALS, strict=True):
        assert max(signal.low, -RANGE) <= entry <= signal.high


def test_known_values() -> None:
    signals = Signals()
    for loss in (np.exp(0.0), np.exp(-1.0)):
        signals.observe(loss)
    signals.close(log_multiple=-3.0, reference=2.0)
    seen = dict(zip(SIGNAL_NAMES, signals.vector(0.25), strict=True))
    assert seen["progress"] == 0.25
    assert seen["log_multiple"] == -1.0
    assert seen["level"] == pytest.approx(-0.5 / 5)
    assert seen["trend"] == pytest.approx(np.arcsinh(100 * -2.0) / 2)  # slope -1 a step, 2 steps
    assert seen["spread"] == pytest.approx(0, abs=1e-3)
    assert seen["change"] == seen["reference_change"] == seen["has_gradient"] == 0


@pytest.mark.parametrize(
    ("length", "expected"), [(0.05, np.log(10 * 0.05 / (2 * 4)) / 3), (0.0, -4.0), (np.nan, 0.0), (np.inf, 0.0)]
)
def test_a_stride_is_what_a_step_might_change_of_the_log_loss(length: float, expected: float) -> None:
    signals = Signals()
    for _ in range(4):
        signals.observe(4.0)
    signals.close(0.0, 1.0, gradient_sq=100.0, cosines=DisplacementCosines(length=length))
    assert signals.vector(0.0)[SIGNAL_NAMES.index("stride")] == pytest.approx(expected)


def test_pace_tells_short_runs_from_long_ones_up_to_a_length() -> None:
    pace = SIGNAL_NAMES.index("pace")
    observed = [Signals().vector(0.0, steps)[pace] for steps in (0.5, 1.0, 6.0, 12.0, 1e4)]
    np.testing.assert_allclose(observed, np.log([1.0, 1.0, 6.0, 12.0, 12.0]) / 3)
    both = Signals()
    both.restart(np.array([True, True]))
    np.testing.assert_allclose(both.vector(np.zeros(2), np.full(2, 6.0))[pace], observed[2])


def test_without_losses_closing_changes_nothing() -> None:
    signals = Signals()
    signals.close(-1.0, 1.0)
    assert signals == Signals()


def test_state_restores_bit_for_bit() -> None:
    first, stream = Signals(), np.random.default_rng(0).gamma(1.0, size=21)
    for k, loss in enumerate(stream):
        first.observe(float(loss))
        if k % 5 == 4:
            first.close(-0.3, 0.7, 2.0, COSINES)
    second = Signals(**first.state())
    for signals in (first, second):
        signals.observe(0.25)
        signals.close(-0.2, 0.5)
    np.testing.assert_array_equal(first.vector(0.3), second.vector(0.3))
    assert all(type(value) in {int, float} for value in first.state().values())


def test_restart_forgets_only_the_marked_runs() -> None:
    signals = Signals()
    for _ in range(2):
        signals.observe(np.array([1.0, 2.0]))
        signals.observe(np.array([0.5, 3.0]))
        signals.close(np.array([-1.0, -2.0]), np.ones(2), np.ones(2), DisplacementCosines(*6 * (np.ones(2),)))
    before = signals.vector(np.zeros(2), np.ones(2))
    signals.restart(np.array([True, False]))
    after = signals.vector(np.zeros(2), np.ones(2))
    np.testing.assert_array_equal(after[:, 1], before[:, 1])
    np.testing.assert_array_equal(after[:, 0], 0)
    assert (before[:, 0] != 0).any()
