"""What auditd tells is believed no further than it leads."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.export_client import Asked, ExportClient, TooMany
from sekisho_audit.exports.bundle import BadSelection, Proved
from sekisho_audit.tree import BadProof
from support.bundles import Made, exported
from support.ledgers import open_ledger, run_exchange

ASKED = Asked("effect:deny", "case", "T-1", "bundle", "officer-1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("c")
    ledger = open_ledger(home)
    ledger.open_session("s-1", 1)
    for _ in range(3):
        run_exchange(ledger, "s-1")
    made = exported(ledger, home, lambda leaf: leaf["exchange"] is not None)
    ledger.close()
    return made


class Told:
    """An auditd that answers as it was told to; three events a page."""

    def __init__(self, made: Made, events: list[Proved]) -> None:
        self._made = made
        self._every = [*events, made.export.event]

    def ask(self, question: dict[str, Any], blobs: Any = ()) -> Any:
        export = self._made.export
        if question["op"] == "export":
            told = {"events": len(self._made.events), "index": export.event.event.index}
            known = {"note": export.note.decode(), "vkey": export.key.line()}
            return {**told, **known, "commit_key": export.commit_key.hex()}, []
        page = self._every[question["first"] :][:3]
        lengths: list[int] = []
        for one in page:
            lengths += [len(one.event.body), len(one.path)]
        bodies = b"".join(one.event.body for one in page)
        paths = b"".join(b"".join(one.path) for one in page)
        return {"indices": [one.event.index for one in page], "lengths": lengths}, [bodies, paths]


def client(made: Made, events: list[Proved]) -> ExportClient:
    auditd: Any = Told(made, events)
    return ExportClient(auditd, made.export.key, ASKED)


def test_events_come_page_by_page(made: Made) -> None:
    assert list(client(made, made.events).events()) == [
        Proved(one.event, list(one.path)) for one in made.events
    ]


@pytest.mark.parametrize("change", ["less", "twice", "other", "turned"])
def test_other_events_than_recorded_are_found(made: Made, change: str) -> None:
    events = made.events
    told = {
        "less": events[:-1],
        "twice": [events[0], *events[:-1]],
        "other": [*events[:-1], made.export.event],
        "turned": events[::-1],
    }[change]
    with pytest.raises(BadSelection):
        list(client(made, told).events())


def test_an_event_that_leads_nowhere_is_found(made: Made) -> None:
    first, second, *rest = made.events
    with pytest.raises(BadProof):
        list(client(made, [Proved(first.event, second.path), *rest, second]).events())


def test_content_of_very_many_is_not_disclosed_at_once(made: Made) -> None:
    leaves = [{"exchange": str(number)} for number in range(2_000)]
    with pytest.raises(TooMany, match="narrow the query"):
        client(made, made.events).disclosed(leaves)
