"""Where the service listens: the socket, and what is said when it does."""

from __future__ import annotations

import socket

from rich.console import Console

from app.errors import AddressTaken
from app.settings import Settings

# Requests that run when the service is told to stop get this long.
GRACE_S = 20


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket bound to host and port.

    Raises:
        AddressTaken: it cannot be bound there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named asyncio sets TCP_NODELAY; without, each reply waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise AddressTaken(host, port, exc.strerror or str(exc)) from exc
    listener.set_inheritable(False)
    return listener


def announce_start(settings: Settings, notes: Console) -> None:
    """Say that the service is starting, and how long that takes."""
    notes.print(
        "Milieu is starting; the embedded model takes half a minute."
        if settings.vllm.is_embedded
        else "Milieu is starting.",
        highlight=False,
    )
