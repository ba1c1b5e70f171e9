"""Where the rules are and which OPA answers by them: section `[policy]`."""

from __future__ import annotations

from datetime import UTC, date, tzinfo
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from sekisho.config.kinds import EnvironmentName, HttpUrl, Section, is_loopback

# The pack that comes with the product: inside the wheel, or at the root of a source tree.
_PACKAGE = Path(__file__).resolve().parent.parent
_SHIPPED_PACKS = (_PACKAGE / "shipped_policies", _PACKAGE.parent.parent / "policies")


def _shipped_pack() -> Path:
    return next((path for path in _SHIPPED_PACKS if path.is_dir()), _SHIPPED_PACKS[-1])


DATES_MAX = 400  # some years of holidays
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Language = Literal["en", "zh", "ja"]


def zone_of(name: str) -> tzinfo:
    """The time zone of this name. Raises ValueError; UTC needs no database of zones."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"{name!r} is no time zone this machine knows; write one as Asia/Tokyo"
        raise ValueError(message) from error


class PolicySettings(Section):
    """The rules and the engine that answers by them."""

    engine: Literal["embedded", "server"] = Field(
        "embedded",
        description="OPA inside the worker, or `server`, an OPA beside it: one is never used in "
        "place of the other. See docs/howto/opa-server.md.",
    )
    url: HttpUrl | None = Field(
        None,
        description="The OPA server of engine = server: scheme, host and port. Facts about "
        "requests go there and decisions come back, so https unless it is this machine.",
    )
    token_env: EnvironmentName | None = Field(
        None,
        description="The environment variable with the bearer token for it; absent: it wants none.",
    )
    tls_ca: Path | None = Field(
        None,
        description="PEM file of the authority that signed its certificate; absent: those of this "
        "machine.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file of the certificate to show to it, if it asks for one."
    )
    tls_key: Path | None = Field(None, description="PEM file of that certificate's key.")
    bundle: Path = Field(
        default_factory=_shipped_pack,
        description="Directory of rules and data. Absent: the pack that comes with Sekisho. With "
        "engine = server the same bundle is polled by the server.",
    )
    verification_key: Path | None = Field(
        None,
        description="PEM file of the public key by which bundle files (.tar.gz) that are put in "
        "have to be signed, as `opa sign` signs them; absent: the command names it.",
    )
    verification_scope: str = Field(
        "", max_length=200, description="The scope that such a signature has to be for."
    )
    allowed_signers: Path | None = Field(
        None,
        description="Who may sign commits that are put in, each under the id of a person: a "
        "file of OpenSSH (ssh-keygen(1), ALLOWED SIGNERS). Absent: no commits are put in.",
    )
    deadline_ms: int = Field(
        250, ge=5, le=5000, description="A decision takes under 1 ms; later than this is a deny."
    )
    engines: int = Field(
        2,
        ge=1,
        le=16,
        description="Embedded engines of a worker at most: a slow decision is not alone.",
    )
    memo_max: int = Field(
        8192,
        ge=0,
        le=1_000_000,
        description="Decisions kept for equal questions under one revision, about 1 KB each; 0 for "
        "none.",
    )

    time_zone: str = Field(
        "UTC",
        description="Where people work, as in `Asia/Shanghai`: rules are told the day and the hour "
        "there.",
    )
    office_days: list[Day] = Field(
        ["mon", "tue", "wed", "thu", "fri"], description="Days on which the office is open."
    )
    office_opens_h: int = Field(8, ge=0, le=23, description="The full hour at which it opens.")
    office_closes_h: int = Field(19, ge=1, le=24, description="The full hour at which it closes.")
    office_closed_on: list[date] = Field(
        [], max_length=DATES_MAX, description="Holidays: `[2026-12-25]`. The office is closed then."
    )
    office_open_on: list[date] = Field(
        [],
        max_length=DATES_MAX,
        description="Days on which it is open although it is closed on that day of the week.",
    )
    office_wait_days_max: int = Field(
        31,
        ge=1,
        le=92,
        description="What has to be answered in office time ends after so many days whatever the "
        "calendar says; longer than the longest holidays.",
    )
    language: Language = Field(
        "en",
        description="Of refusals, for clients that send no accept-language: most SDKs send none. "
        "Rules that speak only English are not translated.",
    )

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        zone_of(name)
        return name

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.office_opens_h >= self.office_closes_h:
            message = "office_opens_h must be before office_closes_h"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _open_or_closed(self) -> Self:
        both = sorted({*self.office_open_on} & {*self.office_closed_on})
        if both:
            days = ", ".join(map(str, both))
            raise ValueError(f"{days} cannot be in office_open_on and office_closed_on")
        return self

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        of_server = ("url", "token_env", "tls_ca", "tls_certificate", "tls_key")
        given = [name for name in of_server if getattr(self, name) is not None]
        if self.engine == "embedded" and given:
            raise ValueError(f'{", ".join(given)}: only for engine = "server"')
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together: set both or neither")
        if self.engine == "server":
            self._check_url()
        return self

    def _check_url(self) -> None:
        if self.url is None:
            raise ValueError('engine = "server" needs url, as "http://127.0.0.1:8181"')
        parts = urlsplit(self.url)
        if parts.path:
            raise ValueError("url: leave the path out, it is OPA's own")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError(
                "url must begin with https:// unless it is this machine: whoever is in between "
                "could read facts about requests and change decisions"
            )
        if parts.scheme == "http" and (self.tls_ca or self.tls_certificate):
            raise ValueError("tls_ca, tls_certificate and tls_key are for an url with https://")
