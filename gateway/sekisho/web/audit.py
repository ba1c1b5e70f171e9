"""`/v1/audit`: the ledger for those who check it, and the proofs of one's own exchanges.

`/v1/audit/log/` serves the paths of C2SP tlog-tiles, so that any monitor of transparency logs can
follow the ledger: a signed checkpoint, hash tiles, bundles of entries. Entries name people by
pseudonyms and hold no content, but who asked when and what became of it is nobody else's to see:
all of it needs the role auditor, and each bundle that was given out is recorded first. So is each
piece of what a pruned ledger keeps of the entries that are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from sekisho.errors import NotFound
from sekisho.model import evidence
from sekisho.model.principal import Scope
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs, needs_auditor
from sekisho.web.exchanges import find_exchange
from sekisho_audit.cut_files import BELOW, Rest, parse_path
from sekisho_audit.tiles import WIDTH, TilePath

# A tile never changes, a checkpoint does at any moment; neither is for a shared cache.
TILE_CACHE = "private, max-age=86400, immutable"
CHECKPOINT_CACHE = "private, no-cache"


router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=ProblemRoute)


class ProofOut(BaseModel):
    """One event of an exchange, proved to be in the ledger."""

    event: str = Field(description="What the event is: received, intent, outcome or appeal.")
    index: int
    leaf: str = Field(description="The hash of the event's bytes, hexadecimal.")
    proof: str = Field(
        description="A C2SP tlog-proof with the event's bytes as extra data. Save it to a file; "
        "`sekisho-audit verify FILE --key VKEY` checks it without network."
    )


class ReceiptOut(BaseModel):
    """All receipts of an exchange."""

    object: Literal["exchange.receipt"] = "exchange.receipt"
    exchange: str
    origin: str = Field(description="The name of the ledger, which its public key has too.")
    proofs: list[ProofOut]
    pending: int = Field(
        description="Events too new to be under a signed checkpoint; ask again in a second."
    )


@router.get(
    "/log/checkpoint", response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
async def show_checkpoint(parts: Parts, principal: Caller) -> Response:
    """The ledger's last signed checkpoint, a C2SP signed note."""
    needs_auditor(principal)
    note = await parts.log.file("checkpoint")
    headers = {"cache-control": CHECKPOINT_CACHE}
    return Response(note, media_type="text/plain; charset=utf-8", headers=headers)


@router.get(
    "/log/tile/{path:path}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def show_tile(
    path: Annotated[str, Path(max_length=64)], parts: Parts, principal: Caller
) -> Response:
    """A tile of hashes (`0/x001/234`, `1/000.p/17`) or a bundle of entries (`entries/000`)."""
    needs_auditor(principal)
    found = await parts.log.file(f"tile/{path}")
    tile = TilePath.parse(path)
    if tile.level is None:
        read = evidence.log_read(principal.id, tile.index * WIDTH, tile.width)
        await parts.ledger.append([read])
    headers = {"cache-control": TILE_CACHE}
    return Response(found, media_type="application/octet-stream", headers=headers)


@router.get(
    "/log/pruned/{path:path}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def show_cut(
    path: Annotated[str, Path(max_length=96)], parts: Parts, principal: Caller
) -> Response:
    """What a pruning left: `cut`, `state/<hash>/<piece>`, `entries/<first>.p/<count>`."""
    needs_auditor(principal)
    found = await parts.log.file(f"{BELOW}{path}")
    asked = parse_path(path)
    if asked is None:
        headers = {"cache-control": CHECKPOINT_CACHE}
        return Response(found, media_type="application/json", headers=headers)
    if isinstance(asked, Rest):
        read = evidence.log_read(principal.id, asked.first, asked.count)
    else:
        read = evidence.log_read(principal.id, 0, 0, state=asked.state)
    await parts.ledger.append([read])
    headers = {"cache-control": TILE_CACHE}
    return Response(found, media_type="application/octet-stream", headers=headers)


@router.get("/receipts/{exchange_id}")
async def show_receipts(exchange_id: str, parts: Parts, principal: Caller) -> ReceiptOut:
    """Proofs that the events of one's own exchange are in the ledger, to keep and check offline."""
    needs(principal, Scope.SELF)
    found = await find_exchange(parts.ledger, principal, exchange_id)
    proofs: list[ProofOut] = []
    pending = 0
    for event, receipt in _receipts(found):
        try:
            [proof] = await parts.log.proofs([receipt["index"]])
        except NotFound:
            pending += 1
            continue
        proofs.append(
            ProofOut(event=event, index=receipt["index"], leaf=receipt["leaf"], proof=proof)
        )
    return ReceiptOut(
        exchange=exchange_id, origin=parts.ledger.origin, proofs=proofs, pending=pending
    )


def _receipts(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if found["received"] is not None:
        yield "received", found["received"]["receipt"]
    for send in found["sends"]:
        yield "intent", send["receipt"]
        if send["outcome"] is not None:
            yield "outcome", send["outcome"]["receipt"]
    for appeal in found["appeals"]:
        yield "appeal", appeal["receipt"]
