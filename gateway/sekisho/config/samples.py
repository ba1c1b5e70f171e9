"""Settings of review after the fact: how many exchanges are drawn, who looks at them, how long."""

from __future__ import annotations

from pydantic import Field

from sekisho.config.kinds import KIB, MIB, Section
from sekisho_audit.sample_draw import WHOLE
from sekisho_audit.sample_rules import KEEP_DAYS_MAX, VERDICTS_MAX

GIB = 1024 * MIB


class SampleSettings(Section):
    """Which exchanges are drawn for people to look at afterwards. Off until somebody wants it: what
    is drawn is read by colleagues, and that is a promise to staff to be made first. All that
    break-glass let go on is drawn in any case.
    """

    per_10000: int = Field(
        0,
        ge=0,
        le=WHOLE,
        description="How many of 10,000 exchanges are drawn once their answer was given out; 200 "
        "is usual. 0: none. Changes are on record.",
    )
    per_10000_at_risk: int = Field(
        0,
        ge=0,
        le=WHOLE,
        description="How many of 10,000 of those that policy gives a risk of risk_from or more. "
        "With this and per_10000 both 0 only what break-glass let go on is drawn, and other "
        "answers cost nothing more.",
    )
    risk_from: int = Field(
        40, ge=0, le=100, description="From this risk on per_10000_at_risk counts; as for reviews."
    )
    verdicts: int = Field(
        2,
        ge=1,
        le=VERDICTS_MAX,
        description="How many people look at each; where two differ a third decides.",
    )
    reviewers: str = Field(
        "reviewer",
        min_length=1,
        max_length=256,
        description="The role or group of those who look, in their own right and not as delegates.",
    )
    keep_days: int = Field(
        7,
        ge=1,
        le=KEEP_DAYS_MAX,
        description="How long content is kept for them, and how long they are asked; what they did "
        "not judge by then is closed as `unjudged`.",
    )
    content_bytes_max: int = Field(
        256 * KIB,
        ge=KIB,
        le=8 * MIB,
        description="Of a request, and of its answer, as much is kept; nobody reads more.",
    )
    total_bytes_max: int = Field(
        64 * MIB,
        ge=KIB,
        le=64 * GIB,
        description="All content of samples in the live store. Beyond it a draw is still on "
        "record, with no content to judge.",
    )
