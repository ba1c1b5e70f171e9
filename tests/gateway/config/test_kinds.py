"""Kinds of values that settings are made of."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sekisho.config.kinds import HeaderName, HttpUrl, Network, ScopeName, is_loopback


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (HttpUrl, "https://a.example/v1/", "https://a.example/v1"),
        (HttpUrl, "ftp://a.example", None),
        (HttpUrl, "https://key@a.example", None),
        (HttpUrl, "https://a.example?x=1", None),
        (HttpUrl, "https://a.example:0", None),
        (Network, "10.0.0.0/8", "10.0.0.0/8"),
        (Network, "10.0.0.1", "10.0.0.1/32"),
        (Network, "10.0.0.1/8", None),
        (Network, "proxy", None),
        (HeaderName, "x-user", "x-user"),
        (HeaderName, "authorization", None),
        (HeaderName, "x-forwarded-for", None),
        (HeaderName, "X-User", None),
        (ScopeName, "groups", "groups"),
        (ScopeName, "a b", None),
        (ScopeName, 'a"b', None),
    ],
)
def test_values_are_read_or_refused(kind: Any, value: str, read: str | None) -> None:
    """Odd spellings of the same are one, and what could mean something else is nothing."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    if read is None:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
    else:
        assert read == adapter.validate_python(value)


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("x", False)],
)
def test_what_is_this_machine(host: str, here: bool) -> None:
    """Names are not looked up: an answer could be anybody's."""
    assert here == is_loopback(host)
