"""From a recipe to a shipped policy, in small: two agents, both comparisons, one file with all on its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.configs import load_recipe
from lrpilot.experiments import publish as shipping
from lrpilot.experiments.network_report import SHORT_RUNS
from lrpilot.experiments.pipeline import compare_policies, train_agent
from lrpilot.policy import load_policy

SMALL = ["problems.architectures=[mlp]", "unseen=[]", "data.train=[wine]", "data.validation=[iris]"]
SMALL += ["data.test=[diabetes]", "ppo.iterations=1", "ppo.parallel=12", "ppo.replicas=3", "ppo.processes=1"]
SMALL += ["validation.problems=8", "validation.horizons=[]", "horizon=20", "decisions.decisions=10"]
SMALL += ["decisions.steps=[2]", "comparison.tuning_problems=4", "comparison.test_problems=4"]
SMALL += ["comparison.base_lrs=2", "comparison.processes=1", "comparison.baselines=[linear-to-zero, cosine]"]
SHORT = "short: {below: 1.5, overrides: {horizon: 10, decisions: {steps: [1]}}}"
WITH_GRADIENTS = "with_gradients: {below: 9, overrides: {decisions: {loss_only: 0.0}}}"
SMALL += ["comparison.short_horizon=10", f"extra_agents={{{SHORT}, {WITH_GRADIENTS}}}"]


def test_three_agents_are_trained_compared_and_published_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = Console(quiet=True)
    run = Run.start(load_recipe("universal", SMALL), tmp_path)
    train_agent(run, quiet)
    for folder, horizon in ((run.folder, 20), (run.folder / SHORT_RUNS, 10)):
        assert json.loads((folder / "compare.json").read_text())["config"]["horizon"] == horizon
    written, nowhere = tmp_path / "compared.json", tmp_path / "nowhere"
    compare_policies(run.recipe, [str(run.policy)], nowhere, written, quiet)
    for path, horizon in ((written, 20), (tmp_path / f"compared_{SHORT_RUNS}.json", 10)):
        assert json.loads(path.read_text())["config"]["horizon"] == horizon
    assert not nowhere.exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipping, "SHIPPED", tmp_path)
    monkeypatch.setattr(shipping, "FINGERPRINTS", tmp_path / "fingerprints.json")
    shipped = load_policy(shipping.publish([run.folder], quiet))
    assert shipped.fingerprint == load_policy(run.policy).fingerprint
    results = shipped.card["results"]
    assert (results["steps"], results["on_short_runs"]["steps"]) == (20, 10)
    for part in (Path(), Path(SHORT_RUNS)):
        assert (tmp_path / "docs" / "results" / "universal" / part / "figures" / "lr_error.png").is_file()
