"""Choose the policy that is published: python -m lrpilot.experiments.publish RUN … [KEY=VALUE …].

Runs are folders of finished ones of one recipe. Keys are those of its section `comparison`: how much is measured.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.envs.families import FAMILIES
from lrpilot.files import write_json
from lrpilot.policy import FINGERPRINTS, SHIPPED, SUFFIX, SchedulePolicy, list_policies, load_policy


def publish(folders: Sequence[Path], console: Console, overrides: Sequence[str] = ()) -> Path:
    """Compare all runs as seeds of one method, and publish the one that is best on validation.

    Args:
        folders: Folders of finished runs.
        console: Where progress and results are shown.
        overrides: "comparison.key=value", applied to the recipe of the best run for the comparison.

    Returns:
        The published file.

    Raises:
        ConfigError: An override is wrong, or of something else.
    """
    if others := [override for override in overrides if not override.startswith("comparison.")]:
        raise ConfigError(f"override {others[0]!r}: what was trained is done, only comparison.… can be set")
    runs = [Run.reopen(folder) for folder in folders]
    policies = [load_policy(run.policy) for run in runs]
    scores = [_score(run, policy) for run, policy in zip(runs, policies, strict=True)]
    best = scores.index(min(scores))
    compared = Run(folders[best], load_recipe(folders[best] / "config.yaml", overrides))
    family = FAMILIES[compared.recipe.env]
    evidence = Path("docs") / "results" / family.name
    evidence.mkdir(parents=True, exist_ok=True)
    card = {
        **policies[best].card,
        "summary": family.summary,
        "not_for": family.not_for,
        "selection": {"seeds": [run.recipe.seed for run in runs], "validation": scores, "chosen": best},
        "results": family.shown_by.for_card(compared, policies, evidence, console),
    }
    path = SHIPPED / f"{family.name}{SUFFIX}"
    SchedulePolicy(card, policies[best].layers).save(path)
    record_fingerprints()
    return path


def _score(run: Run, policy: SchedulePolicy) -> float:
    """The score on validation problems of the policy that a run exports, which need not be the newest one."""
    scores: dict[int, float] = dict(json.loads(run.progress.read_text(encoding="utf-8"))["scores"])
    return scores[policy.card["trained"]["iterations"]]


def record_fingerprints() -> None:
    """Write the fingerprints of all shipped policies, which `lrpilot inspect --verify` holds their files to."""
    write_json(FINGERPRINTS, {name: load_policy(name).fingerprint for name in list_policies()})


if __name__ == "__main__":
    given = sys.argv[1:]
    print(
        publish(
            [Path(word) for word in given if "=" not in word],
            Console(width=120),
            [word for word in given if "=" in word],
        )
    )
