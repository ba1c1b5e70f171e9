"""Values of a carried state, each looked at before it is used.

An attacker may have written them. Whatever is not exactly what it must be raises BadCarried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
Json = dict[str, Any]


class BadCarried(ValueError):
    """It does not read as the state of rules."""


def exactly(value: Any, *kinds: type) -> Any:
    """The value, if it is exactly of one of these types."""
    if type(value) not in kinds:
        raise BadCarried(f"{str(value)[:40]!r} is not what it must be")
    return value


def text_in(value: Any) -> str:
    """The text that it must be."""
    return str(exactly(value, str))


def texts_in(value: Any) -> tuple[str, ...]:
    """The list of texts that it must be."""
    return tuple(text_in(item) for item in exactly(value, list))


def maybe_text(value: Any) -> str | None:
    """A text, or None."""
    return None if value is None else text_in(value)


def whole_in(value: Any) -> int:
    """The whole number that it must be."""
    return int(exactly(value, int))


def parts_of(value: Any, count: int) -> list[Any]:
    """The list of so many values that it must be."""
    found: list[Any] = exactly(value, list)
    if len(found) != count:
        raise BadCarried(f"{count} values belong together, not {len(found)}")
    return found


def dict_in(value: Any, read: Callable[[Any], T]) -> dict[str, T]:
    """Pairs of a text and what `read` makes of a value, no text twice; their order is kept."""
    found: dict[str, T] = {}
    for item in exactly(value, list):
        key, said = parts_of(item, 2)
        if text_in(key) in found:
            raise BadCarried(f"{key[:40]!r} is there twice")
        found[key] = read(said)
    return found


def members_of(value: Any, names: tuple[str, ...]) -> Json:
    """An object with exactly these members."""
    if type(value) is not dict or value.keys() != set(names):
        raise BadCarried(f"it has not the members {', '.join(names)}")
    return dict(value)
