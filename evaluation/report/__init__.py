"""A run's figures as a report for people: report.html, report.md and plots."""

from evaluation.report.markdown import methods_table
from evaluation.report.write import write_report

__all__ = ["methods_table", "write_report"]
