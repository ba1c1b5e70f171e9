"""A bundle that somebody else signed is taken whole and unchanged, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import json
import tarfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from opa_bindings import OpaEngine

from sekisho.adapters import opa_signed
from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.opa_bundle import packed
from sekisho.adapters.opa_signed import BundleNotTrusted, Trust, read_signed, read_trust
from sekisho.adapters.policy_store import write_files
from sekisho.errors import PolicyRejected
from support.rules import SHIPPED
from support.signed_bundles import KEYS, listed, signatures, signed, tar, token

RULE = b"package packs.team.rules\n"
FILES = {
    ".manifest": b'{"revision": "7", "roots": ["packs", "sekisho"], "rego_version": 1}',
    "data.json": b'{"b": [1.5, {"z": null, "a": "\xc3\xa9\\u2028<"}], "a": true}',
    "packs/team/rules.rego": RULE,
}
KEY = KEYS["ES256"]()
OTHER = KEYS["ES256"]()
TRUST = Trust(ECKey.import_key(KEY.as_pem(private=False)), "ES256")


def taken(content: bytes, folder: Path, trust: Trust = TRUST) -> dict[str, bytes]:
    """The files of a bundle of these bytes."""
    place = folder / "bundle.tar.gz"
    place.write_bytes(content)
    return read_signed(place, trust)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signed_bundle_is_an_ordinary_one(tmp_path: Path, algorithm: str) -> None:
    """By each kind of key: the shipped rules as `policy pack` writes them decide as before."""
    key = KEYS[algorithm]()
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=False))
    trust = read_trust(tmp_path / "key.pem", "write")
    with tarfile.open(fileobj=io.BytesIO(packed(read_bundle(SHIPPED)))) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]

    found = taken(signed(files, key, algorithm, scope="write"), tmp_path, trust)
    write_files(tmp_path / "out", found)

    made, shipped = read_bundle(tmp_path / "out"), read_bundle(SHIPPED)
    assert trust.algorithm == algorithm
    assert made.modules == shipped.modules
    assert made.data == shipped.data


def test_names_as_opa_and_tar_write_them(tmp_path: Path) -> None:
    """`/data.json` and `./data.json` are the same file; folders are nothing."""
    folder = tarfile.TarInfo("packs")
    folder.type = tarfile.DIRTYPE
    told = token(KEY, "ES256", {"files": listed(FILES)})
    members = [(f"/{name}", content) for name, content in FILES.items()]
    found = taken(tar(folder, *members, ("./.signatures.json", signatures(told))), tmp_path)

    assert {"data.yaml", "packs/team/rules.rego"} == found.keys()


def test_data_as_yaml_and_other_digests(tmp_path: Path) -> None:
    """data.yaml is signed by what it says; SHA-384 and SHA-512 are as good."""
    data = (SHIPPED / "data.yaml").read_bytes()
    says = json.dumps(
        read_bundle(SHIPPED).data, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    data_hash = hashlib.sha512(says.encode()).hexdigest()
    rule_hash = hashlib.sha384(RULE).hexdigest().upper()
    named = [
        {"name": "data.yaml", "algorithm": "SHA-512", "hash": data_hash},
        {"name": "a.rego", "algorithm": "SHA-384", "hash": rule_hash},
    ]
    told = token(KEY, "ES256", {"files": named})
    made = tar(("data.yaml", data), ("a.rego", RULE), (".signatures.json", signatures(told)))

    assert {"data.yaml": data, "a.rego": RULE} == taken(made, tmp_path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_documents_are_written_as_opa_writes_them(value: Any) -> None:
    """The real engine's own JSON is the second opinion; it escapes three signs of HTML more."""
    with OpaEngine() as engine:
        told = str(engine.eval_query("x := json.marshal(input.v)", {"v": value})[0]["x"])
    for escaped, plain in (("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&")):
        told = told.replace(escaped, plain)
    if "\\" not in json.dumps(value):
        assert told == opa_signed._canonical(value)
    assert json.loads(told) == json.loads(opa_signed._canonical(value))


Spoil = Callable[[dict[str, bytes]], bytes]


def _payload(**changes: Any) -> Spoil:
    def spoil(files: dict[str, bytes]) -> bytes:
        told = token(KEY, "ES256", {"files": listed(files), **changes})
        return tar(*files.items(), (".signatures.json", signatures(told)))

    return spoil


def _behind(member: tuple[str, bytes] | tarfile.TarInfo) -> Spoil:
    """A good bundle with one more member, before the rest."""

    def spoil(files: dict[str, bytes]) -> bytes:
        told = token(KEY, "ES256", {"files": listed(files)})
        return tar(member, *files.items(), (".signatures.json", signatures(told)))

    return spoil


def _with(name: str, content: bytes) -> Spoil:
    """A file that was signed like all others."""
    return lambda files: signed({**files, name: content}, KEY)


def _link(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "packs/team/rules.rego"
    return entry


def _changed(name: str, content: bytes) -> Spoil:
    def spoil(files: dict[str, bytes]) -> bytes:
        told = token(KEY, "ES256", {"files": listed(files)})
        return tar(*{**files, name: content}.items(), (".signatures.json", signatures(told)))

    return spoil


def _tokens(make: Callable[[list[dict[str, str]]], list[Any]]) -> Spoil:
    def spoil(files: dict[str, bytes]) -> bytes:
        return tar(*files.items(), (".signatures.json", signatures(*make(listed(files)))))

    return spoil


def _hmac_with_the_public_key(files: list[dict[str, str]]) -> list[Any]:
    good = token(KEY, "ES256", {"files": files}).split(".")
    head = urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    said = f"{head}.{good[1]}"
    mac = hmac.digest(KEY.as_pem(private=False), said.encode(), "sha256")
    return [f"{said}.{urlsafe_b64encode(mac).decode().rstrip('=')}"]


def _unsecured(files: list[dict[str, str]]) -> list[Any]:
    good = token(KEY, "ES256", {"files": files})
    return ["eyJhbGciOiJub25lIn0." + good.split(".")[1] + "."]


def _other_payload(files: list[dict[str, str]]) -> list[Any]:
    good, bad = (token(KEY, "ES256", {"files": some}) for some in (files, files[:1]))
    return [".".join((good.split(".")[0], bad.split(".")[1], good.split(".")[2]))]


WRONG: dict[str, tuple[Spoil, str]] = {
    "unsigned": (lambda files: tar(*files.items()), "not signed"),
    "another key": (lambda files: signed(files, OTHER), "not by the configured key"),
    "another algorithm": (lambda files: signed(files, KEYS["RS256"](), "RS256"), "ES256"),
    "hmac": (_tokens(_hmac_with_the_public_key), "ES256"),
    "none": (_tokens(_unsecured), "ES256"),
    "another payload": (_tokens(_other_payload), "not by the configured key"),
    "two signatures": (_tokens(lambda f: [token(KEY, "ES256", {"files": f})] * 2), "exactly one"),
    "no signature": (_tokens(lambda _: []), "exactly one"),
    "no text": (_tokens(lambda _: [7]), "exactly one"),
    "no token": (_tokens(lambda _: ["abc"]), "not by"),
    "scope": (_payload(scope="read"), "wanted is a bundle without scope"),
    "no list": (_payload(files="all"), "names no files"),
    "list of nothing": (_payload(files=[]), "names no files"),
    "not an entry": (_payload(files=["a"]), "cannot be read"),
    "no digest": (_payload(files=[{"name": "a.rego", "algorithm": "SHA-256"}]), "cannot be read"),
    "weak digest": (_payload(files=[{"name": "a", "algorithm": "MD5", "hash": ""}]), "SHA-256"),
    "signed twice": (lambda f: _payload(files=[*listed(f), *listed(f)])(f), "signed twice"),
    "not signed file": (_behind(("lib/more.rego", RULE)), "was not signed"),
    "missing file": (lambda f: _payload(files=[*listed(f), *listed({"x.rego": b""})])(f), "not in"),
    "changed rule": (_changed("packs/team/rules.rego", RULE + b"#"), "not what was signed"),
    "changed data": (_changed("data.json", b'{"a": false}'), "not what was signed"),
    "number": (_changed("data.json", FILES["data.json"].replace(b"1.5", b"1.50")), "not what was"),
    "changed manifest": (_changed(".manifest", b'{"revision": "8"}'), "not what was signed"),
    "member twice": (_behind(("./packs/team/rules.rego", RULE)), "twice"),
    "signature twice": (_behind((".signatures.json", b"{}")), "twice"),
    "key twice": (_changed("data.json", b'{"a": 1, "a": 1}'), "cannot be read as JSON"),
    "symbolic link": (_behind(_link("lib/a.rego", tarfile.SYMTYPE)), "is a link"),
    "hard link": (_behind(_link("lib/a.rego", tarfile.LNKTYPE)), "is a link"),
    "device": (_behind(_link("lib/a.rego", tarfile.CHRTYPE)), "is a link or a device"),
    "slip": (_with("../../etc/rules.rego", RULE), "no place"),
    "slip within": (_with("packs/../../rules.rego", RULE), "no place"),
    "nested data": (_with("packs/data.json", b"{}"), "no place"),
    "patch": (_with("patch.json", b"{}"), "no place"),
    "compiled": (_with("policy.wasm", b""), "no place"),
    "not read": (_with("schema/rules.rego", RULE), "no place"),
    "two data": (_with("data.yaml", b"groups: {}"), "cannot be read"),
    "tricky yaml": (_behind(("data.yaml", b"a: &x [1]\nb: *x\n")), "was not signed"),
    "wasm": (_with(".manifest", b'{"wasm": [{"module": "/policy.wasm"}]}'), "compiled rules"),
    "v0": (_with(".manifest", b'{"rego_version": 0}'), "another Rego"),
    "v0 of one": (_with(".manifest", b'{"file_rego_versions": {"/a.rego": 0}}'), "another Rego"),
    "no manifest": (_with(".manifest", b"[]"), "compiled"),
    "no archive": (lambda _: b"PK\x03\x04", "no .tar.gz"),
    "empty": (lambda _: b"", "breaks off"),
    "no tar": (lambda _: gzip.compress(b"x" * 600), "no .tar.gz"),
    "cut": (lambda files: signed(files, KEY)[:-30], "breaks off"),
    "something behind": (lambda files: signed(files, KEY) + b"more", "behind its end"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_refused(tmp_path: Path, wrong: str) -> None:
    """Whatever an archive or a signature may be but exactly what was signed."""
    spoil, said = WRONG[wrong]
    with pytest.raises(BundleNotTrusted, match=said or "."):
        taken(spoil(dict(FILES)), tmp_path)
    assert taken(signed(FILES, KEY), tmp_path)


def test_a_signed_alias_bomb_is_not_unfolded(tmp_path: Path) -> None:
    """YAML that repeats itself is refused before anybody writes out what it says."""
    lines = ["a0: &a0 [x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)
    ]
    files = {"data.yaml": "\n".join(lines).encode()}
    with pytest.raises(BundleNotTrusted, match="alias"):
        taken(signed(files, KEY), tmp_path)


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes before and after unpacking, files and the signature are bounded."""
    monkeypatch.setattr(opa_signed, "UNPACKED_BYTES_MAX", 20_480)
    with pytest.raises(BundleNotTrusted, match="unpacks to more"):
        taken(signed({**FILES, "lib/a.rego": b" " * 30_000}, KEY), tmp_path)
    monkeypatch.setattr(opa_signed, "FILES_MAX", 4)
    with pytest.raises(BundleNotTrusted, match="more than 4 files"):
        taken(signed({**FILES, "lib/a.rego": RULE}, KEY), tmp_path)
    monkeypatch.setattr(opa_signed, "TOKEN_BYTES_MAX", 100)
    with pytest.raises(BundleNotTrusted, match="more than 100 bytes"):
        taken(signed(FILES, KEY), tmp_path)
    monkeypatch.setattr(opa_signed, "FILE_BYTES_MAX", 100)
    with pytest.raises(BundleNotTrusted, match="more than 100 bytes"):
        taken(signed(FILES, KEY), tmp_path)


def test_scope(tmp_path: Path) -> None:
    """A key may sign for several houses: the scope tells which."""
    ours = Trust(TRUST.key, "ES256", "sekisho")
    assert taken(signed(FILES, KEY, scope="sekisho"), tmp_path, ours)
    for scope in ({}, {"scope": "other"}, {"scope": ["sekisho"]}):
        with pytest.raises(BundleNotTrusted, match="wanted is scope 'sekisho'"):
            taken(signed(FILES, KEY, **scope), tmp_path, ours)


def test_keys_that_verify_nothing(tmp_path: Path) -> None:
    """Weak, private, of another curve, no key at all, not there."""
    plain = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = {
        "weak": rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is refused for that
        .public_key()
        .public_bytes(*plain),
        "curve": ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(*plain),
        "private": KEY.as_pem(private=True),
        "text": b"no key",
    }
    for name, content in keys.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BundleNotTrusted):
            read_trust(tmp_path / name)
    with pytest.raises(BundleNotTrusted, match="cannot be read"):
        read_trust(tmp_path / "absent")
    with pytest.raises(BundleNotTrusted, match="cannot be read"):
        read_signed(tmp_path / "absent", TRUST)


def test_names_that_only_the_store_refuses(tmp_path: Path) -> None:
    """What is laid out is asked again where it leads."""
    found = taken(signed({**FILES, ".git/hook.rego": RULE}, KEY), tmp_path)
    with pytest.raises(PolicyRejected, match="no path inside"):
        write_files(tmp_path / "out", found)
