"""Read settings from a TOML file and the environment; report every fault at once.

`SEKISHO_SECTION__NAME` overrides any value of the file; lists are given as JSON. Paths are relative
to the file. A key nobody knows is a fault, because a mistyped limit would otherwise silently be the
default. Values of a file are never repeated in messages where they may be secrets.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sekisho.config.anchors import AnchorSettings
from sekisho.config.identity import IssuerSettings
from sekisho.config.notify import ChannelSettings
from sekisho.config.sections import BackendSettings, Settings
from sekisho.errors import SekishoError

PREFIX = "SEKISHO_"
_CONFIG_BYTES_MAX = 1024 * 1024  # a thousand backends fit; a log file given by mistake does not
_PATHS = (
    ("data_dir",),
    ("audit", "keys_dir"),
    ("policy", "bundle"),
    ("policy", "tls_ca"),
    ("policy", "tls_certificate"),
    ("policy", "tls_key"),
    ("server", "tls_certificate"),
    ("server", "tls_key"),
    ("server", "tls_client_ca"),
)
_LISTS: Mapping[str, type[BaseModel]] = {
    "anchors": AnchorSettings,
    "backends": BackendSettings,
    "issuers": IssuerSettings,
    "notify.channels": ChannelSettings,
}


class ConfigError(SekishoError):
    """The settings cannot be used; `faults` names each place and what to do."""

    code = "config_invalid"

    def __init__(self, source: str, faults: list[str]) -> None:
        self.source = source
        self.faults = tuple(faults)
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{source}: {count}", *(f"  - {fault}" for fault in faults)]))


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of the file at `path`, overridden by `environ` (the process's by default)."""
    source = str(path)
    try:
        with path.open("rb") as file:
            text = file.read(_CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(source, [f"cannot be read: {error.strerror}"]) from error
    if len(text) > _CONFIG_BYTES_MAX:
        raise ConfigError(source, [f"is above {_CONFIG_BYTES_MAX} bytes: the right file?"])
    return parse(text, source, path.resolve().parent, os.environ if environ is None else environ)


def parse(text: bytes, source: str, folder: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in `text`; relative paths are taken from `folder`. Raises ConfigError."""
    try:
        document = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(source, [f"is not TOML: {error}"]) from error
    faults = _override(document, environ)
    _root_paths(document, folder)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        faults += _told(error.errors(include_url=False))
        raise ConfigError(source, faults) from error
    if faults:
        raise ConfigError(source, faults)
    return settings


def sections() -> dict[str, type[BaseModel]]:
    """The tables of the file by name; those of `_LISTS` are lists of tables. A table in a table
    has both names, as `audit.retention`.
    """
    found: dict[str, type[BaseModel]] = dict(_LISTS)
    for name, table in _tables(Settings):
        found.setdefault(name, table)
        if name not in _LISTS:
            found |= {f"{name}.{inner}": part for inner, part in _tables(table)}
    return found


def _tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The members of a model that are tables themselves."""
    for name, field in model.model_fields.items():
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield name, candidate


def _variables() -> dict[str, tuple[str, ...]]:
    """Every environment variable that means a setting, with its place."""
    known: dict[str, tuple[str, ...]] = {}
    tables = sections()
    every: dict[str, type[BaseModel]] = {"": Settings, **tables}
    for name, table in every.items():
        if name in _LISTS:
            continue
        outer = tuple(name.split(".")) if name else ()
        for key in table.model_fields:
            place = (*outer, key)
            if ".".join(place) in _LISTS or ".".join(place) not in tables:
                known[f"{PREFIX}{'__'.join(place)}".upper()] = place
    return known


def _override(document: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    """Put the environment's values into `document`; the faults found on the way."""
    known = _variables()
    nearly = {name.replace("__", "_"): name for name in known}
    faults = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        if name in known:
            faults += _put(document, known[name], name, environ[name])
        elif "__" in name:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            faults.append(f"{name}: there is no such setting{hint}")
        elif name in nearly:
            faults.append(f"{name}: write it with two underscores, {nearly[name]}")
    return faults


def _put(document: dict[str, Any], place: tuple[str, ...], name: str, text: str) -> list[str]:
    table = document
    for key in place[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return []  # the file has a scalar where a table belongs: validation reports that
    value: Any = text
    if text.lstrip().startswith("["):
        try:
            value = json.loads(text)
        except ValueError:
            return [f"{name}: begins like a JSON list but is not JSON"]
    table[place[-1]] = value
    return []


def _root_paths(document: dict[str, Any], folder: Path) -> None:
    """Make every path absolute, the defaults included, so that no working directory matters."""
    for place in _PATHS:
        table: Any = document
        model: type[BaseModel] = Settings
        for key in place[:-1]:
            table = table.setdefault(key, {})
            model = sections()[key]
            if not isinstance(table, dict):
                break
        else:
            default = model.model_fields[place[-1]].get_default(call_default_factory=False)
            value = table.get(place[-1], default)
            if isinstance(value, str | Path):
                table[place[-1]] = folder / Path(value).expanduser()


def _told(details: list[ErrorDetails]) -> list[str]:
    """One line a fault. A list whose items all failed also counts as too short: noise."""
    inner = {detail["loc"][0] for detail in details if len(detail["loc"]) > 1}
    return [
        _fault(detail)
        for detail in details
        if not (detail["type"] == "too_short" and detail["loc"][0] in inner)
    ]


def _fault(detail: ErrorDetails) -> str:
    place = _place(detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return f"{place}: there is no such setting{_did_you_mean(detail['loc'])}"
        case "missing" if detail["loc"] == ("backends",):
            return "backends: at least one [[backends]] table is needed"
        case "missing":
            return f"{place}: is needed and absent"
        case _:
            said = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
            return f"{place}: {said}" if place else said


def _place(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _did_you_mean(loc: tuple[int | str, ...]) -> str:
    named = [part for part in loc if isinstance(part, str)]
    tables, outer = sections(), ".".join(named[:-1])
    model = tables.get(outer, tables.get(named[0], Settings)) if outer else Settings
    close = get_close_matches(named[-1], model.model_fields, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    homes = [name for name, table in sections().items() if named[-1] in table.model_fields]
    return f"; it belongs into [{homes[0]}]" if homes else ""
