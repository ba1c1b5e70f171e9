from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from joserfc.jwk import ECKey, OctKey, OKPKey

from sekisho.adapters.oidc_http import IssuerSilent, open_client
from sekisho.adapters.oidc_keys import RETRY_S, IssuerKeys, UnfitKey, UnknownKey, read_keys
from sekisho.errors import DirectoryUnavailable
from support.oidc import DISCOVERY, LoopbackIssuer, ec_key, okp_key, rsa_key


class Stopwatch:
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
async def issuer() -> AsyncIterator[LoopbackIssuer]:
    async with LoopbackIssuer() as one:
        yield one


@pytest.fixture
async def keys(issuer: LoopbackIssuer, watch: Stopwatch) -> AsyncIterator[IssuerKeys]:
    async with open_client() as http:
        settings = issuer.settings(keys_refresh_s=300, keys_stale_s=3600)
        one = IssuerKeys(settings, http, monotonic_s=watch)
        yield one
        await one.close()


async def test_the_key_of_an_id_is_found(issuer: LoopbackIssuer, keys: IssuerKeys) -> None:
    """One fetch serves many tokens."""
    first = await keys.key("rsa-1", "RS256")
    second = await keys.key("rsa-1", "PS512")

    assert first.key.thumbprint() == second.key.thumbprint() == issuer.keys[0].thumbprint()
    assert first.issuer == issuer.url
    assert not first.key.is_private
    assert issuer.asked == {DISCOVERY: 1, "/jwks": 1}


async def test_a_key_serves_no_algorithm_of_another_kind(keys: IssuerKeys) -> None:
    """Confusing kinds is how a public key becomes a secret."""
    for algorithm in ("ES256", "EdDSA", "HS256", "none", "RSA-OAEP"):
        with pytest.raises(UnfitKey):
            await keys.key("rsa-1", algorithm)


async def test_without_an_id_one_fitting_key_is_enough(
    issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """An issuer with a single key need not name it."""
    issuer.keys.append(ec_key("ec-1"))

    assert (await keys.key(None, "RS256")).key.key_type == "RSA"
    assert (await keys.key(None, "ES256")).key.key_type == "EC"


async def test_without_an_id_two_fitting_keys_are_none(
    issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """Trying keys in turn would let a token be good by a key it does not name."""
    issuer.keys.append(rsa_key("rsa-2"))

    with pytest.raises(UnknownKey):
        await keys.key(None, "RS256")


async def test_two_keys_of_one_id_and_kind_are_none(
    issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """An id that means two keys means none."""
    issuer.keys.append(rsa_key("rsa-1"))

    with pytest.raises(UnknownKey):
        await keys.key("rsa-1", "RS256")


async def test_a_new_key_is_fetched_when_a_token_names_it(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """Rotation is followed without waiting for the next refresh."""
    await keys.key("rsa-1", "RS256")
    issuer.keys = [rsa_key("rsa-2")]
    watch.now_s += RETRY_S

    assert (await keys.key("rsa-2", "RS256")).generation == 2
    with pytest.raises(UnknownKey):
        await keys.key("rsa-1", "RS256")


async def test_the_order_of_the_keys_means_nothing(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """Otherwise every refresh would make all remembered tokens forgotten."""
    issuer.keys.append(ec_key("ec-1"))
    await keys.published()
    issuer.keys.reverse()
    watch.now_s += 301

    assert (await keys.key("ec-1", "ES256")).generation == 1
    assert issuer.asked["/jwks"] == 2


async def test_made_up_ids_cause_no_flood(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """At most one fetch in a few seconds, whatever strangers send."""
    await keys.published()
    for number in range(200):
        with pytest.raises(UnknownKey):
            await keys.key(f"made-up-{number}", "RS256")
    assert issuer.asked["/jwks"] == 1

    watch.now_s += RETRY_S
    asked = [keys.key(f"made-up-{number}", "RS256") for number in range(200)]
    said = await asyncio.gather(*asked, return_exceptions=True)

    assert {type(answer) for answer in said} == {UnknownKey}
    assert issuer.asked["/jwks"] == 2


async def test_many_at_once_share_one_fetch(issuer: LoopbackIssuer, keys: IssuerKeys) -> None:
    """A worker that starts under load asks once."""
    await asyncio.gather(*(keys.key("rsa-1", "RS256") for _ in range(50)))

    assert issuer.asked["/jwks"] == 1


async def test_one_who_gives_up_does_not_end_the_fetch_of_the_others(
    issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """A client that hangs up must not fail everybody else."""
    impatient = asyncio.create_task(keys.key("rsa-1", "RS256"))
    patient = asyncio.create_task(keys.key("rsa-1", "RS256"))
    await asyncio.sleep(0)
    impatient.cancel()

    assert (await patient).key.key_type == "RSA"
    assert issuer.asked["/jwks"] == 1


async def test_a_withdrawn_key_is_gone_after_the_refresh(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """The refresh is waited for: the first token after it is refused already."""
    await keys.key("rsa-1", "RS256")
    issuer.keys = [rsa_key("rsa-2")]
    watch.now_s += 301

    with pytest.raises(UnknownKey):
        await keys.key("rsa-1", "RS256")


async def test_an_issuer_can_take_all_its_keys_back(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """An empty set is an answer, not a fault that old keys bridge."""
    await keys.key("rsa-1", "RS256")
    issuer.key_set = {"keys": []}
    watch.now_s += 301

    with pytest.raises(UnknownKey):
        await keys.key("rsa-1", "RS256")


async def test_old_keys_serve_while_the_issuer_is_down_but_not_for_ever(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """An outage of the issuer is bridged; after `keys_stale_s` nobody is let in by it."""
    await keys.key("rsa-1", "RS256")
    issuer.down = True
    watch.now_s += 3600
    assert (await keys.key("rsa-1", "RS256")).generation == 1

    watch.now_s += 1
    with pytest.raises(DirectoryUnavailable):
        await keys.key("rsa-1", "RS256")


async def test_a_dead_issuer_is_asked_again_only_after_a_while(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """Neither start-up nor an outage turns into a flood; it recovers by itself."""
    issuer.down = True
    for _ in range(20):
        with pytest.raises(DirectoryUnavailable):
            await keys.key("rsa-1", "RS256")
    assert issuer.asked[DISCOVERY] == 1

    issuer.down = False
    watch.now_s += RETRY_S
    assert (await keys.key("rsa-1", "RS256")).generation == 1


async def test_a_lost_answer_of_the_issuer_changes_nothing(
    issuer: LoopbackIssuer, keys: IssuerKeys, watch: Stopwatch
) -> None:
    """Asked, and the answer broke off: the old keys serve, and the next try gets the new."""
    await keys.key("rsa-1", "RS256")
    issuer.keys = [rsa_key("rsa-2")]
    issuer.faults["/jwks"] = web.Response(text='{"keys":[')
    watch.now_s += 301
    assert (await keys.key("rsa-1", "RS256")).generation == 1

    watch.now_s += RETRY_S
    assert (await keys.key("rsa-2", "RS256")).generation == 2


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"issuer": ["x"]},
        {"jwks_uri": None},
        {"jwks_uri": "http://keys.example/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"token_endpoint": "http://tokens.example/"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
async def test_a_document_that_is_not_this_issuers_is_not_believed(
    said: dict[str, Any], issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """Another issuer's name, or an address in clear text: mix-up, refused as a whole."""
    issuer.said = said

    with pytest.raises(DirectoryUnavailable):
        await keys.published()


async def test_the_path_of_the_issuer_counts(issuer: LoopbackIssuer, keys: IssuerKeys) -> None:
    """Two tenants of one host are two issuers."""
    issuer.said = {"issuer": f"{issuer.url}/tenant"}

    with pytest.raises(DirectoryUnavailable):
        await keys.published()


async def test_an_issuer_may_end_with_a_slash(issuer: LoopbackIssuer, keys: IssuerKeys) -> None:
    """The setting drops it; what tokens must name is what the issuer calls itself."""
    issuer.said = {"issuer": f"{issuer.url}/"}

    assert (await keys.key("rsa-1", "RS256")).issuer == f"{issuer.url}/"


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
async def test_an_error_with_a_good_body_is_an_error(
    path: str, issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """A proxy may add one to what it remembers."""
    said: Any = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks", **issuer.public()}
    issuer.faults[path] = web.Response(status=500, body=orjson.dumps(said))

    with pytest.raises(DirectoryUnavailable):
        await keys.published()


async def test_a_redirected_document_is_not_believed(
    issuer: LoopbackIssuer, keys: IssuerKeys
) -> None:
    """Discovery is where the configuration says, nowhere else."""
    issuer.faults[DISCOVERY] = web.Response(
        status=302, headers={"location": f"{issuer.url}/jwks"}, text="{}"
    )

    with pytest.raises(DirectoryUnavailable):
        await keys.published()
    assert issuer.asked["/jwks"] == 0


def _entry(**more: Any) -> dict[str, Any]:
    return {**rsa_key("k").as_dict(), **more}


def test_keys_for_something_else_are_left_out() -> None:
    """For encryption, for signing only, private, symmetric, weak, or of an unknown kind."""
    private = rsa_key("private").as_dict(private=True)
    weak = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": str(private["n"])[:170] + "A"}
    symmetric = OctKey.generate_key(256).as_dict()
    listed: list[Any] = [
        *(private, weak, symmetric),
        *(_entry(use="enc"), _entry(key_ops=["sign"]), _entry(key_ops="verify")),
        *(
            _entry(kid=7),
            _entry(kid="x" * 300),
            _entry(alg=3),
            _entry(n=3),
            _entry(e="AQABAAAAAAE"),
        ),
        *(_entry(kty="oct"), _entry(kty="AKP"), _entry(kty=["RSA"]), {"kty": "RSA"}, {}, "x", None),
        ECKey.generate_key("secp256k1").as_dict(),
        ECKey.generate_key("P-521").as_dict(),
        OKPKey.generate_key("X25519").as_dict(),
        OKPKey.generate_key("Ed448").as_dict(),
        {**ec_key("off").as_dict(), "x": ec_key("other").as_dict()["x"]},
    ]

    assert read_keys({"keys": listed}) == ()


def test_usable_keys_are_read() -> None:
    """Whatever else a set holds."""
    listed = [_entry(use="sig", key_ops=["verify"], alg="RS256"), ec_key("e").as_dict(), {}]
    listed.append(okp_key("o").as_dict())

    read = read_keys({"keys": listed})

    assert [(key.id, key.kind[0]) for key in read] == [("k", "RSA"), ("e", "EC"), ("o", "OKP")]
    assert read[0].fits("RS256")
    assert not read[0].fits("RS512"), "a key for one algorithm serves that one only"


@pytest.mark.parametrize("said", [{}, {"keys": {}}, {"keys": [{}] * 65}])
def test_what_is_no_key_set_is_a_fault(said: dict[str, Any]) -> None:
    """Unlike an empty set, it says nothing."""
    with pytest.raises(IssuerSilent):
        read_keys(said)
