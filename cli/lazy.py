"""What `milieu` imports only when it is needed: command modules, and the work behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group


class LazyModule:
    """Stands in for a module, which is imported on first use.

    A command's module holds its signature, and all that it needs is imported for `--help`. The work
    is in another module, declared like this so that type checkers see the module itself:

        if TYPE_CHECKING:
            from cli.packs import jobs
        else:
            jobs = LazyModule("cli.packs.jobs")
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


class LazyCommand(NamedTuple):
    """A command or group of commands: where it is, as `module:name`, and its line in the help."""

    target: str
    help: str

    def load(self, name: str) -> Any:
        """Import the command, and return it as Typer runs it."""
        module, _, attribute = self.target.partition(":")
        command: typer.Typer | Callable[..., Any] = getattr(import_module(module), attribute)
        parent = typer.Typer(rich_markup_mode=None)
        if isinstance(command, typer.Typer):
            parent.add_typer(command, name=name)
        else:
            parent.command(name)(command)
        return get_group(parent).commands[name]


class Group(TyperGroup):
    """A group of commands whose help costs no import of pydantic.

    Typer imports it to convert option values. It takes a missing `--help` for None, which needs
    converting; False does not.
    """

    # Any: Typer keeps its own Click, whose names are private.
    def get_help_option(self, ctx: Any) -> Any:
        option: Any = super().get_help_option(ctx)
        option.default = False
        return option


class LazyGroup(Group):
    """A group that imports a command when it is called; a subclass names the commands.

    Source: "Lazily Loading Subcommands" of Click's documentation.
    """

    lazy: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"commands": dict.fromkeys(self.lazy)})

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self.lazy[cmd_name].load(cmd_name) if cmd_name in self.lazy else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in self.lazy.items()])
