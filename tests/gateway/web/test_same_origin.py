from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.errors import Forbidden
from sekisho.web.same_origin import PATH_CHARS_MAX, local_path, require_same_origin

HERE = "https://gateway.example"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_looking_is_free(method: str) -> None:
    """A link from anywhere may lead here."""
    require_same_origin(method, {"sec-fetch-site": "cross-site"}, HERE)


@pytest.mark.parametrize(
    ("headers", "here"),
    [
        ({"sec-fetch-site": "same-origin"}, HERE),
        ({"origin": "https://gateway.example"}, HERE),
        ({"origin": "https://GATEWAY.example:443"}, HERE),
        ({"origin": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"origin": "https://gateway.example"}, "https://gateway.example/sekisho"),
    ],
)
def test_a_page_of_ours_may_change_things(headers: dict[str, str], here: str) -> None:
    """Told by what browsers say themselves."""
    require_same_origin("POST", headers, here)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "cross-site", "origin": HERE},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://gateway.example"},
        {"origin": "https://gateway.example:8443"},
        {"origin": "https://gateway.example.evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "https://gateway.example:bad"},
        {"origin": "https://[::1"},
        {"referer": "https://gateway.example/login"},
    ],
)
def test_anything_else_is_refused(headers: dict[str, str]) -> None:
    """Another site, a sibling host, or nobody who says."""
    for method in ("POST", "PUT", "PATCH", "DELETE", "post", "X"):
        with pytest.raises(Forbidden) as caught:
            require_same_origin(method, headers, HERE)
        assert caught.value.code == "cross_site"


@pytest.mark.parametrize(
    "path", ["/", "/login", "/approvals/h-1?tab=2#reviews", "/a%2F%2Fb", "/a//b"]
)
def test_a_path_of_this_site_is_taken(path: str) -> None:
    """As it is."""
    assert local_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/a\\b",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a\r\nset-cookie: x=y",
        "/\x00",
        " /",
        "/a b",
        "/é",
        "/\u2028",
        "/" + "a" * PATH_CHARS_MAX,
    ],
)
def test_anything_a_browser_could_read_as_elsewhere_is_not(text: str) -> None:
    """An open redirect makes a good phishing page of ours."""
    assert local_path(text) is None


@given(st.text(st.sampled_from("/\\.:@?#%&=a2fe0 \t\r\n\x00\u2028é[]"), max_size=12))
def test_no_path_leaves_the_site(text: str) -> None:
    """Whatever somebody makes up: what is taken stays on this host and fits into a header."""
    taken = local_path("/" + text)
    if taken is not None:
        assert urlsplit(urljoin(HERE, taken)).netloc == "gateway.example"
        assert httpx.URL(HERE).join(taken).host == "gateway.example"
        assert taken.encode("ascii").isascii()
        assert not {"\r", "\n", "\t", "\\"} & set(taken)
