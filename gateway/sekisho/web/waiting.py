"""What a client sees of a hold: wait, follow, be told, come back.

    POST waits one hop, then 303 See Other to a path-relative result URL; each GET waits one hop
    approved in time    the answer, as JSON or as the stream that was asked for
    not in time         428 approval_pending: what to do, where to look, which id to retrieve
    wants a reason      428 justification_required, at once: nobody else can end that wait
    tool calls denied   the answer without them: an agent's run ends with the reason
    ended otherwise     403 with its own code, 424 if nobody knows, 502 if the backend failed

The 303 carries the same body as the 428, so a client that does not follow redirects is told
everything too. Only the requester's person may read a result; for anyone else it is not there.
Why these statuses: SDKs retry 408, 409, 429 and 5xx by themselves and misread 202.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from sekisho.content.answer_stream import as_stream
from sekisho.content.tool_calls import without_calls
from sekisho.errors import (
    ApprovalPending,
    BackendFailed,
    BudgetExhausted,
    DeniedByPolicy,
    DispatchUnknown,
    DraftsOutstanding,
    Halted,
    HaltUnknown,
    HoldDenied,
    JustificationRequired,
    LimitReached,
    NotFound,
    SekishoError,
)
from sekisho.holding import names
from sekisho.holding.deliver import deliver, json_of
from sekisho.holding.refused import refusals_noted
from sekisho.holding.wait import wait
from sekisho.model.halts import Halts, Reach
from sekisho.model.hold import WAITING, HoldLimits, HoldState, HoldView, StoredAnswer
from sekisho.model.principal import Principal
from sekisho.ports import Clock, HoldStore, Ledger
from sekisho.releasing.replies import EVENTS
from sekisho.web.dialects import Dialect, dialect_of
from sekisho.web.problems import Headers, backend_after_approval, problem

_POLICY_CODES = ("policy_", "obligation_")
_WITHHELD = frozenset({"answer_denied"})
# It was sent; even if store or worker were lost meanwhile, its answer may be held.
_SENT = frozenset({HoldState.READY, HoldState.DELIVERED, HoldState.UNKNOWN, HoldState.FAILED})
_GIVEN = frozenset({HoldState.READY, HoldState.DELIVERED})
_NOT_APPROVED = frozenset({HoldState.DENIED, HoldState.EXPIRED})
_WORDS = {
    "request": ("this request", "is", "has", "sent", "it was not sent"),
    "tool_call": (
        *("the tool calls in the answer to this request", "are", "have", "given out"),
        "they are not given out",
    ),
    "response": ("the answer to this request", "is", "has", "given out", "it is not given out"),
}
ANEW = " The rules have changed since it was approved, so it is reviewed once more."
_LIMIT_CODES = frozenset({LimitReached.code, BudgetExhausted.code, "too_many_requests_at_once"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer."""

    status: int
    headers: Headers
    body: bytes


class Waiting:
    """Holds as clients meet them. `launch` starts sending an approved hold on this worker."""

    def __init__(
        self,
        holds: HoldStore,
        ledger: Ledger,
        clock: Clock,
        *,
        limits: HoldLimits,
        public_url: str,
        launch: Callable[[str], None],
        halts: Halts,
    ) -> None:
        self._holds = holds
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._public_url = public_url.rstrip("/")
        self._launch = launch
        self._halts = halts

    async def first(self, view: HoldView, post_path: str) -> Reply:
        """The POST's own wait; a redirect goes to the result URL relative to `post_path`."""
        up = "../" * (post_path.count("/") - 2)
        return await self._wait(view, f"{up}approvals/{view.hold.id}/result")

    async def hop(self, hold_id: str, principal: Principal) -> Reply:
        """One GET of the result URL. Deadline and hops are kept with the hold, not in the URL."""
        view = await self._own(hold_id, principal)
        return await self._wait(view, "result")

    async def retrieve(self, result_id: str, principal: Principal, dialect: Dialect) -> Reply:
        """What the SDK's `retrieve(id)` gets: the answer as JSON, or why there is none."""
        return await self.told(await self.found(result_id, principal, dialect), as_json=True)

    async def found(self, result_id: str, principal: Principal, dialect: Dialect) -> HoldView:
        """The hold that stands behind a result. Raises NotFound, also for what is not theirs."""
        if not result_id.startswith(dialect.prefix):
            raise _not_there()
        return await self._own(result_id.removeprefix(dialect.prefix), principal)

    async def _own(self, hold_id: str, principal: Principal) -> HoldView:
        async with refusals_noted(self._holds, self._ledger, principal, hold_id, "read"):
            view = await self._holds.get(hold_id)
            if view is None or not _may_read(principal, view):
                raise _not_there()
            return view

    async def followed(self, view: HoldView) -> HoldView:
        """The hold of the answer, where the request was held and then its answer is."""
        if view.hold.stage != "request" or view.state not in _SENT:
            return view
        return await self._holds.get(names.answer_hold(view.hold.id)) or view

    async def _wait(self, view: HoldView, location: str) -> Reply:
        if view.unjustified and view.state is HoldState.PENDING:
            return await self.told(view, as_json=False)
        await self.check(view)
        view = await self.waited(view, self._limits.hop_wait_s)
        await self.check(view)
        if self.goes_on(view) and await self._holds.hop(view.hold.id):
            pending = self._pending(view)
            _, headers, body = problem(
                pending, exchange=view.hold.exchange, approval=self.approval(view)
            )
            return Reply(303, [*headers, (b"location", location.encode())], body)
        return await self.told(view, as_json=False)

    async def check(self, view: HoldView) -> None:
        """Raises Halted for what an operator stopped, unless it has ended otherwise."""
        if view.state in WAITING or view.state in _GIVEN:
            try:
                await self._halts.check(Reach.of_hold(view.hold))
            except (Halted, HaltUnknown) as error:
                error.exchange = view.hold.exchange
                raise

    def goes_on(self, view: HoldView) -> bool:
        """Whether its client has something to wait for, and time left for it."""
        return view.state in WAITING and self._until_us(view) > self._clock.now_us()

    async def waited(self, view: HoldView, wait_s: float) -> HoldView:
        """The hold after this wait, or as soon as nobody needs to be waited for."""
        hop_until_us = self._clock.now_us() + int(wait_s * 1_000_000)
        while True:
            view = await self.followed(view)
            until_us = min(hop_until_us, self._until_us(view))
            left_s = (until_us - self._clock.now_us()) / 1_000_000
            if left_s <= 0:
                return view
            stopped = partial(self.is_stopped, view)
            then = await wait(
                view.hold.id, self._holds, left_s, on_approved=self._launch, stopped=stopped
            )
            view = await self.followed(then)
            if view is then:
                return view

    def is_stopped(self, view: HoldView) -> bool:
        """Whether an operator stopped it, as far as was heard: a hint, for whoever waits."""
        standing = self._halts.standing
        return bool(standing.halts) and standing.hit(Reach.of_hold(view.hold)) is not None

    def _until_us(self, view: HoldView) -> int:
        """Clients wait from the filing, or from when the reason came: they could not before."""
        if view.justification is None:
            return view.hold.wait_until_us
        again_us = view.justification.at_us + int(self._limits.wait_total_s * 1_000_000)
        return max(view.hold.wait_until_us, again_us)

    async def told(self, view: HoldView, *, as_json: bool) -> Reply:
        """The answer if there is one, else the error that says how the hold stands."""
        asked = view.hold.id
        view = await self.followed(view)
        if (stored := await self.answer(view)) is not None:
            return _replay(stored, view, asked, as_json=as_json)
        error = self.error(view)
        retry = False if isinstance(error, BackendFailed) else None
        return Reply(
            *problem(
                error,
                exchange=view.hold.exchange,
                approval=self.approval(view),
                retry=retry,
            )
        )

    async def answer(self, view: HoldView) -> StoredAnswer | None:
        """What there is to give out, as the backend sent it; None if there is nothing (yet).

        Raises Halted, HaltUnknown.
        """
        await self.check(view)
        if view.hold.stage == "tool_call" and view.state in _NOT_APPROVED:
            return _without_calls(view)
        if view.state in (HoldState.READY, HoldState.DELIVERED):
            return await deliver(self._holds, self._ledger, view)
        return None

    def error(self, view: HoldView) -> SekishoError:
        """How a hold stands that has no answer."""
        why = f" Their reason: {_quoted(view.outcome_reason)}." if view.outcome_reason else ""
        page, (what, *_, kept_back) = self._page(view), _WORDS[view.hold.stage]
        match view.state:
            case HoldState.DENIED:
                return HoldDenied(f"A reviewer denied {what}.{why} Details: {page}")
            case HoldState.EXPIRED:
                missed = "There was no room for" if view.hold.starts_alone else "Nobody reviewed"
                return HoldDenied(
                    f"{missed} {what} in time, so {kept_back}. Send the request "
                    f"again if it is still needed. Details: {page}",
                    code="approval_expired",
                )
            case HoldState.WITHDRAWN:
                return HoldDenied(
                    f"This request was withdrawn, so {kept_back}. Details: {page}",
                    code="approval_withdrawn",
                )
            case HoldState.UNKNOWN:
                return DispatchUnknown(
                    f"This request was {_let_go(view)} and may have been sent, but its outcome was "
                    "lost. The gateway never sends it again by itself; check for effects before "
                    f"you send it anew. Details: {page}"
                )
            case HoldState.FAILED:
                return self._failed(view)
            case _:
                return self._pending(view)

    def _failed(self, view: HoldView) -> SekishoError:
        """It was approved and yet came to nothing."""
        page, (what, *_, kept_back) = self._page(view), _WORDS[view.hold.stage]
        if view.outcome_reason.startswith(_POLICY_CODES):
            return DeniedByPolicy(
                f"The rules changed while {what} waited, so {kept_back}. Send the request "
                f"again to have it judged anew. Details: {page}",
                code=view.outcome_reason,
            )
        if view.outcome_reason in _WITHHELD:
            return DeniedByPolicy(
                f"It was {_let_go(view)} and sent, but the rules do not let its answer be given "
                f"out. Details: {page}",
                code=view.outcome_reason,
            )
        if view.outcome_reason == Halted.code:
            message = f"An operator stopped this while {what} waited, so {kept_back}."
            return Halted(f"{message} Send the request again when it is lifted. Details: {page}")
        if view.outcome_reason in _LIMIT_CODES:
            # Never 429 here: SDKs would send the same request again by themselves.
            return DeniedByPolicy(
                f"It was {_let_go(view)}, but a limit on use was reached before it could be sent, "
                f"so it was not. Send it again when there is room. Details: {page}",
                code=view.outcome_reason,
            )
        if view.outcome_reason == DraftsOutstanding.code:
            return DraftsOutstanding(
                f"It was {_let_go(view)}, but you have not said what became of earlier answers, so "
                f"{kept_back}. Say it (sekisho draft EXCHANGE accepted), then send the request "
                f"again. Details: {page}"
            )
        failed = BackendFailed(f"It was {_let_go(view)}, then failed ({view.outcome_reason}).")
        return backend_after_approval(failed)

    def _pending(self, view: HoldView) -> ApprovalPending:
        if view.unjustified and view.state is HoldState.PENDING:
            return self._wants_reason(view)
        what = _WORDS[view.hold.stage][0]
        anew = ANEW if _is_anew(view) else ""
        return ApprovalPending(
            f"{what[0].upper()}{what[1:]} {_stands(view)}.{anew} It is kept as "
            f"{view.hold.id}. Status: {self._page(view)} . Get the answer later with "
            f"{_retrieving(view)}, or by sending exactly the same request again: it joins this "
            "one, and nothing is sent twice."
        )

    def _wants_reason(self, view: HoldView) -> JustificationRequired:
        hold = view.hold
        why = " ".join([*hold.reasons, "Say why you ask,"])
        then = "reviewers are asked" if hold.thresholds else "it is sent"
        return JustificationRequired(
            f"{why} then {then}: open {self._page(view)} , run sekisho hold justify {hold.id} "
            f'--reason \'...\', or POST {{"reason": "..."}} to {self._reason_url(view)} . The '
            f"request is kept as {hold.id}. Afterwards send it again, or get the answer with "
            f"{_retrieving(view)}."
        )

    def _reason_url(self, view: HoldView) -> str:
        return f"{self._public_url}/v1/approvals/{view.hold.id}/justification"

    def approval(self, view: HoldView) -> dict[str, Any]:
        """What clients are told of a hold, beside the words."""
        hold = view.hold
        dialect = dialect_of(hold.endpoint)
        result_id = dialect.prefix + hold.id
        to_justify = {"justification_url": self._reason_url(view)} if view.unjustified else {}
        return {
            "id": hold.id,
            **to_justify,
            "status": view.state.value,
            "stage": hold.stage,
            "rules": list(hold.rules),
            "url": self._page(view),
            "result_id": result_id,
            "result_url": f"{self._public_url}{dialect.path}/{result_id}",
            "expires_at": hold.expires_us // 1_000_000,
        }

    def _page(self, view: HoldView) -> str:
        return f"{self._public_url}/approvals/{view.hold.id}"


def _may_read(principal: Principal, view: HoldView) -> bool:
    """The same principal under any of its keys; a service account's owner may read it too."""
    return principal.id in (view.hold.principal, view.hold.person)


def _let_go(view: HoldView) -> str:
    """What became of it before it went on: nobody approves what waits for nobody."""
    return "queued" if view.hold.starts_alone else "approved"


def _stands(view: HoldView) -> str:
    """How something waits that has no end yet."""
    _, verb, has, goes_on, _ = _WORDS[view.hold.stage]
    if view.state in {HoldState.APPROVED, HoldState.DISPATCHING}:
        then = f"{has} been {_let_go(view)} and {verb} being {goes_on}"
        return f"{verb} being {goes_on}" if view.hold.starts_alone else then
    return f"{verb} queued" if view.hold.starts_alone else f"{verb} waiting for a human reviewer"


def _is_anew(view: HoldView) -> bool:
    """Whether people are asked once more, because the rules want more than was approved."""
    return view.hold.asked_anew and view.state in {HoldState.PENDING, HoldState.DECIDING}


def _without_calls(view: HoldView) -> StoredAnswer:
    """The answer whose tool calls nobody approved: an agent reads why, and its run ends there."""
    how = "were denied" if view.state is HoldState.DENIED else "were not approved in time"
    why = f": {_quoted(view.outcome_reason)}" if view.outcome_reason else ""
    notice = f"[The tool calls of the model {how} by a reviewer{why}. None was run.]"
    completion = without_calls(orjson.loads(view.hold.outgoing), notice)
    return StoredAnswer(HTTPStatus.OK, "application/json", orjson.dumps(completion))


def _quoted(words: str) -> str:
    """Somebody's words on one line, and where they end: what follows them is ours again."""
    return '"' + " ".join(words.split()).replace('"', "'") + '"'


def _retrieving(view: HoldView) -> str:
    """The call with which the client's SDK fetches the answer later."""
    dialect = dialect_of(view.hold.endpoint)
    return f"{dialect.retrieve}.retrieve({dialect.prefix + view.hold.id!r})"


def _replay(stored: StoredAnswer, view: HoldView, asked: str, *, as_json: bool) -> Reply:
    """The answer in the form and API it was asked for in; `asked` is the hold that leads to it."""
    streamed = stored.content_type.startswith(EVENTS)
    body, content_type = stored.body, stored.content_type
    if streamed and (as_json or not view.hold.stream):
        streamed, body = False, json_of(stored)
    elif not streamed and view.hold.stream and view.hold.stage != "request" and not as_json:
        streamed, body = True, as_stream(orjson.loads(stored.body))
    if stored.status == HTTPStatus.OK:
        dialect = dialect_of(view.hold.endpoint)
        tell = dialect.events if streamed else dialect.whole
        body = tell(body, dialect.prefix + asked)
        content_type = EVENTS if streamed else "application/json"
    return Reply(stored.status, headers_of(view, content_type), body)


def headers_of(view: HoldView, content_type: str) -> Headers:
    """The headers of an answer about a hold."""
    return [
        (b"content-type", content_type.encode("latin-1")),
        (b"cache-control", b"no-store"),
        (b"x-sekisho-exchange", view.hold.exchange.encode()),
        (b"x-sekisho-hold", view.hold.id.encode()),
    ]


def _not_there() -> NotFound:
    return NotFound(
        "There is no such result for this key: it does not exist, belongs to someone else, or its "
        "time of keeping is over."
    )
