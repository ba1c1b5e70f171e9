"""Settings of break-glass: how long somebody goes on without people, and when it is reviewed."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sekisho.config.kinds import HOUR_S, Section
from sekisho_audit.break_glass_rules import MINUTES_MAX, REVIEW_HOURS_MAX


class BreakGlassSettings(Section):
    """What an opening may be at most."""

    minutes_default: int = Field(
        15, ge=1, le=MINUTES_MAX, description="How long it is open if nobody says how long."
    )
    minutes_max: int = Field(
        60,
        ge=1,
        le=MINUTES_MAX,
        description="How long it can be open: an emergency that lasts is for other people to see.",
    )
    review_hours: int = Field(
        24,
        ge=1,
        le=REVIEW_HOURS_MAX,
        description="Within so many hours after its end another person reviews it; later, whoever "
        "opened it opens nothing more, and everybody is told.",
    )
    sign_in_s: int = Field(
        300,
        ge=30,
        le=HOUR_S,
        description="A session that began before is too old to open it with: it may have been "
        "left open at a screen.",
    )

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.minutes_default > self.minutes_max:
            raise ValueError("minutes_default must not be more than minutes_max")
        return self
