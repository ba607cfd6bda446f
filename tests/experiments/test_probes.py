"""What a policy learned, made visible: probes differ as they say, and figures are drawn for every shipped policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrpilot.card import control_entries
from lrpilot.configs import Recipe, load_recipe
from lrpilot.envs.tasks.nets.task import NetTask
from lrpilot.experiments import probes
from lrpilot.experiments.probes import PROBES, draw, response, schedules, start, sustained, trace
from lrpilot.policy import SchedulePolicy
from lrpilot.signals import SIGNAL_NAMES, Signals


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "RUNS", 4)


def networks() -> Recipe:
    return load_recipe("cnn", ["problems.architectures=[mlp]", "data.validation=[diabetes]"], smoke=True)


def micro() -> Recipe:
    return load_recipe("universal", ["problems.classes=[perceptron]"], smoke=True)


def climbing(recipe: Recipe) -> SchedulePolicy:
    return SchedulePolicy(
        {"name": "climbing", "signals": ["change"], **control_entries(recipe.decisions)},
        ((np.full((1, 1), -0.5, np.float32), np.full(1, 0.1, np.float32)),),
    )


def test_probes_differ_in_what_their_titles_say() -> None:
    usual, low, high, noisy, random = (start(networks(), probe)[0] for probe in PROBES)
    np.testing.assert_allclose(low.reference * 16, usual.reference)
    np.testing.assert_allclose(high.reference / 16, usual.reference)
    assert isinstance(noisy.task, NetTask)
    assert isinstance(random.task, NetTask)
    assert noisy.task.groups[0].structure.batch == 2
    assert (random.task.groups[0].batch.label_noise == 0.6).all()


def test_probes_of_micro_networks_have_several_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "RUNS", 24)
    usual, low, _, noisy, random = (start(micro(), probe) for probe in PROBES)
    assert len({process.task.structure.network.size for process in usual}) > 3  # type: ignore[attr-defined]
    assert sum(process.batch_size for process in usual) == 24
    for one, other in zip(usual, low, strict=True):
        np.testing.assert_allclose(other.reference * 16, one.reference)
    assert all((process.task.settings.rows <= 4).all() for process in noisy)  # type: ignore[attr-defined]
    assert all((process.task.settings.label_noise == 0.6).all() for process in random)  # type: ignore[attr-defined]


def test_a_sustained_slope_is_what_the_signals_would_show() -> None:
    slope, count = -0.03, 12
    signals, seen = Signals(), []
    for interval in range(count):
        seen.append(signals.vector(interval / count))
        for step in range(5):
            signals.observe(float(np.exp(slope * (interval + step / 5))))
        signals.close(0.0, 1.0)
    expected = sustained(np.array(seen), slope)
    for name in ("change", "trend", "fast", "slow", "slowest", "swing", "drift"):
        column = SIGNAL_NAMES.index(name)
        np.testing.assert_allclose(expected[2:, column], np.array(seen)[2:, column], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("recipe", [networks(), micro()], ids=["cnn", "universal"])
def test_schedules_and_responses_are_drawn(recipe: Recipe) -> None:
    policy = climbing(recipe)
    record = trace(policy, start(recipe, PROBES[0]))
    assert record.log_lr.shape == (recipe.decisions.decisions, 4)
    assert record.observation.shape == (recipe.decisions.decisions, len(SIGNAL_NAMES), 4)
    assert len(schedules(policy, recipe).axes) == len(PROBES)
    surface = response(policy, recipe).axes[0].collections[0].get_array()
    assert surface is not None
    assert (surface[0] > surface[-1]).all()  # this policy raises the LR where the loss falls


@pytest.mark.parametrize("name", ["nmf", "linear"])
def test_shipped_policies_have_a_response(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def few(recipe: str) -> Recipe:
        return load_recipe(recipe, ["horizon=40"])

    monkeypatch.setattr(probes, "load_recipe", few)
    (path,) = draw(name, tmp_path / name)
    assert path.stat().st_size > 5_000
