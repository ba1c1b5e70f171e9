from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, Key, OctKey
from structlog.testing import capture_logs

from sekisho.adapters.oidc_http import open_client
from sekisho.adapters.oidc_keys import RETRY_S, IssuerKeys
from sekisho.adapters.oidc_tokens import KEPT_US, TOKEN_CHARS_MAX, TokenVerifier
from sekisho.errors import DirectoryUnavailable, NotAuthenticated
from support.oidc import AUDIENCE, LoopbackIssuer, ec_key, okp_key, rsa_key, sign


@dataclass
class Gate:
    """A verifier of one issuer, and time that a test moves."""

    issuer: LoopbackIssuer
    verifier: TokenVerifier
    http: httpx.AsyncClient
    ahead_s: float = 0

    async def cause(self, token: str) -> str:
        """Why this token is refused."""
        with pytest.raises(NotAuthenticated) as caught:
            await self.verifier.verify(token)
        assert caught.value.code == "invalid_token", "nobody sent a key"
        return caught.value.cause


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with LoopbackIssuer() as issuer, open_client() as http:
        one = Gate(issuer, TokenVerifier({}), http)
        algorithms = ("RS256", "PS256", "ES256", "EdDSA")
        keys = IssuerKeys(
            issuer.settings(algorithms=algorithms),
            http,
            monotonic_s=lambda: time.monotonic() + one.ahead_s,
        )
        one.verifier = TokenVerifier(
            {"corp": keys},
            now_us=lambda: time.time_ns() // 1000 + int(one.ahead_s * 10**6),
            kept_max=3,
        )
        yield one
        await keys.close()


SIGNER_WARNS = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
TWO_ALGORITHMS = b'{"alg":"none","alg":"RS256"}'
TWO_ISSUERS = b'{"iss":"a","iss":"b"}'


def _b64(part: object) -> str:
    raw = part if isinstance(part, bytes) else orjson.dumps(part)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_a_good_token_tells_who_it_is(gate: Gate) -> None:
    """By issuer and subject."""
    found = await gate.verifier.verify(gate.issuer.token())

    assert (found.issuer, found.subject, found.groups) == ("corp", "7f3a", ("finance",))
    assert found.credential == "oidc:corp"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa_key("k"), "RS256"),
        (rsa_key("k"), "PS256"),
        (ec_key("k"), "ES256"),
        pytest.param(okp_key("k"), "EdDSA", marks=SIGNER_WARNS),
        (okp_key("k"), "Ed25519"),
    ],
)
async def test_every_chosen_algorithm_works(gate: Gate, key: Key, algorithm: str) -> None:
    """EdDSA goes by both of its names."""
    gate.issuer.keys = [key]
    token = sign({"alg": algorithm, "kid": "k"}, gate.issuer.claims(), key)

    assert (await gate.verifier.verify(token)).subject == "7f3a"


async def test_an_unsigned_token_is_refused(gate: Gate) -> None:
    """In every spelling of `none`, with and without a signature."""
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, 0, ["RS256"], {"RS256": 1}):
        head = _b64({"alg": algorithm, "kid": "rsa-1"})
        for signature in ("", "AAAA"):
            token = f"{head}.{_b64(gate.issuer.claims())}.{signature}"
            assert await gate.cause(token) == "bad_algorithm"
    token = f"{_b64({'kid': 'rsa-1'})}.{_b64(gate.issuer.claims())}.AAAA"
    assert await gate.cause(token) == "bad_algorithm"


async def test_a_public_key_is_never_a_secret(gate: Gate) -> None:
    """HS256 keyed with each form in which the public key can be had."""
    public = gate.issuer.keys[0]
    assert not isinstance(public, OctKey)
    raw: Any = public.public_key
    jwk = orjson.dumps(public.as_dict())
    forms = [
        public.as_pem(),
        public.as_pem().strip(),
        public.as_der(),
        raw.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        jwk,
        orjson.dumps(gate.issuer.public()),
        str(public.as_dict()["n"]).encode(),
        base64.urlsafe_b64decode(str(public.as_dict()["n"]) + "=="),
        b"",
    ]
    for form in forms:
        for name, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            signed = f"{_b64({'alg': name, 'kid': 'rsa-1'})}.{_b64(gate.issuer.claims())}"
            mac = hmac.digest(form, signed.encode(), digest)
            assert await gate.cause(f"{signed}.{_b64(mac)}") == "bad_algorithm"


async def test_a_key_in_the_token_is_not_used(gate: Gate) -> None:
    """`jwk`, `jku`, `x5u`: a token does not bring its own key."""
    mine = rsa_key("mine")
    for header in (
        {"jwk": mine.as_dict()},
        {"jku": "http://127.0.0.1:9/jwks"},
        {"x5u": "http://127.0.0.1:9/certificate", "x5c": ["AAAA"]},
    ):
        named = gate.issuer.token(mine, {"kid": "rsa-1", **header})
        assert await gate.cause(named) == "bad_signature"
        assert await gate.cause(gate.issuer.token(mine, header)) == "unknown_signing_key"


async def test_algorithm_and_key_must_be_of_one_kind(gate: Gate) -> None:
    """An EC signature under the id of an RSA key, and the reverse."""
    mine = ec_key("rsa-1")
    assert await gate.cause(gate.issuer.token(mine)) == "bad_algorithm"


async def test_an_algorithm_that_was_not_chosen_is_refused(gate: Gate) -> None:
    """Even with the right key."""
    token = sign({"alg": "RS512", "kid": "rsa-1"}, gate.issuer.claims(), gate.issuer.keys[0])
    assert await gate.cause(token) == "bad_algorithm"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": ["kid"]},
        {"b64": False},
    ],
)
async def test_critical_headers_are_not_understood(gate: Gate, header: dict[str, Any]) -> None:
    """What must be understood and is not is a refusal; unencoded payloads are not read."""
    signed = {"alg": "RS256", "kid": "rsa-1", **header}
    plain = gate.issuer.token()
    token = ".".join([_b64(signed), *plain.split(".")[1:]])
    assert await gate.cause(token) == "crit"


async def test_unknown_headers_are_ignored(gate: Gate) -> None:
    """As RFC 7515 asks; issuers add their own."""
    token = gate.issuer.token(header={"x5t": "abc", "org.example": {"a": 1}})
    assert (await gate.verifier.verify(token)).subject == "7f3a"


async def test_a_changed_token_is_refused(gate: Gate) -> None:
    """In any of its parts."""
    token = gate.issuer.token()
    head, claims, signature = token.split(".")
    other = _b64(gate.issuer.claims(sub="director"))
    for changed in (
        f"{head}.{other}.{signature}",
        f"{head}.{claims}.{'A' * len(signature)}",
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[:-8]}",
        f"{head}.{claims}.{signature}=",
        f"{_b64({'alg': 'RS256', 'kid': 'rsa-1', 'typ': 'JWT'})}.{claims}.{signature}",
    ):
        assert await gate.cause(changed) == "bad_signature"


@pytest.mark.parametrize("key", [rsa_key("k"), ec_key("k"), okp_key("k")])
async def test_no_character_of_a_token_can_be_changed(gate: Gate, key: Key) -> None:
    """Nor left out or doubled, at any place."""
    gate.issuer.keys = [key]
    token = gate.issuer.token()
    await gate.verifier.verify(token)

    for place, letter in enumerate(token):
        other = "B" if letter == "A" else "A"
        for middle in (other, "", letter * 2):
            changed = token[:place] + middle + token[place + 1 :]
            if changed != token:
                assert await gate.cause(changed)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d.e",
        "ey.ey.ey",
        "é.a.b",
        "a b.c.d",
        f"{_b64([])}.{_b64({})}.AA",
        f"{_b64({'alg': 'RS256'})}.{_b64([])}.AA",
        f"{_b64(['alg'])}.{_b64({'iss': 1})}.AA",
        f"{_b64(b'[' * 3000)}.{_b64({})}.AA",
        f"{_b64({'alg': 'RS256'})}.{_b64(b'[' * 9000)}.AA",
        f"{_b64(TWO_ALGORITHMS)}.{_b64({})}.AA",
        f"{_b64({'alg': 'RS256'})}.{_b64(TWO_ISSUERS)}.AA",
        "A" * 5000 + "." + _b64({}) + ".AA",
        "A" * (TOKEN_CHARS_MAX + 1),
    ],
)
async def test_what_is_no_token_is_malformed(gate: Gate, token: str) -> None:
    """Without asking anybody for keys."""
    assert await gate.cause(token) == "malformed"
    assert not gate.issuer.asked


async def test_a_key_id_that_is_no_text_is_malformed(gate: Gate) -> None:
    """It cannot name a key."""
    head = _b64({"alg": "RS256", "kid": 7})
    assert await gate.cause(f"{head}.{_b64(gate.issuer.claims())}.AA") == "malformed"


@pytest.mark.parametrize("issuer", ["https://other.example", None, 7, ["x"], {"a": 1}, ""])
async def test_a_token_of_nobody_configured_is_refused(gate: Gate, issuer: object) -> None:
    """And nobody is asked for its keys."""
    token = sign({"alg": "RS256"}, gate.issuer.claims(iss=issuer), gate.issuer.keys[0])
    assert await gate.cause(token) == "wrong_issuer"
    assert not gate.issuer.asked


async def test_two_issuers_do_not_vouch_for_each_other(gate: Gate) -> None:
    """A token names one issuer and is signed by another."""
    async with LoopbackIssuer(keys=[rsa_key("rsa-1")]) as other:
        corp = IssuerKeys(gate.issuer.settings(), gate.http)
        second = IssuerKeys(other.settings(id="second"), gate.http)
        verifier = TokenVerifier({"corp": corp, "second": second})
        crossed = gate.issuer.token(other.keys[0])

        with pytest.raises(NotAuthenticated) as caught:
            await verifier.verify(crossed)
        assert caught.value.cause == "bad_signature"
        assert (await verifier.verify(other.token())).issuer == "second"

        with pytest.raises(NotAuthenticated) as caught:
            await verifier.verify_id_token("corp", other.id_token("n"), nonce="n", access_token="a")
        assert caught.value.cause == "wrong_issuer", "a sign-in at one, a token of the other"


@pytest.mark.parametrize(
    ("cause", "claims"),
    [
        ("wrong_audience", {"aud": "https://other.example"}),
        ("token_expired", {"exp": 1_700_000_000}),
        ("not_yet_valid", {"nbf": 4_000_000_000}),
        ("too_old", {"iat": 1_700_000_000}),
        ("malformed", {"sub": None}),
        ("malformed", {"groups": [1]}),
    ],
)
async def test_claims_are_checked(gate: Gate, cause: str, claims: dict[str, Any]) -> None:
    """After the signature; the cause is kept for the record."""
    assert await gate.cause(gate.issuer.token(**claims)) == cause


async def test_an_id_token_does_not_open_the_gate(gate: Gate) -> None:
    """Even where the audience of both is the same."""
    assert await gate.cause(gate.issuer.id_token("n", aud=AUDIENCE)) == "id_token"


async def test_a_refusal_tells_the_client_nothing(gate: Gate) -> None:
    """One message for every cause; issuer and cause are for the record."""
    messages = set()
    for token in ("x", gate.issuer.token(exp=1_700_000_000), gate.issuer.token(rsa_key("rsa-1"))):
        with pytest.raises(NotAuthenticated) as caught:
            await gate.verifier.verify(token)
        messages.add(caught.value.message)
        assert caught.value.credential in {"", "oidc:corp"}
        assert token not in repr(caught.value) or token == "x"
    assert len(messages) == 1


async def test_no_token_and_no_claim_gets_into_the_logs(gate: Gate) -> None:
    """Refused or not, issuer down or not."""
    canary = "canary-7c1f"
    with capture_logs() as lines:
        await gate.verifier.verify(gate.issuer.token(sub=canary))
        for claims in ({"exp": 1_700_000_000}, {"aud": canary}, {"groups": [canary, 1]}):
            await gate.cause(gate.issuer.token(sub=canary, **claims))
        gate.issuer.down = True
        gate.ahead_s = RETRY_S
        await gate.cause(gate.issuer.token(rsa_key(canary), sub=canary))
    assert lines, "the issuer's silence is worth a line"
    assert canary not in repr(lines)
    assert "eyJ" not in repr(lines)


async def test_a_dead_issuer_is_said_so(gate: Gate) -> None:
    """503, not 401: the token may well be good."""
    gate.issuer.down = True
    with pytest.raises(DirectoryUnavailable):
        await gate.verifier.verify(gate.issuer.token())


async def test_a_good_token_is_remembered_for_a_minute(gate: Gate) -> None:
    """The second look checks no signature: the key could be gone from the set unseen."""
    token = gate.issuer.token(exp=int(time.time()) + 3600)
    first = await gate.verifier.verify(token)
    assert await gate.verifier.verify(token) is first

    gate.ahead_s = KEPT_US / 10**6 + 1
    assert await gate.verifier.verify(token) is not first


async def test_a_remembered_token_expires_in_time(gate: Gate) -> None:
    """Remembering does not lengthen its life."""
    token = gate.issuer.token(exp=int(time.time()) + 10)
    await gate.verifier.verify(token)

    gate.ahead_s = 41
    assert await gate.cause(token) == "token_expired"


async def test_a_remembered_token_goes_with_its_key(gate: Gate) -> None:
    """Any token that shows the new keys makes the old ones forgotten."""
    token = gate.issuer.token()
    await gate.verifier.verify(token)
    gate.issuer.keys = [rsa_key("rsa-2")]
    gate.ahead_s = RETRY_S

    assert (await gate.verifier.verify(gate.issuer.token())).subject == "7f3a"
    assert await gate.cause(token) == "unknown_signing_key"


async def test_a_refused_token_is_not_remembered(gate: Gate) -> None:
    """Each time it is looked at anew, so it can become good and never stays in memory."""
    for _ in range(5):
        await gate.cause(gate.issuer.token(aud="https://other.example"))
    assert len(gate.verifier._kept) == 0


async def test_memory_for_tokens_is_bounded(gate: Gate) -> None:
    """The oldest gives way."""
    for number in range(10):
        await gate.verifier.verify(gate.issuer.token(sub=f"s{number}"))
    assert len(gate.verifier._kept) == 3


async def test_a_curve_that_is_not_the_algorithms_is_refused(gate: Gate) -> None:
    """ES256 is P-256 and nothing else."""
    gate.issuer.keys = [ECKey.generate_key("P-384", {"kid": "k"})]
    head = _b64({"alg": "ES256", "kid": "k"})
    assert await gate.cause(f"{head}.{_b64(gate.issuer.claims())}.{'A' * 86}") == "bad_algorithm"


async def test_a_zero_signature_is_no_signature(gate: Gate) -> None:
    """ECDSA with r and s of zero, once a way in elsewhere (CVE-2022-21449)."""
    gate.issuer.keys = [ec_key("k")]
    head = _b64({"alg": "ES256", "kid": "k"})
    for signature in ("A" * 86, _b64(bytes(64)), _b64(bytes(63)), _b64(b"\xff" * 64)):
        token = f"{head}.{_b64(gate.issuer.claims())}.{signature}"
        assert await gate.cause(token) == "bad_signature"


async def test_an_id_token_is_checked_against_its_sign_in(gate: Gate) -> None:
    """Right nonce and audience; a token of another issuer or for the gateway is refused."""

    async def cause(token: str, nonce: str = "n-1") -> str:
        with pytest.raises(NotAuthenticated) as caught:
            await gate.verifier.verify_id_token("corp", token, nonce=nonce, access_token="a")
        return caught.value.cause

    good = gate.issuer.id_token("n-1")
    found = await gate.verifier.verify_id_token("corp", good, nonce="n-1", access_token="a")
    assert found.subject == "7f3a"
    assert await cause(good, "n-2") == "wrong_nonce"
    assert await cause(gate.issuer.token()) == "wrong_type"
    assert await cause(gate.issuer.id_token("n-1", aud=AUDIENCE)) == "wrong_audience"
    assert await cause(gate.issuer.id_token("n-1", iss="https://other.example")) == "wrong_issuer"
    assert await cause("A" * (TOKEN_CHARS_MAX + 1)) == "malformed"
