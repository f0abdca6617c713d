"""Tables of the event store and the statements on them, in SQL that both databases read.

Parameters are written `?1`, `?2`; booleans are 0 and 1. PostgreSQL gets `$1` and, so that both
sort text by its bytes, the collation "C".
"""

from __future__ import annotations

import re
from typing import Final

SCHEMA_VERSION: Final = 3

Columns = tuple[tuple[str, str], ...]


def _read_columns(declaration: str) -> Columns:
    """Return the name and type of each column of a declaration, in their order."""
    columns = (column.strip().partition(" ") for column in declaration.split(","))
    return tuple((name, kind) for name, _, kind in columns)


TABLES: Final[dict[str, Columns]] = {
    "exposures": _read_columns("""
        answer_id TEXT, experiment TEXT, revision BIGINT, arm TEXT, arm_id TEXT,
        unit TEXT, unit_kind TEXT, culture TEXT, time_ms BIGINT, outcome_until_ms BIGINT,
        method TEXT, model TEXT, steered SMALLINT, overridden SMALLINT, settled SMALLINT,
        fallbacks TEXT, adapter TEXT, readable SMALLINT, refused SMALLINT,
        label_mass DOUBLE PRECISION, alignment DOUBLE PRECISION, latency_ms DOUBLE PRECISION,
        n_prompt_tokens BIGINT, n_reply_tokens BIGINT, failed SMALLINT,
        source TEXT, best_source TEXT, model_asked SMALLINT, question_key TEXT,
        similarity DOUBLE PRECISION
    """),
    "assignments": _read_columns(
        "experiment TEXT, unit TEXT, unit_kind TEXT, arm TEXT, revision BIGINT, time_ms BIGINT"
    ),
    "outcomes": _read_columns("""
        key TEXT, metric TEXT, kind TEXT, number DOUBLE PRECISION, answer_id TEXT,
        experiment TEXT, unit TEXT, preferred TEXT, comment TEXT, time_ms BIGINT
    """),
    "texts": _read_columns("""
        answer_id TEXT, unit TEXT, culture TEXT, time_ms BIGINT, consented SMALLINT,
        request TEXT, answer TEXT
    """),
    "experiments": _read_columns(
        "name TEXT, revision BIGINT, id TEXT, state TEXT, definition TEXT, time_ms BIGINT"
    ),
    "attachments": _read_columns("experiment TEXT, kind TEXT, content TEXT, time_ms BIGINT"),
    # One row, whose key says so.
    "secrets": _read_columns("place SMALLINT, fingerprint TEXT"),
}
# One of them orders a table for the export; what is unique is what a retry cannot write twice.
UNIQUE: Final[dict[str, str]] = {
    "exposures": "answer_id, experiment",
    "assignments": "experiment, unit",
    "outcomes": "key, answer_id, experiment, unit",
    "texts": "answer_id",
    "experiments": "name, revision",
    "attachments": "experiment, kind",
    "secrets": "place",
}
_MAY_BE_NULL = {"refused", "label_mass", "alignment", "number", "model_asked", "similarity"}
# Columns of exposures that came with a version.
_OF_2 = ("failed",)
_OF_3 = ("source", "best_source", "model_asked", "question_key", "similarity")


def _create(table: str, *, without: tuple[str, ...] = (), key: str = "") -> str:
    """Return the statement that makes a table, without later columns or with an earlier key."""
    columns = ", ".join(
        f"{name} {kind}" + ("" if name in _MAY_BE_NULL else " NOT NULL")
        for name, kind in TABLES[table]
        if name not in without
    )
    return f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({key or UNIQUE[table]}))"


def _names(table: str) -> str:
    return ", ".join(name for name, _ in TABLES[table])


_OUTCOMES_ONCE = (
    "CREATE UNIQUE INDEX outcomes_once ON outcomes (answer_id, experiment, unit, metric)"
)


# What brings a store from one version to the next. The first one makes a new store.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE schema_version (version BIGINT NOT NULL)",
        "INSERT INTO schema_version (version) VALUES (0)",
        _create("exposures", without=_OF_2 + _OF_3),
        _create("assignments"),
        _create("outcomes", key="key"),
        *map(_create, ("texts", "experiments")),
        "CREATE INDEX exposures_in_order ON exposures (experiment, time_ms, answer_id)",
        "CREATE INDEX exposures_of_unit ON exposures (unit)",
        "CREATE INDEX assignments_of_unit ON assignments (unit)",
        "CREATE INDEX texts_of_unit ON texts (unit)",
        _OUTCOMES_ONCE,
    ),
    (
        *map(_create, ("attachments", "secrets")),
        "CREATE TABLE counters (name TEXT NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (name))",
        "ALTER TABLE exposures ADD COLUMN failed SMALLINT NOT NULL DEFAULT 0",
        "CREATE INDEX exposures_by_time ON exposures (time_ms)",
        "CREATE INDEX texts_by_time ON texts (time_ms)",
        # The first answer of a unit in an experiment, however many it had.
        "DROP INDEX exposures_of_unit",
        "CREATE INDEX exposures_of_unit ON exposures (unit, experiment, overridden, time_ms)",
        # SQLite cannot change the key of a table that is there.
        "ALTER TABLE outcomes RENAME TO outcomes_before",
        _create("outcomes"),
        f"INSERT INTO outcomes ({_names('outcomes')}) "  # noqa: S608  # names from above
        f"SELECT {_names('outcomes')} FROM outcomes_before",
        "DROP TABLE outcomes_before",
        _OUTCOMES_ONCE,
        "CREATE INDEX outcomes_in_order ON outcomes (time_ms, metric)",
    ),
    (
        "ALTER TABLE exposures ADD COLUMN source TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE exposures ADD COLUMN best_source TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE exposures ADD COLUMN model_asked SMALLINT",
        "ALTER TABLE exposures ADD COLUMN question_key TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE exposures ADD COLUMN similarity DOUBLE PRECISION",
    ),
)
SET_VERSION: Final = "UPDATE schema_version SET version = ?1"


def insert(table: str) -> str:
    """Return the statement that adds a row unless one of its key is there."""
    values = ", ".join(f"?{place}" for place in range(1, len(TABLES[table]) + 1))
    # Names come from the tables above.
    return (
        f"INSERT INTO {table} ({_names(table)}) VALUES ({values}) "  # noqa: S608
        "ON CONFLICT DO NOTHING"
    )


ATTACH: Final = (
    insert("attachments").removesuffix("DO NOTHING")
    + "(experiment, kind) DO UPDATE SET content = excluded.content, time_ms = excluded.time_ms"
)

REVISIONS: Final = "SELECT definition, time_ms FROM experiments WHERE name = ?1 ORDER BY revision"
# The oldest experiment first.
LATEST_REVISIONS: Final = (
    "SELECT x.definition, x.time_ms FROM experiments x JOIN (SELECT name, MAX(revision) AS "
    "revision, MIN(time_ms) AS created_ms FROM experiments GROUP BY name) m "
    "ON x.name = m.name AND x.revision = m.revision ORDER BY m.created_ms, x.name"
)
ATTACHED: Final = "SELECT kind, content FROM attachments WHERE experiment = ?1 ORDER BY kind"

# What every gateway follows, in one look: the latest revision of each running experiment, by the
# time of its first running one, and the count of what was forgotten.
FOLLOWED: Final = (
    "SELECT x.definition, NULL AS n_forgotten, m.started_ms, x.name "
    "FROM experiments x JOIN (SELECT name, MAX(revision) AS revision, "
    "MIN(CASE WHEN state = ?1 THEN time_ms END) AS started_ms FROM experiments GROUP BY name) m "
    "ON x.name = m.name AND x.revision = m.revision WHERE x.state = ?1 "
    "UNION ALL SELECT NULL, value, NULL, NULL FROM counters WHERE name = 'forgotten' ORDER BY 3, 4"
)
# Raised whenever a unit is forgotten, so that gateways forget what they remember of it.
COUNT_FORGOTTEN: Final = (
    "INSERT INTO counters (name, value) VALUES ('forgotten', 1) "
    "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
)
# Of units that come again, those that were assigned last first.
REMEMBERED: Final = (
    "SELECT unit, arm FROM assignments WHERE experiment = ?1 AND unit_kind <> 'request' "
    "ORDER BY time_ms DESC, unit LIMIT ?2"
)
ANSWERED_IN: Final = (
    "SELECT e.experiment, e.overridden, COALESCE((SELECT MIN(f.time_ms) FROM exposures f WHERE "
    "f.unit = e.unit AND f.experiment = e.experiment AND f.overridden = 0), e.time_ms) "
    "FROM exposures e WHERE e.answer_id = ?1 ORDER BY e.experiment"
)
METRICS_SENT: Final = (
    "SELECT metric, COUNT(*) FROM outcomes WHERE time_ms >= ?1 GROUP BY metric ORDER BY metric"
)
KINDS_SENT: Final = (
    "SELECT DISTINCT kind FROM outcomes WHERE metric = ?1 AND time_ms >= ?2 ORDER BY kind"
)

# The assignment that an exposure implies, unless there is one.
FIND_ARM: Final = "SELECT arm FROM assignments WHERE experiment = ?1 AND unit = ?2"


def _of_answer(value: str) -> str:
    """Return a value that only an answer has, and no request that failed."""
    return f"CASE WHEN e.failed = 0 THEN {value} END"


# Where the value of a metric that Milieu records stands in a row.
RECORDED: Final[dict[str, str]] = {
    "latency_ms": _of_answer("e.latency_ms"),
    "n_prompt_tokens": _of_answer("e.n_prompt_tokens"),
    "n_reply_tokens": _of_answer("e.n_reply_tokens"),
    "refused": _of_answer("e.refused"),
    "unreadable": _of_answer("1 - e.readable"),
    "label_mass": _of_answer("e.label_mass"),
    "alignment": _of_answer("e.alignment"),
    "fell_back": _of_answer("CASE WHEN e.fallbacks = '[]' THEN 0 ELSE 1 END"),
    "failed": "e.failed",
}
# Every answer of an experiment with what Milieu recorded; ?1 the experiment.
ANSWERS: Final = (
    "SELECT e.unit, e.unit_kind, "  # noqa: S608  # names from above
    "CASE WHEN e.overridden = 1 THEN e.arm ELSE COALESCE(a.arm, e.arm) END AS arm, "
    "e.arm AS answered_arm, e.culture, e.model, COALESCE(a.revision, e.revision) AS revision, "
    f"e.time_ms, e.overridden, e.steered, {', '.join(RECORDED.values())}, "
    f"{_of_answer('e.source')}, {_of_answer('e.best_source')}, {_of_answer('e.model_asked')} "
    "FROM exposures e LEFT JOIN assignments a ON a.experiment = e.experiment AND a.unit = e.unit "
    "WHERE e.experiment = ?1 ORDER BY e.time_ms, e.answer_id"
)

# Every outcome that counts in an experiment, of its answers and of its units; ?1 the experiment.
OUTCOME_VALUES: Final = (
    "SELECT 0 AS of_unit, e.time_ms AS place, e.answer_id AS id, o.metric, e.unit, o.time_ms, "
    "o.number FROM exposures e JOIN outcomes o ON o.answer_id = e.answer_id "
    "AND o.experiment = '' AND o.unit = '' AND o.time_ms <= e.outcome_until_ms "
    "WHERE e.experiment = ?1 AND e.overridden = 0 AND o.number IS NOT NULL "
    "UNION ALL SELECT 1, o.time_ms, o.unit, o.metric, o.unit, o.time_ms, o.number FROM outcomes o "
    "WHERE o.answer_id = '' AND o.experiment = ?1 AND o.number IS NOT NULL "
    "ORDER BY of_unit, place, id, metric"
)


def all_rows(table: str) -> str:
    """Return the query of a whole table, in the order of its key."""
    # Names come from the tables above.
    return f"SELECT {_names(table)} FROM {table} ORDER BY {UNIQUE[table]}"  # noqa: S608


def for_postgres(statement: str) -> str:
    """Return `statement` with the parameters and types of PostgreSQL."""
    numbered = re.sub(r"\?(\d+)", r"$\1", statement)
    if numbered.startswith(("CREATE TABLE", "ALTER TABLE")):
        numbered = re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', numbered)
    return numbered
