"""Whatever is wanted, what is allowed lies inside the limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrpilot.control import LOWEST_BACK_OFF, RECOVERY, Limits, next_back_off

positive = st.floats(1e-9, 1e9)


@given(lr=positive, bound=positive, low=positive)
def test_strict_never_exceeds_the_bound_whatever_lr_min_says(lr: float, bound: float, low: float) -> None:
    assert Limits("strict", lr_min=low).clip(lr, bound) <= bound
    assert Limits("relaxed").clip(lr, bound) <= 2 * bound
    assert Limits("off").clip(lr, bound) == lr


@given(lr=positive, low=positive, high=positive)
def test_limits_are_absolute(lr: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    assert low <= Limits(lr_min=low, lr_max=high).clip(lr) <= high


def test_arrays_are_clipped_each_by_its_own_bound() -> None:
    np.testing.assert_array_equal(Limits().clip(np.array([1.0, 3.0]), np.array([2.0, 2.0])), [1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("loose",), "strict, relaxed, off"), (("strict", 2.0, 1.0), "lr_min"), (("strict", -1.0), "lr_min")],
)
def test_bad_limits_are_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(*arguments)  # type: ignore[arg-type]


def test_back_off_halves_recovers_and_has_a_floor() -> None:
    factor = 1.0
    for _ in range(50):
        factor = next_back_off(factor, True)
    assert factor == LOWEST_BACK_OFF
    for _ in range(200):
        factor = next_back_off(factor, False)
    assert factor == 1.0
    np.testing.assert_array_equal(next_back_off(np.array([1.0, 0.25]), np.array([True, False])), [0.5, 0.25 * RECOVERY])
