"""`sekisho principal`: who there is, what they may do, who they are elsewhere, who stands in.

list | grant | leave             roles, groups, state, owner, training; gone for good
links | link | unlink            identities of an issuer, or of client certificates
delegations | lend | take-back   a role lent to a delegate for some days
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any

from sekisho.adapters.key_desk import KeyDesk
from sekisho.adapters.registry_links import CERTIFICATE, HEADER
from sekisho.adapters.sql_registry import PrincipalRow
from sekisho.cli.printing import add_config, add_json, amount, as_json, day, names, table, when
from sekisho.config import load
from sekisho.errors import BadRequest

_DAY_US = 86_400 * 1_000_000
_COLUMNS = ("id", "kind", "owner", "state", "roles", "groups", "training_until", "created")
_LINK_COLUMNS = ("principal", "issuer", "subject", "as_of", "ended")
_LENT_COLUMNS = ("id", "principal", "delegate", "role", "from", "until", "ended")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho principal`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    every = [
        verbs.add_parser("list", help="all principals"),
        _configure_grant(verbs.add_parser("grant", help="set exactly what is given")),
        _configure_leave(verbs.add_parser("leave", help="gone for good; the id is never reused")),
        *_configure_links(verbs),
        *_configure_lending(verbs),
    ]
    for verb in every:
        add_config(verb)
        add_json(verb)


def _named(verb: argparse.ArgumentParser) -> argparse.ArgumentParser:
    verb.add_argument("principal", metavar="ID")
    return verb


def _configure_leave(leave: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _named(leave)
    leave.add_argument("--yes", action="store_true", help="do not ask for the id again")
    return leave


def _configure_grant(grant: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _named(grant)
    grant.add_argument("--roles", type=names, metavar="A,B", help='"" takes all away')
    grant.add_argument("--groups", type=names, metavar="A,B", help='"" takes all away')
    grant.add_argument(
        "--owner",
        metavar="ID",
        help="who answers for a service account from now; its keys end",
    )
    grant.add_argument(
        "--training-until", type=day, metavar="YYYY-MM-DD", help="until when training counts"
    )
    state = grant.add_mutually_exclusive_group()
    state.add_argument(
        "--disable", dest="disabled", action="store_const", const=True, help="shut out"
    )
    state.add_argument(
        "--enable", dest="disabled", action="store_const", const=False, help="let in again"
    )
    return grant


def _configure_links(verbs: Any) -> list[argparse.ArgumentParser]:
    shown = verbs.add_parser("links", help="identities elsewhere that mean a principal")
    shown.add_argument("--principal", metavar="ID", help="only this principal's")
    link = _named(verbs.add_parser("link", help="let an identity elsewhere mean a principal"))
    unlink = verbs.add_parser("unlink", help="let it mean nobody")
    for verb in (link, unlink):
        verb.add_argument(
            "--issuer",
            required=True,
            metavar="ID",
            help="the id of one of the [[issuers]], certificate, or header",
        )
        verb.add_argument(
            "--subject",
            required=True,
            metavar="TEXT",
            help="`sub`; of a certificate uri:…, email:… or cn:…; of a header the name it gives",
        )
    return [shown, link, unlink]


def _configure_lending(verbs: Any) -> list[argparse.ArgumentParser]:
    shown = verbs.add_parser("delegations", help="roles lent to delegates")
    shown.add_argument("--principal", metavar="ID", help="only those this principal lends")
    lend = _named(verbs.add_parser("lend", help="lend a role to a delegate for some days"))
    lend.add_argument("--delegate", required=True, metavar="ID", help="who stands in")
    lend.add_argument("--role", required=True, help="reviewer or policy_activator")
    lend.add_argument("--days", required=True, type=amount, metavar="N", help="for how long")
    lend.add_argument(
        "--from", dest="begins", type=day, metavar="YYYY-MM-DD", help="UTC; otherwise now"
    )
    back = verbs.add_parser("take-back", help="end a delegation now")
    back.add_argument("delegation", metavar="DELEGATION_ID")
    return [shown, lend, back]


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print what it concerns."""
    desk = KeyDesk(load(options.config))
    verb: Callable[[KeyDesk, argparse.Namespace], list[Any]] = {
        "list": lambda desk, _: list(desk.principals()),
        "grant": _grant,
        "leave": _leave,
        "links": lambda desk, options: list(desk.links(options.principal)),
        "link": _link,
        "unlink": lambda desk, options: [desk.unlink(options.issuer, options.subject)],
        "delegations": lambda desk, options: list(desk.lendings(options.principal)),
        "lend": _lend,
        "take-back": lambda desk, options: [desk.end_lending(options.delegation)],
    }[options.verb]
    rows = [_shown(row) for row in verb(desk, options)]
    columns: tuple[str, ...] = _COLUMNS
    if options.verb in {"links", "link", "unlink"}:
        columns = _LINK_COLUMNS
    elif options.verb in {"delegations", "lend", "take-back"}:
        columns = _LENT_COLUMNS
    print(as_json(rows) if options.json else table(rows, columns))
    return 0


def _grant(desk: KeyDesk, options: argparse.Namespace) -> list[Any]:
    row = desk.grant(
        options.principal,
        roles=options.roles,
        groups=options.groups,
        disabled=options.disabled,
        owner=options.owner,
        training_until_us=options.training_until,
    )
    return [row]


def _leave(desk: KeyDesk, options: argparse.Namespace) -> list[Any]:
    if not options.yes and _typed(options.principal) != options.principal:
        raise BadRequest("That is not the id. Nothing was changed.")
    return [desk.leave(options.principal)]


def _typed(principal: str) -> str:
    """What a person types when asked for the id. Raises BadRequest without a terminal."""
    if not sys.stdin.isatty():
        raise BadRequest(
            "There is no terminal to ask on, so nothing was changed. Give --yes to let "
            f"{principal} leave without asking."
        )
    print(
        f"{principal} leaves for good: keys, roles, links and delegations end and never come back, "
        "and nobody gets this id again. To shut out for a time, use `sekisho principal grant "
        f"{principal} --disable`.\nType the id to go on: ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    return sys.stdin.readline().strip()


def _link(desk: KeyDesk, options: argparse.Namespace) -> list[Any]:
    known = {issuer.id for issuer in load(options.config).issuers} | {CERTIFICATE, HEADER}
    if options.issuer not in known:
        raise BadRequest(
            f"There is no issuer {options.issuer!r} in the settings. Known: "
            f"{', '.join(sorted(known))}."
        )
    return [desk.link(options.principal, options.issuer, options.subject)]


def _lend(desk: KeyDesk, options: argparse.Namespace) -> list[Any]:
    begins_us = options.begins or time.time_ns() // 1000
    ends_us = begins_us + int(options.days * _DAY_US)
    row = desk.lend(
        options.principal, options.delegate, options.role, from_us=begins_us, until_us=ends_us
    )
    return [row]


def _shown(row: Any) -> dict[str, object]:
    """The row with its times as people read them; digests are for machines."""
    shown = dataclasses.asdict(row)
    shown.pop("claims", None)
    if isinstance(row, PrincipalRow):
        shown["state"] = "left" if row.left_us else "disabled" if row.disabled else "active"
    for name in [name for name in shown if name.endswith("_us")]:
        shown[name.removesuffix("_us")] = when(shown.pop(name) or None)
    return shown
