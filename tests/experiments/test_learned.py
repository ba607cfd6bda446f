"""What a policy learned, made visible: wrong values are those of others, runs are as users write them, texts fit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lrpilot.arrays import Floats
from lrpilot.card import control_entries
from lrpilot.configs import load_recipe
from lrpilot.errors import UserError
from lrpilot.experiments.learned import __main__ as learned
from lrpilot.experiments.learned import response, schedules, signals, signals_figure
from lrpilot.experiments.learned.response import PAIRS, PROGRESS, SCALES, pairs_of, surface
from lrpilot.experiments.learned.schedules import ERRORS, Curves, Panel, RightLR, right_lr, smoothed, train
from lrpilot.experiments.learned.signals import (
    FULL,
    GROUPS,
    SMOKE,
    Shuffled,
    action_changes,
    measure,
    record,
    variants_of,
)
from lrpilot.experiments.plain_torch.networks import NETWORKS
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.probes import Trace
from lrpilot.policy import SchedulePolicy
from lrpilot.signal import squashed
from lrpilot.signals import SIGNAL_NAMES

SMALL = NETWORKS["shallow MLP"]


def policy_of(bias: float = 0.1, **weights: float) -> SchedulePolicy:
    """A linear policy that acts as those of the recipe do."""
    control = control_entries(load_recipe("universal").decisions)
    layer = (np.array([[*weights.values()]], np.float32), np.full(1, bias, np.float32))
    return SchedulePolicy({"name": "linear policy", "signals": [*weights], **control}, (layer,))


def column(name: str) -> int:
    return SIGNAL_NAMES.index(name)


def made_up(decisions: int = 5, runs: int = 6) -> Trace:
    """Observations that differ between runs, but for the progress."""
    observation = np.random.default_rng(0).normal(size=(decisions, len(SIGNAL_NAMES), runs))
    observation[:, column(PROGRESS)] = np.linspace(0, 0.9, decisions)[:, None]
    return Trace(observation, np.zeros((decisions, runs)), np.linspace(0, 1, decisions + 1))


def fits(figure: Figure) -> bool:
    """Whether all that is drawn, texts too, lies within a figure."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    drawn, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    return bool(drawn.x0 >= -0.01 and drawn.y0 >= -0.01 and drawn.x1 <= width + 0.01 and drawn.y1 <= height + 0.01)


def test_wrong_values_are_those_of_other_runs_at_the_same_decision_or_the_mean() -> None:
    observed, means = made_up().observation, np.full(len(SIGNAL_NAMES), 7.0)
    act = Shuffled(policy_of(level=1.0), [(), ("level",), (PROGRESS, "level", "best")], observed, means, seed=0)
    seen = 100 + np.random.default_rng(1).normal(size=(len(SIGNAL_NAMES), 12))  # four problems, three runs each
    shown = act.shown(seen, 2)
    np.testing.assert_array_equal(shown[:, ::3], seen[:, ::3])
    level, best = column("level"), column("best")
    kept = [index for index in range(len(SIGNAL_NAMES)) if index != level]
    np.testing.assert_array_equal(shown[kept, 1::3], seen[kept, 1::3])
    assert {*shown[level, 1::3]} <= {*observed[2, level]}
    assert (shown[column(PROGRESS), 2::3] == 7.0).all()
    same_run = [[*observed[2, level]].index(value) for value in shown[level, 2::3]]
    np.testing.assert_array_equal(shown[best, 2::3], observed[2, best, same_run])


def test_signals_that_a_policy_does_not_heed_change_nothing() -> None:
    policy = policy_of(log_multiple=-0.6, change=0.0, gradient=0.0, has_gradient=0.0)
    sizes = SMOKE
    found = measure(policy, record(policy, False, sizes), False, sizes)
    assert {*found["signals"]} == {"log_multiple", "change", "gradient"}
    for name in ("change", "gradient"):
        np.testing.assert_allclose(found["signals"][name]["loss"]["60"], 0.0, atol=2e-3)
        assert found["signals"][name]["action"] == 0
    assert found["signals"]["log_multiple"]["action"] > 0.01
    assert found["signals"]["log_multiple"]["loss"]["60"][0] != 0


def test_changes_of_actions_are_those_of_a_linear_policy() -> None:
    observed = made_up(runs=2000)
    weight, policy = 0.05, policy_of(bias=0.0, level=0.05, best=0.0)
    changes = action_changes(policy, {"level": ("level",), "best": ("best",)}, {60: observed})
    np.testing.assert_allclose(changes, [weight * 2 / math.sqrt(math.pi), 0.0], rtol=0.03)  # E|a − b| of normal numbers


def test_variants_are_what_a_policy_reads_in_this_mode() -> None:
    policy = policy_of(level=1.0, best=1.0, gradient=1.0, stride=1.0, has_gradient=1.0)
    single, groups = variants_of(policy, hidden=False)
    assert [*single] == ["level", "best", "gradient", "stride"]
    assert groups["losses"] == ("level", "best")
    assert groups["all of gradients and weights"] == ("gradient", "stride")
    assert [*map(list, variants_of(policy, hidden=True))] == [["level", "best"], ["losses"]]


def test_every_signal_is_in_a_group_and_shares_are_kept() -> None:
    assert {name for names in GROUPS.values() for name in names} == {*SIGNAL_NAMES} - {"has_gradient"}
    assert FULL.fewer(0.5).networks == {steps: networks // 2 for steps, networks in FULL.networks.items()}
    assert {*FULL.fewer(0.0).networks.values()} == {2}


def test_a_linear_decay_and_a_policy_set_the_lrs_that_they_should() -> None:
    lrs, losses = train(SMALL, None, 0.1, 20, seed=0)
    np.testing.assert_allclose(lrs, 0.1 * (1 - np.arange(20) / 20))
    assert np.isfinite(losses).all()
    policy = policy_of(bias=0.0, has_gradient=0.5)  # raises the LR where it sees gradients
    visible, hidden = (train(SMALL, policy, 0.1, 100, seed=0, hidden=hidden)[0] for hidden in (False, True))
    np.testing.assert_allclose(hidden, 0.1 * math.exp(-5) * (1 - np.arange(100) / 100))
    assert visible[0] == hidden[0] < visible[-1] / 100


def test_a_run_that_diverges_ends_in_nan() -> None:
    losses = train(NETWORKS["MLP with layer norm"], policy_of(has_gradient=1.0), 1e30, 60, seed=0)[1]
    assert np.isfinite(losses[0])
    assert np.isnan(losses[-1])


def test_the_right_lr_is_that_of_the_nearest_horizon_that_is_known(tmp_path: Path) -> None:
    results = Store(tmp_path).results
    assert [right_lr(SMALL, horizon, results).horizon for horizon in (60, 300, 1200)] == [100, 300, 1000]
    with pytest.raises(UserError, match="no tuned LR of 'shallow MLP' is known"):
        right_lr(SMALL, 300, {})


def test_smoothing_keeps_means_and_uses_each_step_once() -> None:
    losses = np.random.default_rng(0).normal(size=(2, 1000)) ** 2
    middle, means = smoothed(losses, 30)
    assert (np.diff(middle) > 0).all()
    assert len(middle) <= 30
    edges = np.cumsum([0, *np.rint(np.diff(_ends(middle)))])
    np.testing.assert_allclose((means * np.diff(edges)).sum(1), losses.sum(1))
    np.testing.assert_allclose(smoothed(np.full((1, 500), 3.0))[1], 3.0)


def _ends(middle: Floats) -> Floats:
    """Edges of windows from their middles: the first begins at step 1."""
    ends = [0.5]
    for each in middle:
        ends.append(2 * each - ends[-1])
    return np.array(ends)


@pytest.mark.parametrize("name", SCALES)
def test_scales_rise_and_are_those_of_the_signals(name: str) -> None:
    scale = SCALES[name]
    assert (np.diff([float(scale.signal(tick)) for tick in scale.ticks]) > 0).all()
    if name in {"best", "trend", "spread", "steepest"}:
        assert float(scale.signal(0.02)) == pytest.approx(float(squashed(np, 0.02)))
    assert name in {signal for pair in PAIRS for signal in pair}


def test_a_surface_is_the_action_of_the_policy() -> None:
    observed = made_up(decisions=60)
    policy = policy_of(bias=0.0, progress=-0.2, change_score=0.1, log_multiple=0.0)
    part = surface(policy, observed, "log_multiple", "change_score")
    assert np.ptp(part.action, axis=1).max() < 1e-6
    expected = 0.1 * part.y - 0.2 * np.median(observed.observation[:, column(PROGRESS)])
    np.testing.assert_allclose(part.action[:, 0], expected, atol=1e-6)
    over_time = surface(policy, observed, PROGRESS, "change_score")
    np.testing.assert_allclose(over_time.x, observed.observation[:, column(PROGRESS), 0])
    assert (np.diff(over_time.action[0]) < 0).all()


def test_only_pairs_that_a_policy_reads_are_drawn_and_texts_fit() -> None:
    policy = policy_of(log_multiple=-0.3, change_score=0.1, drift=0.2)
    assert pairs_of(policy) == [("log_multiple", "change_score"), ("log_multiple", "drift")]
    assert fits(response.draw(policy, made_up()))
    everything = policy_of(**{name: (-1) ** index / 20 for index, name in enumerate(SCALES)})
    assert len(pairs_of(everything)) == response.AT_ONCE
    assert fits(response.draw(everything, made_up(decisions=20, runs=20)))


def test_texts_of_the_schedules_fit() -> None:
    panels = {}
    for horizon in (300, 3000, 30_000):
        rng = np.random.default_rng(horizon)
        one, two = (Curves(*np.exp(rng.normal(size=(2, 2, horizon)))) for _ in range(2))
        two.loss[0, horizon // 2 :] = np.nan
        cases = {(hidden, error): two for hidden in (False, True) for error in ERRORS}
        panels[horizon] = Panel(RightLR(1.23e-4, 10_000), one, cases)
    assert fits(schedules.draw(panels, "universal", NETWORKS["CNN with batch norm"]))


def test_the_command_makes_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "RUNS", tmp_path)
    monkeypatch.setattr(learned, "SMOKE_SEEDS", {60: 1})
    policy = policy_of(log_multiple=-0.5, change_score=-0.1, gradient=0.05, has_gradient=0.0)
    policy.save(tmp_path / "policy.safetensors")
    learned.main([str(tmp_path / "policy.safetensors"), "--smoke", "--output", str(tmp_path / "figures")])
    files = {path.name: path for path in (tmp_path / "figures").iterdir()}
    assert {*files} == {"schedules.png", "response.png", "signals.png", "signals.json"}
    document = json.loads(files["signals.json"].read_text(encoding="utf-8"))
    assert document["fingerprint"] == policy.fingerprint
    assert [*document["modes"]] == ["With gradients", "Gradients hidden: losses alone"]
    assert fits(signals_figure.draw(document))


def test_a_policy_that_reads_losses_alone_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "SMOKE", SMOKE._replace(networks={60: 2}))
    policy_of(log_multiple=-0.5, best=-0.1).save(tmp_path / "policy.safetensors")
    words = ["--smoke", "--only", "signals", "response", "--output", str(tmp_path / "figures")]
    learned.main([str(tmp_path / "policy.safetensors"), *words])
    document = json.loads((tmp_path / "figures" / "signals.json").read_text(encoding="utf-8"))
    assert [*document["modes"]] == ["Gradients hidden: losses alone"]
    assert not (tmp_path / "figures" / "response.png").exists()  # it reads no pair


def test_policies_that_follow_a_bound_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        learned.main(["nmf"])
    assert "nmf chooses a fraction of a bound" in capsys.readouterr().err
