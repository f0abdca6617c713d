"""Whose figures a source has: its names for populations, and those that no pack can have."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureUnknown
from survey_data.importers.report import PopulationRefused


class Populations:
    """The populations of a source, found by their names in the catalogue.

    Every importer reports by this what it leaves out.
    """

    def __init__(self, catalogue: CultureCatalogue) -> None:
        self._catalogue = catalogue
        # Looking up an unknown name is slow, and the same names come again and again.
        self._found: dict[str, str | CultureUnknown] = {}
        self._n_refused: Counter[str] = Counter()

    def find(self, name: str) -> str | None:
        """Return the alpha-3 code of the culture that `name` names; None if it names none."""
        if name not in self._found:
            try:
                self._found[name] = self._catalogue.resolve(name).code
            except CultureUnknown as exc:
                self._found[name] = exc
        found = self._found[name]
        return found if isinstance(found, str) else None

    def require(self, name: str) -> str | None:
        """Return the code as `find` does; None only for a place that is known to be no culture.

        Raises:
            CultureUnknown: `name` is no such place either, so it may be a slip.
        """
        code = self.find(name)
        found = self._found[name]
        if isinstance(found, CultureUnknown) and not found.is_place:
            raise found
        return code

    def refuse(self, name: str, n: int = 1) -> None:
        """Count `n` rows or cells of `name`, which `find` found to be no culture."""
        self._n_refused[name] += n

    def refused(self, counted: Literal["rows", "cells"]) -> tuple[PopulationRefused, ...]:
        """Return what was refused, most often first; `counted` says what."""
        return tuple(
            PopulationRefused(
                name or "(blank)",
                self._reason(name),
                n_rows=n if counted == "rows" else None,
                n_cells=n if counted == "cells" else None,
            )
            for name, n in self._n_refused.most_common()
        )

    def _reason(self, name: str) -> str:
        found = self._found[name]
        assert isinstance(found, CultureUnknown)
        if found.reason:
            return found.reason
        return "not simply a country's sample" if "(" in name else "no country of the catalogue"
