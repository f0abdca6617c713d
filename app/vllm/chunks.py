"""What a chunk of a streamed chat completion holds."""

from __future__ import annotations

from app.vllm.wire import JsonObject, Usage, read_usage


def chunk_text(chunk: JsonObject) -> str:
    """Return the text that `chunk` adds to the first choice, empty where it adds none."""
    for choice in chunk.get("choices") or ():
        if choice.get("index") == 0:
            return str((choice.get("delta") or {}).get("content") or "")
    return ""


def count_ended(chunk: JsonObject) -> int:
    """Return how many choices end with `chunk`."""
    return sum(bool(choice.get("finish_reason")) for choice in chunk.get("choices") or ())


def chunk_usage(chunk: JsonObject) -> Usage | None:
    """Return the token counts in `chunk`, which only the last one has."""
    usage = chunk.get("usage")
    return None if usage is None else read_usage(usage)
