"""Each example as its user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {
    "plain_pytorch": "torch",
    "numpy_loop": "numpy",
    "huggingface_trainer": "transformers",
    "accelerate_loop": "accelerate",
    "lightning_module": "lightning",
    "ignite_engine": "ignite",
    "keras_callback": "keras",
    "nmf": "sklearn",
}


def test_every_example_is_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*NEEDS}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NEEDS))
def test_it_prints_one_line_and_lowers_the_loss(name: str, tmp_path: Path) -> None:
    if not find_spec(NEEDS[name]):
        pytest.skip(f"{NEEDS[name]} is not installed")
    words = [sys.executable, str(EXAMPLES / f"{name}.py")]
    result = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=120)
    (line,) = result.stdout.splitlines()
    numbers = re.match(r"loss (\S+) -> (\S+)", line)
    assert numbers
    assert float(numbers[2]) < 0.8 * float(numbers[1])
    assert not [*tmp_path.iterdir()]  # nothing is left behind
