"""OPA bundles signed as `opa sign` signs them, and in every way that it would not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey

KEYS: Mapping[str, Any] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "RS256": lambda: RSAKey.generate_key(2048),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}
STRUCTURED = (".manifest", "data.json")


def signed_bytes(name: str, content: bytes) -> bytes:
    """What OPA hashes of a file: of JSON its members, sorted."""
    if name not in STRUCTURED:
        return content
    told = json.dumps(
        json.loads(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return told.replace("\u2028", "\\u2028").encode()


def listed(files: Mapping[str, bytes]) -> list[dict[str, str]]:
    """The files as the signature names them."""
    return [
        {
            "name": name,
            "hash": hashlib.sha256(signed_bytes(name, content)).hexdigest(),
            "algorithm": "SHA-256",
        }
        for name, content in files.items()
    ]


def token(key: Any, algorithm: str, payload: Any) -> str:
    """A JSON Web Signature over `payload`."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    header = {"alg": algorithm, "kid": "house"}
    return str(jws.serialize_compact(header, body, key, registry=_Registry()))


class _Registry(jws.JWSRegistry):
    """All algorithms there are."""

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]


def signatures(*tokens: Any) -> bytes:
    """The file that has them."""
    return json.dumps({"signatures": list(tokens)}).encode()


def tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    """Files, and whatever else an archive can have, in this order."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            archive.addfile(entry, io.BytesIO(member[1]))
    return gzip.compress(held.getvalue())


def signed(files: Mapping[str, bytes], key: Any, algorithm: str = "ES256", **more: Any) -> bytes:
    """A whole bundle, with what else the signature says."""
    told = token(key, algorithm, {"files": listed(files), **more})
    return tar(*files.items(), (".signatures.json", signatures(told)))
