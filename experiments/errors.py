"""Errors of `experiments`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ExperimentError(Exception):
    """Root of every error that `experiments` raises on purpose."""


class DefinitionInvalid(ExperimentError):
    """The definition of an experiment breaks the format; names place, field and what was found."""

    def __init__(self, place: str, *, field: str, found: str, expected: str) -> None:
        super().__init__(f"{place}, field '{field}': found {found}, expected {expected}.")
        self.field = field
        self.found = found
        self.expected = expected


class ExperimentUnknown(ExperimentError):
    """No experiment has the given name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        there = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"No experiment is named '{name}'; there are: {there}. Name one of them, or create it "
            "first."
        )
        self.name = name


class ChangeRefused(ExperimentError):
    """A change would make what was measured before and after it incomparable."""

    def __init__(self, name: str, *, field: str, state: str, expected: str) -> None:
        super().__init__(
            f"Experiment '{name}' is {state}: found a change of '{field}', expected {expected}. "
            "For anything else, stop it and start another experiment under another name."
        )
        self.field = field


class TransitionRefused(ExperimentError):
    """An experiment cannot go from its state to the wanted one."""

    def __init__(self, name: str, *, state: str, wanted: str, allowed: Sequence[str]) -> None:
        what = f"Experiment '{name}' is {state}"
        if state == wanted:
            text = f"{what} already."
        elif not allowed:
            text = f"{what}: found a request for '{wanted}', expected none: this is its last state."
        else:
            text = f"{what}: found a request for '{wanted}', expected {' or '.join(allowed)} next."
        super().__init__(f"{text} One that has ended is run again under another name.")


class RevisionConflict(ExperimentError):
    """Somebody else changed the experiment first."""

    def __init__(self, name: str, *, found: int, expected: int) -> None:
        super().__init__(
            f"Experiment '{name}': found revision {found}, expected {expected}, the one after "
            "the latest. Read it again and repeat the change."
        )


class LayerOverlap(ExperimentError):
    """Two running experiments want the same units of one layer."""

    def __init__(self, layer: str, first: str, second: str, *, ranges: str) -> None:
        super().__init__(
            f"Layer '{layer}': found '{first}' and '{second}' in overlapping ranges ({ranges}), "
            "expected ranges apart. Give one of them other buckets, or stop the other one first."
        )


class HoldOutDiffers(ExperimentError):
    """Two experiments that are to leave the same units alone would leave different ones alone."""

    def __init__(self, name: str, *, found: float, expected: float, of: str) -> None:
        super().__init__(
            f"Experiment '{name}': found a hold-out of {found:g}, expected {expected:g} as in "
            f"'{of}', which runs with the same salt. Take that share, or give 'hold_out' a 'salt' "
            "of its own."
        )


class ArmUnknown(ExperimentError):
    """An experiment has no arm of the given name."""

    def __init__(self, experiment: str, arm: str, known: Sequence[str]) -> None:
        super().__init__(
            f"Experiment '{experiment}': found arm '{arm}', expected one of: {', '.join(known)}."
        )


class OverrideRefused(ExperimentError):
    """A unit asks for an arm by name and is not a tester of the experiment."""

    def __init__(self, experiment: str) -> None:
        super().__init__(
            f"Experiment '{experiment}': found an override by a unit that is not a tester, "
            "expected one of its 'testers'. Leave the override out, or add the unit to the list."
        )


class UnitInvalid(ExperimentError):
    """What should say who was answered is empty, too long or not text."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"Unit: found {found}, expected {expected}.")


class SecretTooShort(ExperimentError):
    """The secret that units are hashed with could be guessed."""

    def __init__(self, n_bytes: int, *, expected: int) -> None:
        super().__init__(
            f"Secret for units: found {n_bytes} bytes, expected {expected} or more. Make one from "
            "a random source and keep it: with another one every unit counts as a new one."
        )


class MetricUnknown(ExperimentError):
    """An experiment has no metric of the given name that outcomes may carry."""

    def __init__(self, experiment: str, metric: str, known: Sequence[str]) -> None:
        there = ", ".join(known) or "none, all of its metrics are recorded by Milieu itself"
        super().__init__(
            f"Experiment '{experiment}': found metric '{metric}', expected one of: {there}."
        )


class OutcomeInvalid(ExperimentError):
    """An outcome's value, key or comment is not what its metric takes."""

    def __init__(self, field: str, *, found: str, expected: str) -> None:
        super().__init__(f"Outcome, field '{field}': found {found}, expected {expected}.")


class AnswerUnknown(ExperimentError):
    """An outcome names an answer that is not recorded: never, not yet, or no longer."""

    def __init__(self, answer_id: str) -> None:
        super().__init__(
            f"No answer '{answer_id[:80]}' is recorded; expected the id that came with an answer. "
            "One that was recorded late is known within seconds: send the outcome again then."
        )


class UnitUnknown(ExperimentError):
    """An outcome names a unit that an experiment never answered."""

    def __init__(self, experiment: str) -> None:
        super().__init__(
            f"Experiment '{experiment}' has no answer to this unit; expected one that it answered. "
            "Check that kind and name of the unit are those of its requests."
        )


class OutcomeConflict(ExperimentError):
    """An idempotency key is used again, with another outcome."""

    def __init__(self, key: str, *, found: str, expected: str) -> None:
        super().__init__(
            f"Key '{key[:80]}': found {found}, expected {expected}. The first outcome of a metric "
            "stands, since it may have been looked at; send another metric for another thing."
        )


class OutcomeTaken(ExperimentError):
    """The answer or unit has an outcome for this metric already, under another key."""

    def __init__(self, metric: str, subject: str) -> None:
        super().__init__(
            f"Metric '{metric}': found a second outcome for {subject}, expected one. The first one "
            "stands; repeat its key to get its receipt again."
        )


class OutcomeLate(ExperimentError):
    """An outcome comes after the window of every experiment that the answer was in."""

    def __init__(self, *, late_s: float) -> None:
        super().__init__(
            f"Outcome: found one {late_s:.0f} s after its window, expected it within. It is not "
            "counted; a longer 'outcome_window_s' helps the next experiment."
        )


class StoreUnavailable(ExperimentError):
    """The store of events cannot be reached, is locked or does not answer in time."""

    retry_after_s = 1.0

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"Store {place}: found {reason}, expected an answer. Try again; if it lasts, see that "
            "the database runs and its disk has room."
        )
        self.reason = reason


class StoreRefused(ExperimentError):
    """The store answers, and will not take this: repeating it would not help."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"Store {place}: found {reason}, expected a row that it takes. See the log of the "
            "database."
        )
        self.reason = reason


class StoreOutdated(ExperimentError):
    """The store was written by a newer Milieu, or by something else."""

    def __init__(self, place: str, *, found: str, expected: int) -> None:
        super().__init__(
            f"Store {place}: found schema version {found}, expected {expected} or older. Use the "
            "Milieu that wrote it, or another store."
        )


class DriverMissing(ExperimentError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, *, needed_for: str, extra: str) -> None:
        super().__init__(
            f"{needed_for}: found no package '{package}', expected it to be installed. "
            f"Install the extra: pip install 'milieu[{extra}]'."
        )


class ExportRefused(ExperimentError):
    """An export would mix with files that are there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder}: found files, expected an empty folder or none. Name another folder."
        )


class SecretChanged(ExperimentError):
    """Units would be hashed with another secret than those that are in the store."""

    def __init__(self, place: str, *, found: str, expected: str) -> None:
        super().__init__(
            f"Store {place}: found the secret of fingerprint {found}, expected {expected}, that of "
            "the units in it. Use that secret, or another store: with a new secret every unit "
            "counts as a new one."
        )


class MetricNotSent(ExperimentError):
    """An experiment is to start on a metric that no outcome ever carried."""

    def __init__(self, name: str, metric: str, sent: Sequence[str], *, near: str = "") -> None:
        there = ", ".join(sent) or "none"
        meant = f" Did you mean '{near}'?" if near else ""
        super().__init__(
            f"Experiment '{name}': found no outcome of metric '{metric}' so far, expected at least "
            f"one; sent are: {there}.{meant} Send one, correct the name, or allow unsent metrics "
            "(--allow-unsent, or 'allow_unsent' in the body)."
        )


class MetricMisfit(ExperimentError):
    """An experiment is to start on a metric whose outcomes are sent in a form that can't count."""

    def __init__(self, name: str, metric: str, sent: Sequence[str], *, expected: str) -> None:
        found = " and ".join(f"a {kind}" for kind in sent)
        super().__init__(
            f"Experiment '{name}': found outcomes of metric '{metric}' sent as {found}, expected "
            f"{expected}; they would be refused once it runs. Send it so, give the metric another "
            "kind, or allow unsent metrics (--allow-unsent, or 'allow_unsent' in the body)."
        )


class ExperimentsOff(ExperimentError):
    """Experiments are requested, but none are kept."""

    def __init__(self) -> None:
        super().__init__(
            "Experiments are off here (MILIEU_EXPERIMENTS__STORE=none): found a call that needs "
            "their store, expected none. Set MILIEU_EXPERIMENTS__STORE to a database, or leave it "
            "out for a SQLite file."
        )


class ArmConflict(ExperimentError):
    """A request names an arm of an experiment, and also how to answer it."""

    def __init__(self, arm: str, field: str) -> None:
        super().__init__(
            f"Request: found the arm '{arm}' of an experiment together with '{field}', expected "
            "one of them: the arm says how to answer. Leave one out."
        )


class ExperimentTaken(ExperimentError):
    """A new experiment has the name of an existing one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Experiment '{name}': found one of this name, expected none. Choose another name, or "
            "revise the one that is there."
        )
