"""What the command line names: frozen dataclasses, as `name` or `name:field=value:field=value`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from common.errors import BadUsage, unknown

Made = TypeVar("Made")


def create(kind: str, text: str, classes: Mapping[str, type[Made]]) -> Made:
    """Make the object that `text` names, of the class of that name. `kind` is what errors call it.

    A value is read as the type of the field's default. Raises BadUsage for unknown names, fields and values.
    """
    name = text.strip().partition(":")[0]
    if name not in classes:
        raise unknown(kind, name, classes)
    cls: Any = classes[name]
    made: Made = cls(**settings(text, {field.name: type(field.default) for field in fields(cls)}))
    return made


def settings(text: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Read the values that `name:field=value:field=value` gives to fields of these types.

    Raises BadUsage for unknown fields and for values of another type.
    """
    name, *given = re.split(r"(?<!\.py):", text.strip())  # `teacher=FILE.py:FUNCTION` is one value
    values: dict[str, Any] = {}
    for setting in given:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BadUsage(f"'{text}': settings are written name:field=value")
        if key not in kinds:
            raise unknown(f"field of {name}", key, kinds)
        values[key] = _converted(text, key, value, kinds[key])
    return values


def _converted(text: str, key: str, value: str, kind: type) -> Any:
    if kind is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        if kind is not bool:
            return kind(value)
    except ValueError:
        pass
    raise BadUsage(f"'{text}': {key} takes {'true or false' if kind is bool else kind.__name__}, not '{value}'")


def label(name: str, one: Any) -> str:
    """Write `name` and the fields of `one` that are not at their defaults, as `create` reads them."""
    changed = [
        f"{field.name}={getattr(one, field.name)}" for field in fields(one) if getattr(one, field.name) != field.default
    ]
    return ":".join([name, *changed])
