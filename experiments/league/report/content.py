"""What a report is made of: sections with sentences, panels and tables, which HTML and Markdown are made from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: What it holds.
        unit: Of its numbers.
        css: "left" for words, "left wrap" for many, "quiet" for what is read second; numbers go right.
        place: "drawn" for cells of SVG, only on the page; "written" for text that only Markdown shows.
    """

    heading: str
    unit: str = ""
    css: str = ""
    place: Literal["both", "drawn", "written"] = "both"


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its name.

    Attributes:
        caption: What it shows.
        columns: Its columns.
        rows: As many cells each.
        css: Class of each row; none by default.
        folded: Title of a fold that hides it on the page at first; empty for none.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    css: tuple[str, ...] = ()
    folded: str = ""


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        anchor: Its id on the page.
        title: Its heading.
        short: Its name in the list of contents.
        words: Paragraphs, plain text.
        notes: Paragraphs that say how to read it, plain text.
        panels: Title and SVG of each chart.
        tables: Its tables.
        after: Paragraphs below the tables that say how to read them, plain text.
        code: A command.
        wide: Whether its panels are wide.
    """

    anchor: str
    title: str
    short: str
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    panels: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    after: tuple[str, ...] = ()
    code: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        title: Its heading.
        meta: A line on what was compared, and when.
        verdict: Sentences.
        sections: In order.
    """

    title: str
    meta: str
    verdict: tuple[str, ...]
    sections: tuple[Section, ...]
