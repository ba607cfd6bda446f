"""What a report speaks of, worked out once from a league table."""

from dataclasses import dataclass

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import KINDS, League
from lrpilot.experiments.league.leaderboard import Row, by_task, champion, leaderboard, uses_to_break_even
from lrpilot.experiments.league.profiles import TAU_MAX, profiles, ratios, times_to_target
from lrpilot.experiments.league.sensitivity import HandicapCheck, handicaps
from lrpilot.experiments.league.statistics import Estimate, mean_over_tasks
from lrpilot.experiments.stats import Paired

LEVEL = 0.05  # of significance, after Holm's correction


@dataclass(frozen=True)
class Lost:
    """A task on which a learned policy is worse than a rival, the whole 95 % interval above 0.

    Attributes:
        learned: Name of the policy.
        task: Name of the task.
        rival: Name of the rival.
        excess: How much higher its final loss is, nats, with the paired interval over problems.
    """

    learned: str
    task: str
    rival: str
    excess: Estimate


@dataclass(frozen=True)
class Facts:
    """All numbers of a report.

    Attributes:
        league: The table.
        rows: The standing, best first.
        champion: The best tuned schedule.
        against: Learned policies and how they do against each other rival on each task; `hindsight` is left out.
        over_controls: By learned policy and control, the mean gain over tasks of the policy, nats.
        uses: Runs after which each learned policy has paid its meta-training.
        check: How well rivals were tuned.
        tau: Times over the best, shape (K,).
        profiles: Share of tasks on which each rival that can be had reaches the target within them, shape (K,).
    """

    league: League
    rows: tuple[Row, ...]
    champion: str
    against: dict[tuple[str, str], dict[str, Paired]]
    over_controls: dict[tuple[str, str], Estimate]
    uses: dict[str, float]
    check: HandicapCheck
    tau: Floats
    profiles: dict[str, Floats]

    @property
    def order(self) -> list[str]:
        """Return the names of all rivals, best first."""
        return [row.name for row in self.rows]

    @property
    def learned(self) -> list[Row]:
        """Return the rows of the learned policies, best first."""
        return [row for row in self.rows if row.kind == "learned"]

    @property
    def runs(self) -> int:
        """Return the scored runs of a rival, on all tasks."""
        return sum(task.problems for task in self.league.tasks)

    def lost(self, learned: str | None = None) -> list[Lost]:
        """Return where learned policies, or one of them, lose, worst first."""
        every = [
            Lost(policy, task, rival, Estimate(-gain.mean, -gain.high, -gain.low))
            for (policy, rival), gains in self.against.items()
            for task, gain in gains.items()
            if gain.high < 0 and learned in {None, policy}
        ]
        return sorted(every, key=lambda lost: -lost.excess.value)

    def pairs(self, learned: str) -> int:
        """Return how many pairs of task and rival `lost` chooses from, for one policy."""
        return sum(len(gains) for (policy, _), gains in self.against.items() if policy == learned)


def work_out(league: League) -> Facts:
    """Work out all numbers of a report.

    Args:
        league: The table, with a tuned cosine among its schedules.

    Returns:
        The numbers.
    """
    learned = [rival.name for rival in league.of_kind("learned")]
    controls = [rival.name for rival in league.of_kind("control")]
    others = [rival.name for rival in league.rivals if rival.kind not in {"learned", "hindsight"}]
    shown = [rival.name for rival in league.of_kind(*(kind for kind in KINDS if kind not in {"control", "hindsight"}))]
    tau = np.linspace(1.0, TAU_MAX, 121)
    shares = profiles(ratios(times_to_target(league, shown)), tau)
    return Facts(
        league=league,
        rows=tuple(leaderboard(league)),
        champion=champion(league),
        against={(policy, rival): by_task(league, policy, rival) for policy in learned for rival in others},
        over_controls={
            (policy, control): mean_over_tasks(league.finals(control) - league.finals(policy))
            for policy in learned
            for control in controls
        },
        uses=uses_to_break_even(league),
        check=handicaps(league),
        tau=tau,
        profiles=dict(zip(shown, shares, strict=True)),
    )
