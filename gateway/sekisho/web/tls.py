"""TLS of our own, for installations without a proxy that ends it, and who a client certificate is.

Certificates of clients are optional: a key or token is as good. A certificate that is shown must be
signed by one of the configured authorities, be valid now and be meant for clients, or the
connection fails. The identity is taken from the first of these that the certificate has, with its
kind in front, so that an authority that lets people choose one kind cannot forge another:

    uri:spiffe://example/staff-7      a URI among the alternative names
    email:staff-7@example.org         a mail address among them
    cn:staff-7                        the common name of the subject

A certificate with two of the kind that counts names nobody. Which principal an identity means says
the registry, under the issuer `certificate`; taking the link away takes the certificate away, also
before it expires. Lists of revoked certificates are not read.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sekisho.config.sections import ServerSettings
from sekisho.errors import SekishoError

IDENTITY_CHARS_MAX = 256  # the ledger and the registry take no longer ids


class TLSUnusable(SekishoError):
    """The configured certificate, key or authorities cannot be used; says which and why."""

    code = "tls_unusable"


def configured(server: ServerSettings) -> ssl.SSLContext | None:
    """TLS as section [server] has it; None for plain HTTP. Raises TLSUnusable."""
    if server.tls_certificate is None or server.tls_key is None:
        return None
    return server_context(server.tls_certificate, server.tls_key, server.tls_client_ca)


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer with these files. Raises TLSUnusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for name, path in (("certificate", certificate), ("key", key), ("client_ca", client_ca)):
        if path is not None:
            _readable(f"server.tls_{name}", path)
    try:
        # A password is never asked for: nobody sits in front of a starting server.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise TLSUnusable(
            f"server.tls_certificate {certificate} and server.tls_key {key} cannot be used: "
            f"{_why(error)}. Both must be PEM without a password and belong together."
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ValueError) as error:
            raise TLSUnusable(
                f"server.tls_client_ca {client_ca} cannot be used: {_why(error)}. It must be PEM "
                "with at least one authority."
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL
        # A resumed connection would bring back a certificate without looking at it again.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _readable(name: str, path: Path) -> None:
    """`ssl` does not say which of its files it could not read."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise TLSUnusable(
            f"{name} {path} cannot be read: {error.strerror}. Correct the path, or let the account "
            "that runs the gateway read it."
        ) from error


def identity_of(certificate: Mapping[str, Any] | None) -> str:
    """Whom a verified certificate names, as `ssl` describes it; "" for nobody."""
    if not certificate:
        return ""
    for kind, names in _kinds(certificate):
        if not names:
            continue
        name = names[0]
        fits = len(names) == 1 and name.isprintable() and name.strip() == name
        identity = f"{kind}:{name}"
        return identity if fits and name and len(identity) <= IDENTITY_CHARS_MAX else ""
    return ""


def valid_until_s(certificate: Mapping[str, Any] | None) -> float:
    """When it expires, in seconds since 1970: a connection may live longer."""
    text = certificate.get("notAfter") if certificate else None
    return float(ssl.cert_time_to_seconds(text)) if isinstance(text, str) else 0.0


def _kinds(certificate: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    alternatives = certificate.get("subjectAltName", ())
    yield "uri", [value for kind, value in alternatives if kind == "URI"]
    yield "email", [value for kind, value in alternatives if kind == "email"]
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    yield "cn", [value for name, value in subject if name == "commonName"]


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or "not PEM"
