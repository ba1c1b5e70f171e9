"""Settings of retention: how long content of each class can be opened.

auditd reads the same values again, with the same bounds (`sekisho_audit/retention.py`); here they
are checked at start, with all other faults of the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from sekisho.config.kinds import Section

DAYS_MIN, DAYS_MAX = 2, 36_500
LEAVES_DAYS_MIN = 184


def _days(value: Any) -> Any:
    """A number of days, or the word that there is no end. One sentence for whatever is wrong."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:8])  # the environment has texts only
    if value != "keep" and (type(value) is not int or not DAYS_MIN <= value <= DAYS_MAX):
        raise ValueError(
            f'must be {DAYS_MIN} to {DAYS_MAX} days, or "keep" if it is to be kept for good'
        )
    return value


Days = Annotated[int | Literal["keep"], PlainValidator(_days)]


class RetentionSettings(Section):
    """After so many days the keys of content are destroyed and nobody can open it; events and
    figures stay. Each is 2 to 36,500 days, or `"keep"`: 0 and an empty value are faults.
    docs/howto/retention.md says what is in which class, and what a legal hold does.
    """

    content_days: Days = Field(180, description="Prompts, answers, what was sent, held requests.")
    input_days: Days = Field(180, description="The facts that policy saw.")
    reason_days: Days = Field(
        2_555, description="Reasons of reviews and appeals, purposes and tickets of officers."
    )
    query_days: Days = Field(365, description="What was searched for and exported, with purposes.")
    leaves_days: int = Field(
        2_555,
        ge=LEAVES_DAYS_MIN,
        le=DAYS_MAX,
        description="The events themselves: pruning must leave them so long.",
    )

    def argument(self) -> str:
        """As auditd takes it."""
        return (
            f"content={self.content_days},input={self.input_days},reason={self.reason_days},"
            f"query={self.query_days},leaves={self.leaves_days}"
        )
