"""The report as Markdown: the same sentences and tables; charts are on the page only."""

import re

from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.report.content import Report, Section, Table
from lrpilot.experiments.league.report.sections import make_report

SPECIAL = re.compile(r"([\\`*_<>|\[\]#])")


def results_markdown(league: League) -> str:
    """Return the report as Markdown.

    Args:
        league: The table.

    Returns:
        The text, for `docs/results.md`.
    """
    return markdown(make_report(league))


def markdown(report: Report) -> str:
    r"""Return a report as Markdown; all words are escaped.

    Example:
        >>> print(markdown(Report("Title", "meta", ("A|B.",), ())))
        # Title
        <BLANKLINE>
        meta
        <BLANKLINE>
        **A\|B.**
        <BLANKLINE>
    """
    first, *more = report.verdict
    blocks = [f"# {plain(report.title)}", plain(report.meta), f"**{plain(first)}**", *map(plain, more)]
    return "\n\n".join([*blocks, *map(_section, report.sections)]) + "\n"


def plain(words: str) -> str:
    r"""Return words with what Markdown would read as markup escaped.

    Example:
        >>> print(plain("a_b <0.5>"))
        a\_b \<0.5\>
    """
    return SPECIAL.sub(r"\\\1", words)


def _section(section: Section) -> str:
    blocks = [f"## {plain(section.title)}", *map(plain, section.words + section.notes)]
    if section.panels and not section.tables:
        blocks.append("Drawn in `report.html`.")
    if section.code:
        blocks.append(f"```bash\n{section.code}\n```")
    return "\n\n".join([*blocks, *map(_table, section.tables), *map(plain, section.after)])


def _table(table: Table) -> str:
    kept = [index for index, column in enumerate(table.columns) if column.place != "drawn"]
    columns = [table.columns[index] for index in kept]
    headings = [plain(f"{column.heading}, {column.unit}" if column.unit else column.heading) for column in columns]
    rules = [":--" if "left" in column.css or not place else "--:" for place, column in enumerate(columns)]
    rows = [[plain(row[index]) for index in kept] for row in table.rows]
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows)]
    return f"{plain(table.caption)}\n\n" + "\n".join(lines)
