"""What can be wrong with a request before its fields are looked at."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import RequestError


class ValueRepeated(RequestError):
    """A request says the same thing more than once, so that it is not clear which one counts."""

    def __init__(self, where: str, given: Sequence[str]) -> None:
        shown = ", ".join(f"'{value[:40]}'" for value in given[:5])
        super().__init__(f"{where[:80]}: found {len(given)} values ({shown}), expected one")


class BodyDamaged(RequestError):
    """The body is not what its Content-Encoding says."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is no gzip, which Content-Encoding says it is: {why}.")


class EncodingUnsupported(RequestError):
    """The body is compressed in a way that Milieu does not read."""

    def __init__(self, found: str) -> None:
        super().__init__(f"found Content-Encoding {found[:40]!r}, expected gzip or none")


class RowInvalid(RequestError):
    """A row of a table of questions cannot be read."""

    def __init__(self, line: int, *, found: str, expected: str) -> None:
        super().__init__(f"line {line}: found {found}, expected {expected}")
        self.line = line


class CsvInvalid(RequestError):
    """A body is no table of questions, so that none of its rows can be read."""

    def __init__(self, *, found: str, expected: str) -> None:
        super().__init__(f"found {found}, expected {expected}")
        self.found, self.expected = found, expected


class ContentTypeUnsupported(RequestError):
    """A body is in a form that the route does not read."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"found content type {found[:80]}, expected {expected}")


class BatchTooLarge(RequestError):
    """A batch asks for more than the settings allow at once."""

    def __init__(self, things: str, *, found: int, limit: int, setting: str) -> None:
        super().__init__(
            f"found {found} {things}, expected at most {limit} in one batch ({setting}). Send the "
            "rest in another one."
        )
