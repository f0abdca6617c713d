"""Makes the signature of a command from a dataclass, so that its options are declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

Command = Callable[..., None]


class _Declaration(NamedTuple):
    """A field's parameters in the signature, and how its value is made of theirs."""

    parameters: tuple[inspect.Parameter, ...]
    make: Callable[[Mapping[str, Any]], Any]


def take_options(*names: str) -> Callable[[Command], Command]:
    """Return a decorator that gives a command options in place of its one dataclass parameter.

    Every field of the dataclass is annotated with its `typer.Option`; a `tuple[X, ...]` becomes an
    option that can be repeated. A field that is a dataclass of settings is annotated with a mapping
    instead: a `typer.Option` for each of its fields that is an option.

    Args:
        names: the fields to take, in the order of the help, with other parameters of the command
            where they belong between fields; by default all fields.
    """

    def decorate(function: Command) -> Command:
        signature = inspect.signature(function, eval_str=True)
        own = dict(signature.parameters)
        holder = next(p for p in own.values() if is_dataclass(p.annotation))
        del own[holder.name]
        declared = _declare_fields(holder.annotation)
        order: list[str] = []
        for name in signature.parameters:
            if name == holder.name:
                order += names or declared
            elif name not in names:
                order.append(name)
        parameters: list[inspect.Parameter] = []
        for name in order:
            parameters += [own[name]] if name in own else declared[name].parameters
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]

        @wraps(function)
        def command(**given: Any) -> None:
            taken = {name: declared[name].make(given) for name in order if name not in own}
            rest = {name: given[name] for name in own}
            function(**rest, **{holder.name: holder.annotation(**taken)})

        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # read by Typer
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def _declare_fields(options: type[Any]) -> dict[str, _Declaration]:
    types = get_type_hints(options, include_extras=True)
    return {field.name: _declare(field, *get_args(types[field.name])) for field in fields(options)}


def _declare(field: Field[Any], kind: Any, option: Any) -> _Declaration:
    name = field.name
    default: Any = inspect.Parameter.empty if field.default is MISSING else field.default
    if isinstance(option, Mapping):
        types, defaults = get_type_hints(kind), kind()
        parameters = (
            _make_parameter(part, types[part], option[part], default=getattr(defaults, part))
            for part in option
        )
        return _Declaration(
            tuple(parameters), lambda given: kind(**{part: given[part] for part in option})
        )
    if get_origin(kind) is tuple:
        item: Any = get_args(kind)[0]
        parameter = _make_parameter(name, list[item] | None, option, default=None)
        return _Declaration((parameter,), lambda given: tuple(given[name] or default))
    parameter = _make_parameter(name, kind, option, default=default)
    return _Declaration((parameter,), lambda given: given[name])


def _make_parameter(name: str, kind: Any, option: Any, *, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
