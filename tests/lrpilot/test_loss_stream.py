"""Losses that have no log, that fall below zero, or that are redefined: what the schedule makes of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from lrpilot import load_policy
from lrpilot.loss_stream import AFTER, LossStream
from lrpilot.summary import Summary

Change = Callable[[int, float], float]
CURVES: dict[str, Callable[[float], float]] = {
    "1/t": lambda share: 1 / (1 + 10 * share),
    "exponential": lambda share: 0.2 + 2 * math.exp(-5 * share),
}


def ratio(policy: str, horizon: int, curve: str, noise: float, change: Change, since: int) -> tuple[float, float]:
    """LR on a stream with a change over that on the stream without it, lowest and highest from ten decisions later."""
    clean, changed = (load_policy(policy).schedule(0.1, horizon) for _ in range(2))
    rng, ratios = np.random.default_rng(0), []
    for step in range(horizon - 1):
        loss = CURVES[curve](step / horizon) * math.exp(noise * rng.standard_normal())
        ratios.append(changed(change(step, loss)) / clean(loss))
    times = clean.control.times(horizon)
    later = [time for time in times if time > since][10]
    return min(ratios[later:]), max(ratios[later:])


@pytest.mark.filterwarnings("ignore:losses of 0:UserWarning")
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(("policy", "horizon"), [("universal", 2000), ("universal", 300), ("nmf", 1000), ("cnn", 1000)])
@pytest.mark.parametrize("bad", [0.0, -0.0, 1e-310, 1e-42, 1e-30, -1e-9])
def test_a_loss_of_nothing_now_and_then_leaves_the_lr_as_it_is(
    policy: str, horizon: int, curve: str, bad: float
) -> None:
    for every in (horizon // 2, 37, 5):
        low, high = ratio(policy, horizon, curve, 0.1, lambda k, x, n=every: bad if k % n == n - 1 else x, horizon // 2)
        assert 1 / 3 < low <= high < 3, every


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("policy", "horizon"), [("universal", 1000), ("nmf", 300), ("cnn", 1000), ("universal", 300)])
@pytest.mark.parametrize("factor", [0.1, 0.01, 10.0, 1000.0])
def test_a_new_scale_is_found(policy: str, horizon: int, curve: str, noise: float, factor: float) -> None:
    def change(step: int, loss: float) -> float:
        return loss * factor if step >= horizon // 2 else loss

    low, high = ratio(policy, horizon, curve, noise, change, horizon // 2)
    assert 1 / 3 < low <= high < 3


@pytest.mark.parametrize("factor", [1e-3, 0.5, 7.0, 1e6])
@pytest.mark.parametrize("at", [0, 1, 3, 500, 503])
def test_a_new_scale_that_is_told_changes_nothing(factor: float, at: int) -> None:
    clean, changed = (load_policy("universal").schedule(0.1, 1000) for _ in range(2))
    for step in range(1000):
        loss = 1 / (1 + step / 100)
        if step == at:
            changed.rescale_loss(factor)
        assert changed(loss * (factor if step >= at else 1.0)) == pytest.approx(clean(loss), rel=1e-3)


def test_a_run_that_blows_up_is_not_taken_for_a_new_scale() -> None:
    rng = np.random.default_rng(0)
    noise = [math.exp(0.1 * x) for x in rng.standard_normal(60)]
    before = [0.2 * x for x in noise[:30]]
    grows, dies = [0.2 * 2.0**k for k in range(20)], [2.303 * x**0.02 for x in noise[30:]]  # it ends at log 10
    for after in (grows, dies, [30.0, 8.0, 3.0, 1.2, 0.6, 0.4, 0.3, 0.25, 0.2, 0.2]):
        stream = LossStream()
        stream.read(before)
        reading = stream.read(after)
        assert reading.factor == 1.0
        assert reading.losses == after


def test_a_spike_counts_at_once_and_a_dip_does_not() -> None:
    for width in range(1, AFTER):
        stream = LossStream()
        stream.read([1.0] * 20)
        assert stream.read([50.0] * width).losses == [50.0] * width
        assert stream.read([1.0]).losses == [1.0]
        stream.read([1.0] * 40)
        assert stream.read([1e-6] * width).losses == []
        assert stream.read([1.0]).losses == [1.0]


def test_streams_that_fall_below_zero_are_read_with_an_offset_and_one_warning_says_so() -> None:
    rng = np.random.default_rng(0)
    fall = [3 * math.exp(-k / 150) - 2 for k in range(1000)]
    for shift, scale in ((0.0, 1.0), (-50.0, 1.0), (0.0, 1000.0), (-1e6, 1.0)):
        losses = [scale * (x + 0.05 * rng.standard_normal()) + shift for x in fall]
        clean, told = (load_policy("universal").schedule(0.1, 1000) for _ in range(2))
        ratios = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for loss, x in zip(losses, fall, strict=True):
                ratios.append(told(loss) / clean(x + 2.2))  # at a distance from its floor, as people's losses are
        (warning,) = [each for each in caught if "below 0" in str(each.message)]
        assert "add a constant to what the schedule is told" in str(warning.message)
        assert warning.filename == __file__
        assert 1 / 30 < min(ratios[200:]) < max(ratios[200:]) < 30


def test_a_summary_whose_losses_are_raised_is_that_of_raised_losses() -> None:
    losses = [[2.0 * 0.8**k] * 5 for k in range(9)]
    moved, direct = Summary(), Summary()
    for interval in losses:
        for summary, amount in ((moved, 0.0), (direct, 3.0)):
            summary.observe_all([loss + amount for loss in interval])
            summary.close(0.0, 1.0, 1.0)
    moved.put_on_scale(3.0, 1.0)
    for name in ("origin", "level", "best", "promise"):
        assert getattr(moved, name) == pytest.approx(getattr(direct, name), rel=1e-12), name
    for name in ("fast", "slow", "slowest", "change", "steepest"):
        assert getattr(moved, name) == pytest.approx(getattr(direct, name), rel=0.5), name
    moved.put_on_scale(0.0, 10.0)
    assert moved.origin == pytest.approx(math.log(50.0))


def test_the_schedule_warns_once_of_each_kind() -> None:
    schedule = load_policy("nmf").schedule(0.1, 200, bound=lambda: 0.1)
    stream = [1.0] * 20 + [0.0] * 9 + [1.0] * 20 + [math.nan] * 30 + [1.0] * 20 + [0.0, math.nan] * 60
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for loss in stream:
            schedule(loss)
    messages = [str(warning.message) for warning in caught]
    assert [message.split(":")[0][:40] for message in messages] == [
        "losses of 0 (or close to it) have no log",
        "10 losses in a row were not finite",
        "step 201 of a run of horizon=200"[:40],
    ]
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("policy", ["universal", "cnn", "nmf"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_lowers_the_lr_until_it_shows_that_it_did_no_harm(policy: str, bad: float) -> None:
    clean, hit = (load_policy(policy).schedule(0.1, 1200) for _ in range(2))
    for k in range(600):
        a, b = clean(1 / (1 + k / 120)), hit(bad if k == 400 else 1 / (1 + k / 120))
    assert 1 / 3 < b / a < 3


def test_what_a_bad_loss_took_is_not_given_back_while_losses_are_higher() -> None:
    schedule = load_policy("universal").schedule(0.1, 600)
    for _ in range(200):
        schedule(1.0)
    before = schedule.lr
    schedule(math.nan)
    after = schedule.lr
    assert after < before / 10
    for _ in range(15):
        assert schedule(3.0) <= after
