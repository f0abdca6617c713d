"""Errors of the client. Each says what was found, what was expected and what to do."""

from __future__ import annotations

from typing import Any


class MilieuError(Exception):
    """Root of every error that the client raises on purpose."""


class ServiceUnreachable(MilieuError):
    """No HTTP reply came from the address.

    Attributes:
        url: the address.
        reason: why none came, in the system's words where it has any.
    """

    def __init__(self, url: str, reason: str, *, remedy: str = "") -> None:
        start = "Start one with `milieu serve`."
        super().__init__(f"No service at {url}: {reason}. {start} {remedy}".rstrip())
        self.url, self.reason = url, reason


class ServiceTimedOut(MilieuError):
    """The service took the request and did not reply in time.

    Attributes:
        url: the address.
        timeout_s: how long was waited.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        super().__init__(
            f"The service at {url} timed out: it sent nothing for {timeout_s:g} s. Give it longer "
            "with `timeout_s`, or ask for less at once."
        )
        self.url, self.timeout_s = url, timeout_s


class ReplyUnreadable(MilieuError):
    """What answers at the address does not speak as a Milieu service does.

    Attributes:
        url: the address.
        reason: what does not fit.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"No service at {url} that this client can read: {reason}. Check the address, and "
            "whether client and service are of like versions."
        )
        self.url, self.reason = url, reason


class ServiceRefused(MilieuError):
    """The service answered with a problem (RFC 9457).

    Attributes:
        status: the HTTP status.
        title: the kind of problem, the same for all of its kind; empty where none was sent.
        detail: what was found, what was expected, what to do.
        type: the stable name of the kind, such as `urn:milieu:problem:culture-unknown`; or empty.
        errors: one entry per faulty field, where the request does not fit.
        request_id: what the service's log calls the request; None where it sent none.
        retry_after_s: when to try again, in seconds, where the service said so.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str = "",
        type: str = "",
        errors: tuple[dict[str, Any], ...] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{title}: {detail} ({status})" if title else f"{detail} ({status})")
        self.status, self.title, self.detail = status, title, detail
        self.type, self.errors = type, errors
        self.request_id, self.retry_after_s = request_id, retry_after_s


class KeyUnsendable(MilieuError):
    """A key has a character that no HTTP header can carry; it is not shown."""

    def __init__(self) -> None:
        super().__init__(
            "The key has a line break or a character outside ASCII; expected one as "
            "MILIEU_API_KEYS holds it. Look for what was copied with it."
        )


class ExtraMissing(MilieuError):
    """A table was asked for that needs a package which is not installed.

    Attributes:
        package: its name.
    """

    def __init__(self, package: str) -> None:
        super().__init__(
            f"A {package} table needs {package}, which is not installed. Install it: "
            f"pip install {package}, or the client with its extra, milieu-client[{package}]."
        )
        self.package = package
