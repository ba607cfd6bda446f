"""How to make each row of the table again."""

from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.report.content import Column, Section, Table
from lrpilot.experiments.league.report.digits import ratio


def origin(league: League) -> Section:
    """Return the section on command, commit, seed, keys of the tasks, settings and versions.

    Args:
        league: The table.

    Returns:
        The section.
    """
    words = (
        f"The command makes every row; the program was commit {league.commit}, the seed {league.seed}, the suite "
        f"{league.suite}{', small version' if league.quick else ''}. The table was finished at {league.date}.",
    )
    found = (_tasks(league), _rivals(league), _settings(league), _machine(league))
    return Section("origin", "How to make it again", "Make it again", words, tables=found, code=league.command)


def _tasks(league: League) -> Table:
    rows = tuple(
        (task.name, task.family, str(task.horizon), str(task.problems), task.unit, task.key) for task in league.tasks
    )
    columns = (
        Column("Task"),
        Column("Family", css="left"),
        Column("Steps"),
        Column("Problems"),
        Column("Unit of base LRs", css="left"),
        Column("Key", css="left quiet"),
    )
    return Table("Tasks; the key is a digest of all that their problems depend on.", columns, rows)


def _rivals(league: League) -> Table:
    rows = tuple((rival.name, rival.source, "on each task" if rival.tuned else "no") for rival in league.rivals)
    columns = (Column("Rival"), Column("Source", css="left wrap"), Column("Tuned", css="left"))
    return Table("Where rivals come from.", columns, rows, folded="Sources of all rivals")


def _settings(league: League) -> Table:
    cells = [league.cell(task.name, rival.name) for rival in league.rivals for task in league.tasks]
    rows = tuple((cell.rival, cell.task, ratio(cell.base_lr), cell.shape, str(cell.tried)) for cell in cells)
    columns = (
        Column("Rival"),
        Column("Task", css="left"),
        Column("Base LR", "task's unit"),
        Column("Other settings", css="left wrap"),
        Column("Settings tried"),
    )
    return Table("What was chosen for each rival on each task.", columns, rows, folded="Chosen settings of all rivals")


def _machine(league: League) -> Table:
    columns = (Column("Part"), Column("Version or number", css="left"))
    return Table("The machine and its versions.", columns, tuple(league.machine.items()))
