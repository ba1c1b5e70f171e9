"""RFC 3161 time stamps over checkpoints: asked for, and checked again years later.

A stamp is good if its imprint is of the note, its signature is of a certificate for time stamping
(critical, RFC 3161, 2.3), and that leads to one of the given roots, as of the time that the stamp
states. Needs `rfc3161-client`; an auditor with the base install uses `openssl ts -verify` instead.

It takes answers in DER only: an authority whose set of certificates is not in DER order is refused
(`openssl ts -reply -chain` makes such ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

SUFFIX = "tsr"
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


class BadStamp(ValueError):
    """An answer that is no time stamp over what it should be; says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted, and the number that the answer must repeat."""

    body: bytes
    nonce: int | None


def request(note: bytes) -> Request:
    """Ask for a stamp over a note, with the certificates in the answer."""
    made = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    return Request(made.as_bytes(), made.nonce)


def read_roots(path: Path) -> list[x509.Certificate]:
    """The authorities that are trusted, from a PEM file. Raises OSError, ValueError."""
    return x509.load_pem_x509_certificates(path.read_bytes())


def check(
    stamp: bytes, note: bytes, roots: list[x509.Certificate], nonce: int | None = None
) -> int:
    """The time that a stamp over `note` states, in microseconds since 1970. Raises BadStamp."""
    try:
        answer = decode_timestamp_response(stamp)
        verifier = VerifierBuilder(roots=list(roots), nonce=nonce).build()
        verifier.verify_message(answer, note)
        stated = answer.tst_info.gen_time
    except (ValueError, VerificationError) as error:
        raise BadStamp(f"the time stamp does not hold: {error}") from error
    return int(stated.timestamp() * 1_000_000)
