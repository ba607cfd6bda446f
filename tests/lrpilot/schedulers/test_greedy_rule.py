"""GreedyLR's rule: its parts one by one, what holds for any metrics, and the defects that only compat has.

That compat is the rule of `transformers` is tested in `test_greedy.py`; here the default kind is tied to compat.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrpilot.control import BACK_OFF
from lrpilot.schedulers.greedy_rule import GreedyRule
from lrpilot.schedulers.greedy_settings import GreedySettings
from lrpilot.theory.greedy import greedy_lr

NAN, INF = math.nan, math.inf
LOW, HIGH = 0.05, 3.0
seeds = st.integers(0, 2**32)
observed = st.builds(
    GreedySettings,
    mode=st.sampled_from(["min", "max"]),
    factor=st.floats(0.3, 0.95),
    patience=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-6, 0.1]),
    threshold_mode=st.sampled_from(["abs", "rel"]),
    cooldown=st.integers(0, 2),
    warmup=st.integers(0, 2),
    eps=st.sampled_from([0.0, 1e-8, 0.02]),
    smooth=st.booleans(),
    window_size=st.integers(1, 6),
    reset_start=st.integers(1, 4),
    compat=st.sampled_from([None, "transformers"]),
)


def rule(*, start: float = 1.0, low: float = LOW, high: float = HIGH, **arguments: Any) -> GreedyRule:
    return GreedyRule(GreedySettings(**{"factor": 0.5, "patience": 0, **arguments}), [start], [low], [high])


def trace(greedy: GreedyRule, metrics: Sequence[float]) -> list[float]:
    levels = []
    for metric in metrics:
        greedy.update(metric)
        levels += greedy.levels
    return levels


def metrics(seed: int, steps: int = 60) -> list[float]:
    """A walk that ties at times and changes its sign, with stretches that only get better or worse."""
    draw, value, walk = random.Random(seed), 2.0, []
    while len(walk) < steps:
        drift, noise = draw.choice([-1.0, 0.0, 1.0]), draw.choice([0.0, 1.0])
        for _ in range(draw.randint(1, 12)):
            value += drift * 0.1 + noise * draw.gauss(0, 0.2)
            walk.append(value)
    return walk[:steps]


@pytest.mark.parametrize("compat", [None, "transformers"])
@given(seed=seeds, factor=st.floats(0.2, 0.99))
def test_without_patience_it_is_the_rule_of_the_proofs_against_the_best_so_far(
    compat: str | None, seed: int, factor: float
) -> None:
    values = metrics(seed)
    expected, lr = [], 1.0
    for t, value in enumerate(values):
        lr = greedy_lr(lr, value < min(values[:t], default=INF), factor, LOW, HIGH)
        expected.append(lr)
    free = {"threshold": 0.0, "eps": 0.0, "reset_start": 1000, "compat": compat}
    assert trace(rule(factor=factor, **free), values) == expected


def test_the_rule_of_the_proofs_against_the_last_metric_is_another() -> None:
    values, lr, last = metrics(0), 1.0, INF
    for value in values:
        lr, last = greedy_lr(lr, value < last, 0.7, LOW, HIGH), value
    assert trace(rule(factor=0.7, threshold=0.0, eps=0.0), values)[-1] != lr


@given(observed=observed, seed=seeds)
def test_where_compat_has_no_defect_the_default_kind_is_the_same(observed: GreedySettings, seed: int) -> None:
    clean = {"eps": 0.0, "smooth": False, "threshold_mode": "abs"}
    ours, theirs = (dataclasses.replace(observed, **clean, compat=kind) for kind in (None, "transformers"))
    values = metrics(seed)
    assert trace(GreedyRule(ours, [1], [LOW], [HIGH]), values) == trace(GreedyRule(theirs, [1], [LOW], [HIGH]), values)


@given(observed=observed, seed=seeds, starts=st.lists(st.floats(LOW, HIGH), min_size=1, max_size=3))
def test_levels_stay_within_their_bounds_whatever_comes(
    observed: GreedySettings, seed: int, starts: list[float]
) -> None:
    draw = random.Random(seed)
    lows, highs = [start * draw.random() for start in starts], [start / (1 - draw.random()) for start in starts]
    greedy = GreedyRule(observed, starts, lows, highs)
    for metric in metrics(seed, 100):
        greedy.update(draw.choice([metric] * 8 + [NAN, INF, -INF, 1e308, -1e308]))
        assert all(low <= now <= high for low, now, high in zip(lows, greedy.levels, highs, strict=True))


@given(observed=observed, seed=seeds, cut=st.integers(0, 60))
def test_a_saved_rule_goes_on_bit_for_bit(observed: GreedySettings, seed: int, cut: int) -> None:
    values = metrics(seed)
    values[seed % 60] = NAN
    whole, first, second = (GreedyRule(observed, [1, 0.5], [LOW] * 2, [HIGH] * 2) for _ in range(3))
    expected = trace(whole, values)
    begun = trace(first, values[:cut])
    state = json.loads(json.dumps(first.state()))
    second.load(state)
    assert second.state().keys() == state.keys()
    trace(first, values[cut:])  # what goes on must not write into what was saved
    assert begun + trace(second, values[cut:]) == expected


def test_only_the_whole_state_of_the_same_kind_is_loaded() -> None:
    greedy, before = rule(), rule().state()
    with pytest.raises(ValueError, match="no state of a GreedyRule: levels, "):
        greedy.load({})
    for name in before.keys() - {"settings"}:  # which states of earlier versions lack
        with pytest.raises(ValueError, match=f"{name} missing"):
            greedy.load({key: value for key, value in before.items() if key != name})
    with pytest.raises(ValueError, match="compat must be 'transformers', as it was when"):
        greedy.load(rule(compat="transformers", start=2).state())
    assert greedy.state() == before


@given(observed=observed, seed=seeds)
def test_to_minimise_is_to_maximise_the_negative(observed: GreedySettings, seed: int) -> None:
    if observed.compat and observed.threshold_mode == "rel":
        observed = dataclasses.replace(observed, threshold_mode="abs")  # there the sign of the metric matters: a defect
    lower, higher = (dataclasses.replace(observed, mode=mode) for mode in ("min", "max"))
    values = metrics(seed)
    negative = [-value for value in values]
    assert trace(GreedyRule(lower, [1], [LOW], [HIGH]), values) == trace(
        GreedyRule(higher, [1], [LOW], [HIGH]), negative
    )


@given(observed=observed, seed=seeds, power=st.integers(-20, 20))
def test_with_a_relative_threshold_the_unit_of_the_metric_does_not_matter(
    observed: GreedySettings, seed: int, power: int
) -> None:
    observed = dataclasses.replace(observed, threshold_mode="rel")
    values = metrics(seed)
    scaled = [value * 2.0**power for value in values]
    assert trace(GreedyRule(observed, [1], [LOW], [HIGH]), values) == trace(
        GreedyRule(observed, [1], [LOW], [HIGH]), scaled
    )


def test_patience_counts_metrics_in_a_row() -> None:
    better, worse = [5, 4, 3, 2, 1], [9, 9, 9, 9]
    assert trace(rule(patience=2, high=8), better) == [1, 1, 2, 2, 2]
    assert trace(rule(patience=2), [0, *worse]) == [1, 1, 1, 0.5, 0.5]
    assert trace(rule(patience=1), [5, 9, 4, 9, 3, 9]) == [1] * 6  # never two of a kind in a row


def test_cooldown_waits_after_a_fall_and_warmup_after_a_rise() -> None:
    assert trace(rule(cooldown=2, low=0.01), [0, *[9] * 7]) == [2, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert trace(rule(warmup=2, high=99), [9, 8, 7, 6, 5, 4, 3]) == [2, 2, 2, 4, 4, 4, 8]
    assert trace(rule(warmup=1, high=99), [9, 1, 5]) == [2, 2, 4]  # the 1 was waited for, so 9 is still the best


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("best", [8.0, -8.0])
def test_the_threshold_must_be_beaten(mode: str, best: float) -> None:
    sign = 1 if mode == "min" else -1
    for threshold_mode, threshold in (("abs", 2.0), ("rel", 0.25)):
        arguments = {"mode": mode, "threshold": threshold, "threshold_mode": threshold_mode}
        assert trace(rule(**arguments), [best, best - sign * 2.0]) == [2, 1]
        assert trace(rule(**arguments), [best, best - sign * 2.001]) == [2, 3]


def test_changes_up_to_eps_are_not_made() -> None:
    assert trace(rule(eps=1.0), [3, 2]) == [1, 1]
    assert trace(rule(eps=0.99), [3, 2, 1]) == [2, 3, 3]
    assert trace(rule(eps=0.25), [0, 9, 9, 9]) == [2, 1, 0.5, 0.5]


@pytest.mark.parametrize("compat", [None, "transformers"])
def test_after_enough_falls_at_the_floor_everything_starts_again(compat: Any) -> None:
    greedy = rule(reset_start=3, low=0.25, compat=compat)
    falls = trace(greedy, [0, *[9] * 5])
    assert falls == [2, 1, 0.5, 0.25, 0.25, 1]  # the fall that reaches the floor counts
    assert trace(greedy, [9]) == [2]  # any metric is the best again
    assert trace(rule(reset_start=2, low=0.5, compat=compat), [0, 9, 9, -1, 9, 9, 9]) == [2, 1, 0.5, 1, 0.5, 1, 2]


def test_smoothing_takes_the_mean_of_the_window() -> None:
    values = [4, 4, 1, 1, 1, 9, 0]  # means of two: 4, 4, 2.5, 1, 1, 5, 4.5
    assert trace(rule(smooth=True, window_size=2, high=99), values) == [2, 1, 2, 4, 2, 1, 0.5]


def test_a_metric_that_is_not_finite_halves_the_level_at_once_and_leaves_no_other_trace() -> None:
    for metric in (NAN, INF, -INF, 1e308):
        greedy, clean = rule(smooth=True, patience=5), rule(smooth=True, patience=5)
        trace(greedy, [3, 4]), trace(clean, [3, 4])
        assert trace(greedy, [metric]) == [BACK_OFF]
        assert greedy.skipped == 1
        changed = {key for key, value in clean.state().items() if greedy.state()[key] != value}
        assert changed == {"levels", "skipped", "bad"}
    assert trace(rule(cooldown=2, low=0.01), [NAN, 5, 5, 5]) == [0.5, 0.5, 0.5, 1]
    assert trace(rule(low=0.3), [NAN, NAN, NAN]) == [0.5, 0.3, 0.3]


def test_in_compat_a_nan_stays_in_the_mean_and_by_default_it_does_not() -> None:
    better = [float(-t) for t in range(20)]
    arguments = {"smooth": True, "window_size": 3, "high": 1e9, "low": 1e-9}
    assert trace(rule(**arguments, compat="transformers"), [NAN, *better])[-1] == 0.5**21
    assert trace(rule(**arguments), [NAN, *better])[-1] == BACK_OFF * 2.0**20


def test_in_compat_a_relative_threshold_takes_a_worse_negative_metric_for_a_better_one() -> None:
    arguments = {"threshold": 0.1, "threshold_mode": "rel"}
    assert trace(rule(**arguments, compat="transformers"), [-1.0, -0.95]) == [2, 3]
    assert trace(rule(**arguments), [-1.0, -0.95]) == [2, 1]


def test_in_compat_the_mean_drifts_and_by_default_it_does_not() -> None:
    bests = {kind: rule(smooth=True, window_size=2, compat=kind) for kind in (None, "transformers")}
    for greedy in bests.values():
        trace(greedy, [1e16, 1.0, 1.0])
    assert [greedy.state()["best"] for greedy in bests.values()] == [1.0, 0.0]


def test_in_compat_a_level_held_up_by_eps_is_never_reset_and_by_default_it_is() -> None:
    arguments = {"low": 0.0, "eps": 0.1, "reset_start": 2}
    stuck = trace(rule(**arguments, compat="transformers"), [0, *[9] * 100])
    assert stuck[4:] == [0.125] * 97
    assert trace(rule(**arguments), [0, *[9] * 6]) == [2, 1, 0.5, 0.25, 0.125, 0.125, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "low"}, "mode must be min or max, not 'low'"),
        ({"factor": 1.0}, "factor must be above 0 and below 1, not 1.0"),
        ({"factor": 0.0}, "factor must be"),
        ({"factor": NAN}, "factor must be"),
        ({"patience": -1}, "patience must be at least 0, not -1"),
        ({"threshold": -1.0}, "threshold must be a finite number, at least 0, not -1.0"),
        ({"threshold": INF}, "threshold must be"),
        ({"threshold_mode": "both"}, "threshold_mode must be abs or rel, not 'both'"),
        ({"cooldown": -1}, "cooldown must be"),
        ({"warmup": -1}, "warmup must be"),
        ({"eps": -1.0}, "eps must be"),
        ({"window_size": 0}, "window_size must be at least 1, not 0"),
        ({"reset_start": 0}, "reset_start must be at least 1, not 0"),
        ({"compat": "torch"}, "compat must be None or transformers, not 'torch'"),
        ({"low": -1.0}, "min_lr and max_lr must satisfy 0 <= min_lr <= start <= max_lr < inf"),
        ({"low": 2.0}, "here 1.0, not 2.0 and 3.0"),
        ({"high": 0.5}, "not 0.05 and 0.5"),
        ({"high": INF}, "not 0.05 and inf"),
        ({"start": 0.0, "low": 0.0}, "with a start above 0, here 0.0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule(**arguments)
    assert rule(compat="transformers", start=5e-5).levels == [5e-5]  # outside its bounds, as there
