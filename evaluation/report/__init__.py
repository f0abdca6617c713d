"""A run's figures as a report for people: report.html, report.md and plots."""
