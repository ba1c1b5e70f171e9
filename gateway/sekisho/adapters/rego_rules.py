"""What a Rego module may not do, found in its syntax tree before it runs.

Two promises rest on this. Decisions are pure: no clock, chance, network or process environment
can be reached, not by a call, an alias or a `with`. And no rule is dead letter: a module that
defines `deny`, `hold`, `obligation` or `allow` must be one that the fold reads, in the form it
reads, because a rule that is silently skipped is a hole. The folder names the pack, and a test is
no rule: what a reviewer sees in the name of a file holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sekisho.adapters.rego_places import Place, Places
from sekisho.adapters.rego_tree import nodes

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

FOLDED = frozenset({"allow", "deny", "hold", "obligation"})
_NAME = re.compile(r"[a-z][a-z0-9_]*")
PACK_DEPTH = 3  # packs.<pack>.<area>
FOLD_PATH = "sekisho/main.rego"
_RESERVED = frozenset({"packs", "sekisho", "lib"})
_DECISION = ("sekisho", "decision")


def rule_faults(
    tree: dict[str, Any], path: str, places: Places, *, test: bool
) -> Iterator[tuple[Place, str]]:
    """Place and text of each fault of one parsed module."""
    for name, why in sorted(_impure(tree)):
        yield _place(places, name), f"{name} may not be used: it reaches {why}"
    package = [str(step["value"]) for step in tree["package"]["path"][1:]]
    for text in _package_faults(tree, package, path, test=test):
        yield places.name("package") or (1, 1), text
    if not test:
        yield from _fold_faults(tree, package, places)


def _package_faults(
    tree: dict[str, Any], package: list[str], path: str, *, test: bool
) -> Iterator[str]:
    dotted = ".".join(package)
    if test:
        if not package[-1].endswith("_test"):
            yield f"package {dotted}: a file of tests has a package whose name ends in _test"
        return
    if package[0] not in _RESERVED:
        yield f"package {dotted}: must begin with packs. (rules) or lib. (functions)"
    if package[0] == "sekisho" and not path.startswith("sekisho/"):
        yield "package sekisho is the fold's own: rules belong into packs.<pack>.<area>"
    if package[0] == "lib" and not path.startswith("lib/"):
        yield f"package {dotted}: functions for all packs belong into the folder lib/"
    if package[0] == "packs":
        yield from _pack_faults(package, path)
    if path == FOLD_PATH and not defines(tree, package, _DECISION):
        yield "defines no rule `decision` in package sekisho, so nothing would be decided"


def _pack_faults(package: list[str], path: str) -> Iterator[str]:
    """The folder says which pack a file belongs to, and with it in which mode it is."""
    dotted = ".".join(package)
    if len(package) != PACK_DEPTH or not all(map(_NAME.fullmatch, package)):
        yield f"package {dotted}: must be packs.<pack>.<area>, of a-z, 0-9 and _"
    elif not path.startswith(f"packs/{package[1]}/"):
        yield f"package {dotted}: rules of the pack {package[1]} belong into packs/{package[1]}/"


def defines(tree: dict[str, Any], package: list[str], wanted: tuple[str, ...]) -> bool:
    """Whether a module defines a rule of this full name."""
    names = {str(rule["head"]["ref"][0]["value"]) for rule in tree.get("rules", [])}
    return any((*package, name) == wanted for name in names)


def _fold_faults(
    tree: dict[str, Any], package: list[str], places: Places
) -> Iterator[tuple[Place, str]]:
    if package[0] == "sekisho":
        return
    rules = tree.get("rules", [])
    names = [str(rule["head"]["ref"][0]["value"]) for rule in rules]
    for number, (rule, name) in enumerate(zip(rules, names, strict=True)):
        head, text = rule["head"], ""
        if name not in FOLDED:
            continue
        if package[0] != "packs" or len(package) != PACK_DEPTH:
            text = f"{name} is not read here: use a package named packs.<pack>.<area>"
        elif len(head["ref"]) != 1 or "key" not in head or "value" in head:
            text = f"{name} must be a set: write `{name} contains … if …`"
        if text:
            yield places.heads(names)[number], text


def _impure(tree: Any) -> set[tuple[str, str]]:
    refs = (_dotted(node["value"]) for node in nodes(tree) if node.get("type") == "ref")
    return {(name, why) for name, why in map(_reaches, refs) if why}


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


def _place(places: Places, name: str) -> Place:
    """Where `name` is first written; where it is spelt another way, its family."""
    return places.name(name) or places.name(name.split(".", maxsplit=1)[0]) or (1, 1)
