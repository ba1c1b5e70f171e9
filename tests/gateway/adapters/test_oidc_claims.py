from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from sekisho.adapters.oidc_claims import (
    SIGN_IN_S_MAX,
    Unacceptable,
    check_access,
    check_id_token,
    read_identity,
)
from sekisho.config.identity import IssuerSettings

ISSUER = "https://issuer.example"
NOW_S = 1_800_000_000
SETTINGS = IssuerSettings(
    id="corp",
    url=ISSUER,
    audience="https://gateway.example",
    client_id="sekisho-test",
    clock_skew_s=30,
    token_age_s_max=3600,
)
ACCESS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "7f3a",
    "aud": "https://gateway.example",
    "iat": NOW_S - 10,
    "exp": NOW_S + 300,
}
ID: dict[str, Any] = {**ACCESS, "aud": "sekisho-test", "nonce": "n-1"}


def _access(header: dict[str, Any] | None = None, **claims: Any) -> None:
    check_access(header or {"alg": "RS256"}, _of(ACCESS, claims), SETTINGS, ISSUER, NOW_S * 10**6)


def _id(header: dict[str, Any] | None = None, *, of: str = "a", **claims: Any) -> None:
    check_id_token(
        header or {"alg": "RS256"},
        _of(ID, claims),
        SETTINGS,
        ISSUER,
        NOW_S * 10**6,
        nonce="n-1",
        access_token=of,
    )


def _of(whole: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
    """Changed by `claims`; one given as `...` is left out."""
    return {name: value for name, value in {**whole, **claims}.items() if value is not ...}


@pytest.mark.parametrize("kind", [None, "JWT", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_access_tokens_are_accepted_as_issuers_write_them(kind: str | None) -> None:
    """RFC 9068 asks for `at+jwt`; many issuers write `JWT` or nothing."""
    _access({"alg": "RS256"} if kind is None else {"alg": "RS256", "typ": kind})
    _access(aud=["https://other.example", "https://gateway.example"])
    _access(exp=NOW_S + 0.5, iat=NOW_S - 0.5, nbf=NOW_S - 0.5, azp="any-client")


@pytest.mark.parametrize(
    ("cause", "claims"),
    [
        ("wrong_issuer", {"iss": "https://issuer.example/"}),
        ("wrong_issuer", {"iss": "https://issuer.example.evil.example"}),
        ("wrong_issuer", {"iss": ...}),
        ("wrong_issuer", {"iss": [ISSUER]}),
        ("wrong_audience", {"aud": "https://other.example"}),
        ("wrong_audience", {"aud": "https://gateway.example.evil.example"}),
        ("wrong_audience", {"aud": []}),
        ("wrong_audience", {"aud": ...}),
        ("wrong_audience", {"aud": "sekisho-test"}),
        ("malformed", {"aud": {"https://gateway.example": 1}}),
        ("malformed", {"aud": ["https://gateway.example", 1]}),
        ("malformed", {"sub": ...}),
        ("malformed", {"sub": ""}),
        ("malformed", {"sub": 7}),
        ("malformed", {"sub": "x" * 256}),
        ("malformed", {"sub": "a\nb"}),
        ("malformed", {"exp": ...}),
        ("malformed", {"exp": "1800000300"}),
        ("malformed", {"exp": True}),
        ("malformed", {"exp": float("inf")}),
        ("malformed", {"exp": float("nan")}),
        ("malformed", {"exp": 10**30}),
        ("malformed", {"exp": 10**400}),
        ("malformed", {"iat": ...}),
        ("malformed", {"iat": -1}),
        ("malformed", {"nbf": None}),
        ("token_expired", {"exp": NOW_S - 30}),
        ("not_yet_valid", {"iat": NOW_S + 31}),
        ("not_yet_valid", {"nbf": NOW_S + 31}),
        ("too_old", {"iat": NOW_S - 3631}),
        ("sender_constrained", {"cnf": {"jkt": "x"}}),
    ],
)
def test_an_access_token_is_refused(cause: str, claims: dict[str, Any]) -> None:
    """With the cause for the record."""
    with pytest.raises(Unacceptable) as caught:
        _access(**claims)
    assert caught.value.cause == cause


def test_clocks_may_differ_by_the_skew() -> None:
    """And not by a second more."""
    _access(exp=NOW_S - 29)
    _access(iat=NOW_S + 30, nbf=NOW_S + 30)
    _access(iat=NOW_S - 3630)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n-1"},
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
)
def test_an_id_token_is_no_access_token(claims: dict[str, Any]) -> None:
    """It has the same issuer, key and often audience, but was meant for another use."""
    with pytest.raises(Unacceptable, match="id_token"):
        _access({"alg": "RS256", "typ": "JWT"}, **claims)
    _access({"alg": "RS256", "typ": "at+jwt"}, nonce="n-1")


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "rt+jwt", "JOSE"])
def test_a_token_of_another_type_is_refused(kind: str) -> None:
    """The type is signed too."""
    for check in (_access, _id):
        with pytest.raises(Unacceptable, match="wrong_type"):
            check({"alg": "RS256", "typ": kind})


def test_an_access_token_is_no_id_token() -> None:
    """Signing in needs what was made for it."""
    with pytest.raises(Unacceptable, match="wrong_type"):
        _id({"alg": "RS256", "typ": "at+jwt"})


def test_a_type_that_is_no_text_is_malformed() -> None:
    """Nothing is guessed about it."""
    with pytest.raises(Unacceptable, match="malformed"):
        _access({"alg": "RS256", "typ": ["JWT"]})


@pytest.mark.parametrize(
    ("cause", "claims"),
    [
        ("wrong_nonce", {"nonce": "n-2"}),
        ("wrong_nonce", {"nonce": ...}),
        ("wrong_nonce", {"nonce": ["n-1"]}),
        ("wrong_audience", {"aud": "https://gateway.example"}),
        ("wrong_audience", {"aud": ["sekisho-test", "other"]}),
        ("wrong_audience", {"aud": ["sekisho-test", "other"], "azp": "other"}),
        ("wrong_audience", {"azp": "other"}),
        ("wrong_issuer", {"iss": "https://other.example"}),
        ("token_expired", {"exp": NOW_S - 31}),
        ("too_old", {"iat": NOW_S - SIGN_IN_S_MAX - 31}),
        ("wrong_token_hash", {"at_hash": "AAAA"}),
        ("wrong_token_hash", {"at_hash": 1}),
        ("wrong_type", {"events": {}}),
    ],
)
def test_an_id_token_is_refused(cause: str, claims: dict[str, Any]) -> None:
    """With the cause for the record."""
    with pytest.raises(Unacceptable) as caught:
        _id(**claims)
    assert caught.value.cause == cause


def test_an_id_token_of_several_audiences_names_us_as_its_party() -> None:
    """OpenID Connect Core 1.0 section 3.1.3.7."""
    _id(aud=["sekisho-test", "other"], azp="sekisho-test")


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("RS256", hashlib.sha256),
        ("ES384", hashlib.sha384),
        ("PS512", hashlib.sha512),
        ("EdDSA", hashlib.sha512),
    ],
)
def test_the_hash_of_the_access_token_follows_the_algorithm(algorithm: str, digest: Any) -> None:
    """Half of it, in base64url."""
    whole = digest(b"access").digest()
    half = base64.urlsafe_b64encode(whole[: len(whole) // 2]).rstrip(b"=").decode()

    _id({"alg": algorithm}, of="access", at_hash=half)


def test_issuer_and_subject_identify_and_nothing_else() -> None:
    """Names and addresses can be edited; they are only proposed."""
    settings = SETTINGS.model_copy(update={"principal_claim": "email"})
    claims = {**ACCESS, "email": "staff-7@corp.example", "groups": ["b", "a", "b"]}

    found = read_identity(claims, settings)

    assert (found.issuer, found.subject, found.name) == ("corp", "7f3a", "staff-7@corp.example")
    assert found.groups == ("a", "b")
    assert found.issued_us == (NOW_S - 10) * 10**6


@pytest.mark.parametrize("name", [7, "", "x" * 256, "a\x1bb", ["x"], None])
def test_an_odd_name_is_not_proposed(name: object) -> None:
    """It would become somebody's id."""
    settings = SETTINGS.model_copy(update={"principal_claim": "name"})

    assert read_identity({**ACCESS, "name": name}, settings).name == ""


@pytest.mark.parametrize(
    ("said", "groups"), [("one", ("one",)), ([], ()), (None, None), (["a", "b"], ("a", "b"))]
)
def test_groups_are_a_list_or_a_word(said: object, groups: tuple[str, ...]) -> None:
    """Issuers write both; an empty list is none, and silence is silence."""
    assert read_identity({**ACCESS, "groups": said}, SETTINGS).groups == groups


@pytest.mark.parametrize(
    ("cause", "claims"),
    [
        ("malformed", {"groups": {"a": 1}}),
        ("malformed", {"groups": ["a", 1]}),
        ("malformed", {"groups": ["x" * 257]}),
        ("malformed", {"groups": [str(number) for number in range(1001)]}),
        ("groups_elsewhere", {"_claim_names": {"groups": "src1"}}),
    ],
)
def test_groups_that_cannot_be_read_are_a_refusal(cause: str, claims: dict[str, Any]) -> None:
    """Rules may deny by group: somebody without their groups could be let through."""
    with pytest.raises(Unacceptable, match=cause):
        read_identity({**ACCESS, **claims}, SETTINGS)
