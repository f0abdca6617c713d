"""What several commands on experiments take."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Experiment name.")]
