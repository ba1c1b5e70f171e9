"""Kinds of values that settings are made of, and the base of every section."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
HOUR_S = 3600
DAY_S = 24 * HOUR_S

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
ModelPattern = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^\S+$")]


def _http_url(value: str) -> str:
    """An absolute http(s) URL without credentials, query or fragment; no slash at the end."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute URL that begins with http:// or https://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not carry a user name, password, query or fragment")
    if parts.port == 0:
        raise ValueError("must not name port 0")
    return value.rstrip("/")


def _network(value: str) -> str:
    """An address or a network, as `ipaddress` reads it."""
    return str(ip_network(value))


def _header_name(value: str) -> str:
    """A header that a proxy sets and that means nothing else."""
    if value in {"authorization", "x-api-key", "cookie", "host", "x-forwarded-for"}:
        raise ValueError("has a meaning of its own: name another header")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Network = Annotated[str, AfterValidator(_network)]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$"), AfterValidator(_header_name)
]
ScopeName = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,64}$")]
RoleName = Literal[
    "employee",
    "reviewer",
    "auditor",
    "policy_author",
    "policy_activator",
    "operator",
    "break_glass",
]


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Section(BaseModel):
    """Frozen; a key it does not know is a fault; `inf` and `nan` are no numbers here."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )
