"""`sekisho notify list | test`: where people are told, and whether a message arrives there.

A test is put on record before it is sent, with the account that ran it: whoever reads the channel
can find out who it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

from sekisho.adapters.couriers import couriers, faults
from sekisho.adapters.ledger_desk import evidence, operator_account
from sekisho.cli.printing import add_config, add_json, as_json, table
from sekisho.config import Settings, load
from sekisho.errors import NotFound, SekishoError
from sekisho.model.ids import uuid7
from sekisho.model.notification import Moment, Notification, NotSent
from sekisho.wiring.build import SystemClock
from sekisho_audit.events import Event

_COLUMNS = ("name", "kind", "groups", "escalation_of", "requesters", "language", "state")


class NotDelivered(SekishoError):
    """The channel did not take the test message."""

    code = "notification_not_sent"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sekisho notify`."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    show = verbs.add_parser("list", help="the channels and whether each can be used")
    test = verbs.add_parser("test", help="send a message that says it is a test")
    test.add_argument("channel", metavar="CHANNEL", help="its name in [[notify.channels]]")
    for verb in (show, test):
        add_config(verb)
        add_json(verb)


def run(options: argparse.Namespace) -> int:
    """Carry the verb out and print what came of it."""
    settings = load(options.config)
    if options.verb == "list":
        rows = _rows(settings)
        print(as_json(rows) if options.json else table(rows, _COLUMNS))
        return 0
    told = Notification(uuid7(), options.channel, Moment.TEST)
    asyncio.run(_sent(settings, told))
    done = {"channel": told.channel, "notification": told.id, "state": "sent"}
    said = f"Sent to {told.channel}; look whether it is there. It is on record as {told.id}."
    print(as_json(done) if options.json else said)
    return 0


def _rows(settings: Settings) -> list[dict[str, Any]]:
    wrong: dict[str, list[str]] = {}
    for name, said in faults(settings.notify, os.environ):
        wrong.setdefault(name, []).append(said)
    return [
        {
            "name": one.name,
            "kind": one.kind,
            "groups": one.groups,
            "escalation_of": one.escalation_of,
            "requesters": one.requesters,
            "language": one.language,
            "state": "; ".join(wrong.get(one.name, ["ready"])),
        }
        for one in settings.notify.channels
    ]


async def _sent(settings: Settings, told: Notification) -> None:
    """Record and send. Raises NotFound, LedgerUnavailable, NotDelivered."""
    if settings.notify.channel(told.channel) is None:
        message = f"There is no channel {told.channel!r}; `sekisho notify list` shows all."
        raise NotFound(message)
    every = couriers(settings.notify, os.environ, SystemClock(), settings.public_url)
    courier = every.get(told.channel)
    if courier is None:
        said = [said for name, said in faults(settings.notify, os.environ) if name == told.channel]
        raise NotDelivered(f"{told.channel} cannot be used: {'; '.join(said)}.")
    await asyncio.to_thread(_recorded, settings, told)
    try:
        await courier.send(told)
    except NotSent as error:
        message = (
            f"{told.channel} did not take it ({error.cause}). docs/howto/notify.md says what that "
            "means; the attempt is on record."
        )
        raise NotDelivered(message) from None
    finally:
        await courier.close()


def _recorded(settings: Settings, told: Notification) -> None:
    with evidence(settings) as append:
        data = {"channel": told.channel}
        append([Event(told.id, "notification.tested", None, None, data, operator_account())])
