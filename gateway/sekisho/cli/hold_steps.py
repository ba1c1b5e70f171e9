"""Whose turn it is at a hold, and who answered, as lines for a terminal.

A delegate is named with whom they stood in for; whoever is asked second reads here what the first
one said. Everything in it is somebody else's words.
"""

from __future__ import annotations

from typing import Any

from sekisho.cli.printing import visible, when

_SAID = {"approve": "approved", "deny": "denied"}


def is_ordered(hold: dict[str, Any]) -> bool:
    """Whether its reviewers are asked one after the other."""
    return len(_numbers(hold.get("thresholds", ()))) > 1


def step_of_steps(hold: dict[str, Any]) -> str:
    """Which of the steps is open, for a column; "-" where there is one or none."""
    if not is_ordered(hold) or hold.get("open_step") is None:
        return "-"
    numbers = _numbers(hold["thresholds"])
    return f"{hold['open_step']} of {', '.join(map(str, numbers))}"


def answer_lines(hold: dict[str, Any]) -> list[str]:
    """Who answered this version, step by step where there are several."""
    reviews = [one for one in hold.get("reviews", ()) if one.get("version") == hold.get("version")]
    if not is_ordered(hold):
        return [_answer("answer", one) for one in reviews]
    lines = []
    for number in _numbers(hold["thresholds"]):
        asked = [one for one in hold["thresholds"] if _step(one) == number]
        groups = ", ".join(f"{one['reviewers']} ({one['approve']})" for one in asked)
        given = [one for one in reviews if _step(one) == number]
        standing = _standing(number, hold.get("open_step"), given)
        lines.append(visible(f"{f'step {number}':<10}{groups}: {standing}"))
        lines += [_answer("", one) for one in given]
    return lines


def asked_in_order(asked: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Thresholds by their steps, each with what to put before it: empty where there is one."""
    several = len(_numbers(asked)) > 1
    by_step = sorted(asked, key=_step)
    return [(f"Step {_step(one)}: " if several else "", one) for one in by_step]


def relief_lines(hold: dict[str, Any]) -> list[str]:
    """Who may answer in whose place, and from when on; nothing where nobody may."""
    since = hold.get("relief_at")
    relieved = [one for one in hold.get("thresholds", ()) if one.get("relief")]
    if since is None:
        return []
    at = when(since * 1_000_000)
    return [
        visible(f"{'relief':<10}from {at} on {', '.join(one['relief'])} for {one['reviewers']}")
        for one in relieved
    ]


def _standing(number: int, open_step: int | None, given: list[dict[str, Any]]) -> str:
    if any(one["decision"] == "deny" for one in given):
        return "denied"
    if open_step is None:
        return "answered" if given else "not asked"
    if number == open_step:
        return "now"
    return "approved" if number < open_step else "not asked yet"


def _answer(head: str, one: dict[str, Any]) -> str:
    stood_in = f" for {one['person']}" if one.get("person") else ""
    stood_in += f" (relief: {one['relief']})" if one.get("relief") else ""
    # On one line: nobody's reason is to look like another's answer.
    why = f": {' '.join(one['reason'].splitlines())}" if one["reason"] else ""
    said = _SAID.get(one["decision"], one["decision"])
    return visible(f"{head:<10}{said} by {one['reviewer']}{stood_in}{why}")


def _numbers(thresholds: Any) -> list[int]:
    return sorted({_step(one) for one in thresholds})


def _step(one: dict[str, Any]) -> int:
    """A gateway of before tells of no steps."""
    return int(one.get("step", 1))
