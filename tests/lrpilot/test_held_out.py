"""Held-out losses: what they become in the observation, in one run and in many, and how they are told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lrpilot import LearnedLR
from lrpilot.policy import SchedulePolicy
from lrpilot.signals import HELD_OUT_SIGNALS, SIGNAL_NAMES, Signals

FOLLOWS = {
    "format": 1,
    "name": "follows",
    "action": "multiple_of_base",
    "decisions": 4,
    "log_low": -2.0,
    "log_high": 2.0,
}


def interval(
    signals: Signals, held_out: float = math.nan, loss: float = 1.0, multiple: float = 0.0
) -> dict[str, float]:
    signals.observe(loss)
    signals.close(multiple, 1.0, held_out=held_out)
    return dict(zip(SIGNAL_NAMES, signals.vector(0.5), strict=True))


def test_until_one_is_told_nothing_is_seen() -> None:
    seen = interval(Signals())
    assert {seen[name] for name in HELD_OUT_SIGNALS} == {0.0}


def test_what_is_seen_of_a_rise_after_the_lowest() -> None:
    signals = Signals()
    interval(signals, 2.0)
    interval(signals, 1.0, multiple=0.3)
    interval(signals)
    seen = interval(signals, 1.1, loss=0.5, multiple=0.9)
    rise = math.log(1.1)
    assert seen["held_out"] == pytest.approx(math.log(1.1 / 2) / 5)
    assert seen["held_out_change"] == seen["held_out_best"] == pytest.approx(math.asinh(100 * rise) / 2)
    assert seen["held_out_since"] == pytest.approx(math.asinh(2) / 1.5)
    assert seen["held_out_multiple"] == pytest.approx(0.6 / 3)
    assert seen["held_out_gap"] == pytest.approx(math.asinh(100 * math.log(1.1 / 0.5)) / 2)
    assert (seen["held_out_age"], seen["has_held_out"]) == (0.0, 1.0)


def test_between_two_they_age_and_stay() -> None:
    signals = Signals()
    told = interval(signals, 2.0)
    later = interval(signals)
    assert later["held_out_age"] == pytest.approx(math.asinh(1) / 1.5)
    assert later["held_out_gap"] == told["held_out_gap"] != 0.0


def test_nothing_depends_on_the_unit_of_the_loss() -> None:
    one, other = Signals(), Signals()
    for held_out, loss in ((2.0, 1.9), (math.nan, 1.7), (1.5, 1.2), (1.6, 0.9)):
        seen, scaled = interval(one, held_out, loss), interval(other, 7 * held_out, 7 * loss)
    assert seen == pytest.approx(scaled)


def test_many_runs_see_what_each_alone_sees() -> None:
    rng = np.random.default_rng(0)
    many, alone = Signals(), [Signals() for _ in range(3)]
    for _ in range(12):
        losses, held_out = rng.uniform(0.5, 2.0, (2, 3))
        held_out[rng.random(3) < 0.5] = np.nan
        many.observe(losses)
        many.close(np.zeros(3), np.ones(3), np.full(3, np.nan), held_out=held_out)
        each = [
            list(interval(*entry).values()) for entry in zip(alone, held_out.tolist(), losses.tolist(), strict=True)
        ]
        np.testing.assert_allclose(many.vector(np.full(3, 0.5), np.ones(3)), np.transpose(each), atol=1e-12)


def follower(signals: list[str]) -> SchedulePolicy:
    """Acts by the sum of what it sees."""
    return SchedulePolicy(
        {**FOLLOWS, "signals": signals}, ((np.ones((1, len(signals)), np.float32), np.zeros(1, np.float32)),)
    )


def run(policy: SchedulePolicy, held_out: float | torch.Tensor | None, resume: bool = False) -> list[float]:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler, lrs = LearnedLR(optimizer, policy, horizon=8), []
    for step in range(8):
        optimizer.step()
        if held_out is not None and step == 2:
            scheduler.observe_held_out(held_out)
            if resume:
                state = scheduler.state_dict()
                scheduler = LearnedLR(optimizer, policy, horizon=8)
                scheduler.load_state_dict(state)
        scheduler.step(1.0)
        lrs.append(optimizer.param_groups[0]["lr"])
    return lrs


def test_a_policy_that_sees_them_acts_at_the_next_decision() -> None:
    policy = follower(["has_held_out"])
    silent, told = run(policy, None), run(policy, 2.0)
    assert policy.reads_held_out
    assert silent[:3] == told[:3] == [0.1] * 3
    assert told[3] == pytest.approx(0.1 * math.exp(2.0))
    assert run(policy, torch.tensor(2.0)) == run(policy, 2.0, resume=True) == told
    assert run(policy, math.nan) == silent


def test_others_ignore_them() -> None:
    policy = follower(["progress"])
    assert not policy.reads_held_out
    assert run(policy, None) == run(policy, 2.0)
