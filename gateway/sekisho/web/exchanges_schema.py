"""The wire form of one's own history under `/v1/exchanges`.

Times are seconds since the epoch, as elsewhere in the OpenAI API; money is in millionths of the
currency that `usage` names. Nothing here is content: what was asked and answered is not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from sekisho.model.limits import MICROS
from sekisho.ports import ExchangePage, Used

REASON_CHARS_MAX = 2000  # a paragraph; longer letters go to a person, not into a log

Document = Mapping[str, Any]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=REASON_CHARS_MAX)
]


class AppealRequest(BaseModel):
    """Why the exchange should have ended otherwise."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Reason


class ReceiptOut(BaseModel):
    """Where an event stands in the ledger: `sekisho-audit prove` takes these."""

    origin: str
    index: int
    leaf: str


class ReasonOut(BaseModel):
    """Why a rule spoke."""

    code: str
    msg: str


class DecisionOut(BaseModel):
    """What policy answered at one stage."""

    stage: str
    effect: str
    rules: list[str]
    reasons: list[ReasonOut]
    policy_revision: str
    at: int


class ReviewOut(BaseModel):
    """One person's answer to the hold, at the `step` that was open; `in_place_of` is whose delegate
    they were.
    """

    by: str
    in_place_of: str | None
    step: int
    decision: str
    at: int


class HoldOut(BaseModel):
    """The hold of the exchange, in its last version, as far as the ledger knows."""

    id: str
    stage: str
    version: int
    state: str
    filed_at: int
    expires_at: int
    settled_at: int | None
    delivered_at: int | None
    justified_at: int | None
    reviews: list[ReviewOut]


class ChargedOut(BaseModel):
    """What counts towards limits."""

    requests: int
    tokens: int
    spend_micros: int


class OutcomeOut(BaseModel):
    """What became of one sending."""

    status: str
    finish: str | None
    cause: str | None
    charged: ChargedOut | None
    at: int
    receipt: ReceiptOut


class SendOut(BaseModel):
    """One sending to a backend; `cut` says why its last bytes did not arrive, if they did not."""

    attempt: int
    backend: str
    model: str
    at: int
    receipt: ReceiptOut
    outcome: OutcomeOut | None
    cut: str | None


class RefusedOut(BaseModel):
    """The exchange ended before anything was sent."""

    code: str
    status: int
    stage: str
    at: int


class AppealOut(BaseModel):
    """An appeal that is recorded; the same reason again is the same appeal."""

    object: Literal["exchange.appeal"] = "exchange.appeal"
    id: str
    exchange: str
    by: str
    receipt: ReceiptOut


class DraftOut(BaseModel):
    """What became of the answer, as whoever asked said last; null while they said nothing."""

    decision: str
    by: str
    at: int
    receipt: ReceiptOut


class GrantUsedOut(BaseModel):
    """A standing grant answered a hold of this exchange in place of people."""

    grant: str
    remaining: int
    at: int
    receipt: ReceiptOut


class OpeningUsedOut(BaseModel):
    """A hold of this exchange went on by break-glass, before anybody reviewed it."""

    opening: str
    at: int
    receipt: ReceiptOut


class ReadOut(BaseModel):
    """Somebody was shown content of this exchange, so often, and why."""

    by: str
    purpose: str
    part: str
    first_at: int
    last_at: int
    count: int


class ExchangeOut(BaseModel):
    """One exchange: how far it came, why, what it cost and who looked at it."""

    object: Literal["exchange"] = "exchange"
    id: str
    principal: str
    status: str
    created_at: int
    endpoint: str | None
    model: str | None
    stream: bool | None
    receipt: ReceiptOut | None
    decisions: list[DecisionOut]
    hold: HoldOut | None
    refused: RefusedOut | None
    sends: list[SendOut]
    charged: ChargedOut
    appeals: list[AppealOut]
    draft: DraftOut | None
    draft_wanted: bool
    grants: list[GrantUsedOut]
    break_glass: list[OpeningUsedOut]
    reads: list[ReadOut]


class IndexOut(BaseModel):
    """How much of the ledger this answer knows: `indexed` of `size` events."""

    indexed: int
    size: int
    complete: bool


class ExchangeDetail(ExchangeOut):
    """One exchange, and how far the index it comes from is complete."""

    index: IndexOut


class SumOut(ChargedOut):
    """What was used since the window began, in UTC."""

    since: str


class UsageOut(BaseModel):
    """What the principal has used, as limits count it. It counts every recorded outcome.

    `currency` is that of all `spend_micros`, None while the rules have no prices.
    """

    object: Literal["usage"] = "usage"
    currency: str | None
    day: SumOut
    month: SumOut


class ExchangeList(BaseModel):
    """One's own exchanges, newest first. Ask again with `after` for older ones."""

    object: Literal["list"] = "list"
    data: list[ExchangeOut]
    has_more: bool
    after: str | None
    index: IndexOut
    usage: UsageOut


def listed(page: ExchangePage, usage: UsageOut) -> ExchangeList:
    """A page of the history."""
    return ExchangeList(
        data=[ExchangeOut(**_fields(document)) for document in page.data],
        has_more=bool(page.after),
        after=page.after or None,
        index=_index(page.indexed, page.size),
        usage=usage,
    )


def shown(document: Document) -> ExchangeDetail:
    """One exchange by itself."""
    index = _index(document["indexed"], document["size"])
    return ExchangeDetail(**_fields(document), index=index)


def usage(used: Used, day: str, month: str, currency: str) -> UsageOut:
    """The sums of today and of this month, which were asked for in this order."""
    sums = [
        SumOut(since=window, requests=requests, tokens=tokens, spend_micros=spend)
        for window, (requests, tokens, spend) in zip((day, month), used.sums, strict=True)
    ]
    return UsageOut(currency=currency or None, day=sums[0], month=sums[1])


def appeal(exchange: str, line: Document) -> AppealOut:
    """An appeal, new or as it was recorded before."""
    return AppealOut(exchange=exchange, id=line["id"], by=line["by"], receipt=line["receipt"])


def status_of(document: Document) -> str:
    """How far an exchange came, in one word.

    What was sent last counts most; then why nothing was sent; then what people said.
    """
    sends, hold = document["sends"], document["hold"]
    if sends:
        outcome = sends[-1]["outcome"]
        if outcome is not None and outcome["status"] == "held" and hold is not None:
            return _status_of_held(hold, refused=document["refused"] is not None)
        return "sent" if outcome is None else str(outcome["status"])
    if document["refused"] is not None:
        return "refused"
    if document["cancelled"] is not None:
        return "cancelled"
    if document.get("checked") is not None:
        return "checked"
    if hold is not None:
        return "held" if hold["state"] == "pending" else str(hold["state"])
    return "received"


def _status_of_held(hold: Document, *, refused: bool) -> str:
    """How far an answer came that waits, or waited, for people."""
    if hold.get("released") is not None:
        return "released"
    if refused:
        return "refused"
    return "held" if hold["state"] in {"pending", "approved"} else str(hold["state"])


def _fields(document: Document) -> dict[str, Any]:
    received = document["received"] or {}
    refused, hold = document["refused"], document["hold"]
    return {
        "id": document["id"],
        "principal": document["principal"],
        "status": status_of(document),
        "created_at": _seconds(document["begun_us"]),
        **{name: received.get(name) for name in ("endpoint", "model", "stream", "receipt")},
        "decisions": [_decision(line) for line in document["decisions"]],
        "hold": None if hold is None else _hold(hold),
        "refused": None if refused is None else {**refused, "at": _seconds(refused["at_us"])},
        "sends": [_send(line) for line in document["sends"]],
        "charged": _total(document["sends"]),
        "appeals": [appeal(document["id"], line) for line in document["appeals"]],
        "draft": _draft(document.get("draft")),
        "draft_wanted": bool(document.get("draft_wanted")),
        "break_glass": [
            {**line, "at": _seconds(line["at_us"])} for line in document.get("break_glass", ())
        ],
        "grants": [{**line, "at": _seconds(line["at_us"])} for line in document.get("grants", ())],
        "reads": [
            {**line, "first_at": _seconds(line["first_us"]), "last_at": _seconds(line["last_us"])}
            for line in document["reads"]
        ],
    }


def _draft(line: Document | None) -> dict[str, Any] | None:
    return None if line is None else {**line, "at": _seconds(line["at_us"])}


def _decision(line: Document) -> dict[str, Any]:
    return {**line, "policy_revision": line["revision"], "at": _seconds(line["at_us"])}


def _hold(hold: Document) -> dict[str, Any]:
    reviews = [
        {"in_place_of": None, "step": 1, **line, "at": _seconds(line["at_us"])}
        for line in hold["reviews"]
    ]
    times = {
        f"{name}_at": None if hold[f"{name}_us"] is None else _seconds(hold[f"{name}_us"])
        for name in ("filed", "expires", "settled", "delivered")
    }
    why = hold.get("justified")
    times["justified_at"] = None if why is None else _seconds(why["at_us"])
    return {**hold, **times, "reviews": reviews}


def _send(line: Document) -> dict[str, Any]:
    outcome = line["outcome"]
    ended = None if outcome is None else {**outcome, "at": _seconds(outcome["at_us"])}
    return {**line, "at": _seconds(line["at_us"]), "outcome": ended}


def _total(sends: list[Document]) -> dict[str, int]:
    charged = [send["outcome"]["charged"] or {} for send in sends if send["outcome"] is not None]
    names = ("requests", "tokens", "spend_micros")
    return {name: sum(line.get(name, 0) for line in charged) for name in names}


def _index(indexed: int, size: int) -> IndexOut:
    return IndexOut(indexed=indexed, size=size, complete=indexed >= size)


def _seconds(time_us: int) -> int:
    return time_us // MICROS
