"""`sekisho key create | list | revoke`: works before, beside and after `serve`."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable

from sekisho.adapters.key_desk import KeyDesk
from sekisho.adapters.sql_registry import KeyRow, is_live
from sekisho.cli.printing import add_config, add_json, as_json, names, table, when
from sekisho.config import load

_DAY_US = 86_400 * 1_000_000


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
    show = verbs.add_parser("list", help="keys, without their secrets")
    show.add_argument("--principal", metavar="ID", help="only this principal's")
    revoke = verbs.add_parser("revoke", help="end a key, within a second on every worker")
    revoke.add_argument("key", metavar="KEY_ID", help="the eight characters after sk-sekisho-")
    for verb in (create, show, revoke):
        add_config(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print what came of it."""
    desk = KeyDesk(load(options.config))
    verb: Callable[[KeyDesk, argparse.Namespace], str] = {
        "create": _create,
        "list": _list,
        "revoke": _revoke,
    }[options.verb]
    print(verb(desk, options))
    return 0


def _create(desk: KeyDesk, options: argparse.Namespace) -> str:
    expires_us = None
    if options.days is not None:
        expires_us = time.time_ns() // 1000 + options.days * _DAY_US
    plaintext = desk.create(
        options.principal,
        groups=options.groups,
        roles=options.roles,
        owner=options.owner,
        label=options.label,
        expires_us=expires_us,
    )
    if options.json:
        key = {"principal": options.principal, "key": plaintext, "expires": when(expires_us)}
        return as_json(key)
    return plaintext


def _list(desk: KeyDesk, options: argparse.Namespace) -> str:
    rows = [_shown(row) for row in desk.keys(options.principal)]
    if options.json:
        return as_json(rows)
    return table(rows, ("id", "principal", "state", "label", "created", "expires", "revoked"))


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
