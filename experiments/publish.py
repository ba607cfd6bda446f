"""Choose the policy that is published: python -m lrpilot.experiments.publish RUN … (finished runs of one recipe)."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.envs.families import FAMILIES
from lrpilot.files import write_json
from lrpilot.policy import FINGERPRINTS, SHIPPED, SUFFIX, SchedulePolicy, list_policies, load_policy


def publish(folders: Sequence[Path], console: Console) -> Path:
    """Compare all runs as seeds of one method, and publish the one that is best on validation.

    Args:
        folders: Folders of finished runs.
        console: Where progress and results are shown.

    Returns:
        The published file.
    """
    runs = [Run.reopen(folder) for folder in folders]
    policies = [load_policy(run.policy) for run in runs]
    scores = [min(score for _, score in json.loads(run.progress.read_text())["scores"]) for run in runs]
    best = scores.index(min(scores))
    family = FAMILIES[runs[best].recipe.env]
    evidence = Path("docs") / "results" / family.name
    evidence.mkdir(parents=True, exist_ok=True)
    card = {
        **policies[best].card,
        "summary": family.summary,
        "not_for": family.not_for,
        "selection": {"seeds": [run.recipe.seed for run in runs], "validation": scores, "chosen": best},
        "results": family.shown_by.for_card(runs[best], policies, evidence, console),
    }
    path = SHIPPED / f"{family.name}{SUFFIX}"
    SchedulePolicy(card, policies[best].layers).save(path)
    record_fingerprints()
    return path


def record_fingerprints() -> None:
    """Write the fingerprints of all shipped policies, which `lrpilot inspect --verify` holds their files to."""
    write_json(FINGERPRINTS, {name: load_policy(name).fingerprint for name in list_policies()})


if __name__ == "__main__":
    print(publish([Path(folder) for folder in sys.argv[1:]], Console(width=120)))
