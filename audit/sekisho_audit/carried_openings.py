"""Openings of break-glass, read back from a carried state; `BreakGlassRules.told` wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sekisho_audit.break_glass_rules import Breach, BreakGlassRules, Opening
from sekisho_audit.carried_values import dict_in, exactly, members_of, parts_of, text_in, whole_in

ReadLeaf = Callable[[Any, str], dict[str, Any]]


def _read_opening(value: Any, leaf: ReadLeaf) -> Opening:
    said = members_of(value, ("leaf", "used", "ended", "halted_us"))
    ended, halted_us = said["ended"], said["halted_us"]
    return Opening(
        leaf(said["leaf"], "break_glass.opened"),
        whole_in(said["used"]),
        None if ended is None else leaf(ended, "break_glass.ended"),
        None if halted_us is None else whole_in(halted_us),
    )


def read_break_glass(rules: BreakGlassRules, value: Any, leaf: ReadLeaf) -> None:
    """The openings as they were; `leaf` reads a leaf of a type. Raises BadCarried."""
    said = members_of(value, ("standing", "named", "cleared"))
    standing = [_read_opening(one, leaf) for one in exactly(said["standing"], list)]
    rules.standing = {one.leaf["id"]: one for one in standing}
    for one in exactly(said["named"], list):
        pair = members_of(one, ("use", "opening"))
        use = leaf(pair["use"], "break_glass.used")
        rules.named[use["data"]["decision"]] = Breach(use, _read_opening(pair["opening"], leaf))
    rules.cleared = dict_in(said["cleared"], _read_let)


def _read_let(value: Any) -> tuple[str, str] | None:
    if value is None:
        return None
    opening, backend = parts_of(value, 2)
    return text_in(opening), text_in(backend)
