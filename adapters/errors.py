"""Errors of `adapters`: each says what was found, what is expected and what to do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class AdapterFault(StrEnum):
    """Why an adapter is not admitted."""

    NAME = "name"
    FOLDER = "folder"
    PICKLED = "pickled-weights"
    LINK = "link"
    OUTSIDE = "outside-folder"
    FILE_MISSING = "missing-file"
    FILE_UNEXPECTED = "unexpected-file"
    OVERSIZED = "oversized"
    TRUNCATED = "truncated"
    HEADER = "header"
    DTYPE = "dtype"
    CONFIG = "config"
    NOT_LORA = "not-lora"
    UNSUPPORTED = "unsupported-feature"
    BASE_MODEL = "base-model"
    RANK = "rank"
    KEYS_MISSING = "missing-keys"
    KEYS_UNEXPECTED = "unexpected-keys"
    SHAPE = "shape"
    NOT_FINITE = "not-finite"
    MANIFEST = "manifest"
    HASH = "hash"
    NO_EFFECT = "no-effect"
    OTHER_EFFECT = "other-effect"


class AdapterError(Exception):
    """Root of every error that `adapters` raises on purpose."""


class AdapterRefused(AdapterError):
    """An adapter is unsound, or not for this base model; `reason` says in which way."""

    def __init__(
        self, reason: AdapterFault, *, found: str, expected: str, remedy: str = ""
    ) -> None:
        super().__init__(_join(f"{reason}: found {found}", expected, remedy))
        self.reason = reason


class AdapterUnknown(AdapterError):
    """No adapter in the registry has the given name and version."""

    def __init__(self, asked: str) -> None:
        super().__init__(
            f"'{_escape(asked[:80])}' is not an adapter in the registry; expected name@version "
            "as `milieu adapters list` shows it."
        )


class AdapterAmbiguous(AdapterError):
    """Several versions have the given name."""

    def __init__(self, name: str, *, versions: tuple[str, ...]) -> None:
        shown = ", ".join(versions[:5]) + (", …" if len(versions) > 5 else "")
        super().__init__(f"'{name}' is {len(versions)} adapters; expected one of {shown}.")


class AdapterTaken(AdapterError):
    """The same weights are in the registry under this name, but with another description."""

    def __init__(self, version_name: str, *, fields: tuple[str, ...]) -> None:
        super().__init__(
            f"{version_name} is in the registry with other {', '.join(fields)}; an entry never "
            "changes. Remove it first, or choose another name."
        )


class AdapterInUse(AdapterError):
    """An adapter cannot be removed while it is active."""

    def __init__(self, version_name: str, *, cultures: tuple[str, ...]) -> None:
        super().__init__(
            f"{version_name} is active for {', '.join(cultures)}; expected one that is not. "
            "Activate another there, roll back or deactivate first."
        )


class AdapterForOthers(AdapterError):
    """An adapter was not made for the culture that it should be active for."""

    def __init__(self, version_name: str, *, culture: str, cultures: tuple[str, ...]) -> None:
        # An adapter made for no particular culture serves any.
        served = ", ".join(cultures) or "any alpha-3 code"
        super().__init__(
            f"{version_name} is for {served}, not for '{culture}'. Activate it for "
            "one of those, or add it for this culture under another name."
        )


class AdapterUnverified(AdapterError):
    """No canary was measured with the adapter, so its effect is unknown."""

    def __init__(self, version_name: str) -> None:
        super().__init__(
            f"{version_name} has no canaries measured here; expected its effect to be checked. "
            "Load it in a vLLM and measure them first."
        )


class NothingToRollBack(AdapterError):
    """No adapter was ever active for the culture, or its history is used up."""

    def __init__(self, culture: str) -> None:
        super().__init__(
            f"No earlier state is known for '{culture[:20]}'; expected at least one activation. "
            "Activate the adapter you want."
        )


class _FileInvalid(AdapterError):
    def __init__(self, file: Path, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(_join(f"{file}: found {found}", expected, remedy))


class RegistryInvalid(_FileInvalid):
    """A file of the registry is not as it was written; names it."""


class BaseModelInvalid(_FileInvalid):
    """The base model's files do not say which linear modules it has; names the file."""


class ManifestInvalid(_FileInvalid):
    """A manifest cannot be read, or a value in it breaks the format; names the field."""

    def __init__(self, file: Path, *, found: str, expected: str) -> None:
        remedy = "Write it again with the program that made the adapter."
        super().__init__(file, found=found, expected=expected, remedy=remedy)


class RegistryBusy(AdapterError):
    """Another process is changing the registry, and did not finish in time."""

    def __init__(self, folder: Path, *, waited_s: float) -> None:
        super().__init__(
            f"{folder} was locked by another process for {waited_s:g} s; expected a change to take "
            "less. Try again; if no other process is at work, see what holds its .lock."
        )


class AdapterNotFetched(AdapterError):
    """An adapter could not be fetched from the model hub."""

    def __init__(self, hub_id: str, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(_join(f"'{hub_id[:120]}': found {found}", expected, remedy))


class AdaptersOff(AdapterError):
    """The servers take no adapters."""

    def __init__(self) -> None:
        super().__init__(
            "The servers take no adapters; expected servers started with --enable-lora. "
            "Set MILIEU_VLLM__LORA=true if they were, or ask for adapter 'none'."
        )


class AdaptersBusy(AdapterError):
    """All the adapters that fit are in use."""

    def __init__(self, capacity: int, *, wait_s: float) -> None:
        super().__init__(
            f"All {capacity} adapters that fit are in use and none came free within {wait_s:g} s. "
            "Try again, or let the server hold more (--max-cpu-loras)."
        )
        self.retry_after_s = wait_s


class LoraServerSilent(AdapterError):
    """A server that holds adapters cannot be reached."""

    def __init__(self, url: str, reason: str) -> None:
        # Where the servers are is for the log, not for the client.
        super().__init__(
            f"A server that adapters are loaded on does not answer ({reason}). Try again; if it "
            "persists, see whether it runs and takes adapters."
        )
        self.retry_after_s = 1.0
        self.url, self.reason = url, reason


class AdapterLoadFailed(AdapterError):
    """A server refused to load or unload an adapter."""

    def __init__(self, name: str, *, reason: str) -> None:
        super().__init__(
            f"{name}: the server refused ({reason}); expected 'Success'. Its log says more."
        )


def _join(found: str, expected: str, remedy: str) -> str:
    return _escape(f"{found}; expected {expected}. {remedy}".rstrip())


def _escape(text: str) -> str:
    # Names from an adapter's files may contain line breaks, terminal codes or half a character.
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
