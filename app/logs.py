"""What operators read: log lines. Never prompts, answers or secrets."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

_SPECIAL = frozenset(' "=')
request_id: ContextVar[str] = ContextVar("request_id", default="")


class LineFormatter(logging.Formatter):
    """One line per event: key=value, or JSON."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`, with its `fields` and the request id."""
        fields: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if current := request_id.get():
            fields["request_id"] = current
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(fields, default=str)
        return " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())


def configure_logging(*, level: str, as_json: bool) -> None:
    """Send every log line to standard error in Milieu's form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(as_json=as_json))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These say at INFO, line by line, what the request log says once.
    for name in ("sentence_transformers", "faiss", "httpx", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _quoted(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and _SPECIAL.isdisjoint(text)
    return text if text and is_plain else json.dumps(text)
