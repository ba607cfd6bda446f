"""Networks in plain torch: each trains, roles share no data, runs are kept, and what is said is what was measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.configs import load_recipe
from lrpilot.experiments.plain_torch import __main__ as command
from lrpilot.experiments.plain_torch import plan, report, work
from lrpilot.experiments.plain_torch.cell import Cell, Result, log_ratio
from lrpilot.experiments.plain_torch.data import Batch, Epochs, Stream
from lrpilot.experiments.plain_torch.network import Network, parameter_count
from lrpilot.experiments.plain_torch.networks import NETWORKS, large, networks_of
from lrpilot.experiments.plain_torch.plan import SEEDS, cell, grid, needed, tuned_octave, units
from lrpilot.experiments.plain_torch.schedules import PACKAGES, TUNED, multiplier
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.plain_torch.tables import best_table
from lrpilot.experiments.plain_torch.train import data_of, run
from lrpilot.policy import load_policy
from tests.experiments.in_process import InProcess

EVERY = pytest.mark.parametrize("name", NETWORKS)
SMALL = NETWORKS["shallow MLP"]
LINEAR = plan.Unit(SMALL, 300, linear=True)
DIVERGED = round(DIVERGED_SCORE, 4)


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@EVERY
def test_every_network_has_a_finite_loss_and_gradients(name: str) -> None:
    network, data = NETWORKS[name], data_of(name)
    torch.manual_seed(0)
    model = network.make()
    loss = network.loss(model, next(data.batches(network.batch, 0)))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weights.grad for weights in model.parameters()]
    assert math.isfinite(loss.item())
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients if gradient is not None)
    model.eval()
    assert all(0 < network.loss(model, part).item() < 10 for part in (data.tuning, data.score))


@EVERY
def test_mini_batches_are_of_the_right_size_and_follow_from_the_seed(name: str) -> None:
    network, data = NETWORKS[name], data_of(name)
    first, again, other = (data.batches(network.batch, seed) for seed in (0, 0, 1))
    batch, following = next(first), next(first)
    assert all(len(part) == network.batch for part in (*batch, *following))
    assert not same(batch, following)
    assert same(batch, next(again))
    assert not same(batch, next(other))
    assert not same(data.tuning, data.score)


def test_epochs_read_each_sample_once() -> None:
    samples = (torch.arange(10), torch.arange(10))
    batches = Epochs(samples, samples, samples).batches(5, 0)
    for _ in range(3):
        assert torch.equal(torch.cat([next(batches)[0], next(batches)[0]]).sort().values, torch.arange(10))


def test_roles_share_no_data_and_none_that_a_policy_practised_on() -> None:
    by_role = {role: {network.data_name for network in networks_of(role)} for role in ("validation", "test")}  # type: ignore[arg-type]
    trained = {name for recipe in ("universal", "cnn", "nlp") for name in load_recipe(recipe).data.train}  # type: ignore[union-attr]
    assert not by_role["validation"] & by_role["test"]
    assert not trained & (by_role["validation"] | by_role["test"])
    for role in ("validation", "test"):
        networks = networks_of(role)  # type: ignore[arg-type]
        assert len(networks) >= 13
        assert sum(network.long for network in networks) == 3


def test_streams_and_real_data_are_about_as_many() -> None:
    streams = sum(isinstance(data_of(name), Stream) for name in NETWORKS)
    assert abs(2 * streams - len(NETWORKS)) <= len(NETWORKS) / 4


@pytest.mark.parametrize("schedule", TUNED)
def test_schedules_rise_to_the_base_lr_and_end_near_zero(schedule: str) -> None:
    values = [multiplier(schedule, step, 1000) for step in range(1001)]
    warm_up = 50 if schedule.startswith("warm-up") else 0
    assert values[warm_up] == max(values) == 1.0
    assert values[0] == pytest.approx(1 / (warm_up + 1))
    assert np.all(np.diff(values[: warm_up + 1]) > 0)
    assert np.all(np.diff(values[warm_up:]) <= 0)
    assert 0 < values[999] < 0.01
    assert values[1000] == 0


def test_wsd_holds_until_the_last_fifth() -> None:
    assert [multiplier("WSD", step, 10) for step in (0, 7, 8, 9)] == pytest.approx([1.0, 1.0, 1.0, 0.5])


@pytest.mark.parametrize("schedule", [*TUNED, *PACKAGES])
def test_the_same_cell_gives_the_same_result(schedule: str) -> None:
    one = cell(NETWORKS["regression with batch norm and dropout"], 30, schedule, 0, 0)
    assert run(one)[:3] == run(one)[:3] != run(one._replace(seed=1))[:3]


def test_hidden_gradients_and_wrong_base_lrs_make_other_runs() -> None:
    policy = load_policy("universal")
    shown = cell(SMALL, 60, policy.fingerprint, 0, 0)
    scores = {run(one, policy).last for one in (shown, shown._replace(hidden=True), shown._replace(octave=-4))}
    assert len(scores) == 3


def test_a_run_that_diverges_scores_log_ten() -> None:
    result = run(cell(NETWORKS["recommender"], 40, "WSD", 40, 0))
    assert result.last == result.tuning == DIVERGED
    assert result.diverged
    assert log_ratio(math.inf, 1.0) == log_ratio(10.0, 1.0) == DIVERGED
    assert log_ratio(1e-9, 1.0) == pytest.approx(math.log(1e-4), abs=1e-4)


def pretend(results: dict[Cell, Result], best: int, unit: plan.Unit = LINEAR) -> None:
    """Run all that a unit needs, with the least loss at an octave."""
    while cells := list(needed(unit, results)):
        results |= {one: Result(*[0.1 * (one.octave - best) ** 2 - 1] * 3, 0.0) for one in cells}


@pytest.mark.parametrize("best", [0, 3, -6, 40])
def test_a_grid_is_extended_until_the_best_lr_is_inside(best: int) -> None:
    results: dict[Cell, Result] = {}
    pretend(results, best)
    tried = grid(SMALL, 300, "linear", results)
    assert tried.best == tuned_octave(SMALL, 300, "linear", results) == min(best, tried.octaves[-1])
    assert tried.octaves[-1] - best >= 2 or len(tried.octaves) >= plan.MOST
    assert len(tried.octaves) <= plan.MOST + 1
    assert all(cell(SMALL, 300, "linear", tried.best, seed) in results for seed in SEEDS)  # type: ignore[arg-type]
    assert {one.octave for one in needed(plan.Unit(SMALL, 300, False), results) if one.schedule == "WSD"} == set(
        range(tried.best - 4, tried.best + 5)  # type: ignore[operator]
    )


def test_large_networks_are_hundreds_of_times_larger_than_micro_networks_and_apart_from_others() -> None:
    networks = networks_of("large")
    assert [parameter_count(network.make()) for network in networks] == [1_014_208, 579_194]
    assert [network.horizon for network in networks] == [*plan.own_horizons(networks)] == [2000, 3000]
    assert not {network.name for network in networks} & {network.name for network in command.networks_in("all")}
    chosen_by = {network.data_name for network in networks_of("validation")} | {*load_recipe("universal").data.train}
    assert not {network.data_name for network in networks} & chosen_by


def test_the_gpt_looks_back_alone() -> None:
    model = NETWORKS["GPT"].make()
    symbols = torch.zeros(1, large.WINDOW, dtype=torch.int64)
    first = model(symbols)
    symbols[0, 20] = 1
    changed = (model(symbols) - first).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [place >= 20 for place in range(large.WINDOW)]


@pytest.mark.parametrize("network", large.NETWORKS, ids=lambda network: network.name)
def test_large_networks_learn_in_a_few_steps(network: Network) -> None:
    result = run(cell(network, 6, "warm-up, cosine", -2, 0))
    assert result.last < 0
    assert not result.diverged


def test_large_networks_have_five_base_lrs_a_factor_of_four_apart_for_each_of_four_schedules() -> None:
    results: dict[Cell, Result] = {}
    work_of = units(networks_of("large"), (2000, 3000, 300))
    assert {(unit.network.name, unit.horizon) for unit in work_of} == {(n.name, n.horizon) for n in large.NETWORKS}
    for unit in sorted(work_of, key=lambda unit: not unit.linear):
        pretend(results, -2, unit)
    by_schedule = [{one.octave for one in results if one.schedule == name} for name in large.TUNING.tuned]
    assert by_schedule == [{-4, -2, 0, 2, 4}] + 3 * [{-6, -4, -2, 0, 2}]
    assert len(results) == len(large.NETWORKS) * 4 * (5 + 1)
    assert [*report.sensitivity([*large.NETWORKS], 2000, results)] == ["GPT"]


def test_linear_of_soon_wanted_horizons_comes_first() -> None:
    order = [(unit.horizon, unit.linear) for unit in units([SMALL])]
    assert order[:6] == [(300, True), (1000, True), (300, False), (1000, False), (3000, True), (100, True)]
    assert len(order) == len(set(order)) == 10


def test_a_store_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, result = cell(SMALL, 300, "linear", -2, 0), Result(-1.0, -1.5, -1.1, 0.2)
    store = Store(tmp_path, None)
    store.add(one, result)
    with store.path.open("a") as file:
        file.write('["cut sh')
    later = Store(tmp_path, None)
    assert later.results == {one: result}
    later.add(one._replace(seed=1), result)
    assert Store(tmp_path, None).results.keys() == {one, one._replace(seed=1)}
    monkeypatch.setattr(work, "ProcessPoolExecutor", None)  # nothing may be run
    work.run_cells(later, [one], {})
    later.add(cell(SMALL, 300, load_policy("nmf").fingerprint, 0, 0), result)
    assert later.export(tmp_path / "baselines.json") == 2
    assert Store(tmp_path / "other", tmp_path / "baselines.json").results.keys() == {one, one._replace(seed=1)}


def test_commands_from_start_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(work, "ProcessPoolExecutor", InProcess)
    for module in (command, report):
        monkeypatch.setattr(module, "networks_of", lambda role: [SMALL] if role == "validation" else [])
    common = ["--horizon", "20", "--folder", str(tmp_path)]
    output = tmp_path / "report.json"
    command.main(["baselines", *common])
    command.main(["policy", "universal", "--hidden", "--seeds", "2", "--output", str(output), *common])
    command.main(["check", *common])
    printed = capsys.readouterr().out
    assert "universal, gradients hidden" in printed
    assert "linear at 20 steps" in printed
    rows = {row["name"]: row for row in json.loads(output.read_text())["horizons"]["20"]}
    assert len(rows) == 1 + 2 + len(PACKAGES) + len(TUNED) + 1
    assert rows["linear, tuned"]["all"] == [0, 0, 0]
    learned = rows["universal, gradients hidden"]
    results = Store(tmp_path, None).results
    octave = tuned_octave(SMALL, 20, "linear", results)
    assert octave is not None
    reference = np.mean([results[cell(SMALL, 20, "linear", octave, seed)].last for seed in SEEDS])
    prints = load_policy("universal").fingerprint
    scores = [results[cell(SMALL, 20, prints, octave + 4, seed, hidden=True)].last for seed in (0, 1)]
    assert learned["excess"][2] == pytest.approx([np.mean(scores) - reference], abs=1e-6)
    assert learned["runs"] == 6
    assert learned["largest"] == [SMALL.name, learned["all"][0]]


def test_commands_for_large_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(work, "ProcessPoolExecutor", InProcess)
    small = [
        replace(NETWORKS[name], role="large", horizon=horizon, tuning=large.TUNING)
        for name, horizon in (("shallow MLP", 20), ("deep sets", 30))
    ]
    for module in (command, report):
        monkeypatch.setattr(module, "networks_of", lambda role: small if role == "large" else [])
    common = ["--role", "large", "--folder", str(tmp_path)]
    output = tmp_path / "report.json"
    command.main(["baselines", *common])
    command.main(["policy", "universal", "--horizon", "20", "30", "40", "--output", str(output), *common])
    command.main(["check", *common])
    printed = capsys.readouterr().out
    assert printed.count("above that of the best of the tuned schedules") == 2
    assert printed.count("of 4") == 2
    data = json.loads(output.read_text())
    assert data["seeds"] == 2
    assert {horizon: rows[0]["networks"] for horizon, rows in data["horizons"].items()} == {
        "20": ["shallow MLP"],
        "30": ["deep sets"],
    }


def test_a_policy_is_compared_with_the_best_of_the_tuned_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": "learned", "networks": ["a", "b"], "excess": [[0.0, 0.2], [0.02, 0.0], [-0.1, 0.0]]},
        {"name": "linear, tuned", "networks": ["a", "b"], "excess": [[0.0, 0.0]]},
        {"name": "WSD, tuned", "networks": ["a"], "excess": [[-0.01]]},
        {"name": "cosine at the usual LR", "networks": ["a"], "excess": [[-9.0]]},
    ]
    Console(width=170).print(best_table(rows, "20"))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if "learned" in line]
    assert lines == [
        "learned a WSD, of 2 +0.010 +0.030 -0.090 within 0.03",
        "learned b linear, of 1 +0.200 +0.000 +0.000 not within 0.03",
    ]


def test_figures_of_a_row() -> None:
    row = report.Row("learned", ["a", "b"], [[0.0, 1.0], [0.2, 0.0], [0.1, 0.5]], [[0.0, 0.0]], 1, 18)
    figures = row.summary({"a": 0.05, "b": 0.6})
    assert figures["all"][0] == figures["median"] == pytest.approx(0.3)
    assert figures["largest"] == ["b", 0.5]
    assert figures["spread"] == pytest.approx(0.6)
    assert figures["ahead_of_cosine"] == 0.5
    assert [mean for mean, _, _ in figures["by_base_lr"]] == pytest.approx([0.5, 0.1, 0.3])
