"""A certificate authority for tests: server and client certificates, good ones and bad ones."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


@dataclass
class Authority:
    """Signs into `folder`; `pem` is what those who trust it are given."""

    folder: Path
    name: str = "authority"
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._subject)
            .issuer_name(self._subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, SHA256())
        )
        self.pem.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def pem(self) -> Path:
        """The authority's own certificate."""
        return self.folder / f"{self.name}.pem"

    def server(self, ends: dt.timedelta = DAY) -> Pair:
        """For 127.0.0.1; `ends` from now."""
        names = [x509.IPAddress(ip_address("127.0.0.1"))]
        return self._sign("server", "gateway", names, ExtendedKeyUsageOID.SERVER_AUTH, ends)

    def client(
        self,
        common_name: str,
        names: Sequence[x509.GeneralName] = (),
        *,
        expired: bool = False,
        for_servers: bool = False,
    ) -> Pair:
        """For a person or service; `for_servers`: of a kind that clients must not show."""
        usage = ExtendedKeyUsageOID.SERVER_AUTH if for_servers else ExtendedKeyUsageOID.CLIENT_AUTH
        ends = -DAY if expired else DAY
        file = f"client-{len(list(self.folder.iterdir()))}"
        return self._sign(file, common_name, names, usage, ends)

    def _sign(
        self,
        file: str,
        common_name: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        ends: dt.timedelta = DAY,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pair = Pair(
            self.folder / f"{self.name}-{file}.pem", self.folder / f"{self.name}-{file}.key"
        )
        signed = builder.sign(self._key, SHA256())
        pair.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def trusting(self, client: Pair | None = None) -> ssl.SSLContext:
        """What a client of a server signed here uses, with its own certificate if it has one."""
        context = ssl.create_default_context(cafile=self.pem)
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
