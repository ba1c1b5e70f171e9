"""Heads as honest clients and proxies send them, and as others do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.config.identity import IdentitySettings
from sekisho.errors import Forbidden, NotAuthenticated
from sekisho.model.principal import Shown
from sekisho.web.credentials import (
    ASSERTION_CHARS_MAX,
    CLAIM_CHARS_MAX,
    GROUPS_MAX,
    HOPS_MAX,
    Reader,
)

PROXY = "10.0.0.9"
URL = "https://gate.example"
STRANGER = "203.0.113.5"
KEY = "sk-sekisho-abcdefgh-" + "x" * 43
PROXIED = IdentitySettings(
    trusted_peers=("10.0.0.0/8", "fd00::/8"),
    user_header="x-user",
    groups_header="x-groups",
    certificate_header="x-client-subject",
)


def _scope(
    *headers: tuple[str, str],
    peer: str = STRANGER,
    method: str = "POST",
    identity: str = "",
) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "client": (peer, 50_000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    if identity:
        scope["extensions"] = {"tls": {"client_identity": identity}}
    return scope


def _shown(*headers: tuple[str, str], **more: Any) -> Shown:
    return Reader(PROXIED, URL).shown(_scope(*headers, **more))


def _cause(*headers: tuple[str, str], **more: Any) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        _shown(*headers, **more)
    return refused.value.cause


def _address(*entries: str, peer: str = PROXY) -> str:
    scope = _scope(*(("x-forwarded-for", entry) for entry in entries), peer=peer)
    return Reader(PROXIED, URL).shown(scope).ip


@pytest.mark.parametrize(
    "header",
    [("authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY} "), ("x-api-key", KEY)],
)
def test_a_key_may_come_in_either_header(header: tuple[str, str]) -> None:
    """OpenAI's clients send the one, Anthropic's the other."""
    assert Shown(secret=KEY, ip=STRANGER) == _shown(header)


def test_the_same_key_twice_is_one_key() -> None:
    """Some clients send both headers."""
    assert KEY == _shown(("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)).secret


@pytest.mark.parametrize(
    "headers",
    [
        (("authorization", f"Bearer {KEY}"), ("x-api-key", "other")),
        (("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")),
        (("authorization", "Basic eA=="), ("authorization", f"Bearer {KEY}")),
        (("x-api-key", KEY), ("x-api-key", KEY)),
    ],
)
def test_a_head_that_says_two_things_is_refused(headers: tuple[tuple[str, str], ...]) -> None:
    """A proxy might check the one and we believe the other."""
    assert "malformed" == _cause(*headers)


def test_another_scheme_is_no_secret_of_ours() -> None:
    """A password that a browser sends to everything is not taken for a key."""
    assert "" == _shown(("authorization", "Basic eA==")).secret


def test_a_stranger_who_names_himself_is_not_believed_but_noticed() -> None:
    """The spoof of a proxy's headers changes nothing and is told."""
    heard: list[tuple[str, str]] = []
    reader = Reader(PROXIED, URL, lambda shown, header: heard.append((shown.ip, header)))
    shown = reader.shown(
        _scope(("x-user", "staff-7"), ("x-groups", "board"), ("x-client-subject", "CN=x"),
               ("x-forwarded-for", "10.1.1.1"))
    )  # fmt: skip

    assert Shown(ip=STRANGER) == shown
    assert [(STRANGER, "x-user")] == heard


def test_a_spoofed_header_does_not_cost_a_good_key() -> None:
    """The key is what counts; the attempt is told all the same."""
    heard: list[str] = []
    reader = Reader(PROXIED, URL, lambda _, header: heard.append(header))

    assert KEY == reader.shown(_scope(("x-user", "a"), ("x-user", "b"), ("x-api-key", KEY))).secret
    assert ["x-user"] == heard


def test_a_trusted_peer_names_its_client() -> None:
    """Name, groups, certificate and address of whom it speaks for."""
    shown = _shown(
        ("x-user", "staff-7"), ("x-groups", "sales, east,"), ("x-client-subject", "CN=staff-7"),
        ("x-forwarded-for", STRANGER), peer=PROXY,
    )  # fmt: skip

    assert ("staff-7", ("sales", "east")) == (shown.asserted, shown.asserted_groups)
    assert ("CN=staff-7", STRANGER) == (shown.certificate, shown.ip)


@pytest.mark.parametrize("name", ["x-user", "x-groups", "x-client-subject"])
def test_what_a_trusted_peer_says_twice_is_refused(name: str) -> None:
    """It added its header beside the client's own instead of replacing it."""
    claim = [("x-user", "staff-7")] if name != "x-user" else []

    assert "malformed" == _cause(*claim, (name, "a"), (name, "b"), peer=PROXY)


@pytest.mark.parametrize("value", ["a" * (CLAIM_CHARS_MAX + 1), "staff\x007", "\xff\xfe"])
def test_a_name_that_is_none_is_refused(value: str) -> None:
    """No controls, no broken UTF-8, no length that a record would not take."""
    assert "malformed" == _cause(("x-user", value), peer=PROXY)


@pytest.mark.parametrize("value", ["g," * (GROUPS_MAX + 1), "g" * (ASSERTION_CHARS_MAX + 1)])
def test_groups_are_bounded(value: str) -> None:
    """A list without end is not one that a directory made."""
    assert "malformed" == _cause(("x-user", "staff-7"), ("x-groups", value), peer=PROXY)


def test_an_assertion_is_never_replaced_by_a_bare_name() -> None:
    """Where a signed token is configured, a name beside it or instead of it counts nothing."""
    settings = IdentitySettings(
        trusted_peers=(PROXY,), user_header="x-user", groups_header="x-groups",
        assertion_header="x-assertion",
    )  # fmt: skip
    reader = Reader(settings, URL)
    both = reader.shown(_scope(("x-user", "boss"), ("x-assertion", "e.y.J"), peer=PROXY))
    bare = reader.shown(_scope(("x-user", "boss"), ("x-groups", "board"), peer=PROXY))

    assert "e.y.J" == both.asserted
    assert ("", ()) == (bare.asserted, bare.asserted_groups)


def test_groups_without_a_name_are_nobodys() -> None:
    """They would be put on whoever is found in another way."""
    assert () == _shown(("x-groups", "board"), ("x-api-key", KEY), peer=PROXY).asserted_groups


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), PROXY),
        ((STRANGER,), STRANGER),
        (("198.51.100.1, " + STRANGER,), STRANGER),
        ((f"198.51.100.1, {STRANGER}, 10.0.0.3",), STRANGER),
        (("198.51.100.1", STRANGER), STRANGER),
        ((f"not an address, {STRANGER}",), STRANGER),
        ((f"{STRANGER}, garbage",), PROXY),
        ((f"{STRANGER},",), PROXY),
        (("",), PROXY),
        (("10.0.0.1, 10.0.0.2",), PROXY),
        ((f"{STRANGER}:4711",), STRANGER),
        (("[2001:db8::7]:4711",), "2001:db8::7"),
        (("2001:db8::7",), "2001:db8::7"),
        ((f"::ffff:{STRANGER}",), STRANGER),
        ((f"{STRANGER}, ::ffff:10.0.0.3",), STRANGER),
        ((STRANGER + ", " + "10.0.0.1, " * (HOPS_MAX - 1) + "10.0.0.2",), PROXY),
        (("9" * 2000,), PROXY),
    ],
)
def test_the_source_is_what_the_nearest_untrusted_hop_was(
    entries: tuple[str, ...], expected: str
) -> None:
    """What a client writes in front of it moves nothing; what cannot be read is the peer."""
    assert expected == _address(*entries)


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.9", "fd00::1"])
def test_a_peer_in_ipv6_form_is_known(peer: str) -> None:
    """A socket that speaks both shows IPv4 peers as ::ffff:a.b.c.d."""
    assert STRANGER == _address(STRANGER, peer=peer)


def test_a_network_in_ipv6_form_is_known() -> None:
    """An operator may copy the address from such a socket's log."""
    reader = Reader(IdentitySettings(trusted_peers=("::ffff:10.0.0.0/104",)), URL)

    assert STRANGER == reader.shown(_scope(("x-forwarded-for", STRANGER), peer=PROXY)).ip


def test_a_mapped_peer_is_recorded_as_ipv4() -> None:
    """One client has one address, whichever socket it came in by."""
    assert STRANGER == Reader(IdentitySettings(), URL).shown(_scope(peer=f"::ffff:{STRANGER}")).ip


@pytest.mark.parametrize("client", [None, ("", 0), ("not-an-address", 0)])
def test_a_peer_without_an_address_is_never_trusted(client: tuple[str, int] | None) -> None:
    """A Unix socket proves nothing that was configured."""
    scope = {**_scope(("x-user", "staff-7")), "client": client}

    assert "" == Reader(PROXIED, URL).shown(scope).asserted


def test_a_certificate_of_our_own_tls_is_shown() -> None:
    """It was verified before any byte of the request was read."""
    assert "cn:svc-batch" == _shown(identity="cn:svc-batch").certificate


def test_a_proxys_certificate_is_not_its_clients() -> None:
    """The peer that speaks for others shows its own to us; nobody is taken for the proxy."""
    assert "" == _shown(peer=PROXY, identity="cn:proxy").certificate


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("__Host-sekisho=s1", "s1"),
        ("sekisho=planted; __Host-sekisho=s1", "s1"),
        ("sekisho=planted", ""),
        ("theme=dark; __Host-sekisho=s3; x=y", "s3"),
        ("not__Host-sekisho=s4; __Host-sekishox=s5", ""),
        ("__Host-sekisho", ""),
        ("__Host-sekisho=a; __Host-sekisho=b", ""),
    ],
)
def test_the_session_is_the_cookie_a_neighbour_cannot_set(cookie: str, expected: str) -> None:
    """Signing a person in as somebody else is an attack too."""
    assert expected == _shown(("cookie", cookie), method="GET").session


def test_cookies_beside_a_key_are_not_read() -> None:
    """A program that sends a key means the key."""
    assert "" == _shown(("cookie", "__Host-sekisho=a"), ("x-api-key", KEY)).session


AMBIENT: dict[str, tuple[list[tuple[str, str]], dict[str, str]]] = {
    "session": ([("cookie", "__Host-sekisho=a")], {}),
    "name": ([("x-user", "staff-7")], {"peer": PROXY}),
    "certificate": ([], {"identity": "cn:staff-7"}),
}


@pytest.mark.parametrize(
    "said",
    [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ],
)
@pytest.mark.parametrize("ambient", AMBIENT)
def test_another_sites_page_changes_nothing(said: tuple[str, str], ambient: str) -> None:
    """Browsers and proxies add sign-ins to every request; the page must be ours."""
    headers, more = AMBIENT[ambient]
    with pytest.raises(Forbidden) as refused:
        _shown(*headers, said, **more)

    assert "cross_site" == refused.value.code


@pytest.mark.parametrize("said", [("sec-fetch-site", "same-origin"), ("origin", URL)])
@pytest.mark.parametrize("ambient", AMBIENT)
def test_our_own_page_may(said: tuple[str, str], ambient: str) -> None:
    """It posts with whatever signs its reader in."""
    headers, more = AMBIENT[ambient]
    shown = _shown(*headers, said, **more)

    assert shown.session or shown.asserted or shown.certificate


def test_a_session_without_its_page_changes_nothing() -> None:
    """Every browser names the page one way or the other; who says nothing stole the cookie."""
    with pytest.raises(Forbidden):
        _shown(*AMBIENT["session"][0])


@pytest.mark.parametrize("ambient", ["name", "certificate"])
def test_programs_say_nothing_of_pages(ambient: str) -> None:
    """A service with a certificate, or behind a proxy, has none."""
    headers, more = AMBIENT[ambient]

    assert _shown(*headers, **more) != Shown(ip=STRANGER)


def test_a_key_from_another_origin_is_a_key() -> None:
    """Nobody's browser adds it by itself: the page was given it."""
    assert KEY == _shown(("x-api-key", KEY), ("sec-fetch-site", "cross-site")).secret


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"x-api-key", b"cookie", b"x-forwarded-for", b"x-user",
                 b"x-groups", b"x-client-subject", b"origin", b"host"]
            ),
            st.binary(max_size=60),
        ),
        max_size=8,
    ),
    st.sampled_from([PROXY, STRANGER, "::ffff:10.0.0.1", "", "fe80::1%lo"]),
)  # fmt: skip
def test_no_head_is_a_fault_of_ours(headers: list[tuple[bytes, bytes]], peer: str) -> None:
    """Whatever bytes come, they are read or refused; a stranger never asserts anything."""
    scope = {"type": "http", "method": "POST", "client": (peer, 1), "headers": headers}
    try:
        shown = Reader(PROXIED, URL).shown(scope)
    except (NotAuthenticated, Forbidden):
        return
    if peer not in {PROXY, "::ffff:10.0.0.1"}:
        assert ("", (), "") == (shown.asserted, shown.asserted_groups, shown.certificate)
        assert peer == shown.ip
