"""Which processes of a machine have which versions loaded, so that none unloads another's.

A file per version and server; whoever has the version loaded holds its lock, shared with others.
A version is unloaded by the last who lets it go. The kernel releases what a killed process held.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from adapters.errors import AdapterUnknown
from adapters.replica import LoraServer

# Between two looks at a lock that another process has.
POLL_S = 0.05
_LEAVING = ".leaving"


class VersionClaims:
    """The claims of one process on versions, as files in a folder that others use as well."""

    def __init__(self, folder: Path) -> None:
        """Keep claims in `folder`, made if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        # Descriptors of the files that this process has a claim on.
        self._held: dict[Path, int] = {}

    async def take(self, url: str, name: str) -> None:
        """Claim version `name` on the server at `url`; wait while another process unloads it.

        Raises:
            AdapterUnknown: the version is about to be removed.
        """
        file = self._file(url, name)
        while file not in self._held:
            if (descriptor := _lock(file, fcntl.LOCK_SH)) is not None:
                self._held[file] = descriptor
                break
            await asyncio.sleep(POLL_S)
        if self.is_leaving(name):
            self._let_go(file)
            raise AdapterUnknown(name)

    @asynccontextmanager
    async def let_go(self, url: str, name: str) -> AsyncIterator[bool]:
        """Give up the claim; yield whether nobody else has one, nor gets one during the block."""
        file = self._file(url, name)
        self._let_go(file)
        descriptor = _lock(file, fcntl.LOCK_EX)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                # Whoever waits for the file that is gone finds that it is, and makes another.
                file.unlink(missing_ok=True)
                os.close(descriptor)

    async def wait_for_others(self, name: str) -> None:
        """Return when no other process has a claim on version `name`, on any server."""
        for file in self._folder.glob(f"{name}+*"):
            while file not in self._held and file.exists():
                if (descriptor := _lock(file, fcntl.LOCK_EX)) is not None:
                    os.close(descriptor)
                    break
                await asyncio.sleep(POLL_S)

    @contextmanager
    def leaving(self, name: str) -> Iterator[None]:
        """Let no process claim version `name` for the time of the block."""
        file = self._folder / f"{name}{_LEAVING}"
        descriptor = _lock(file, fcntl.LOCK_SH)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            if descriptor is not None:
                os.close(descriptor)

    def is_leaving(self, name: str) -> bool:
        """Return whether a process is about to remove version `name`."""
        return name in self.list_leaving()

    def list_leaving(self) -> frozenset[str]:
        """Return the versions that processes are about to remove, this one among them."""
        found = []
        for file in self._folder.glob(f"*{_LEAVING}"):
            # One whose process was killed is nobody's.
            if (descriptor := _lock(file, fcntl.LOCK_EX, may_make=False)) is None:
                found.append(file)
            else:
                file.unlink(missing_ok=True)
                os.close(descriptor)
        return frozenset(file.name.removesuffix(_LEAVING) for file in found if file.exists())

    def _let_go(self, file: Path) -> None:
        if (descriptor := self._held.pop(file, None)) is not None:
            os.close(descriptor)

    def _file(self, url: str, name: str) -> Path:
        return self._folder / f"{name}+{hashlib.sha256(url.encode()).hexdigest()[:12]}"


class ClaimedServer:
    """A server that other processes load adapters on too: what they have loaded stays.

    To `adapters.hot_swap.HotSwap` it is a server like any other.
    """

    def __init__(self, server: LoraServer, claims: VersionClaims) -> None:
        self._server, self._claims = server, claims

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._server.url

    async def loaded(self) -> frozenset[str]:
        """Return the names of the adapters that the server has, whoever loaded them."""
        return await self._server.loaded()

    async def load(self, name: str, path: Path) -> None:
        """Load an adapter and claim it.

        Raises:
            AdapterUnknown: another process is about to remove it.
        """
        await self._claims.take(self.url, name)
        await self._server.load(name, path)

    async def unload(self, name: str) -> None:
        """Give an adapter up, and unload it if no other process has it loaded."""
        async with self._claims.let_go(self.url, name) as is_nobodys:
            if is_nobodys:
                await self._server.unload(name)


def _lock(file: Path, kind: int, *, may_make: bool = True) -> int | None:
    """Return a descriptor of `file` with a lock, None where another process has it or it is gone.

    `kind` is LOCK_SH or LOCK_EX of fcntl.
    """
    while True:
        try:
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if may_make else 0)
            descriptor = os.open(file, flags, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.stat(file).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        # It was deleted between the two calls.
        os.close(descriptor)
