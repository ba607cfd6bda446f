"""The sections of a report, in the order in which they are read."""

from collections.abc import Callable

from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.profiles import REFERENCE
from lrpilot.experiments.league.report import charts, tables, text
from lrpilot.experiments.league.report.content import Report, Section
from lrpilot.experiments.league.report.facts import Facts, work_out
from lrpilot.experiments.league.report.origin import origin


def make_report(league: League) -> Report:
    """Return the report of a league table.

    Args:
        league: The table, with a tuned cosine among its schedules.

    Returns:
        All that is shown.
    """
    facts = work_out(league)
    size = f"{len(league.rivals)} rivals on {len(league.tasks)} tasks, {facts.runs} scored problems"
    small = "; the small version, for a first look" if league.quick else ""
    return Report(
        "Learning-rate schedules, learned and other",
        f"{size}; {league.suite}, seed {league.seed}, {league.date[:10]}{small}",
        text.verdict(facts),
        (_league(facts), _tasks(facts), *_lines(facts), _profiles(facts), *_checks(facts), origin(league)),
    )


def _league(facts: Facts) -> Section:
    title = "The league table"
    return Section("league", title, "League table", tables=(tables.league_table(facts),), after=text.how_to_read(facts))


def _tasks(facts: Facts) -> Section:
    def draw(task: str) -> str:
        return charts.final_losses(facts.league, task, facts.order, facts.champion)

    note = (
        f"How much higher the final loss is than that of {facts.champion}, in nats: further left is better. Dots are "
        "means over problems, lines paired 95 % intervals; where one crosses 0 it is level. Arrows: beyond the edge."
    )
    return Section(
        "tasks",
        "Final loss on each task",
        "Tasks",
        notes=(note,),
        panels=_panels(facts, draw),
        tables=(tables.against_champion(facts), tables.final_losses(facts)),
    )


def _lines(facts: Facts) -> tuple[Section, ...]:
    drawn = charts.cast(facts.league, facts.order, facts.champion)
    league = facts.league
    who = f"Learned policies, {facts.champion} as the champion, and the best of each other kind."
    return (
        Section(
            "training",
            "Training curves",
            "Curves",
            notes=(f"{who} Mean held-out loss, log over that at the start, nats.",),
            panels=_panels(facts, lambda task: charts.training(league, task, drawn)),
        ),
        Section(
            "schedules",
            "Learning rates",
            "Learning rates",
            notes=("Median LR over problems, in the task's unit, log scale; bands hold the middle 80 % of problems.",),
            panels=_panels(facts, lambda task: charts.schedules(league, task, drawn)),
        ),
        Section(
            "sensitivity",
            "When the base LR is wrong",
            "Sensitivity",
            notes=("Mean final loss from each base LR, nats, all else as tuned. Crosses: some of these runs failed.",),
            panels=_panels(facts, lambda task: charts.sensitivity(league, task, drawn)),
        ),
    )


def _profiles(facts: Facts) -> Section:
    drawn = charts.cast(facts.league, facts.order, facts.champion)
    note = (
        f"Share of tasks on which the loss at which tuned {REFERENCE} ends is reached at a cost of at most so many "
        "times that of the quickest rival, in gradient evaluations. Higher is better; what stays low never gets there."
    )
    chart = charts.profile(facts.tau, facts.profiles, drawn)
    panels = (("All tasks", chart),)
    return Section("profiles", "Time to target", "Profiles", notes=(note,), panels=panels, wide=True)


def _checks(facts: Facts) -> tuple[Section, ...]:
    better = (tables.handicap_table(facts),) if facts.check.found else ()
    lost = tables.lost_pairs(facts)
    if facts.over_controls:
        lost = (*lost, tables.controls(facts))
    note = "Intervals are not corrected for their number: about 2.5 % of pairs that are level look lost by chance."
    return (
        Section("losses", "Where learned schedules lose", "Losses", text.losses(facts), (note,), tables=lost),
        Section("costs", "What it costs", "Costs", text.costs(facts), tables=(tables.cost_table(facts),)),
        Section("fairness", "Was everyone tuned well?", "Fairness", text.fairness(facts), tables=better),
    )


def _panels(facts: Facts, draw: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    panels = [(task.name, draw(task.name)) for task in facts.league.tasks]
    return tuple((name, svg) for name, svg in panels if svg)
