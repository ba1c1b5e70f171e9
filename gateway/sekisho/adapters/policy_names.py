"""Names in data.yaml that must be able to apply: of principals and groups, of what a scan finds.

A line for a name that nothing ever has would do nothing, in silence. It is refused, with the name
that was probably meant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator

from sekisho.adapters.decision_wire import Name
from sekisho.content.entities import KINDS
from sekisho.model.ids import is_id

_NO_SUCH_ID = "never applies: ids of principals and groups are lower case, a-z, 0-9 and . _ @ + -"


def no_such_id(text: str, fits: Callable[[str], bool]) -> str:
    """What is wrong with `text`, which does not fit."""
    return _NO_SUCH_ID + (f"; did you mean {text.lower()}?" if fits(text.lower()) else "")


def meant(name: str, known: Collection[str]) -> str:
    """The known name nearest to `name`, as the end of a sentence; else what is known."""
    near = get_close_matches(name, known, 1)
    return (
        f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known)) or 'none'}"
    )


def idle_labels(
    labels: Iterable[str], known: Collection[str], where: str
) -> Iterator[tuple[int, str, str]]:
    """Place, name and fault of each label that no word gives: what follows from it never does."""
    for at, label in enumerate(labels):
        if label not in known:
            yield (
                at,
                label,
                f"{where}: no line of words gives the label {label!r}{meant(label, known)}",
            )


def _can_be_id(name: str) -> str:
    if not is_id(name):
        raise ValueError(no_such_id(name, is_id))
    return name


def _can_be_found(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"is nothing a scan finds{meant(name, KINDS)}")
    return name


Id = Annotated[Name, AfterValidator(_can_be_id)]
Entity = Annotated[Name, AfterValidator(_can_be_found)]
