"""Our signature is that of Standard Webhooks, and the guide's few lines check it."""

from __future__ import annotations

import time

import pytest

from sekisho.adapters.webhook_signature import BadKey, read_key, signed
from support.chat_site import KEY, KEY_BEFORE, receiver

NOW_S = int(time.time())
NEW, OLD = read_key(KEY), read_key(KEY_BEFORE)
BODY = b'{"moment":"filed"}'


def test_a_receiver_with_the_key_takes_it() -> None:
    """With the lines of docs/howto/notify.md."""
    assert receiver()(signed([NEW], "id-1", NOW_S, BODY), BODY, [NEW]) == "id-1"


def test_the_signature_is_that_of_the_standard() -> None:
    """A known answer, made with another implementation of Standard Webhooks' example key."""
    key = read_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("knows", [[NEW], [OLD]])
def test_while_a_key_is_changed_both_sign(knows: list[bytes]) -> None:
    """A receiver that knows either takes the message."""
    assert receiver()(signed([NEW, OLD], "id-1", NOW_S, BODY), BODY, knows) == "id-1"


@pytest.mark.parametrize(
    "forged",
    [
        {"body": BODY + b" "},
        {"told": "id-2"},
        {"stamp": NOW_S + 1},
        {"stamp": NOW_S - 301},
        {"keys": [OLD]},
    ],
)
def test_a_receiver_refuses_what_was_changed_or_is_old(forged: dict[str, object]) -> None:
    """Body, id and time are signed, and an old message cannot be played again."""
    headers = signed([NEW], "id-1", NOW_S, BODY)
    if forged.get("stamp") == NOW_S - 301:
        headers = signed([NEW], "id-1", NOW_S - 301, BODY)
    headers["webhook-id"] = str(forged.get("told", "id-1"))
    headers["webhook-timestamp"] = str(forged.get("stamp", NOW_S))
    with pytest.raises(ValueError, match="not from the gateway"):
        receiver()(headers, forged.get("body", BODY), forged.get("keys", [NEW]))


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_short", "whsec_****", KEY[6:], "whsec_AAAA"])
def test_a_weak_or_odd_key_is_refused_and_not_quoted(text: str) -> None:
    """A short key could be tried out by whoever sees one message."""
    with pytest.raises(BadKey) as refused:
        read_key(text)
    assert text in {"", "whsec_"} or text not in str(refused.value)
