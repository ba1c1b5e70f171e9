"""What `sekisho policy check` finds beyond what the gateway refuses to load.

Rules that nobody reads and rules that say nothing about themselves do no harm to a request, but to
whoever reviews the next change. So they are faults of a check and no reason to refuse a bundle. The
roots are what the gateway asks (`sekisho.decision`) and the sets that the fold reads; whatever they
do not lead to is unused. Tests do not count as readers, and only their imports are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opa_bindings import OpaEngine

from sekisho.adapters.bundle import Bundle, Fault, Module, syntax_tree
from sekisho.adapters.policy_entries import unfit_entries
from sekisho.adapters.policy_reads import unknown_reads
from sekisho.adapters.rego_places import Metadata, Place, Places
from sekisho.adapters.rego_rules import FOLDED, PACK_DEPTH
from sekisho.adapters.rego_tree import names, nodes

Name = tuple[str, ...]  # a full name below data, such as ("packs", "default", "models", "allow")

_DECISION = ("sekisho", "decision")
_NOT_MODULES = frozenset({"rego", "future"})  # imports that switch the language


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it is written: a name may have several."""

    module: Module
    name: Name
    place: Place
    function: bool
    tree: Mapping[str, Any]
    metadata: Metadata | None

    @property
    def read_by_gateway(self) -> bool:
        """Whether the gateway or the fold reads it, without any other rule."""
        in_pack = self.name[0] == "packs" and len(self.name) == PACK_DEPTH + 1
        return self.name == _DECISION or (in_pack and self.name[-1] in FOLDED)


class Parsed:
    """One module with its tree, its places, its imports by the name they are used under."""

    def __init__(self, parser: OpaEngine, module: Module) -> None:
        self.module = module
        self.places = Places(module.source)
        self.tree = syntax_tree(parser, module)
        self.package: Name = tuple(str(step["value"]) for step in self.tree["package"]["path"][1:])
        self.imports = {alias: path for alias, path in self._imports() if path}
        self.rules = tuple(self._rules())

    def _imports(self) -> Iterator[tuple[str, Name]]:
        for one in self.tree.get("imports", []):
            steps = tuple(str(step["value"]) for step in one["path"]["value"])
            if steps[0] not in _NOT_MODULES:
                yield str(one.get("alias") or steps[-1]), steps

    def _rules(self) -> Iterator[Rule]:
        trees = self.tree.get("rules", [])
        names = [str(tree["head"]["ref"][0]["value"]) for tree in trees]
        blocks = self._of_documents(names)
        for tree, name, place in zip(trees, names, self.places.heads(names), strict=True):
            yield Rule(
                self.module,
                (*self.package, name),
                place,
                "args" in tree["head"],
                tree,
                self.places.above(place[0]) or blocks.get(name),
            )

    def _of_documents(self, names: Sequence[str]) -> dict[str, Metadata]:
        """Blocks that speak for all rules of a name; for an entrypoint that is OPA's default."""
        found: dict[str, Metadata] = {}
        for name, place in zip(names, self.places.heads(names), strict=True):
            block = self.places.above(place[0])
            entry = block is not None and (block.members or {}).get("entrypoint") is True
            if block and (entry or block.said("scope") == "document"):
                found[name] = block
        return found

    def reads(self, tree: Any) -> Iterator[Name]:
        """Full names that a piece of this module reads. A local variable that is called like a rule
        counts as reading it.
        """
        stack = [tree]
        while stack:
            here = stack.pop()
            if isinstance(here, list):
                stack.extend(here)
            elif isinstance(here, dict):
                yield from self._read(here)
                steps = here.get("value")
                if here.get("type") == "ref" and isinstance(steps, list):
                    stack.extend(steps[1:])
                    stack.append(steps[0] if steps[0].get("type") != "var" else None)
                else:
                    stack.extend(here.values())

    def _read(self, node: Mapping[str, Any]) -> Iterator[Name]:
        steps = node.get("value")
        if node.get("type") == "var":
            steps = [node]
        elif node.get("type") != "ref" or not isinstance(steps, list):
            return
        head, rest = str(steps[0].get("value")), names(steps[1:])
        if head == "data":
            yield rest
        elif head in self.imports:
            yield (*self.imports[head][1:], *rest)
        else:
            yield (*self.package, head, *rest)


def parse(modules: Sequence[Module]) -> list[Parsed]:
    """Modules of a bundle that has been read. Raises OpaError."""
    with OpaEngine() as parser:
        return [Parsed(parser, module) for module in modules]


def lint(bundle: Bundle) -> list[Fault]:
    """Everything that is unused, does not say what it is, or can never be taken."""
    parsed = parse(bundle.modules)
    faults = [*_silent(parsed), *_unused(parsed), *_misspelt(parsed), *_unfit(parsed)]
    for one in (*parsed, *parse(bundle.tests)):
        faults += _idle_imports(one)
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.order)


def _silent(parsed: Sequence[Parsed]) -> Iterator[Fault]:
    for one in parsed:
        at = one.places.name("package") or (1, 1)
        yield from _judged(one.module, at, one.places.above(at[0]), "the package")
        for rule in one.rules:
            if rule.read_by_gateway:
                yield from _judged(one.module, rule.place, rule.metadata, rule.name[-1])


def _judged(module: Module, at: Place, block: Metadata | None, what: str) -> Iterator[Fault]:
    if block is None:
        text = f"{what} has no METADATA: write `# METADATA` and `# title: …` above it"
        yield Fault(module.path, at[0], text, at[1])
    elif block.members is None:
        text = f"METADATA of {what} cannot be read as YAML"
        yield Fault(module.path, block.place[0], text, block.place[1])
    elif not block.said("title"):
        text = f"METADATA of {what} has no title"
        yield Fault(module.path, block.place[0], text, block.place[1])


def _misspelt(parsed: Sequence[Parsed]) -> Iterator[Fault]:
    for one in parsed:
        for name, text in unknown_reads(one.tree, frozenset(one.imports)):
            at = one.places.name(name) or one.places.name(name.rsplit(".", 1)[0]) or (1, 1)
            yield Fault(one.module.path, at[0], text, at[1])


def _unfit(parsed: Sequence[Parsed]) -> Iterator[Fault]:
    for one in parsed:
        for rule in one.rules:
            if rule.read_by_gateway and rule.name != _DECISION:
                for text in unfit_entries(rule.name[-1], rule.tree):
                    yield Fault(one.module.path, rule.place[0], text, rule.place[1])


def _unused(parsed: Sequence[Parsed]) -> Iterator[Fault]:
    rules = [rule for one in parsed for rule in one.rules]
    by_module = {one.module.path: one for one in parsed}
    known = {rule.name for rule in rules}
    read = {rule.name for rule in rules if rule.read_by_gateway}
    fresh = set(read)
    while fresh:
        reached: set[Name] = set()
        for rule in rules:
            if rule.name in fresh:
                for name in by_module[rule.module.path].reads(rule.tree):
                    if not _is_fold_reading(rule, name):
                        reached |= _meant(name, known)
        fresh = reached - read
        read |= fresh
    for rule in rules:
        if rule.name not in read:
            read.add(rule.name)  # once for all rules of the name
            what = "function" if rule.function else "rule"
            text = f"the {what} {rule.name[-1]} is read by no other rule: remove it"
            yield Fault(rule.module.path, rule.place[0], text, rule.place[1])


def _is_fold_reading(rule: Rule, name: Name) -> bool:
    """`data.packs[pack][area][kind]` reads four sets of each area and nothing else."""
    return rule.name[0] == "sekisho" and name == ("packs",)


def _meant(name: Name, known: set[Name]) -> set[Name]:
    """The rules that a reference reaches: the one it names or goes into, or all below it."""
    whole = {name[:length] for length in range(1, len(name) + 1)} & known
    return whole or {rule for rule in known if rule[: len(name)] == name}


def _idle_imports(one: Parsed) -> Iterator[Fault]:
    used = {
        str(node["value"])
        for node in nodes(one.tree.get("rules", []))
        if node.get("type") == "var" and isinstance(node.get("value"), str)
    }
    for alias, path in one.imports.items():
        if alias not in used:
            at = one.places.name(".".join(path), whole=True) or (1, 1)
            text = f"the import {alias} is not used: remove it"
            yield Fault(one.module.path, at[0], text, at[1])
