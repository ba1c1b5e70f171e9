"""`sekisho key create | rotate | list | revoke`: works before, beside and after `serve`."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable

from sekisho.adapters.key_desk import KeyDesk
from sekisho.adapters.registry_keys import KeyRow, KeyTerms, is_live, parse_scopes
from sekisho.cli.printing import add_config, add_json, as_json, names, table, when
from sekisho.config import load

_HOUR_US = 3600 * 1_000_000
_DAY_US = 24 * _HOUR_US
_COLUMNS = ("id", "principal", "state", "label", "scopes", "models", "created", "expires")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho key`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", help="make a key and print it once")
    create.add_argument("--principal", required=True, metavar="ID", help="whose key")
    create.add_argument(
        "--groups", type=names, default=[], metavar="A,B", help="added to those it has"
    )
    create.add_argument(
        "--roles", type=names, default=[], metavar="A,B", help="added to those it has"
    )
    create.add_argument("--owner", metavar="ID", help="makes a service account of this person")
    create.add_argument("--label", default="", help="what the key is for")
    create.add_argument("--days", type=int, metavar="N", help="the key ends after N days")
    create.add_argument(
        "--scopes",
        type=names,
        metavar="A,B",
        help="what it is for: ask, review, self, admin, scim; otherwise all but scim",
    )
    create.add_argument(
        "--models", type=names, metavar="A,B", help="the only models it may ask; * at the end"
    )
    rotate = verbs.add_parser("rotate", help="make a key that takes over, and print it once")
    rotate.add_argument("key", metavar="KEY_ID", help="the key it takes over from")
    rotate.add_argument(
        "--overlap-hours",
        type=float,
        default=24.0,
        metavar="N",
        help="how long the old one still works (24)",
    )
    show = verbs.add_parser("list", help="keys, without their secrets")
    show.add_argument("--principal", metavar="ID", help="only this principal's")
    revoke = verbs.add_parser("revoke", help="end a key, within a second on every worker")
    revoke.add_argument("key", metavar="KEY_ID", help="the eight characters after sk-sekisho-")
    for verb in (create, rotate, show, revoke):
        add_config(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print what came of it."""
    desk = KeyDesk(load(options.config))
    verb: Callable[[KeyDesk, argparse.Namespace], str] = {
        "create": _create,
        "rotate": _rotate,
        "list": _list,
        "revoke": _revoke,
    }[options.verb]
    print(verb(desk, options))
    return 0


def _create(desk: KeyDesk, options: argparse.Namespace) -> str:
    expires_us = None
    if options.days is not None:
        expires_us = time.time_ns() // 1000 + options.days * _DAY_US
    terms = KeyTerms(
        label=options.label,
        expires_us=expires_us,
        scopes=None if options.scopes is None else parse_scopes(options.scopes),
        models=None if options.models is None else tuple(options.models),
    )
    plaintext = desk.create(
        options.principal,
        groups=options.groups,
        roles=options.roles,
        owner=options.owner,
        terms=terms,
    )
    if options.json:
        key = {"principal": options.principal, "key": plaintext, "expires": when(expires_us)}
        return as_json(key)
    return plaintext


def _rotate(desk: KeyDesk, options: argparse.Namespace) -> str:
    plaintext = desk.rotate(options.key, max(0, int(options.overlap_hours * _HOUR_US)))
    if options.json:
        rows = desk.keys()
        (old,) = (row for row in rows if row.id == options.key)
        return as_json({"key": plaintext, "replaces": old.id, "old_expires": when(old.expires_us)})
    return plaintext


def _list(desk: KeyDesk, options: argparse.Namespace) -> str:
    rows = [_shown(row) for row in desk.keys(options.principal)]
    if options.json:
        return as_json(rows)
    return table(rows, _COLUMNS)


def _revoke(desk: KeyDesk, options: argparse.Namespace) -> str:
    row = desk.revoke(options.key)
    if options.json:
        return as_json(_shown(row))
    return f"Key {row.id} of {row.principal} is revoked."


def _shown(row: KeyRow) -> dict[str, object]:
    shown = dataclasses.asdict(row)
    live = is_live(row, time.time_ns() // 1000)
    shown["state"] = "live" if live else "revoked" if row.revoked_us else "expired"
    for name in ("created", "expires", "revoked"):
        shown[name] = when(shown.pop(f"{name}_us"))
    return shown
