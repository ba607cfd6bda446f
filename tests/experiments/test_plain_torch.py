"""Networks in plain torch: each trains, and what is said of schedules is what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.configs import load_recipe
from lrpilot.envs.data.datasets import load_dataset
from lrpilot.experiments import plain_torch
from lrpilot.experiments.plain_torch import (
    MULTIPLES,
    SEEDS,
    Case,
    Outcome,
    cases,
    compare_case,
    excess,
    main,
    read,
    train,
)

SMALL = Case("MLP with batch normalisation", "iris", 60)
EVERY = pytest.mark.parametrize("case", cases("test", [3]), ids=lambda case: f"{case.network} on {case.data}")


def test_every_network_meets_data_that_no_policy_was_trained_on() -> None:
    assert {case.network for case in cases("test", [3])} == set(plain_torch.MODELS)
    trained = {name for recipe in ("universal", "cnn", "nlp") for name in load_recipe(recipe).data.train}
    for role in ("validation", "test"):
        assert not trained & {case.data for case in cases(role, [3])}  # type: ignore[arg-type]
    assert not {case.data for case in cases("test", [3])} & {case.data for case in cases("validation", [3])}


@EVERY
def test_logits_fit_the_targets(case: Case) -> None:
    data = load_dataset(case.data)
    logits = plain_torch.MODELS[case.network].make(data)(data.inputs[:4])
    assert logits.shape == (4, data.classes, *data.targets.shape[1:])


@pytest.mark.parametrize("network", plain_torch.MODELS)
def test_weights_are_all_trained(network: str) -> None:
    case = next(case for case in cases("test", [3]) if case.network == network)
    torch.manual_seed(0)
    data = load_dataset(case.data)
    model = plain_torch.MODELS[network].make(data)
    torch.nn.functional.cross_entropy(model(data.inputs[:8]), data.targets[:8]).backward()  # type: ignore[no-untyped-call]
    assert all(weights.grad is not None for weights in model.parameters())


def test_the_same_seed_gives_the_same_run_and_all_schedules_begin_alike() -> None:
    assert train(SMALL, "universal", 1.0, 0) == train(SMALL, "universal", 1.0, 0)
    assert train(SMALL, "universal", 1.0, 0) != train(SMALL, "universal", 1.0, 1)
    assert train(SMALL, "linear-to-zero", 1e-9, 0) == pytest.approx(train(SMALL, "cosine", 1e-9, 0), abs=1e-5)


def test_a_run_that_blows_up_counts_as_tenfold_worse() -> None:
    assert train(SMALL._replace(network="deep MLP"), "linear-to-zero", 1e6, 0) == (DIVERGED_SCORE, DIVERGED_SCORE)


def test_baselines_are_tuned_on_other_seeds_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def observed(case: Case, schedule: str, multiple: float, seed: int) -> tuple[float, float]:
        tuning = seed in plain_torch.TUNING_SEEDS
        return (abs(np.log(multiple / 4)), np.nan) if tuning else (np.nan, multiple + seed)

    monkeypatch.setattr(plain_torch, "train", observed)
    outcome = compare_case(SMALL, ["universal"])
    assert outcome.base_lr == {"linear-to-zero": 4.0, "cosine": 4.0}
    assert outcome.tuned["cosine"] == [4.0 + seed for seed in SEEDS]
    assert outcome.from_multiples["universal"] == [[multiple + seed for seed in SEEDS] for multiple in MULTIPLES]
    assert excess([outcome], "universal", 16.0) == pytest.approx([12.0])


def test_baselines_of_an_earlier_result_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, jobs = tmp_path / "earlier.json", [Case("softmax regression", "iris", 60)]
    monkeypatch.setattr(plain_torch, "cases", lambda role, horizons: jobs)
    main(["--policy", "universal", "--horizon", "60", "--output", str(file)])
    monkeypatch.setattr(plain_torch, "GRID", ())  # nothing can be tuned now
    main(["--policy", "nlp", "--horizon", "60", "--reuse", str(file), "--output", str(tmp_path / "later.json")])
    (first,), (later,) = (read(path) for path in (file, tmp_path / "later.json"))
    assert (first.case, first.tuned, first.base_lr) == (later.case, later.tuned, later.base_lr)
    assert list(later.from_multiples) == ["nlp", *plain_torch.TUNED]
    assert all(first.from_multiples[name] == later.from_multiples[name] for name in plain_torch.TUNED)
    assert json.loads((tmp_path / "later.json").read_text())["baselines_from"] == json.loads(file.read_text())["commit"]


def test_command_writes_every_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def observed(jobs: list[Case], policies: list[str], earlier: list[Outcome]) -> list[Outcome]:
        assert earlier == []
        schedules = (*policies, *plain_torch.TUNED)
        return [
            Outcome(
                case,
                {family: [-1.0] * 3 for family in plain_torch.TUNED},
                {schedule: [[-0.5] * 3, [-1.0] * 3, [DIVERGED_SCORE] * 3] for schedule in schedules},
                dict.fromkeys(plain_torch.TUNED, 1.0),
            )
            for case in jobs
        ]

    monkeypatch.setattr(plain_torch, "play", observed)
    main(["--role", "validation", "--horizon", "7", "--output", str(tmp_path / "strangers.json")])
    written = json.loads((tmp_path / "strangers.json").read_text())
    assert written["role"] == "validation"
    assert len(written["outcomes"]) == len(cases("validation", [7]))
    assert written["outcomes"][0]["case"][2] == 7
