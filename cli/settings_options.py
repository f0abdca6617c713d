"""Makes the fields of a settings class options of a command, so that they are declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, get_type_hints

Command = Callable[..., None]


def expand_settings(
    parameter: str, settings: type[Any], options: Mapping[str, Any]
) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option per field in place of one parameter.

    Args:
        parameter: the command's parameter of the type `settings`.
        settings: a dataclass with a default for every field of `options`.
        options: a `typer.Option` for each field; the defaults and types are the dataclass's.
    """

    def decorate(function: Command) -> Command:
        signature = inspect.signature(function, eval_str=True)
        types, defaults = get_type_hints(settings), settings()
        added = [
            inspect.Parameter(
                field,
                inspect.Parameter.KEYWORD_ONLY,
                default=getattr(defaults, field),
                annotation=Annotated[types[field], option],
            )
            for field, option in options.items()
        ]
        parameters: list[inspect.Parameter] = []
        for each in signature.parameters.values():
            own = each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += added if each.name == parameter else [own]

        @wraps(function)
        def command(**given: Any) -> None:
            fields = {field: given.pop(field) for field in options}
            function(**given, **{parameter: settings(**fields)})

        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # read by Typer
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return decorate
