"""From a recipe to a shipped policy, in small: trained, compared, and published with everything on its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.card import PolicyError
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.experiments import publish as shipping
from lrpilot.experiments.pipeline import compare_policies, train_agent
from lrpilot.experiments.plain_torch import report, work
from lrpilot.experiments.plain_torch.networks import NETWORKS
from lrpilot.policy import SchedulePolicy, load_policy
from tests.experiments.in_process import InProcess

SMALL = ["ppo.iterations=1", "ppo.parallel=12", "ppo.replicas=3", "ppo.processes=1", "decisions.decisions=10"]
SMALL += ["validation.problems=8", "horizon=20", "comparison.processes=1"]
NETS = [*SMALL, "problems.architectures=[mlp]", "unseen=[]", "data.train=[wine]", "data.validation=[iris]"]
NETS += ["data.test=[diabetes]", "comparison.tuning_problems=4", "comparison.test_problems=4", "comparison.base_lrs=2"]
NETS += ["decisions.steps=[2]", "comparison.baselines=[linear-to-zero, cosine]"]
UNIVERSAL = [*SMALL, "ppo.batches=1", "ppo.minibatches=8", "decisions.horizons=[20, 40]", "validation.horizons=[20]"]
UNIVERSAL += ["comparison.horizons=[20, 30]", "comparison.networks=1"]
QUIET = Console(quiet=True)


def published(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> SchedulePolicy:
    monkeypatch.setattr(shipping, "SHIPPED", folder)
    monkeypatch.setattr(shipping, "FINGERPRINTS", folder / "fingerprints.json")
    shipped = load_policy(shipping.publish([run.folder], QUIET, overrides))
    assert shipped.fingerprint == load_policy(run.policy).fingerprint == load_policy(run.best).fingerprint
    return shipped


def test_an_agent_is_trained_compared_and_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.start(load_recipe("cnn", NETS), tmp_path)
    train_agent(run, QUIET)
    assert json.loads((run.folder / "compare.json").read_text())["config"]["horizon"] == 20
    written, nowhere = tmp_path / "compared.json", tmp_path / "nowhere"
    compare_policies(run.recipe, [str(run.policy)], nowhere, written, QUIET)
    assert json.loads(written.read_text())["config"]["horizon"] == 20
    assert not nowhere.exists()
    monkeypatch.chdir(tmp_path)
    assert published(run, tmp_path, monkeypatch).card["results"]["steps"] == 20
    assert (tmp_path / "docs" / "results" / "cnn" / "figures" / "lr_error.png").is_file()


def test_the_agent_for_networks_of_any_kind_is_shown_by_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def small(role: str) -> list[Any]:
        asked.append(role)
        return [NETWORKS["shallow MLP"], NETWORKS["recommender"]]

    monkeypatch.setattr(work, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(report, "networks_of", small)
    monkeypatch.chdir(tmp_path)
    run = Run.start(load_recipe("universal", UNIVERSAL), tmp_path / "runs")
    train_agent(run, Console(width=100))
    assert "20 steps, 1 networks" in capsys.readouterr().out
    data = json.loads((run.folder / "compare.json").read_text())
    assert (data["role"], [*data["horizons"]], asked[0]) == ("validation", ["20", "30"], "validation")
    learned = data["horizons"]["30"][0]
    assert (learned["name"], learned["networks"], learned["runs"]) == ("universal", ["shallow MLP"], 9)
    written, nowhere = tmp_path / "compared.json", tmp_path / "nowhere"
    both = ["cnn", str(run.policy)]
    compare_policies(run.recipe, both, nowhere, written, QUIET)
    compared = json.loads(written.read_text())
    assert [row["name"] for row in compared["horizons"]["20"][:2]] == ["cnn 0", "universal 1"]
    assert compared["role"] == "test"
    assert not nowhere.exists()
    with pytest.raises(PolicyError, match="'nmf' needs a stability bound"):
        compare_policies(run.recipe, ["nmf"], nowhere, None, QUIET)
    results = published(run, tmp_path, monkeypatch).card["results"]
    mean, low, high = results["excess_over_tuned_linear_at_30_steps"]
    assert low == high == mean == pytest.approx(learned["all"][0], abs=1e-4)
    assert (results["networks"], results["policy_seeds"], results["diverged"][1]) == (1, 1, 18)
    assert mean == pytest.approx(sum(results["by_base_lr"]["30 steps"].values()) / 3, abs=1e-4)
    assert results["by_network"]["30 steps"]["spread"] == pytest.approx(learned["spread"], abs=1e-4)
    assert results["networks_are"].startswith(asked[-1])
    again = published(run, tmp_path, monkeypatch, "comparison.horizons=[20]")
    assert [*again.card["results"]["by_base_lr"]] == ["20 steps"]
    with pytest.raises(ConfigError, match=r"'seed=1': what was trained is done"):
        shipping.publish([run.folder], QUIET, ["seed=1"])
