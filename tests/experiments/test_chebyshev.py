"""Chebyshev's steps on the linear task: best without noise, useless with it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lrpilot.configs import load_recipe
from lrpilot.experiments import chebyshev
from lrpilot.experiments.baselines import Candidate
from lrpilot.experiments.compare import LEARNED, Comparison
from lrpilot.policy import SHIPPED


@pytest.fixture(scope="module")
def result() -> Comparison:
    recipe = load_recipe("linear", ["comparison.test_problems=24", "horizon=80"], smoke=True)
    tuned = [Candidate("constant", "1", "bound", 0.8), Candidate("cosine", "to 0", "bound", 2.0)]
    return Comparison(recipe, tuned={c.label: (c, float(i)) for i, c in enumerate(tuned)}, best=tuned[0].label)


def test_chebyshev_is_the_yardstick(result: Comparison, tmp_path: Path) -> None:
    stream = io.StringIO()
    card = chebyshev.evidence(result, SHIPPED / "nmf.safetensors", tmp_path, Console(file=stream, width=120))
    means = json.loads((tmp_path / "chebyshev.json").read_text())
    assert set(means["full"]) == {LEARNED, *result.tuned, chebyshev.MINIMAX, chebyshev.HINDSIGHT}
    assert card["mean_final_log_excess_with_full_batches"] == means["full"]
    assert means["full"][chebyshev.HINDSIGHT] < means["full"]["constant (1), 0.8 × bound"]
    assert means["noisy"][chebyshev.HINDSIGHT] > means["noisy"][LEARNED]
    assert (tmp_path / "chebyshev.png").stat().st_size > 10_000
    assert "Chebyshev" in stream.getvalue()


def test_schedules_over_the_bound_are_chebyshevs_alone(result: Comparison) -> None:
    found = chebyshev.measure(result, SHIPPED / "nmf.safetensors")
    assert (found.lr <= 1 + 1e-9).all()
    assert found.chebyshev.max() > 1
    assert np.isfinite(found.chebyshev).all()
