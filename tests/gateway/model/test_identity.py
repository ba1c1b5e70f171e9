"""Somebody as an issuer knows them."""

from __future__ import annotations

from sekisho.model.identity import Identity


def test_records_name_the_issuer_and_never_the_token() -> None:
    """Whatever else is known of the identity."""
    found = Identity("corp", "S-1-5-7", "staff-7", ("sales",), 1)
    assert "oidc:corp" == found.credential
