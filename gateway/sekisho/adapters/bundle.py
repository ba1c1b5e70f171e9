"""A directory of rules becomes a bundle, or a list of everything that is wrong with it.

What is loaded is exactly what was reviewed: the Rego modules (without `_test.rego`) and data.yaml,
named by one digest over their paths and bytes. Nothing is skipped in silence: a link that leads
out, a data file elsewhere or a module outside the fold is a fault. Policies must be pure, so that
a recorded decision replays byte for byte; `rego_rules` looks for what is not.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from opa_bindings import OpaEngine, OpaError

from sekisho.adapters.policy_answer import QUERY
from sekisho.adapters.policy_data import NotPolicyData, read_data, usage_rules
from sekisho.adapters.policy_memo import Paths, all_reads, reads
from sekisho.adapters.policy_packs import assistants, unlisted
from sekisho.adapters.policy_smoke import SMOKE_INPUTS
from sekisho.adapters.rego_places import Places
from sekisho.adapters.rego_rules import FOLD_PATH, rule_faults
from sekisho.errors import PolicyRejected
from sekisho.model.assistant import NO_ASSISTANTS, Assistants
from sekisho.model.prices import UNLIMITED, UsageRules

MODULES_MAX = 1000  # a thousand reviewed files is more than anybody reviews
MODULE_BYTES_MAX = 1024 * 1024  # a rule file is read by people
DATA_BYTES_MAX = 32 * 1024 * 1024  # 10,000 principals take about 2 MiB
LOOKS_KEPT_MAX = 512  # modules, of all bundles that this process reads
LOOK_CHARS_MAX = 64 * 1024  # of a module whose look is kept, which keeps its source: 32 MiB at most
_NO_DECISION = frozenset({"eval_error", "undefined"})
_LIKE_RULES = (".rego", ".rego.txt")
_FOLDERS_NOT_READ = frozenset({"schema"})
_PLACE = re.compile(
    r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:(?P<column>\d+):)? (?P<text>.*)", re.DOTALL
)
# What an error of the engine is about, in the words of the engine.
_ABOUT = re.compile(
    r"(?:var|function|ref:|variable|import must not shadow|rule named) ([A-Za-z_][\w.]*)"
    r"|undefined ref: ([\w.]+)|: ([a-z_][\w.]*): "
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where; line and column count from 1."""

    file: str
    line: int
    text: str
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Faults are told file by file, from top to bottom."""
        return self.file, self.line, self.column, self.text

    @classmethod
    def read(cls, text: str) -> Fault:
        """The fault that `text` spells; without a place, one at the fold."""
        place = _PLACE.match(text)
        if place is None:
            return cls(FOLD_PATH, 1, text)
        return cls(place["file"], int(place["line"]), place["text"], int(place["column"] or 1))


@dataclass(frozen=True, slots=True)
class Module:
    """One Rego file; `path` is relative to the bundle, with forward slashes."""

    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Rules and data as they would run. `tests` are read but never loaded by the gateway; `reads`
    are the input paths that a decision can depend on (see policy_memo), None if they are all.
    `usage` has the limits and prices of the data, `assistants` who may be asked by name,
    `rules` the rule packages as decisions name them. `files` are the bytes of all of it, tests too.
    """

    modules: tuple[Module, ...]
    tests: tuple[Module, ...]
    data: dict[str, Any]
    revision: str
    reads: tuple[tuple[str, ...], ...] | None = None
    usage: UsageRules = field(default=UNLIMITED, compare=False)
    assistants: Assistants = field(default=NO_ASSISTANTS, compare=False)
    rules: frozenset[str] = field(default=frozenset(), compare=False)
    files: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def contents(self) -> str:
        """The digest of everything that was read. Tests do not run, so a revision says nothing of
        them; whoever keeps a bundle keeps them too.
        """
        return _digest(b"sekisho-bundle-contents-v1\n", list(self.files.items()))

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """Admin-given words by the label they give, for the scanner."""
        return {label: tuple(words) for label, words in self.data.get("words", {}).items()}


def read_bundle(directory: Path) -> Bundle:
    """Read and check everything that needs no evaluation. Raises PolicyRejected with all faults."""
    reader = _Reader(directory)
    bundle = reader.read()
    looks = [_look(module) for module in bundle.modules]
    # A worker never runs tests, yet refuses faulty ones: no reader takes what another refuses.
    tests = [_look(module) for module in bundle.tests]
    faults = [*reader.faults, *(fault for look in (*looks, *tests) for fault in look.faults)]
    if not any(module.path == FOLD_PATH for module in bundle.modules):
        faults.append(Fault(FOLD_PATH, 1, "is missing: it gives the decision"))
    if not faults:
        faults += _without_mode(bundle, looks)
    if faults:
        raise PolicyRejected([str(fault) for fault in sorted(faults, key=lambda f: f.order)])
    named = assistants(bundle.data, bundle.revision)
    packages = [look.package[1:] for look in looks if look.package[0] == "packs"]
    return replace(
        bundle,
        reads=all_reads(look.reads for look in looks),
        assistants=named,
        rules=frozenset(map(".".join, packages)),
    )


def _without_mode(bundle: Bundle, looks: list[_Look]) -> Iterator[Fault]:
    """The fold asks the packs that data.modes names, so each has to stand there."""
    first: dict[str, str] = {}
    for look, module in zip(looks, bundle.modules, strict=True):
        if look.package[0] == "packs" and len(look.package) > 1:
            first.setdefault(look.package[1], module.path)
    for pack, text in unlisted(first, bundle.data.get("modes", {})):
        yield Fault(first.get(pack, "data.yaml"), 1, text)


def must_be(bundle: Bundle, revision: str | None) -> None:
    """Raises PolicyRejected for a kept bundle that is not `revision` any more."""
    if revision not in (None, bundle.revision):
        text = f"this is not {revision} any more: damaged or edited. Put the same files in again"
        raise PolicyRejected([str(Fault(FOLD_PATH, 1, text))])


def build(bundle: Bundle, *, with_tests: bool = False) -> OpaEngine:
    """An engine that has compiled the bundle. Raises PolicyRejected; the caller closes it.

    The engine compiles everything for each query that it is asked for the first time. So it is
    asked here for a decision, as it will be from now on: of what that is, `policy_smoke` judges.
    """
    engine = OpaEngine()
    engine.print_handler = _drop_print
    try:
        for module in (*bundle.modules, *(bundle.tests if with_tests else ())):
            engine.add_policy(module.path, module.source)
        engine.add_data(bundle.data)
        _compile(engine)
    except OpaError as error:
        engine.close()
        sources = {module.path: module.source for module in (*bundle.modules, *bundle.tests)}
        faults = faults_of(error, sources=sources)
        raise PolicyRejected([str(fault) for fault in faults]) from error
    return engine


def _compile(engine: OpaEngine) -> None:
    """Raises OpaError for rules that do not compile, not for those that give no decision."""
    try:
        engine.eval_document(QUERY, SMOKE_INPUTS[0].document)
    except OpaError as error:
        if error.code not in _NO_DECISION:
            raise


def faults_of(
    error: OpaError, file: str = FOLD_PATH, sources: Mapping[str, str] | None = None
) -> list[Fault]:
    """The places that an error of the engine names; `file` where it names none.

    The column is where the engine put its caret, else where `sources` has, on that line, the name
    that the error is about.
    """
    lines = str(error.message).splitlines()
    faults = []
    for number, line in enumerate(lines, 1):
        text = line.split("error occurred: ", 1)[-1] if "error occurred: " in line else line
        place = _PLACE.match(text.strip())
        if not place:
            continue
        at, said = int(place["line"]), place["text"]
        caret = lines[number + 1] if number + 1 < len(lines) else ""
        if caret.startswith("\t") and caret.strip() == "^":
            column = len(caret) - 1
        else:
            column = _column((sources or {}).get(place["file"], ""), at, said)
        faults.append(Fault(place["file"], at, said, column))
    return faults or [Fault(file, 1, f"{error.code}: {error.message}")]


def _column(source: str, line: int, text: str) -> int:
    """Where on `line` the thing stands that `text` is about, else where the line's code begins."""
    lines = source.split("\n")
    if not 1 <= line <= len(lines):
        return 1
    about = _ABOUT.search(text)
    named = next(filter(None, about.groups()), "") if about else ""
    place = Places(source).name(named, after=line) if named else None
    if place and place[0] == line:
        return place[1]
    return len(lines[line - 1]) - len(lines[line - 1].lstrip()) + 1


def syntax_tree(parser: OpaEngine, module: Module) -> dict[str, Any]:
    """The syntax tree of `module`, as the engine that will run it reads it. Raises OpaError."""
    found = parser.eval_query(
        "x := rego.parse_module(input.path, input.source)",
        {"path": module.path, "source": module.source},
    )
    tree: dict[str, Any] = found[0]["x"]
    return tree


def _drop_print(_message: str, _location: str) -> None:
    """print() in a rule is for its tests; in the gateway it would only leak facts."""


@dataclass(frozen=True, slots=True)
class _Look:
    """All that a bundle has to know of one module. Not its tree, which anybody could change."""

    faults: tuple[Fault, ...]
    reads: Paths = ()
    package: tuple[str, ...] = ()


def _look(module: Module) -> _Look:
    """Parsing is most of the cost of reading rules, and a change leaves most modules as they were:
    what one says follows from its path and its source alone, so it is looked at once.
    """
    return (_fresh_look if len(module.source) > LOOK_CHARS_MAX else _kept_look)(module)


def _fresh_look(module: Module) -> _Look:
    try:
        with OpaEngine() as parser:
            tree = syntax_tree(parser, module)
    except OpaError as error:
        return _Look(tuple(_parse_faults(error, module)))
    except RecursionError:  # the engine reads deeper than its tree is read here
        return _Look((Fault(module.path, 1, "is nested too deeply to be looked through"),))
    test = module.path.endswith("_test.rego")
    faults = rule_faults(tree, module.path, Places(module.source), test=test)
    told = tuple(Fault(module.path, place[0], text, place[1]) for place, text in faults)
    package = tuple(str(step["value"]) for step in tree["package"]["path"][1:])
    return _Look(told, reads(tree), package)


_kept_look = lru_cache(LOOKS_KEPT_MAX)(_fresh_look)


def _parse_faults(error: OpaError, module: Module) -> Iterator[Fault]:
    for fault in faults_of(error, module.path, {module.path: module.source}):
        text = fault.text.split("rego.parse_module: ")[-1]
        yield replace(fault, file=module.path, text=text + _v0_hint(text))


def _v0_hint(text: str) -> str:
    return " (Rego v0 is not read; write v1)" if "keyword is required" in text else ""


class _Reader:
    """Walks one directory; collects faults instead of stopping at the first."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._inside = directory.resolve()
        self.faults: list[Fault] = []
        self._modules: list[Module] = []
        self._tests: list[Module] = []
        self._data: dict[str, Any] = {}
        self._digest: list[tuple[str, bytes]] = []
        self._files_read: dict[str, bytes] = {}

    def read(self) -> Bundle:
        if not self._root.is_dir():
            raise PolicyRejected([f"{self._root.name}:1:1: is not a directory"])
        for path in sorted(self._files()):
            self._take(path, path.relative_to(self._root).as_posix())
        if not self._modules:
            self._fault(".", "has no Rego modules")
        if not self._data and not self.faults:
            self._fault("data.yaml", "is missing")
        return Bundle(
            tuple(self._modules),
            tuple(self._tests),
            self._data,
            _revision(self._digest),
            usage=usage_rules(self._data),
            files=self._files_read,
        )

    def _fault(self, name: str, text: str) -> None:
        self.faults.append(Fault(name, 1, text))

    def _files(self) -> Iterator[Path]:
        for folder, below, names in os.walk(self._root):
            here = Path(folder)
            for name in list(below):
                if name.startswith(".") or (here == self._root and name in _FOLDERS_NOT_READ):
                    below.remove(name)
                elif (here / name).is_symlink():
                    below.remove(name)
                    place = (here / name).relative_to(self._root).as_posix()
                    self._fault(place, "is a link to a directory, which is not followed")
            yield from (here / name for name in names if not _hidden(name))

    def _take(self, path: Path, name: str) -> None:
        kind = (
            "rego"
            if name.endswith(".rego") and path.name[0] != "."
            else "data"
            if _is_data(path.name)
            else ""
        )
        if not kind:
            if path.name.lower().endswith(_LIKE_RULES):
                self._fault(name, "is not read: files of rules are called <area>.rego")
            return
        # Links to directories are not followed, so only the file itself may be one.
        if path.is_symlink() and not path.resolve().is_relative_to(self._inside):
            self._fault(name, "is a link that leads out of the bundle")
            return
        if not name.isprintable() or "\\" in name:  # which could not be kept, and spoils a terminal
            self._fault(ascii(name), "has characters in its name that no bundle keeps: rename it")
            return
        if path.exists() and not path.is_file():  # to open a pipe is to wait for its other end
            self._fault(name, "is no file")
            return
        limit = MODULE_BYTES_MAX if kind == "rego" else DATA_BYTES_MAX
        try:
            with path.open("rb") as file:
                source = file.read(limit + 1)
        except OSError as error:
            self._fault(name, f"cannot be read: {error.strerror}")
            return
        self._files_read[name] = source
        if len(source) > limit:
            self._fault(name, f"is larger than {limit} bytes")
        elif kind == "rego":
            self._take_module(name, source)
        elif name == "data.yaml":
            self._take_data(name, source)
        else:
            self._fault(name, "data is read from data.yaml at the top only")

    def _take_module(self, name: str, source: bytes) -> None:
        try:
            module = Module(name, source.decode("utf-8"))
        except UnicodeDecodeError:
            self._fault(name, "is not UTF-8")
            return
        if "\0" in module.source:
            self._fault(name, "contains the character NUL")
        elif name.endswith("_test.rego"):
            self._tests.append(module)
        elif len(self._modules) == MODULES_MAX:
            self._fault(name, f"is one module too many: at most {MODULES_MAX} are read")
        else:
            self._modules.append(module)
            self._digest.append((name, source))

    def _take_data(self, name: str, source: bytes) -> None:
        try:
            self._data = read_data(source)
        except NotPolicyData as error:
            for (line, column), text in error.faults:
                self.faults.append(Fault(name, line, text, column))
            return
        self._digest.append((name, source))


def _hidden(name: str) -> bool:
    """Left by a mount or an editor; a rule that hides is told like any other that is not read."""
    return name.startswith(".") and not name.lower().endswith(_LIKE_RULES)


def _is_data(name: str) -> bool:
    return name in {"data.yaml", "data.yml", "data.json"}


def _revision(files: list[tuple[str, bytes]]) -> str:
    return _digest(b"sekisho-bundle-v1\n", files)


def _digest(domain: bytes, files: list[tuple[str, bytes]]) -> str:
    """Lengths before contents, so that no two bundles give the same bytes to hash."""
    digest = hashlib.sha256(domain)
    for name, content in sorted(files):
        for part in (name.encode(), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return f"sha256:{digest.hexdigest()}"
