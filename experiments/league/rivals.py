"""Who takes part in the league."""

from lrpilot.experiments.baselines import SCHEDULES
from lrpilot.experiments.league.by_rule import ByRule
from lrpilot.experiments.league.feedback import Greedy, Plateau
from lrpilot.experiments.league.learned import (
    Learned,
    Replay,
    of_family,
    training_passes,
    universal,
    untrained_universal,
)
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.rules import cdat, hypergradient, line_search, packages, polyak
from lrpilot.experiments.league.schedules import FixedSchedule, RandomSearch
from lrpilot.experiments.league.workload import Workload
from lrpilot.experiments.state_blind import kept
from lrpilot.policy import SchedulePolicy, list_policies, load_policy

FAMILIES = ("nmf", "linear", "cnn", "nlp")
SHIPPED = "shipped policy, from the losses alone"


def all_rivals() -> list[AbstractRival]:
    """Return one object for each row, learned policies first."""
    schedules = [FixedSchedule(family) for family in SCHEDULES]
    return [*learned(), *controls(), *schedules, *feedback(), *optimizers(), RandomSearch()]


def learned() -> list[AbstractRival]:
    """Return the learned policies."""
    cost = training_passes(load_policy("universal"))
    rows: list[AbstractRival] = [
        Learned("universal", SHIPPED, universal, training_passes=cost),
        Learned("universal, LR tuned", SHIPPED, universal, tuned=True, training_passes=cost),
    ]
    if set(FAMILIES) <= set(list_policies()):
        source = "shipped policies nmf, linear, cnn, nlp on their families"
        total = sum(training_passes(load_policy(family)) for family in FAMILIES)
        rows.append(Learned("family's policy", source, of_family, training_passes=total))
    return rows


def controls() -> list[AbstractRival]:
    """Return what tells how much of a policy's success is training, sight, and reaction; all beside `universal`."""
    mean = "universal's mean schedule over the problems for tuning"
    own = "the same shape at each run's mean level, known in hindsight"
    rows: list[AbstractRival] = [
        Learned("untrained policy", "universal before training", untrained_universal, kind="control"),
        Replay("mean replay", mean, universal, level=False),
        Replay("replay, own level", own, universal, level=True),
    ]
    if kept("universal").is_file():
        source = "trained like universal, sees nothing but the time and its own LR"
        rows.append(Learned("state-blind policy", source, state_blind, kind="control"))
    return rows


def state_blind(_: Workload) -> SchedulePolicy:
    """Return the blind agent of `universal`."""
    return load_policy(kept("universal"))


def feedback() -> list[AbstractRival]:
    """Return the rules that watch losses or gradients."""
    paper = "hypergradient descent, arXiv 1703.04782, multiplicative form"
    return [
        Plateau(),
        Greedy(),
        ByRule("HD, one LR", "feedback", paper, hypergradient.shapes("run")),
        ByRule("HD, per tensor", "feedback", paper, hypergradient.shapes("block")),
        ByRule("HD, per parameter", "feedback", paper, hypergradient.shapes("parameter")),
        ByRule("stochastic line search", "feedback", "arXiv 1905.09997, 2006.06835", line_search.SHAPES),
        ByRule("stochastic Polyak", "feedback", "arXiv 2002.10542", polyak.SHAPES),
        ByRule("CDAT", "feedback", "arXiv 2407.06183", cdat.SHAPES, has_base_lr=False),
    ]


def optimizers() -> list[AbstractRival]:
    """Return the optimizers that come with no schedule, from their packages."""
    return [
        ByRule("Schedule-Free", "optimizer", "schedulefree, arXiv 2405.15682", packages.SCHEDULE_FREE),
        ByRule("Prodigy", "optimizer", "prodigyopt, arXiv 2306.06101", packages.PRODIGY, has_base_lr=False),
        ByRule("D-Adaptation", "optimizer", "dadaptation, arXiv 2301.07733", packages.D_ADAPTATION, has_base_lr=False),
    ]
