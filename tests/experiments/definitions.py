"""Definitions of experiments as files."""

from __future__ import annotations

from pathlib import Path

import yaml

from experiments.definition import Experiment
from experiments.definition_file import dump_experiment


def write_experiment(experiment: Experiment, path: Path) -> None:
    """Write the definition as YAML that `read_experiment` reads, without state and revision."""
    content = dump_experiment(experiment)
    for name in ("state", "revision", "decision"):
        del content[name]
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
