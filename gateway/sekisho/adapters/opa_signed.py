"""Rules that another house signed: an OPA bundle file becomes the files of an ordinary bundle.

Format: openpolicyagent.org/docs/management-bundles, "Signing". `.signatures.json` has one JSON Web
Signature over the digests of all files. It is believed if it is by the one key that was configured,
by the one algorithm which that key is for, and for the configured scope. Then every file has to be
named, every named file has to be there, and each has to be what was signed. For data and manifest
OPA signs what a file says and not its bytes; compared is what *we* read in it, so nobody can sign
one reading and have another one run.

Only what this gateway runs is taken: rules, tests, one data.json or data.yaml at the top. Anything
else, a link, a name twice or a path that leads out is refused, and so is more than the bounds say.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey

from sekisho.adapters.oidc_keys import RSA_BITS_MAX, RSA_BITS_MIN, PublicKey
from sekisho.adapters.opa_bundle import DATA, MANIFEST
from sekisho.adapters.policy_data import NotPolicyData, read_data
from sekisho.content.strict_json import NotStrictJSON, parse
from sekisho.errors import SekishoError

SIGNATURES = ".signatures.json"
DATA_YAML = "data.yaml"
FILE_BYTES_MAX = 64 * 1024 * 1024  # packed; of rules and data a bundle has at most half of that
UNPACKED_BYTES_MAX = 64 * 1024 * 1024
FILES_MAX = 2_002  # as many as a bundle may have, with manifest and signature
KEY_BYTES_MAX = 64 * 1024
TOKEN_BYTES_MAX = 1024 * 1024  # 2,000 files take some 400 KB
DEPTH_MAX = 64  # of a document, as the gateway reads bodies
_STRUCTURED = frozenset({MANIFEST, DATA, DATA_YAML})
_HASHES: Mapping[str, Callable[[bytes], Any]] = {
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}
_NOT_READ = "schema/"  # no reader of rules looks there
_REGO = 1  # the version of the language


class BundleNotTrusted(SekishoError):
    """A bundle file is not what somebody signed whose key is configured."""

    status = 422
    code = "bundle_not_trusted"
    kind = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose bundles are believed: the one algorithm is the key's."""

    key: PublicKey
    algorithm: str
    scope: str = ""


def read_trust(path: Path, scope: str = "") -> Trust:
    """The public key in a PEM file. Raises BundleNotTrusted for one that could verify nothing."""
    try:
        with path.open("rb") as file:
            pem = file.read(KEY_BYTES_MAX)
        key = load_pem_public_key(pem)
    except OSError as error:
        raise BundleNotTrusted(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleNotTrusted(f"{path} is no public key in PEM form.") from error
    if isinstance(key, RSAPublicKey) and RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        return Trust(RSAKey.import_key(pem), "RS256", scope)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Trust(ECKey.import_key(pem), "ES256", scope)
    if isinstance(key, Ed25519PublicKey):
        return Trust(OKPKey.import_key(pem), "EdDSA", scope)
    raise BundleNotTrusted(
        f"{path}: keys are RSA of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, EC over P-256 or Ed25519."
    )


def read_signed(path: Path, trust: Trust) -> dict[str, bytes]:
    """The files of a bundle, data as data.yaml. Raises BundleNotTrusted."""
    try:
        with path.open("rb") as file:
            packed = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BundleNotTrusted(f"{path} cannot be read: {error.strerror}.") from error
    return verified(packed, trust)


def verified(packed: bytes, trust: Trust) -> dict[str, bytes]:
    """As `read_signed`, for the bytes of such a file. Raises BundleNotTrusted."""
    members = _unpacked(packed)
    signature = members.pop(SIGNATURES, None)
    if signature is None:
        raise BundleNotTrusted(f"The bundle is not signed: it has no {SIGNATURES}.")
    named = _named(_payload(signature, trust))
    if missing := sorted(named.keys() - members.keys()):
        raise BundleNotTrusted(f"{_told(missing[0])} was signed and is not in the bundle.")
    documents: dict[str, Any] = {}
    for name, content in sorted(members.items()):
        if name not in named:
            raise BundleNotTrusted(f"{_told(name)} is in the bundle and was not signed.")
        algorithm, digest = named[name]
        signed = content
        if name in _STRUCTURED:
            documents[name], signed = _document(name, content)
        if _HASHES[algorithm](signed).hexdigest() != digest:
            raise BundleNotTrusted(f"{_told(name)} is not what was signed.")
    _check_manifest(documents.get(MANIFEST, {}))
    return _ordinary(members, documents)


def _unpacked(packed: bytes) -> dict[str, bytes]:
    """The plain files in it, by name."""
    if len(packed) > FILE_BYTES_MAX:
        raise BundleNotTrusted(f"The file has more than {FILE_BYTES_MAX} bytes.")
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
    members: dict[str, bytes] = {}
    try:
        raw = unzip.decompress(packed, UNPACKED_BYTES_MAX)
        if unzip.unconsumed_tail:
            raise BundleNotTrusted(f"The file unpacks to more than {UNPACKED_BYTES_MAX} bytes.")
        if not unzip.eof or unzip.unused_data:
            raise BundleNotTrusted("The file breaks off, or goes on behind its end.")
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
            for name, entry in _entries(tar):
                file = tar.extractfile(entry)
                if name in members or file is None:
                    raise BundleNotTrusted(f"{_told(name)} is in the bundle twice.")
                members[name] = file.read()
    except (zlib.error, tarfile.TarError, ValueError, EOFError, RecursionError) as error:
        raise BundleNotTrusted("The file is no bundle: no .tar.gz.") from error
    return members


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for number, entry in enumerate(tar):
        name = _plain_name(entry.name)
        if number >= FILES_MAX:
            raise BundleNotTrusted(f"The bundle has more than {FILES_MAX} files.")
        if entry.isdir():
            continue
        if not entry.isreg() or entry.issparse():
            raise BundleNotTrusted(f"{_told(name)} is a link or a device, not a file.")
        if ".." in name.split("/") or not _is_taken(name):
            raise BundleNotTrusted(
                f"{_told(name)} has no place in a bundle for this gateway: rules (.rego), "
                f"{DATA} or {DATA_YAML} at the top, {MANIFEST} and {SIGNATURES}."
            )
        yield name, entry


def _plain_name(name: str) -> str:
    """OPA writes `/data.json`, tar `./data.json`; both are `data.json`."""
    return name.removeprefix("./").removeprefix("/")


def _is_taken(name: str) -> bool:
    rule = name.endswith(".rego") and not name.startswith(_NOT_READ)
    return rule or name in {*_STRUCTURED, SIGNATURES}


class _Exactly(jws.JWSRegistry):
    """One algorithm, and room for the names of many files."""

    max_header_length = 4096
    max_payload_length = TOKEN_BYTES_MAX

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def _payload(signature: bytes, trust: Trust) -> Mapping[str, Any]:
    """What was signed, after the signature was found good."""
    said = _json(SIGNATURES, signature)
    tokens = said.get("signatures") if isinstance(said, dict) else None
    if not isinstance(tokens, list) or len(tokens) != 1 or not isinstance(tokens[0], str):
        raise BundleNotTrusted(f"{SIGNATURES} has to have exactly one signature.")
    if len(tokens[0]) > TOKEN_BYTES_MAX:
        raise BundleNotTrusted(f"The signature has more than {TOKEN_BYTES_MAX} bytes.")
    registry = _Exactly(algorithms=[trust.algorithm], strict_check_header=False)
    try:
        token = jws.deserialize_compact(tokens[0], trust.key, registry=registry)
    except UnsupportedAlgorithmError as error:
        message = f"The bundle is not signed by {trust.algorithm}, which the configured key is for."
        raise BundleNotTrusted(message) from error
    except (JoseError, ValueError, TypeError) as error:
        message = "The signature of the bundle is not by the configured key."
        raise BundleNotTrusted(message) from error
    payload = _json("the signed list of files", token.payload or b"")
    if not isinstance(payload, dict) or payload.get("scope", "") != trust.scope:
        told = f"scope {trust.scope!r}" if trust.scope else "a bundle without scope"
        raise BundleNotTrusted(f"The signature is for something else: wanted is {told}.")
    return payload


def _named(payload: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Algorithm and digest of each signed file."""
    listed = payload.get("files")
    named: dict[str, tuple[str, str]] = {}
    for one in listed if isinstance(listed, list) else ():
        members = one if isinstance(one, dict) else {}
        said = [members.get(key) for key in ("name", "algorithm", "hash")]
        if not all(isinstance(value, str) for value in said):
            raise BundleNotTrusted("The signed list of files cannot be read.")
        name, algorithm, digest = _plain_name(str(said[0])), str(said[1]), str(said[2])
        if algorithm not in _HASHES:
            raise BundleNotTrusted(f"{_told(name)}: digests are {', '.join(_HASHES)}.")
        if name in named:
            raise BundleNotTrusted(f"{_told(name)} was signed twice.")
        named[name] = (algorithm, digest.lower())
    if not named:
        raise BundleNotTrusted("The signature names no files.")
    return named


class _Figure(str):
    """A number as it is written: OPA signs it so."""

    __slots__ = ()


def _document(name: str, content: bytes) -> tuple[Any, bytes]:
    """What a data file or manifest says, and the bytes that OPA makes of that to sign."""
    try:
        if name == DATA_YAML:
            document = read_data(content)
            return document, _canonical(document).encode()
        _json(name, content)
        figures = json.loads(content, parse_int=_Figure, parse_float=_Figure)
        return json.loads(content), _canonical(figures).encode()
    except NotPolicyData as error:
        raise BundleNotTrusted(f"{name} cannot be read: {error}.") from error
    except (RecursionError, TypeError, ValueError) as error:
        raise BundleNotTrusted(f"{name} says what no bundle can say.") from error


def _canonical(value: Any) -> str:
    """Members sorted by name, nothing between them; texts and numbers as OPA writes them."""
    if isinstance(value, _Figure):
        return str(value)
    if isinstance(value, dict):
        members = (f"{_text(name)}:{_canonical(value[name])}" for name in sorted(value))
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value, allow_nan=False)
    raise TypeError


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError
    written = json.dumps(value, ensure_ascii=False)
    return written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _json(name: str, content: bytes) -> Any:
    try:
        return parse(content, DEPTH_MAX)
    except NotStrictJSON as error:
        raise BundleNotTrusted(f"{name} cannot be read as JSON: {error}.") from error


def _check_manifest(manifest: Any) -> None:
    """Refuse what would make OPA run something else than the rules that are there."""
    if not isinstance(manifest, dict) or manifest.get("wasm"):
        raise BundleNotTrusted(f"{MANIFEST} asks for compiled rules, which do not run here.")
    versions = manifest.get("file_rego_versions") or {}
    each = versions.values() if isinstance(versions, dict) else [versions]
    if any(version != _REGO for version in (manifest.get("rego_version", _REGO), *each)):
        raise BundleNotTrusted(f"{MANIFEST} asks for another Rego than version {_REGO}.")


def _ordinary(members: Mapping[str, bytes], documents: Mapping[str, Any]) -> dict[str, bytes]:
    files = {name: body for name, body in members.items() if name not in {MANIFEST, DATA}}
    if DATA not in documents:
        return files
    if DATA_YAML in files:
        raise BundleNotTrusted(f"The bundle has both {DATA} and {DATA_YAML}.")
    written = yaml.safe_dump(documents[DATA], allow_unicode=True, sort_keys=False, width=10_000)
    if yaml.safe_load(written) != documents[DATA]:
        raise BundleNotTrusted(f"{DATA} says something that {DATA_YAML} cannot say.")
    return {**files, DATA_YAML: written.encode()}


def _told(name: str) -> str:
    """A name from outside, for an error."""
    return ascii(name[:200])
