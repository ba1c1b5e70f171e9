"""Settings of standing grants: what people may agree to in advance at most."""

from __future__ import annotations

from pydantic import Field

from sekisho.config.kinds import Section
from sekisho_audit.grant_rules import COUNT_MAX, HOURS_MAX


class GrantSettings(Section):
    """What standing grants may be at most."""

    hours_max: int = Field(
        24,
        ge=1,
        le=HOURS_MAX,
        description="How many hours a grant can be good for: what is needed longer is a rule.",
    )
    uses_max: int = Field(
        100, ge=1, le=COUNT_MAX, description="How often a grant can be used, as a bound on damage."
    )
    risk_below: int = Field(
        60,
        ge=0,
        le=100,
        description="No grant answers a hold of this risk or a higher one; 0: none answers any. "
        "Rules that name no risk have 50.",
    )
