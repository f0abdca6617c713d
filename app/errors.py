"""Errors of `app`. Every one says what was found, what is expected and what to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path


class AppError(Exception):
    """Root of every error that `app` raises on purpose."""


class UpstreamError(AppError):
    """Root of what goes wrong between Milieu and vLLM."""


class UpstreamUnavailable(UpstreamError):
    """No vLLM server gives an answer: none can be reached, or the one that was asked failed."""

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(
            f"No vLLM server answered: {reason}. Try again in {retry_after_s:.0f} s; if it "
            "persists, see whether vLLM runs at the configured address."
        )
        self.retry_after_s = retry_after_s


class UpstreamBusy(UpstreamError):
    """The queue is full, Milieu's own or vLLM's."""

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(f"Too much to do: {reason}. Try again in {retry_after_s:.0f} s.")
        self.retry_after_s = retry_after_s


class UpstreamTimeout(UpstreamError):
    """vLLM took longer than the request may take."""

    def __init__(self, waited_for: str, *, limit_s: float) -> None:
        super().__init__(
            f"vLLM did not send {waited_for} within {limit_s:g} s. Ask for fewer tokens, or "
            "raise the time limit in the settings."
        )
        self.limit_s = limit_s


class UpstreamRejected(UpstreamError):
    """vLLM refused the request for what the client asked, such as too long a prompt."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(f"vLLM refused the request ({status}): {message}")
        self.status = status
        self.message = message


class UpstreamModelMissing(UpstreamError):
    """vLLM does not serve the model that was asked for."""

    def __init__(self, model: str, message: str) -> None:
        super().__init__(
            f"vLLM does not serve '{model}': {message} Name a model that it serves, or load it."
        )
        self.model = model


class UpstreamInvalid(UpstreamError):
    """vLLM's reply is not what its API promises; is the address that of a vLLM server?"""

    def __init__(self, found: str, *, expected: str) -> None:
        super().__init__(
            f"vLLM sent an unexpected reply: found {found}, expected {expected}. Check that the "
            "configured address and key are those of a vLLM server."
        )
        self.found = found
        self.expected = expected


class VllmStartFailed(AppError):
    """The vLLM child ended, or was not ready in time, at its first start."""

    def __init__(self, reason: str, *, log_lines: Sequence[str], log_file: str) -> None:
        last = "\n".join(f"  {line}" for line in log_lines)
        super().__init__(
            f"vLLM did not start: {reason}. The last lines of {log_file} are:\n{last or '  (none)'}"
        )
        self.reason = reason
        self.log_lines = tuple(log_lines)
        self.log_file = log_file


class SettingsInvalid(AppError):
    """An environment variable is unknown or has a value that does not fit."""


class RequestError(AppError):
    """Root of what the client can mend."""


class CultureMissing(RequestError):
    """The request does not say who should answer."""

    def __init__(self) -> None:
        super().__init__(
            "No culture was given. Add ?culture=XX (code, name or language tag), or 'culture' in "
            "the body; GET /v1/cultures lists the covered ones."
        )


class CultureConflict(RequestError):
    """The request names different cultures in different places."""

    def __init__(self, named: Sequence[str]) -> None:
        super().__init__(f"The request names {' and '.join(named)} as culture; name one.")


class SourceUnavailable(RequestError):
    """An answer was asked for from a source that does not have one."""

    def __init__(self, source: str, because: str, *, available: Sequence[str]) -> None:
        others = ", ".join(available)
        super().__init__(
            f"There is no answer from '{source}': {because}. For this question there is: {others}."
        )
        self.source, self.available = source, tuple(available)


class MethodConflict(RequestError):
    """A method that needs an adapter was asked for without one."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"Method '{method}' and adapter 'none' exclude each other; expected an adapter, 'auto' "
            "for the one that is active, or another method."
        )


class CultureNotShown(RequestError):
    """Nothing makes the model speak for the culture, and it is set that it must not do without."""

    def __init__(self, culture: str, reasons: Sequence[str]) -> None:
        super().__init__(
            f"This cannot be answered for {culture}: {'; '.join(reasons)}. The service is set to "
            "refuse rather than answer as nobody in particular (MILIEU_ANSWER__LAST_RUNG)."
        )
        self.culture = culture


class QuestionUnknown(RequestError):
    """No loaded pack has a question with the given key."""

    def __init__(self, key: str, nearest: Sequence[str]) -> None:
        hint = f" Did you mean {', '.join(nearest)}?" if nearest else ""
        super().__init__(
            f"'{key[:80]}' is no key of a question; expected one such as wvs7:Q6, which "
            f"GET /v1/questions lists.{hint}"
        )
        self.key = key


class FilterUnknown(RequestError):
    """Questions are to be of a pack or on a topic that there is not."""

    def __init__(self, name: str, found: str, known: Collection[str]) -> None:
        super().__init__(
            f"{name}: found '{found[:80]}', expected one of {', '.join(sorted(known))}"
        )


class AnswerNotKept(RequestError):
    """There is no recent answer of this id, or somebody else was given it."""

    def __init__(self, answer_id: str, max_answers: int) -> None:
        super().__init__(
            f"No recent answer '{answer_id[:80]}' was given to this key. The last {max_answers} "
            "answers are kept, in memory (MILIEU_ANSWER__N_RECENT), each for the key that asked."
        )


class ModelUnknown(RequestError):
    """The request names a model that Milieu does not serve."""

    def __init__(self, model: str, known: str) -> None:
        super().__init__(
            f"No model '{model[:80]}'. The model is '{known}', or '{known}@XX' for a culture; "
            "GET /v1/models lists them."
        )


class FieldUnsupported(RequestError):
    """A chat request asks for what Milieu does not do, or has a field that nobody knows."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"'{field[:80]}' is not supported: {why}")
        self.field = field


class ContextTooSmall(RequestError):
    """The prompt, without any exemplar, and the reply do not fit into the model's context."""

    def __init__(self, n_tokens: int, *, n_context: int, n_reply: int) -> None:
        super().__init__(
            f"The prompt has {n_tokens} tokens without evidence, but the model reads {n_context}, "
            f"and {n_reply} of them are kept for the reply. Shorten the prompt, or ask for a "
            "shorter reply (max_tokens)."
        )
        self.field = "messages"


class BodyTooLarge(RequestError):
    """The request body is larger than any that can be meant seriously."""

    def __init__(self, found: int, limit: int, *, setting: str = "") -> None:
        by = f", which {setting} allows" if setting else ""
        super().__init__(f"The body has more than {limit} bytes{by} ({found} were read).")


class KeyRefused(RequestError):
    """The request carries no key, or one that is not known."""

    def __init__(self, kind: str = "a key") -> None:
        super().__init__(f"Send {kind} as 'Authorization: Bearer …' or 'X-API-Key: …'.")


class AdminKeyRefused(RequestError):
    """The key of the request is known, but not as an admin's."""

    def __init__(self) -> None:
        super().__init__(
            "This key is not an admin's; expected one of MILIEU_ADMIN_KEYS, or the one in the file "
            "'admin-key' of the service's data folder."
        )


class LimitExceeded(RequestError):
    """A key has asked for more than it may."""


class RateExceeded(LimitExceeded):
    """A key made as many requests as it may in a time."""

    def __init__(self, *, allowed: int, found: int, window_s: int, retry_after_s: float) -> None:
        super().__init__(
            f"Too many requests with this key: {found} in the last {window_s} s, allowed are "
            f"{allowed} (MILIEU_LIMITS__RATE). Try again in {max(1, math.ceil(retry_after_s))} s."
        )
        self.retry_after_s = retry_after_s


class ConcurrencyExceeded(LimitExceeded):
    """A key has as many requests under way as it may."""

    retry_after_s = 1.0

    def __init__(self, *, allowed: int, found: int) -> None:
        super().__init__(
            f"Too many requests at once with this key: {found} are under way, allowed are "
            f"{allowed} (MILIEU_LIMITS__CONCURRENCY). Try again when one of them has ended."
        )


class CulturesMissing(RequestError):
    """An adapter that serves any culture was to be activated for none in particular."""

    def __init__(self, adapter: str) -> None:
        super().__init__(
            f"{adapter} serves any culture; name those that it is to be active for: 'cultures' in "
            "the body, --culture on the command line."
        )


class AddressTaken(AppError):
    """The service cannot listen where it should."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"Cannot listen on {host}:{port}: {reason}. Stop what listens there, or choose "
            "another port with --port or MILIEU_PORT."
        )


class WorkerFailed(AppError):
    """A worker of the service did not start; the message is what it said itself."""


class OptionInvalid(AppError):
    """A command-line option has a value that does not fit."""

    def __init__(self, option: str, found: str, expected: str) -> None:
        super().__init__(f"{option}: found {found}, expected {expected}")


class FileRefused(AppError):
    """A file that a command was given is not what it takes it for, or is in use."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        super().__init__(f"{file}: found {found}, expected {expected}")
        self.file = file


class RetrievalBusy(AppError):
    """More requests look for evidence than are worth letting wait."""

    retry_after_s = 1.0

    def __init__(self, n_waiting: int) -> None:
        super().__init__(f"{n_waiting} requests are looking for evidence already. Try again soon.")


class CalibrationRefused(AppError):
    """A file does not hold a calibration of what is served; `milieu calibrate` writes it anew."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"{file.name}: found {found}, expected {expected}. Run `milieu calibrate` to write it "
            "anew."
        )
        self.file = file


class CalibrationMissing(CalibrationRefused):
    """There is no such file."""


class CalibrationDamaged(CalibrationRefused):
    """The file was altered, or cannot be read."""


class CalibrationOutdated(CalibrationRefused):
    """It was fitted with another encoder, other survey packs or prompts, or by another version."""


class CalibrationForeign(CalibrationRefused):
    """It is another model's."""


class CalibrationUnfit(AppError):
    """Too few of the model's answers could be read to fit anything."""

    def __init__(self, recipe: str, n_questions: int, *, least: int) -> None:
        super().__init__(
            f"{recipe}: found readable answers to {n_questions} questions, expected {least} or "
            "more. Ask more questions (--questions), as more cultures, or with another method."
        )


class ModelMapRefused(AppError):
    """A file does not hold the cultural map of what is served; `milieu evaluate` writes it anew."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        super().__init__(
            f"{file.name}: found {found}, expected {expected}. Run `milieu evaluate "
            "--cultural-map` to write it anew."
        )
        self.file = file


class SecretFileInvalid(AppError):
    """The file of a secret is not as Milieu makes it."""

    def __init__(self, file: Path, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{file}: found {found}, expected {expected}. {remedy}")
        self.file = file


class SecretNotKept(AppError):
    """There is no place for the secret that units are hashed with."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(
            f"{file}: found {reason}, expected a file that can be made and read. Set "
            "MILIEU_DATA_FOLDER to a folder that can be written, or "
            "MILIEU_EXPERIMENTS__UNIT_SECRET; without experiments, MILIEU_EXPERIMENTS__STORE=none."
        )
        self.file = file


class AdminKeyMissing(AppError):
    """A command needs an admin key, and there is none to be found."""

    def __init__(self, url: str, file: Path) -> None:
        super().__init__(
            f"No admin key for {url}: MILIEU_ADMIN_KEYS holds none in clear, and {file} is used "
            "for a service on this machine only. Set MILIEU_ADMIN_KEYS, or run this where the "
            "service runs, once it has started."
        )
        self.file = file


class AdapterNotThere(AppError):
    """What is to be added is neither a folder nor anything that the hub could have."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"'{source[:200]}': found no such folder, expected one with an adapter as peft saves "
            "it, or a hub id, owner/name."
        )
