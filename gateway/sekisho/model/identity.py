"""Somebody as an issuer elsewhere knows them, proved by a token, a sign-in or a trusted peer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """`issuer` (our name for it) and `subject` identify; `name` is only proposed for a new
    principal. `groups` are the issuer's, None if it said nothing of them; `issued_us` is when it
    spoke, microseconds since 1970.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...] | None
    issued_us: int

    @property
    def credential(self) -> str:
        """What records name: the issuer, never the token."""
        return f"oidc:{self.issuer}"
