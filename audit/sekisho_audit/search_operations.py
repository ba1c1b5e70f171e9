"""Searches as they are asked on a socket: found first, recorded next, told last.

The record is `audit.search`, written by the ledger itself: whoever stands at the socket, nothing
found is told before it is durable who asked what. Its query is a payload.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sekisho_audit.desks import kept
from sekisho_audit.errand import Errand, Operation
from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.events import Payload
from sekisho_audit.following import Following, Question
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_operations import needs
from sekisho_audit.query import QUERY_CHARS_MAX
from sekisho_audit.wire import Malformed

A = TypeVar("A")
_INDEX = "search index"


def search(errand: Errand, actor: str) -> None:
    """One page of what meets a query, for `actor`."""
    query, after = _query(errand), errand.text("after", "")
    limit = errand.whole("limit")

    def told(found: dict[str, Any]) -> dict[str, Any]:
        return {"kind": "page", "found": len(found["data"]), "indexed": found["indexed"]}

    desk = kept(errand.server.desks.search, _INDEX)
    answer_recorded(
        errand, desk, actor, query, ask=lambda s: s.page(query, after, limit), told=told
    )


def facets(errand: Errand, actor: str) -> None:
    """How much meets a query, and of what kinds, for `actor`."""
    query = _query(errand)

    def told(found: dict[str, Any]) -> dict[str, Any]:
        return {"kind": "facets", "found": found["total"], "indexed": found["indexed"]}

    desk = kept(errand.server.desks.search, _INDEX)
    answer_recorded(
        errand, desk, actor, query, ask=lambda searched: searched.facets(query), told=told
    )


def _query(errand: Errand) -> str:
    query = errand.text("query")
    if len(query) > QUERY_CHARS_MAX:
        raise Refused("bad_query", f"a query has at most {QUERY_CHARS_MAX} characters")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise Malformed("a query is Unicode text") from error
    return query


def answer_recorded(
    errand: Errand,
    desk: Following[Any, A],
    actor: str,
    query: str,
    *,
    ask: Callable[[A], dict[str, Any]],
    told: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    """Ask `desk` on behalf of `actor`, record that, with what `told` says of the answer, and only
    then give the answer.
    """

    def answered(found: dict[str, Any]) -> None:
        def record(ledger: Ledger) -> None:
            asked = Payload("query", query.encode(), query.encode())
            place = ledger.record("audit.search", told(found), actor=actor, payloads=(asked,))
            errand.answer({**found, "recorded": {"index": place.index, "leaf": place.leaf}})

        try:
            errand.call(record)
        except LedgerError as error:
            errand.fail_now(error)

    desk.submit(Question(ask, answered, errand.fail_now))


SEARCH_OPERATIONS: dict[str, Operation] = {
    "search": lambda errand: search(errand, errand.text("actor")),
    "facets": lambda errand: facets(errand, errand.text("actor")),
}
"""For workers, who have authenticated the actor."""

OFFICER_SEARCH_OPERATIONS: dict[str, Operation] = {
    "search": needs("search", lambda errand: search(errand, errand.connection.officers[0])),
    "facets": needs("search", lambda errand: facets(errand, errand.connection.officers[0])),
}
"""For officers, who are present by their own credential."""
