from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.adapters.api_keys import PREFIX, key_hash, key_id, matches, mint

PEPPER = bytes(range(32))


def test_a_minted_key_is_taken_apart_again() -> None:
    """Its id can be read from it, its form has no character that shells or URLs touch."""
    minted = mint()
    assert key_id(minted.plaintext) == minted.id
    assert minted.plaintext.replace("-", "").isalnum()
    assert minted.plaintext.isascii()
    assert len(minted.plaintext) == len(PREFIX) + 8 + 1 + 43


def test_keys_do_not_repeat() -> None:
    """A thousand keys are a thousand secrets."""
    assert len({mint().plaintext for _ in range(1000)}) == 1000


def test_a_printed_minted_key_hides_its_secret() -> None:
    """A key in a log line or a traceback shows its id only."""
    minted = mint()
    assert minted.plaintext not in repr(minted)
    assert minted.id in repr(minted)


@pytest.mark.parametrize(
    "presented",
    [
        "",
        PREFIX,
        "sk-sekisho-abcdefgh-" + "A" * 42,
        "sk-sekisho-abcdefgh-" + "A" * 44,
        "sk-sekisho-abcdefgh-" + "A" * 43 + "\n",
        " sk-sekisho-abcdefgh-" + "A" * 43,
        "sk-sekisho-ABCDEFGH-" + "A" * 43,
        "sk-sekisho-abcdefgh-" + "é" * 43,
        "sk-sekisho-abcdefg１-" + "A" * 43,
        "SK-SEKISHO-abcdefgh-" + "A" * 43,
        "sk-other-abcdefgh-" + "A" * 43,
    ],
)
def test_what_has_not_our_form_has_no_id(presented: str) -> None:
    """Exactly one spelling of a key is accepted: no spaces, no line end, no look-alike digit."""
    assert key_id(presented) is None


@given(st.text())
def test_any_text_is_judged_without_an_error(presented: str) -> None:
    """A header is whatever a client sends."""
    assert key_id(presented) is None


def test_the_hash_is_keyed_and_covers_the_whole_key() -> None:
    """The plain HMAC-SHA256, so that another implementation can check it."""
    key = mint().plaintext
    assert key_hash(PEPPER, key) == hmac.new(PEPPER, key.encode(), sha256).digest()
    assert key_hash(PEPPER, key) != key_hash(bytes(32), key)


def test_only_the_right_key_matches() -> None:
    """One changed character, an unknown id, and an all-zero hash all fail."""
    key = mint().plaintext
    stored = key_hash(PEPPER, key)
    assert matches(PEPPER, key, stored)
    last = "A" if key[-1] != "A" else "B"
    assert not matches(PEPPER, key[:-1] + last, stored)
    assert not matches(PEPPER, key, None)
    assert not matches(PEPPER, key, bytes(32))


def test_a_short_pepper_is_refused() -> None:
    """An empty pepper file must not turn keyed hashes into plain ones."""
    with pytest.raises(ValueError, match="pepper"):
        key_hash(b"", mint().plaintext)
