"""What the shipped rules say about a grid of requests; tests/golden/decisions.txt keeps it.

`python -m support.decision_table` from tests/ writes it again after a change that is meant.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sekisho.adapters.opa_embedded import EmbeddedOPA
from support.rules import SHIPPED, document

GOLDEN = Path(__file__).parents[1] / "golden" / "decisions.txt"

PRINCIPALS: dict[str, dict[str, Any]] = {
    "employee": {},
    "sales": {"principal__groups": ["sales"]},
    "engineer": {"principal__groups": ["engineering"]},
    "both": {"principal__groups": ["sales", "engineering"]},
    "stranger": {"principal__groups": ["visitors"]},
    "no group": {"principal__groups": []},
}
CONTENT: dict[str, dict[str, Any]] = {
    "plain": {},
    "email": {"content__entities": {"email": 2}},
    "card": {"content__entities": {"card": 1}},
    "resident id": {"content__entities": {"resident_id": 1}},
    "key": {"content__entities": {"credential_aws": 1}},
    "secret": {"content__labels": ["secret"]},
    "review": {"content__labels": ["review"]},
    "secret+review": {"content__labels": ["review", "secret"]},
    "image": {"content__opaque_chars": 4000},
}
REQUESTS: dict[str, dict[str, Any]] = {
    "model": {},
    "unknown model": {"request__backend": None, "request__trust": None},
    "hosted": {"request__hosted": ["enable_search"]},
    "function": {"request__tools": ["crm.read"], "request__mode": "copilot"},
    "odd member": {"request__unknown_fields": ["zeal"]},
    "long answer": {"request__max_tokens": 100_000},
}


async def _rows() -> list[str]:
    engine = EmbeddedOPA(SHIPPED, deadline_ms=10_000)
    await engine.start()
    rows = []
    for who, principal in PRINCIPALS.items():
        for what, content in CONTENT.items():
            for how, request in REQUESTS.items():
                decision = await engine.decide(document(**principal, **content, **request))
                codes = ",".join(sorted(reason.code for reason in decision.reasons)) or "-"
                cap = decision.obligations.max_tokens or "-"
                rows.append(f"{who:9} {what:14} {how:14} {decision.effect:6} cap {cap:5} {codes}")
    await engine.close()
    return rows


async def table() -> str:
    """The whole table as text."""
    return "\n".join(await _rows()) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(asyncio.run(table()), "utf-8")
