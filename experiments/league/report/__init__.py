"""The league table as one page to read: a self-contained HTML file, the same as Markdown, and in short."""

from lrpilot.experiments.league.report.brief import brief_table
from lrpilot.experiments.league.report.markdown import results_markdown
from lrpilot.experiments.league.report.page import write_report

__all__ = ["brief_table", "results_markdown", "write_report"]
