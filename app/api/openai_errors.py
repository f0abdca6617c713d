"""Errors as OpenAI's clients read them, and on which paths."""

from __future__ import annotations

from typing import Any

# Clients of these routes expect OpenAI's error body.
OPENAI_PATHS = ("/v1/chat/", "/v1/models")
# What else OpenAI serves below /v1/, and Milieu does not.
OPENAI_ONLY = frozenset(
    {
        "assistants", "audio", "batches", "chat", "completions", "embeddings", "files",
        "fine_tuning", "images", "moderations", "realtime", "responses", "threads", "uploads",
        "vector_stores", "videos",
    }
)  # fmt: skip
# By which their clients tell what to do.
OPENAI_CODES = {
    "prompt-too-long": "context_length_exceeded",
    "model-unknown": "model_not_found",
    "key-refused": "invalid_api_key",
    "rate-exceeded": "rate_limit_exceeded",
    "concurrency-exceeded": "rate_limit_exceeded",
}


def openai_error(status: int, code: str, detail: str, param: str | None = None) -> dict[str, Any]:
    """Return OpenAI's error body for a problem; `param` is the field that it is about."""
    error_type = "invalid_request_error" if status < 500 else "server_error"
    code = OPENAI_CODES.get(code, code)
    return {"error": {"message": detail, "type": error_type, "param": param, "code": code}}


def is_openais(path: str) -> bool:
    """Return whether clients expect OpenAI's error body on `path`."""
    return path.startswith(OPENAI_PATHS) or is_openai_only(path)


def is_openai_only(path: str) -> bool:
    """Return whether OpenAI serves `path`, and Milieu does not."""
    version, _, name = path.removeprefix("/").partition("/")
    return version == "v1" and name.partition("/")[0] in OPENAI_ONLY
