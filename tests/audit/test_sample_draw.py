"""Which exchanges are drawn: by key and id alone, as many as were asked for."""

from __future__ import annotations

import hashlib
import hmac

from sekisho.model.ids import uuid7
from sekisho_audit.sample_draw import WHOLE, is_drawn

KEY = b"k" * 32


def test_none_and_all() -> None:
    """A share of 0 draws nothing, one of 10,000 everything."""
    ids = [uuid7() for _ in range(200)]

    assert not any(is_drawn(KEY, one, 0) for one in ids)
    assert all(is_drawn(KEY, one, WHOLE) for one in ids)


def test_a_larger_share_draws_the_same_and_more() -> None:
    """What one share draws a larger one draws too, so raising it hides nothing."""
    ids = [f"exchange-{number}" for number in range(2_000)]
    few = {one for one in ids if is_drawn(KEY, one, 200)}
    more = {one for one in ids if is_drawn(KEY, one, 2_000)}

    assert few < more
    assert 10 <= len(few) <= 80
    assert 300 <= len(more) <= 500


def test_another_key_draws_others() -> None:
    """Who has not the key cannot tell by an id whether it is drawn."""
    ids = [f"exchange-{number}" for number in range(500)]

    first = [is_drawn(KEY, one, 5_000) for one in ids]
    assert first == [is_drawn(KEY, one, 5_000) for one in ids]
    assert first != [is_drawn(b"o" * 32, one, 5_000) for one in ids]


def test_it_is_what_the_specification_says() -> None:
    """Written down once more by hand, as an auditor would."""
    for number in range(50):
        digest = hmac.new(KEY, f"sekisho-sample-v1|x-{number}".encode(), hashlib.sha256).digest()
        below = int.from_bytes(digest[:8], "big") * 10_000 < 2_500 * 2**64
        assert is_drawn(KEY, f"x-{number}", 2_500) is below
