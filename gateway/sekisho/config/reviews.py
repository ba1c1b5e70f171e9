"""Settings of reviewing: how long a look takes, how many decisions an hour are too many."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sekisho.config.kinds import HOUR_S, Section


class ReviewSettings(Section):
    """What is asked of reviewers, and what they are given to work with."""

    dwell_s: float = Field(
        3,
        ge=0,
        le=60,
        description="An approval of risk 40 or more comes no sooner than this after the hold was "
        "first shown, and 1 s more for each words_per_s: nobody reads faster. 0: no time is asked.",
    )
    words_per_s: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Words that somebody who knows what to look for skims in a second.",
    )
    dwell_s_max: float = Field(
        120,
        ge=0,
        le=3600,
        description="No hold asks for more time, so that a long one can be decided at all.",
    )
    decisions_warn: int = Field(
        30,
        ge=1,
        le=1_000_000,
        description="More decisions of one person in an hour are told to them as too many: one in "
        "two minutes for an hour is the pace at which people stop reading.",
    )
    decisions_max: int = Field(
        60,
        ge=1,
        le=1_000_000,
        description="More decisions in an hour pause the approvals of that person. Denials never "
        "pause.",
    )
    pause_s: float = Field(
        600, ge=1, le=HOUR_S, description="How long they pause; the count begins anew afterwards."
    )
    claim_s: float = Field(
        600,
        ge=10,
        le=HOUR_S,
        description="How long a hold stays marked as being looked at; a reviewer who went home "
        "blocks nobody.",
    )
    people_min: int = Field(
        5,
        ge=2,
        le=1000,
        description="Figures of reviewers name people only where at least so many answered in the "
        "time asked about; of fewer only what all of them did together is told.",
    )
    listeners_max: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Open streams of the live queue on a worker; each costs memory and a read.",
    )

    @model_validator(mode="after")
    def _warned_first(self) -> Self:
        if self.decisions_warn > self.decisions_max:
            raise ValueError("decisions_warn must not be above decisions_max")
        return self
