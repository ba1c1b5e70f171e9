"""Our signature is that of Standard Webhooks, and the guide's few lines check it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sekisho.adapters.webhook_signature import BadKey, read_key, signed
from support.chat_site import KEY, KEY_BEFORE, receiver

NEW, OLD = read_key(KEY), read_key(KEY_BEFORE)
BODY = b'{"moment":"filed"}'


@pytest.fixture
def now_s() -> int:
    """The test's own time: a whole run takes longer than a message is new."""
    return int(time.time())


def test_a_receiver_with_the_key_takes_it(now_s: int) -> None:
    """With the lines of docs/howto/notify.md."""
    assert receiver()(signed([NEW], "id-1", now_s, BODY), BODY, [NEW]) == "id-1"


def test_the_signature_is_that_of_the_standard() -> None:
    """A known answer, made with another implementation of Standard Webhooks' example key."""
    key = read_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("knows", [[NEW], [OLD]])
def test_while_a_key_is_changed_both_sign(knows: list[bytes], now_s: int) -> None:
    """A receiver that knows either takes the message."""
    assert receiver()(signed([NEW, OLD], "id-1", now_s, BODY), BODY, knows) == "id-1"


@pytest.mark.parametrize(
    "forged",
    [
        {"body": BODY + b" "},
        {"told": "id-2"},
        {"later_s": 1},
        {"age_s": 301},
        {"keys": [OLD]},
    ],
)
def test_a_receiver_refuses_what_was_changed_or_is_old(forged: dict[str, Any], now_s: int) -> None:
    """Body, id and time are signed, and an old message cannot be played again."""
    headers = signed([NEW], "id-1", now_s - forged.get("age_s", 0), BODY)
    headers["webhook-id"] = str(forged.get("told", "id-1"))
    stamp = now_s - forged.get("age_s", 0) + forged.get("later_s", 0)
    headers["webhook-timestamp"] = str(stamp)
    with pytest.raises(ValueError, match="not from the gateway"):
        receiver()(headers, forged.get("body", BODY), forged.get("keys", [NEW]))


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_short", "whsec_****", KEY[6:], "whsec_AAAA"])
def test_a_weak_or_odd_key_is_refused_and_not_quoted(text: str) -> None:
    """A short key could be tried out by whoever sees one message."""
    with pytest.raises(BadKey) as refused:
        read_key(text)
    assert text in {"", "whsec_"} or text not in str(refused.value)
