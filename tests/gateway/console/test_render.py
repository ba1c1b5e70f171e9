from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from sekisho.console.render import page, short, stamp

EVIL = "\"><script>alert(1)</script>'&"


def test_values_are_escaped_and_the_base_path_stands_before_links() -> None:
    """In text and attributes."""
    made = page(
        "sign_in.html", "en", "/llm", issuers=[EVIL], return_to=EVIL, fault=EVIL, reader=None
    )

    assert "<script>alert" not in made
    assert 'action="/llm/login"' in made
    assert 'href="/llm/static/page-' in made


def test_a_value_that_is_missing_is_a_fault() -> None:
    """Not an empty place in a page."""
    with pytest.raises(UndefinedError):
        page("sign_in.html", "en", "", reader=None)


def test_times_are_in_utc_for_people_and_scripts() -> None:
    """To the minute, and to the second."""
    assert '<time datetime="2026-11-28T18:45:07Z">2026-11-28 18:45 UTC</time>' == stamp(1795891507)


def test_a_digest_is_cut_where_two_are_told_apart() -> None:
    """A short one stays."""
    assert "sha256:0123456789ab…" == short("sha256:0123456789abcdef")
    assert "sha256:0" == short("sha256:0")
