"""What `sekisho doctor` says of reviewers: whether somebody is there to answer what is held.

A hold that nobody can answer ends by itself, and whoever asked has waited for nothing. Looked at is
`hold` of data.yaml; what rules of one's own ask for is theirs. Who is known only at an issuer
counts from their first sign-in or provisioning on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.diagnosis_policy import active_bundle
from sekisho.adapters.finding import Finding
from sekisho.adapters.policy_data import HoldData
from sekisho.adapters.sql_registry import PrincipalRow, Registry
from sekisho.config import Settings
from sekisho.errors import SekishoError

RELIEF_S_MIN = 60  # of less than a minute nobody makes use who is told by a message
_PART = "reviewers"
_MEND = (
    "give somebody the role or group (sekisho principal grant, sekisho key create), or change "
    "hold in data.yaml"
)


def reviewers(settings: Settings) -> Iterator[Finding]:
    """Nothing before anybody is known, nor where rules or registry cannot be read: others say."""
    try:
        people = _people(settings)
        data = _data(settings) if people else {}
    except (SekishoError, OSError, SQLAlchemyError):
        return
    if not data:
        return
    hold = HoldData.model_validate(data["hold"])
    faults = [*_missing(hold, people), *_hasty(hold, settings.notify.escalation_percent)]
    yield from (Finding(_PART, ok=True, said=said, mend=mend) for said, mend in faults)
    if not faults:
        count = len(_in(hold.reviewers, people))
        yield Finding(_PART, ok=True, said=f"{count} can answer as {hold.reviewers}")


def _people(settings: Settings) -> Sequence[PrincipalRow]:
    """Persons who are not shut out."""
    if not settings.registry_path.exists():
        return ()
    rows = Registry.look(settings.registry_path).principals()
    return [row for row in rows if row.owner is None and not row.disabled]


def _data(settings: Settings) -> Mapping[str, Any]:
    bundle = active_bundle(settings) or read_bundle(settings.policy.bundle)
    return bundle.data


def _in(name: str, people: Sequence[PrincipalRow]) -> set[str]:
    return {row.id for row in people if name in row.roles or name in row.groups}


def _missing(hold: HoldData, people: Sequence[PrincipalRow]) -> Iterator[tuple[str, str]]:
    """Whoever asks is no reviewer of it, so one of them is one too few for their own requests."""
    there = _in(hold.reviewers, people)
    if len(there) < hold.approve:
        said = f"{hold.approve} must approve as {hold.reviewers}, and {len(there)} can"
        yield f"{said}: what is held ends unanswered", _MEND
    for group in hold.relief:
        if not _in(group, people):
            yield f"nobody is in {group}, who answer when {hold.reviewers} do not", _MEND


def _hasty(hold: HoldData, escalation_percent: int) -> Iterator[tuple[str, str]]:
    left_s = hold.ttl_s * (100 - escalation_percent) // 100
    if hold.relief and left_s < RELIEF_S_MIN:
        said = f"those in relief have {left_s} s of {hold.ttl_s} s to answer"
        yield said, "raise hold.ttl_s in data.yaml"
