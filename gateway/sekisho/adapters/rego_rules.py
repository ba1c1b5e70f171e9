"""What a Rego module may not do, found in its syntax tree before it runs.

Two promises rest on this. Decisions are pure: no clock, chance, network or process environment
can be reached, not by a call, an alias or a `with`. And no rule is dead letter: a module that
defines `deny`, `hold`, `obligation` or `allow` must be one that the fold reads, in the form it
reads, because a rule that is silently skipped is a hole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_IMPURE = {
    "http": "network",
    "net.lookup_ip_addr": "network",
    "opa.runtime": "process environment",
    "rand": "chance",
    "uuid": "chance",
    "time.now_ns": "clock",
    "io.jwt.decode_verify": "clock",
    "crypto.x509.parse_and_verify_certificates": "clock",
    "crypto.x509.parse_and_verify_certificates_with_options": "clock",
    "providers.aws": "clock",
    "json.match_schema": "network (remote references)",
    "json.verify_schema": "network (remote references)",
    "test": "clock",
    "rego.parse_module": "policy about policy",
}
"""Builtins by dotted name or by the name of their whole family."""

_FOLDED = frozenset({"allow", "deny", "hold", "obligation"})
_PACK_DEPTH = 3  # packs.<pack>.<area>
_RESERVED = frozenset({"packs", "sekisho", "lib"})


def rule_faults(
    tree: dict[str, Any], path: str, source: str, *, test: bool
) -> Iterator[tuple[int, str]]:
    """Line and text of each fault of one parsed module."""
    for name, why in sorted(_impure(tree)):
        yield _line(source, name), f"{name} may not be used: it reaches {why}"
    package = [str(step["value"]) for step in tree["package"]["path"][1:]]
    dotted = ".".join(package)
    if package[0] not in _RESERVED and not test:
        yield 1, f"package {dotted}: must begin with packs. (rules) or lib. (functions)"
    if package[0] == "sekisho" and not path.startswith("sekisho/"):
        yield 1, "package sekisho is the fold's own: rules belong into packs.<pack>.<area>"
    if not test:
        yield from _fold_faults(tree, package, source)


def _fold_faults(
    tree: dict[str, Any], package: list[str], source: str
) -> Iterator[tuple[int, str]]:
    if package[0] == "sekisho":
        return
    for rule in tree.get("rules", []):
        head = rule["head"]
        name = str(head["ref"][0]["value"])
        if name not in _FOLDED:
            continue
        line = _line(source, name)
        if package[0] != "packs" or len(package) != _PACK_DEPTH:
            yield line, f"{name} is not read here: use a package named packs.<pack>.<area>"
        elif len(head["ref"]) != 1 or "key" not in head or "value" in head:
            yield line, f"{name} must be a set: write `{name} contains … if …`"


def _impure(node: Any) -> set[tuple[str, str]]:
    """Walks without recursion: the depth of a rule is its author's choice."""
    found: set[tuple[str, str]] = set()
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, dict):
            if here.get("type") == "ref":
                name = _dotted(here["value"])
                found |= {(name, why) for name, why in [_reaches(name)] if why}
            stack.extend(here.values())
    return found


def _dotted(steps: Any) -> str:
    names = []
    for step in steps:
        if step.get("type") not in {"var", "string"}:
            break
        names.append(str(step["value"]))
    return ".".join(names)


def _reaches(name: str) -> tuple[str, str]:
    for impure, why in _IMPURE.items():
        if name == impure or name.startswith(f"{impure}."):
            return name, why
    return name, ""


def _line(source: str, name: str) -> int:
    """The first line that has `name`, else its family; the tree carries no places."""
    for wanted in (name, name.split(".", maxsplit=1)[0]):
        pattern = re.compile(rf"(?<![\w.]){re.escape(wanted)}(?!\w)")
        for number, line in enumerate(source.splitlines(), 1):
            if pattern.search(line.split("#", 1)[0]):
                return number
    return 1
