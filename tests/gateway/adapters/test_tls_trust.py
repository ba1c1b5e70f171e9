from __future__ import annotations

import ssl

from sekisho.adapters.tls_trust import untrusted


def refusal() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_message = "certificate has expired."
    return error


def test_the_reason_is_found_below_other_errors() -> None:
    """HTTP clients wrap it, with a cause or only a context."""
    outer, middle = OSError("outer"), ValueError("middle")
    outer.__cause__, middle.__context__ = middle, refusal()
    assert untrusted(refusal()) == untrusted(outer) == "certificate has expired"


def test_other_errors_are_no_matter_of_trust() -> None:
    """Nor is nothing, nor a chain that leads back to itself."""
    circle = OSError("one")
    circle.__context__ = ValueError("two")
    circle.__context__.__context__ = circle
    for error in (None, OSError("no"), ssl.SSLError(1, "no"), circle):
        assert not untrusted(error)
