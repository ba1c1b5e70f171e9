from __future__ import annotations

import orjson
import pytest

from sekisho import errors
from sekisho.errors import BackendFailed, BackendTimedOut, InternalFault, SekishoError
from sekisho.web.problems import backend_after_approval, problem


def _headers(error: SekishoError) -> dict[bytes, bytes]:
    return dict(problem(error)[1])


def test_the_body_has_the_openai_shape() -> None:
    """Every SDK raises its own exception with our message in it."""
    error = errors.BadRequest("Mend it.", param="messages.0")
    status, headers, body = problem(error, exchange="x1")

    assert 400 == status
    assert {
        "message": "Mend it.",
        "type": "invalid_request_error",
        "param": "messages.0",
        "code": "invalid_request",
    } == orjson.loads(body)["error"]
    assert b"x1" == dict(headers)[b"x-sekisho-exchange"]
    assert b"no-store" == dict(headers)[b"cache-control"]


@pytest.mark.parametrize(
    "kind",
    [errors.ApprovalPending, errors.HoldDenied, errors.DispatchUnknown, errors.BadRequest],
)
def test_what_people_must_answer_is_never_sent_again_by_itself(kind: type[SekishoError]) -> None:
    """SDKs retry some statuses on their own; this header stops them."""
    headers = _headers(kind("no"))

    assert b"false" == headers[b"x-should-retry"]
    assert b"retry-after" not in headers


@pytest.mark.parametrize(
    "kind",
    [errors.Overloaded, errors.LedgerUnavailable, errors.PolicyUnavailable,
     errors.HoldStoreUnavailable, errors.DirectoryUnavailable],
)  # fmt: skip
def test_a_part_that_is_down_says_when_to_come_back(kind: type[SekishoError]) -> None:
    """503 with a pause, because a restart mends it."""
    status, headers, _ = problem(kind("down"))

    assert 503 == status
    assert int(dict(headers)[b"retry-after"]) > 0


@pytest.mark.parametrize("kind", [errors.TooLarge, errors.TooSlow])
def test_a_body_left_unread_ends_its_connection(kind: type[SekishoError]) -> None:
    """What follows on it would be taken for another request."""
    assert b"close" == _headers(kind("no"))[b"connection"]


def test_a_caller_may_forbid_the_retry() -> None:
    """A failure after an approval was used up looks like 502 otherwise, which SDKs repeat."""
    _, headers, _ = problem(BackendFailed("failed"), retry=False)

    assert b"false" == dict(headers)[b"x-should-retry"]


def test_a_hold_is_described_in_the_error() -> None:
    """For programs that read more than the message."""
    _, _, body = problem(errors.ApprovalPending("wait"), approval={"id": "hold_1"})

    assert {"id": "hold_1"} == orjson.loads(body)["error"]["approval"]


def test_our_own_fault_says_nothing_of_itself() -> None:
    """A fixed text with what to tell an operator."""
    assert (500, "internal_fault") == (InternalFault().status, InternalFault().code)


def test_a_failure_after_approval_keeps_its_kind() -> None:
    """Status and code stay; the text adds that it is never sent again."""
    told = backend_after_approval(BackendTimedOut("Late."))

    assert 504 == told.status
    assert told.message.startswith("Late.")
    assert "never sent again" in told.message


def test_a_limit_says_when_and_what_is_left() -> None:
    """Seconds and milliseconds, because SDKs read either, and the limiter's own headers."""
    limit = errors.LimitReached("Slowly.", retry_after_s=7, headers={"x-ratelimit-limit": "9"})
    status, headers, body = problem(limit)
    told = dict(headers)

    assert (429, "rate_limit_error") == (status, orjson.loads(body)["error"]["type"])
    assert (b"7", b"7000") == (told[b"retry-after"], told[b"retry-after-ms"])
    assert b"9" == told[b"x-ratelimit-limit"]
    assert b"x-should-retry" not in told


def test_nobody_sleeps_until_next_month() -> None:
    """SDKs that are told a long pause try again at once instead: they are told not to."""
    limit = errors.BudgetExhausted("Spent.", retry_after_s=61)
    _, headers, body = problem(limit)

    assert b"false" == dict(headers)[b"x-should-retry"]
    assert b"61" == dict(headers)[b"retry-after"]
    assert ("insufficient_quota", "budget_exhausted") == (
        orjson.loads(body)["error"]["type"],
        orjson.loads(body)["error"]["code"],
    )


def test_a_request_larger_than_the_whole_limit_is_not_tried_again() -> None:
    """Neither a time to come back at nor leave to try: SDKs would sleep and fail again."""
    limit = errors.LimitReached("Too much.", retry_after_s=None, headers={"x-ratelimit-limit": "9"})
    status, headers, _ = problem(limit)
    told = dict(headers)

    assert (429, b"false", b"9") == (status, told[b"x-should-retry"], told[b"x-ratelimit-limit"])
    assert not {b"retry-after", b"retry-after-ms"} & told.keys()


def test_a_limit_that_is_lifted_at_once_still_pauses() -> None:
    """A pause of zero would make a loop of an SDK."""
    assert b"1" == _headers(errors.LimitReached("Now.", retry_after_s=0))[b"retry-after"]


def test_too_many_wrong_credentials_are_not_tried_again() -> None:
    """A wrong key does not become right by waiting; its body is not read either."""
    status, headers, body = problem(errors.TooManyFailures("Stop.", retry_after_s=12))
    told = dict(headers)

    assert (429, "authentication_error") == (status, orjson.loads(body)["error"]["type"])
    assert (b"12", b"false") == (told[b"retry-after"], told[b"x-should-retry"])
    assert b"close" == told[b"connection"]


def test_who_is_not_known_is_told_how_to_ask() -> None:
    """401 names its scheme, as HTTP wants; the cause is not told."""
    headers = _headers(errors.NotAuthenticated("No key.", cause="revoked", credential="abcdefgh"))

    assert b"Bearer" == headers[b"www-authenticate"]
    assert b"revoked" not in problem(errors.NotAuthenticated("No key.", cause="revoked"))[2]


def test_a_limit_after_an_approval_is_not_retried() -> None:
    """The caller of the table may forbid it here too."""
    _, headers, _ = problem(errors.LimitReached("Slowly."), retry=False)

    assert b"false" == dict(headers)[b"x-should-retry"]


def test_what_rules_say_is_told_in_the_readers_language() -> None:
    """Where they speak it; the header says which it is."""
    error = errors.DeniedByPolicy("Closed.", texts={"zh": "已关闭。"})

    _, headers, body = problem(error, language="zh")
    assert ("已关闭。", b"zh") == (
        orjson.loads(body)["error"]["message"], dict(headers)[b"content-language"],
    )  # fmt: skip
    _, headers, body = problem(error, language="ja")
    assert "Closed." == orjson.loads(body)["error"]["message"]
    assert b"content-language" not in dict(headers)
