"""`sekisho key create | rotate | list | revoke`: works before, beside and after `serve`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator

from sekisho.adapters.key_desk import KeyDesk
from sekisho.adapters.registry_keys import (
    DAY_US,
    KEY_DAYS_MAX,
    OVERLAP_DAYS_MAX,
    KeyRow,
    KeyTerms,
    is_live,
    parse_scopes,
)
from sekisho.cli.printing import add_config, add_json, amount, as_json, names, table, when
from sekisho.config import load
from sekisho.model.principal import Role, Scope

_HOUR_US = 3600 * 1_000_000
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
    create.add_argument(
        "--days",
        type=int,
        metavar="N",
        help=f"the key ends after N days, at most {KEY_DAYS_MAX}; otherwise never",
    )
    create.add_argument(
        "--scopes",
        type=names,
        metavar="A,B",
        help="what for: ask, review, self, audit, admin (otherwise these five), or scim alone",
    )
    create.add_argument(
        "--models",
        type=names,
        metavar="A,B",
        help="the only models it may ask, names or patterns: * is any text and ? one character, "
        "wherever they stand, as in 'gpt-4*,*-mini' (quoted, or the shell reads them)",
    )
    rotate = verbs.add_parser("rotate", help="make a key that takes over, and print it once")
    rotate.add_argument("key", metavar="KEY_ID", help="the key it takes over from")
    rotate.add_argument(
        "--overlap-hours",
        type=amount,
        default=24.0,
        metavar="N",
        help=f"how long the old one still works (24; 0 to {OVERLAP_DAYS_MAX * 24})",
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
        expires_us = time.time_ns() // 1000 + options.days * DAY_US
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
    for line in _missing(desk, options):
        print(line, file=sys.stderr)
    if options.json:
        key = {"principal": options.principal, "key": plaintext, "expires": when(expires_us)}
        return as_json(key)
    return plaintext


def _missing(desk: KeyDesk, options: argparse.Namespace) -> Iterator[str]:
    """What the new key's principal still needs before a model answers."""
    if options.scopes is not None and Scope.ASK not in options.scopes:
        return
    who = options.principal
    (row,) = (one for one in desk.principals() if one.id == who)
    if not row.roles:
        yield (
            f"warning: {who} has no role and may not ask a model yet: "
            f"`sekisho principal grant {who} --roles employee`"
        )
    if Role.EMPLOYEE in row.roles and not row.groups:
        yield (
            f"warning: {who} is in no group, and the shipped rules give models by group "
            "(`groups:` in the bundle's data.yaml): "
            f"`sekisho principal grant {who} --groups GROUP`, or let its directory say"
        )


def _rotate(desk: KeyDesk, options: argparse.Namespace) -> str:
    plaintext = desk.rotate(options.key, int(options.overlap_hours * _HOUR_US))
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
    row, news = desk.revoke(options.key)
    if options.json:
        return as_json(_shown(row))
    if not news:
        return f"Key {row.id} of {row.principal} was revoked already, at {when(row.revoked_us)}."
    return f"Key {row.id} of {row.principal} is revoked."


def _shown(row: KeyRow) -> dict[str, object]:
    shown = dataclasses.asdict(row)
    live = is_live(row, time.time_ns() // 1000)
    shown["state"] = "live" if live else "revoked" if row.revoked_us else "expired"
    for name in ("created", "expires", "revoked"):
        shown[name] = when(shown.pop(f"{name}_us"))
    return shown
