"""Whether a connection failed because the other side's certificate is not trusted here."""

from __future__ import annotations

import ssl

CAUSES_MAX = 10  # an HTTP client wraps an error twice or three times

AUTHORITY = (
    "If a private authority signed it, put that authority into this machine's store, or name its "
    "PEM file in SSL_CERT_FILE."
)
"""What helps against most of them."""


def untrusted(error: BaseException | None) -> str:
    """Why the certificate behind `error` was not trusted; "" if that is not the reason."""
    for _ in range(CAUSES_MAX):
        if error is None:
            break
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(error.verify_message).rstrip(".")
        error = error.__cause__ or error.__context__
    return ""
