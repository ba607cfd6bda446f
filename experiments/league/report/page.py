"""The report as one self-contained HTML page."""

import re
from html import escape
from importlib.resources import files
from pathlib import Path

from lrpilot.experiments.league.document import League
from lrpilot.experiments.league.report.content import Column, Report, Section, Table
from lrpilot.experiments.league.report.sections import make_report

UNIT, KEPT = re.compile(r"(?<=\d) (?=%|nats|[kMG]\b)"), "\N{NO-BREAK SPACE}"  # no line ends between number and unit


def write_report(league: League, folder: Path) -> Path:
    """Write `report.html`: verdict, tables and charts in one file that loads nothing else.

    Args:
        league: The table.
        folder: Where to; it is made if it does not exist.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(html(make_report(league)), encoding="utf-8")
    return path


def html(report: Report) -> str:
    """Return a report as an HTML document; all words are escaped."""
    style = files("lrpilot.experiments.league.report").joinpath("style.css").read_text(encoding="utf-8")
    contents = "".join(f'<a href="#{section.anchor}">{escape(section.short)}</a>' for section in report.sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title>\n<style>\n{style}</style></head>\n<body>\n<header>"
        f'<h1>{escape(report.title)}</h1><p class="meta">{escape(report.meta)}</p></header>\n'
        f'<main><section class="verdict" aria-label="Verdict">{_paragraphs(report.verdict)}</section>\n'
        f'<nav aria-label="Contents">{contents}</nav>\n'
        f"{''.join(map(_section, report.sections))}</main>\n</body></html>\n"
    )


def _section(section: Section) -> str:
    panels = "".join(f"<figure><h3>{escape(title)}</h3>{svg}</figure>" for title, svg in section.panels)
    grid = f'<div class="panels{" few" if section.wide else ""}">{panels}</div>' if panels else ""
    code = f"<pre><code>{escape(section.code)}</code></pre>" if section.code else ""
    tables = "".join(_folded(table, section.title) for table in section.tables)
    return (
        f'<section aria-labelledby="{section.anchor}"><h2 id="{section.anchor}">{escape(section.title)}</h2>'
        f"{_paragraphs(section.words)}{_paragraphs(section.notes, 'note')}{grid}{code}{tables}"
        f"{_paragraphs(section.after, 'note')}</section>\n"
    )


def _paragraphs(words: tuple[str, ...], css: str = "") -> str:
    opening = f'<p class="{css}">' if css else "<p>"
    return "".join(f"{opening}{UNIT.sub(KEPT, escape(sentence))}</p>" for sentence in words)


def _folded(table: Table, label: str) -> str:
    # A region that scrolls must be reachable by keyboard.
    drawn = f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">{_table(table)}</div>'
    return f"<details><summary>{escape(table.folded)}</summary>{drawn}</details>" if table.folded else drawn


def _table(table: Table) -> str:
    head = "".join(
        f'<th scope="col"{_css(column.css if place else "left")}>{escape(column.heading)}'
        f"{f'<small>{escape(column.unit)}</small>' if column.unit else ''}</th>"
        for place, column in enumerate(table.columns)
        if column.place != "written"
    )
    body = "".join(
        f"<tr{_css(css)}>{_row(table.columns, row)}</tr>\n"
        for row, css in zip(table.rows, table.css or ("",) * len(table.rows), strict=True)
    )
    caption = f"<caption>{escape(table.caption)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _row(columns: tuple[Column, ...], row: tuple[str, ...]) -> str:
    cells = [f'<th scope="row">{escape(row[0])}</th>']
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if column.place != "written":
            cells.append(f"<td{_css(column.css)}>{cell if column.place == 'drawn' else escape(cell)}</td>")
    return "".join(cells)


def _css(name: str) -> str:
    return f' class="{name}"' if name else ""
