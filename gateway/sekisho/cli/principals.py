"""`sekisho principal list | grant`: who there is, and what they may do."""

from __future__ import annotations

import argparse
import dataclasses

from sekisho.adapters.key_desk import KeyDesk
from sekisho.adapters.sql_registry import PrincipalRow
from sekisho.cli.printing import add_config, add_json, as_json, names, table, when
from sekisho.config import load

_COLUMNS = ("id", "kind", "owner", "disabled", "roles", "groups", "created")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho principal`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    show = verbs.add_parser("list", help="all principals")
    grant = verbs.add_parser("grant", help="set roles, groups or state to exactly what is given")
    grant.add_argument("principal", metavar="ID")
    grant.add_argument("--roles", type=names, metavar="A,B", help='"" takes all away')
    grant.add_argument("--groups", type=names, metavar="A,B", help='"" takes all away')
    state = grant.add_mutually_exclusive_group()
    state.add_argument(
        "--disable", dest="disabled", action="store_const", const=True, help="shut out"
    )
    state.add_argument(
        "--enable", dest="disabled", action="store_const", const=False, help="let in again"
    )
    for verb in (show, grant):
        add_config(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print the principals it concerns."""
    desk = KeyDesk(load(options.config))
    if options.verb == "grant":
        rows = [
            desk.grant(
                options.principal,
                roles=options.roles,
                groups=options.groups,
                disabled=options.disabled,
            )
        ]
    else:
        rows = list(desk.principals())
    shown = [_shown(row) for row in rows]
    print(as_json(shown) if options.json else table(shown, _COLUMNS))
    return 0


def _shown(row: PrincipalRow) -> dict[str, object]:
    shown = dataclasses.asdict(row)
    shown["created"] = when(shown.pop("created_us"))
    return shown
