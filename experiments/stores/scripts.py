"""The transactions of the event store: schema, revisions, outcomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from experiments import errors
from experiments.definition import Experiment
from experiments.definition_file import dump_experiment, parse_experiment
from experiments.events import AnswerText, Claim, Exposure, Outcome, OutcomeReceipt
from experiments.stores import schema
from experiments.stores.database import Recorded, Row, Script, Step

Storable: TypeAlias = Exposure | Claim | AnswerText | Outcome
_READ_FIELDS = {
    table: attrgetter(*(name for name, _ in columns)) for table, columns in schema.TABLES.items()
}


class StoredRevision(NamedTuple):
    """A revision and when it was stored, in milliseconds since 1970 (UTC)."""

    experiment: Experiment
    time_ms: int

    @classmethod
    def of_row(cls, row: Row) -> StoredRevision:
        """Return the revision of a row: its definition as JSON, and the time."""
        definition, time_ms = row
        return cls(parse_experiment(json.loads(definition), "store"), time_ms)


class Forgotten(NamedTuple):
    """How many rows were deleted."""

    n_exposures: int = 0
    n_outcomes: int = 0
    n_texts: int = 0
    n_assignments: int = 0


class AnsweredIn(NamedTuple):
    """An experiment that an answer was recorded in.

    Attributes:
        experiment: its name, empty for an answer outside of all.
        overridden: whether a tester chose the arm.
        unit_since_ms: when the unit was first answered there by an arm that no tester chose, in
            milliseconds since 1970 (UTC); the time of this answer if it never was.
    """

    experiment: str
    overridden: bool
    unit_since_ms: int


def to_row(item: Storable, table: str) -> tuple[Any, ...]:
    """Return the row of an item in a table, in the order of its columns."""
    return tuple(map(_to_cell, _READ_FIELDS[table](item)))


def _to_cell(value: Any) -> Any:
    """Return a field's value as both databases take it."""
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value) if isinstance(value, tuple) else value


def encode_text(text: AnswerText) -> AnswerText:
    """Return a text with request and answer as JSON strings, which hold any character."""
    return replace(text, request=json.dumps(text.request), answer=json.dumps(text.answer))


def text_of(row: Row) -> AnswerText:
    """Return the text that `encode_text` wrote into a row."""
    answer_id, unit, culture, time_ms, consented, request, answer = row
    return AnswerText(
        answer_id, unit, culture, time_ms, bool(consented), json.loads(request), json.loads(answer)
    )


def imply_claims(batch: Sequence[Recorded]) -> list[Claim]:
    """Return the assignments that exposures imply, one per unit, sorted so that none deadlocks."""
    claims: dict[tuple[str, str], Claim] = {}
    for exposure, _ in batch:
        if exposure.arm and not exposure.overridden:
            claim = Claim(*to_row(exposure, "assignments"))
            claims.setdefault((claim.experiment, claim.unit), claim)
    return [claims[key] for key in sorted(claims)]


def migrate(place: str, *, version: int) -> Script[None]:
    """Bring the store from `version` (0 for an empty one) to the newest.

    Raises:
        StoreOutdated: it is of a newer version.
    """
    if version > schema.SCHEMA_VERSION:
        raise errors.StoreOutdated(place, found=str(version), expected=schema.SCHEMA_VERSION)
    for statements in schema.MIGRATIONS[version:]:
        for statement in statements:
            yield Step(statement)
    if version < schema.SCHEMA_VERSION:
        yield Step(schema.SET_VERSION, (schema.SCHEMA_VERSION,))


def save_revision(experiment: Experiment, time_ms: int) -> Script[None]:
    """Store a revision. Storing the same one twice stores it once.

    Raises:
        RevisionConflict: it is not the one after the latest.
    """
    rows = yield Step(
        "SELECT revision, id FROM experiments WHERE name = ?1 ORDER BY revision DESC LIMIT 1",
        (experiment.name,),
    )
    latest, latest_id = rows[0] if rows else (0, "")
    if (latest, latest_id) == (experiment.revision, experiment.id):
        return
    expected = latest + 1
    added: Sequence[Row] = ()
    if experiment.revision == expected:
        definition = json.dumps(dump_experiment(experiment))
        key = (experiment.name, experiment.revision, experiment.id)
        values = (*key, str(experiment.state), definition, time_ms)
        added = yield Step(schema.insert("experiments") + " RETURNING 1", values)
    if not added:
        raise errors.RevisionConflict(experiment.name, found=experiment.revision, expected=expected)


def attach(experiment: str, kind: str, content: str, time_ms: int) -> Script[None]:
    """Store what belongs to an experiment, replacing what was there of its kind."""
    yield Step(schema.ATTACH, (experiment, kind, content, time_ms))


def check_secret(place: str, fingerprint: str) -> Script[None]:
    """Store the fingerprint of the secret unless there is one.

    Raises:
        SecretChanged: there is another one.
    """
    yield Step(schema.insert("secrets"), (1, fingerprint))
    [[expected]] = yield Step("SELECT fingerprint FROM secrets")
    if fingerprint != expected:
        raise errors.SecretChanged(place, found=fingerprint, expected=expected)


_OUTCOME_NAMES = tuple(name for name, _ in schema.TABLES["outcomes"])
# Senders choose keys, and do not know of one another.
_BY_KEY = (
    f"SELECT {', '.join(_OUTCOME_NAMES)} FROM outcomes "  # noqa: S608  # names from the schema
    "WHERE key = ?1 AND answer_id = ?2 AND experiment = ?3 AND unit = ?4"
)


def add_outcome(outcome: Outcome) -> Script[OutcomeReceipt]:
    """Store an outcome, or return the receipt of the same one that is there.

    One that seems to come before what it is an outcome of, because a clock lags, is stored with the
    time of that. Raises what `EventStore.add_outcome` says.
    """
    key = (outcome.key, outcome.answer_id, outcome.experiment, outcome.unit)
    there = yield Step(_BY_KEY, key)
    if there:
        return _repeat_receipt(outcome, there[0])
    since_ms, until_ms = yield from _find_window(outcome)
    if outcome.time_ms > until_ms:
        raise errors.OutcomeLate(late_s=(outcome.time_ms - until_ms) / 1000.0)
    if outcome.preferred:
        known = yield Step(
            "SELECT 1 FROM exposures WHERE answer_id = ?1 LIMIT 1", (outcome.preferred,)
        )
        if not known:
            raise errors.AnswerUnknown(outcome.preferred)
    stored = replace(outcome, time_ms=max(outcome.time_ms, since_ms))
    added = yield Step(schema.insert("outcomes") + " RETURNING 1", to_row(stored, "outcomes"))
    if added:
        return OutcomeReceipt(stored.key, stored.time_ms, repeated=False)
    # Another gateway was faster with this key, or with this metric.
    there = yield Step(_BY_KEY, key)
    if there:
        return _repeat_receipt(outcome, there[0])
    raise errors.OutcomeTaken(outcome.metric, outcome.subject)


def _find_window(outcome: Outcome) -> Script[tuple[int, int]]:
    """Return when an outcome can come at the earliest, and until when it counts somewhere."""
    if outcome.answer_id:
        [[since_ms, until_ms]] = yield Step(
            "SELECT MAX(time_ms), MAX(outcome_until_ms) FROM exposures WHERE answer_id = ?1",
            (outcome.answer_id,),
        )
        if until_ms is None:
            raise errors.AnswerUnknown(outcome.answer_id)
    else:
        [[since_ms, until_ms]] = yield Step(
            "SELECT COALESCE(MIN(CASE WHEN overridden = 0 THEN time_ms END), MIN(time_ms)), "
            "MAX(outcome_until_ms) FROM exposures WHERE unit = ?1 AND experiment = ?2",
            (outcome.unit, outcome.experiment),
        )
        if until_ms is None:
            raise errors.UnitUnknown(outcome.experiment)
    return int(since_ms), int(until_ms)


def _repeat_receipt(outcome: Outcome, row: Row) -> OutcomeReceipt:
    there = dict(zip(_OUTCOME_NAMES, row, strict=True))
    for name in _OUTCOME_NAMES:
        if name != "time_ms" and getattr(outcome, name) != there[name]:
            # What is there may be of somebody else, who guessed the same key.
            raise errors.OutcomeConflict(
                outcome.key, found=f"another '{name}'", expected="the same as before"
            )
    return OutcomeReceipt(outcome.key, int(there["time_ms"]), repeated=True)
