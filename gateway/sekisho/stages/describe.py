"""describe: from a request to the facts that policy may look at; never the text itself.

The document is `sekisho.input/v1`: every member is always there, so that a rule which compares
finds something to compare. Raw numbers stand beside small classes of them, because a decision that
looks at the class only can be used again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from sekisho.content.hosted import find_hosted, find_unknown_fields, tool_names
from sekisho.content.scan import Scan, Scanner
from sekisho.errors import SekishoError, Unavailable
from sekisho.model.catalog import Catalog
from sekisho.model.exchange import Exchange
from sekisho.model.facts import Facts
from sekisho.model.limits import Spender, Standing
from sekisho.model.office import Office, training
from sekisho.model.principal import Authentication, Principal
from sekisho.ports import Limiter

INPUT_SCHEMA = "sekisho.input/v1"
SCAN_INLINE_BYTES_MAX = 32_768  # about 1 ms; beyond it other requests would feel the wait
NAME_CHARS_MAX = 256  # as in the wire contract
TOOLS_MAX = 1024  # no model takes more; a longer list is the client's mistake or an attack

_log = logging.getLogger(__name__)


async def describe(
    exchange: Exchange,
    principal: Principal,
    catalog: Catalog,
    scanner: Scanner,
    *,
    limiter: Limiter,
    now_us: int,
    office: Office,
    halt: bool = False,
) -> Facts:
    """The facts about `exchange`; `halt`: whether an operator stopped everything.

    Raises BadRequest for a body that cannot be looked through, Unavailable (`scanner_failed`) if
    the scanner broke, because what was not seen is not sent, and LimitsUnavailable.
    """
    scan = await _scan(exchange, scanner)
    backend = catalog.backend_for(exchange.model)
    standing = Standing()
    if backend is not None:  # a name nobody offers is denied, and is no name to keep counts for
        spender = Spender(
            principal.id, principal.groups, exchange.model, backend.id, _assistant(exchange)
        )
        standing = await limiter.standing(spender)
    spend, limits = standing_facts(standing)
    trained_s = _seconds(principal.training_until_us)
    document = {
        "schema": INPUT_SCHEMA,
        "stage": "request",
        "exchange": exchange.id,
        "principal": {
            "id": principal.id,
            "groups": sorted(principal.groups),
            "roles": sorted(principal.roles),
            "training_until": trained_s,
            "training": training(trained_s, now_us),
            "authentication": "service" if principal.owner else _proof(principal),
        },
        "request": {
            **_request(exchange),
            "backend": backend.id if backend else None,
            "trust": backend.trust if backend else None,
            "estimated_tokens": scan.estimated_tokens,
        },
        "tool": None,
        "content": scan.facts(_labels(scan, exchange)),
        "approval": {"state": "none", "by": []},
        "context": {
            **office.facts(now_us),
            "ip": exchange.client_ip,
            "spend": spend,
            "limits": limits,
            "halt": halt,
        },
    }
    return Facts(document=document, backend=backend.id if backend else "", found=scan.found)


def _assistant(exchange: Exchange) -> str | None:
    return exchange.assistant.name if exchange.assistant else None


def _labels(scan: Scan, exchange: Exchange) -> list[str]:
    """Those of the text and those of what the assistant knows."""
    known = exchange.assistant.labels if exchange.assistant else ()
    return sorted({*scan.labels, *known})


def spender_of(facts: Facts) -> Spender:
    """Whose limits an exchange falls under, by its facts: also when it is resumed. It is charged to
    the backend that it goes to, wherever it would have gone by itself.
    """
    request, principal = facts.document["request"], facts.document["principal"]
    return Spender(
        principal["id"],
        frozenset(principal["groups"]),
        request["model"],
        facts.backend,
        request["assistant"],
    )


def standing_facts(standing: Standing) -> tuple[dict[str, int], dict[str, int]]:
    """What was spent and what is left, as policy may look at it."""
    spend = {
        "day_micros": standing.day_micros,
        "month_micros": standing.month_micros,
        "day_percent": standing.day_percent,
        "month_percent": standing.month_percent,
    }
    left = {"requests_left": standing.requests_left, "tokens_left": standing.tokens_left}
    return spend, {name: value for name, value in left.items() if value is not None}


def _proof(principal: Principal) -> str:
    """How the principal proved who it is: a sign-in is the issuer's word, as a token is."""
    how = principal.authentication
    return Authentication.OIDC if how is Authentication.SESSION else how


def _seconds(time_us: int | None) -> int | None:
    return None if time_us is None else time_us // 1_000_000


async def _scan(exchange: Exchange, scanner: Scanner) -> Scan:
    try:
        if len(exchange.body) > SCAN_INLINE_BYTES_MAX:
            return await asyncio.to_thread(scanner.scan, exchange.parsed)
        return scanner.scan(exchange.parsed)
    except SekishoError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever broke, the body was not looked through
        # No traceback in the log and none attached: it could quote the text.
        _log.error("scanner failed on exchange %s: %s", exchange.id, type(error).__name__)
        message = "The content could not be looked through, so nothing was sent. Tell an operator."
        raise Unavailable(message, code="scanner_failed") from None


def _request(exchange: Exchange) -> dict[str, Any]:
    parsed = exchange.parsed
    tools = [name[:NAME_CHARS_MAX] for name in tool_names(parsed)]
    return {
        "endpoint": exchange.endpoint,
        "model": exchange.model,
        "assistant": _assistant(exchange),
        "mode": "copilot" if tools else "assistant",
        "stream": exchange.stream,
        "max_tokens": _max_tokens(parsed),
        "tools": tools[:TOOLS_MAX],
        "hosted": list(find_hosted(parsed)),
        "unknown_fields": list(find_unknown_fields(parsed, exchange.endpoint)),
    }


def _max_tokens(parsed: Mapping[str, Any]) -> int | None:
    """The larger of both limits, since a backend may read either; None if one could be endless."""
    limits = [
        value
        for value in (parsed.get("max_tokens"), parsed.get("max_completion_tokens"))
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    return max(limits, default=None)
