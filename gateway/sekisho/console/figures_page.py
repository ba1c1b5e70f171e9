"""The page of figures: who and what is compared, in groups of rows with the same columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DAYS = (7, 30, 90)
"""What can be chosen: a week, a month, a quarter."""

_OWN, _TOTAL, _RULES, _PEOPLE = "own", "total", "rules", "people"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: whose figures, "" for all of the group; `narrow`: a rule that asks too much."""

    name: str
    figures: Mapping[str, Any]
    narrow: bool = False

    @property
    def tests(self) -> int | None:
        """How many test items were answered; None where that is not told."""
        caught, missed = self.figures["caught"], self.figures["missed"]
        return None if caught is None else caught + missed


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading: `own`, `total`, `rules` or `people`."""

    kind: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FiguresPage:
    """The values of `figures.html`. `few`: people are not named; `behind`: events not counted yet;
    `oversees`: whether the reader may see everybody's.
    """

    groups: tuple[Group, ...]
    days: int
    mine: bool
    oversees: bool
    few: bool
    people_min: int
    behind: int
    choices: tuple[int, ...] = DAYS


def figures_page(found: Mapping[str, Any], *, oversees: bool) -> FiguresPage:
    """The page of what `/v1/approvals/figures` answered."""
    mine = found[_OWN] is not None
    alone = _OWN if mine else _TOTAL
    groups = [Group(alone, (Row("", found[alone]),))]
    for kind, name in ((_RULES, "rule"), (_PEOPLE, "person")):
        rows = tuple(Row(one[name], one, one.get("narrow", False)) for one in found[kind] or ())
        groups += [Group(kind, rows)] if rows else []
    return FiguresPage(
        groups=tuple(groups),
        days=found["days"],
        mine=mine,
        oversees=oversees,
        few=not mine and found[_PEOPLE] is None,
        people_min=found["people_min"],
        behind=found["size"] - found["indexed"],
    )
