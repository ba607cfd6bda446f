"""What each family of tasks shows beyond the comparison: it prints, writes files, and returns lines of the card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from lrpilot.experiments import real, yardstick
from lrpilot.experiments.compare import Comparison

Evidence = Callable[[Comparison, Path, Path, Console], dict[str, Any]]  # result, policy file, folder, console

EVIDENCE: dict[str, Evidence] = {"nmf": real.evidence, "linear": yardstick.evidence}
