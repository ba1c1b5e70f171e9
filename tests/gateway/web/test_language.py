"""A person is refused in a language they read."""

from __future__ import annotations

import pytest

from sekisho.web.language import spoken


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (b"", "en"),
        (b"*", "en"),
        (b"zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (b"ja", "ja"),
        (b"JA-JP", "ja"),
        (b"de, fr;q=0.9", "en"),
        (b"en;q=0.2, ja;q=0.7, zh;q=0.5", "ja"),
        (b"zh;q=0", "en"),
        (b"zh;q=nan, ja;q=inf", "en"),
        (b"zh;q=-1", "en"),
        (b"zh;level=1", "en"),
        (b"zh; Q = 0.5", "zh"),
        (b"\xff\xfe,;;q==,zh", "zh"),
    ],
)
def test_what_a_client_wishes(header: bytes, language: str) -> None:
    """Its best wish among ours; nonsense is no wish."""
    assert spoken(header, "en") == language


def test_the_installation_chooses_where_the_client_does_not() -> None:
    """Most SDKs say nothing; English has to be wished for in a Japanese house."""
    assert spoken(b"*", "ja") == "ja"
    assert spoken(b"en-US", "ja") == "en"


def test_a_long_list_is_not_read_to_its_end() -> None:
    """Work is bounded by us, not by the header."""
    assert spoken(b"de," * 100_000 + b"zh", "en") == "en"
