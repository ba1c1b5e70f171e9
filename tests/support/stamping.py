"""A time stamping authority on loopback: real certificates, and `openssl ts` behind HTTP.

Needs the command `openssl`, which the product itself does not.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIG = """\
[tsa]
default_tsa = t
[t]
dir = {folder}
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
{certs}signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class StampingAuthority:
    """Signs in `folder`; `roots` is what those who trust it are given."""

    folder: Path
    chain: bool = False  # send the root too, in the order of openssl, which is not that of DER

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        root = rsa.generate_private_key(65537, 2048)
        signer = rsa.generate_private_key(65537, 2048)
        subject = _name("test stamping root")
        (self.folder / "root.pem").write_bytes(_root(root, subject))
        (self.folder / "tsa.pem").write_bytes(_leaf(root, subject, signer.public_key()))
        (self.folder / "tsa.key").write_bytes(
            signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        certs = f"certs = {self.roots}\n" if self.chain else ""
        (self.folder / "ts.cnf").write_text(_CONFIG.format(folder=self.folder, certs=certs))
        (self.folder / "serial").write_text("01\n")

    @property
    def roots(self) -> Path:
        """PEM file of the root."""
        return self.folder / "root.pem"

    def stamp(self, query: bytes) -> bytes:
        """Answer a request."""
        asked = self.folder / f"{threading.get_ident()}.tsq"
        asked.write_bytes(query)
        done = subprocess.run(
            ["openssl", "ts", "-reply", "-queryfile", asked, "-config", self.folder / "ts.cnf"],
            capture_output=True,
            check=True,
            timeout=30,
        )
        return done.stdout


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


def _root(key: rsa.RSAPrivateKey, subject: x509.Name) -> bytes:
    made = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def _leaf(root: rsa.RSAPrivateKey, issuer: x509.Name, key: rsa.RSAPublicKey) -> bytes:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    made = (
        _builder(_name("test stamping authority"), issuer, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False
        )
        .sign(root, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast("StampingServer", self.server)
        query = self.rfile.read(int(self.headers["Content-Length"]))
        server.kinds.append(self.headers["Content-Type"])
        status, kind, body = server.answer(query)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class StampingServer(ThreadingHTTPServer):
    """An authority at `url`, until it is closed; `answer` may be replaced by a worse one."""

    daemon_threads = True

    def __init__(self, authority: StampingAuthority) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kinds: list[str] = []
        self.answer: Callable[[bytes], tuple[int, str, bytes]] = lambda query: (
            200,
            "application/timestamp-reply",
            authority.stamp(query),
        )
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where requests are posted."""
        return f"http://127.0.0.1:{self.server_address[1]}/tsa"

    def close(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()
        self._thread.join(10)
