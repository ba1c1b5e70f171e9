"""`/v1/admin/halt`: the kill switch over HTTP. Set by one operator, lifted by two persons."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from sekisho.errors import HaltUnknown
from sekisho.model.halts import Halt
from sekisho.model.principal import Scope
from sekisho.web.bodies import read_model
from sekisho.web.callers import Caller, Parts, ProblemRoute, needs
from sekisho.web.halt_port import Switchboard
from sekisho.web.openapi import body_of
from sekisho.web.services import Services

BODY_BYTES_MAX = 8 * 1024
BODY_DEPTH_MAX = 2

router = APIRouter(prefix="/v1/admin/halt", tags=["halt"], route_class=ProblemRoute)

Named = Annotated[str, Path(max_length=80, description="The id of the switch, as the list has it.")]


class HaltIn(BaseModel):
    """What to stop, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Literal["all", "team", "backend", "model", "tool"]
    name: str = Field(
        "", max_length=256, description="Which one; `*` for any part; none for `all`."
    )
    reason: str = Field(min_length=1, max_length=500, description="Told to whoever is stopped.")


class LiftIn(BaseModel):
    """Why it should be lifted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=1, max_length=500)


class ConfirmIn(BaseModel):
    """Which proposal is confirmed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    proposed: str = Field(max_length=80, description="`proposed.id` of the switch.")


class LiftOut(BaseModel):
    """Who wants it lifted."""

    id: str
    by: str
    at_us: int


class HaltOut(BaseModel):
    """A switch that stands; `recorded`: the ledger has it."""

    id: str
    scope: str
    name: str
    reason: str
    by: str
    set_us: int
    ledger: str
    recorded: bool
    proposed: LiftOut | None


class SetOut(HaltOut):
    """`everywhere`: it is known to be in Valkey, so on every replica within a second. Where it is
    not, gateways that do not hear Valkey let nothing through.
    """

    everywhere: bool


class LiftedOut(BaseModel):
    """What was lifted."""

    id: str
    lifted: Literal[True] = True


class HaltList(BaseModel):
    """All that stand, the oldest first."""

    object: Literal["list"] = "list"
    data: list[HaltOut]


@router.get("")
async def list_halts(parts: Parts, principal: Caller) -> HaltList:
    """What is stopped, for operators and auditors."""
    needs(principal, Scope.ADMIN, Scope.AUDIT)
    return HaltList(data=[HaltOut(**_told(one)) for one in _desk(parts).listed(principal)])


@router.put("", openapi_extra=body_of(HaltIn))
async def set_halt(request: Request, parts: Parts, principal: Caller) -> SetOut:
    """Stop everything, a team, a backend, a model or a tool. Repeating it is harmless."""
    needs(principal, Scope.ADMIN)
    said = await read_model(
        request, HaltIn, what="a switch", bytes_max=BODY_BYTES_MAX, depth_max=BODY_DEPTH_MAX
    )
    halt, everywhere = await _desk(parts).set(principal, said.scope, said.name, said.reason)
    return SetOut(**_told(halt), everywhere=everywhere)


@router.post("/{halt_id}/lift", openapi_extra=body_of(LiftIn))
async def propose_lift(
    halt_id: Named, request: Request, parts: Parts, principal: Caller
) -> HaltOut:
    """Want it lifted; another person confirms."""
    needs(principal, Scope.ADMIN)
    said = await read_model(
        request, LiftIn, what="a proposal", bytes_max=BODY_BYTES_MAX, depth_max=BODY_DEPTH_MAX
    )
    return HaltOut(**_told(await _desk(parts).propose(principal, halt_id, said.reason)))


@router.post("/{halt_id}/confirm", openapi_extra=body_of(ConfirmIn))
async def confirm_lift(
    halt_id: Named, request: Request, parts: Parts, principal: Caller
) -> LiftedOut:
    """Lift it, as somebody else proposed."""
    needs(principal, Scope.ADMIN)
    said = await read_model(
        request,
        ConfirmIn,
        what="a confirmation",
        bytes_max=BODY_BYTES_MAX,
        depth_max=BODY_DEPTH_MAX,
    )
    halt = await _desk(parts).confirm(principal, halt_id, said.proposed)
    return LiftedOut(id=halt.id)


def _desk(parts: Services) -> Switchboard:
    if parts.switchboard is None:
        raise HaltUnknown("Nothing can be stopped or let go here.")
    return parts.switchboard


def _told(halt: Halt) -> dict[str, object]:
    lift = halt.proposed
    return {
        "id": halt.id,
        "scope": halt.scope,
        "name": halt.name,
        "reason": halt.reason,
        "by": halt.by,
        "set_us": halt.set_us,
        "ledger": halt.origin,
        "recorded": halt.recorded,
        "proposed": None if lift is None else LiftOut(id=lift.id, by=lift.by, at_us=lift.at_us),
    }
