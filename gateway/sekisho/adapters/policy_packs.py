"""The part of data.yaml about packs: modes, ladder, assistants, what the sectors' packs read.

A pack that no line names would be rules nobody asks, and a label that no word gives a rule that
never speaks: both are refused, because neither would be noticed before it is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sekisho.adapters.decision_wire import DRAFTS_MAX, NAMES_MAX, RETAIN_DAYS_MAX, Name, Wire
from sekisho.adapters.policy_names import Entity, Id, idle_labels, meant, no_such_id
from sekisho.model.assistant import Assistant, Assistants
from sekisho.model.ids import is_id_pattern

INSTRUCTIONS_CHARS_MAX = 20_000  # they go with every request, and two people have read them
LADDER_ROWS_MAX = 1_000  # teams of a large house; all are looked at for each decision
MODES = ("enforce", "warn", "observe", "off")
DRAFT_STEP = 1
LAST_STEP = 3

_OF_IDS = ("group", "principal")
_LADDER_FOR = rf"^({'|'.join(_OF_IDS)}|backend|assistant):[^:]+$"

Mode = Literal["enforce", "warn", "observe", "off"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
AssistantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Days = Annotated[int, Field(ge=1, le=RETAIN_DAYS_MAX)]
Pieces = Annotated[int, Field(ge=0, le=1_000_000)]
Labels = Annotated[list[Name], Field(max_length=NAMES_MAX)]


class HoursData(Wire):
    """When a group may ask, in the gateway's time zone: from the full hour, until the full hour."""

    from_: int = Field(alias="from", ge=0, le=23)
    to: int = Field(ge=1, le=24)
    days: list[Day] = Field(default=["mon", "tue", "wed", "thu", "fri"], min_length=1)

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.from_ >= self.to:
            raise ValueError("from must be before to; two groups make hours over midnight")
        return self


class LadderData(Wire):
    """How far whoever the row is about is trusted to let a model act."""

    for_: Annotated[str, Field(alias="for", max_length=300, pattern=_LADDER_FOR)]
    step: int = Field(ge=0, le=LAST_STEP)
    tools: list[Name] = Field(default=[], max_length=NAMES_MAX)
    drafts_max: Annotated[int, Field(ge=1, le=DRAFTS_MAX)] | None = None

    @field_validator("for_")
    @classmethod
    def _can_apply(cls, text: str) -> str:
        dimension, _, pattern = text.partition(":")
        if dimension in _OF_IDS and not is_id_pattern(pattern):
            raise ValueError(no_such_id(text, lambda one: is_id_pattern(one.partition(":")[2])))
        return text

    @model_validator(mode="after")
    def _tools_belong_to_the_last(self) -> Self:
        if self.tools and self.step != LAST_STEP:
            raise ValueError(f"tools are listed on step {LAST_STEP} only")
        if self.drafts_max is not None and self.step != DRAFT_STEP:
            raise ValueError(f"answers are drafts on step {DRAFT_STEP} only: drafts_max is for it")
        return self


class AssistantData(Wire):
    """What staff ask for by a name: a model, approved instructions, whoever may use it."""

    model: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,256}$")]
    instructions: Annotated[str, Field(min_length=1, max_length=INSTRUCTIONS_CHARS_MAX)]
    groups: list[Id] = Field(min_length=1)
    labels: Labels = Field(default=[], description="Of the knowledge in the instructions.")
    step: int | None = Field(default=None, ge=0, le=LAST_STEP, description="Of the ladder.")


class GovernmentData(Wire):
    """What packs/government reads."""

    state_secret: Labels = Field(default=[])
    work_secret: Labels = Field(default=[])
    region_entities: list[Entity] = Field(default=[])
    personal_max: Pieces = 20
    services: list[Id] = Field(default=[])
    answers_reviewed: bool = False
    retain_days: Days | None = None


class FinanceData(Wire):
    """What packs/finance reads; `barriers` maps a label to the groups it is for."""

    barriers: dict[Name, list[Id]] = Field(default={})
    masked_entities: list[Entity] = Field(default=[])
    client_labels: Labels = Field(default=[])
    supervisors: Id = "reviewer"
    compliance: list[Id] = Field(default=[])
    client_groups: list[Id] = Field(default=[])
    answers_reviewed: bool = False
    personal_max: Pieces = 20
    retain_days: Days = 2190


class HealthcareData(Wire):
    """What packs/healthcare reads."""

    patient_labels: Labels = Field(default=[])
    clinicians: list[Id] = Field(default=[])
    answers_reviewed: bool = False
    answer_reviewers: Id = "reviewer"
    masked_entities: list[Entity] = Field(default=[])
    retain_days: Days | None = None


class SectorsData(Wire):
    """What the packs of the sectors read; absent members leave a pack with its defaults."""

    government: GovernmentData | None = None
    finance: FinanceData | None = None
    healthcare: HealthcareData | None = None


Place = tuple[str | int, ...]

_LABELS_OF_SECTORS = (
    ("government", "state_secret"),
    ("government", "work_secret"),
    ("finance", "barriers"),
    ("finance", "client_labels"),
    ("healthcare", "patient_labels"),
)


def idle_sectors(document: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Labels of sectors and assistants that no word gives; sectors in force that say nothing."""
    known = document.get("words") or {}
    sectors, modes = document.get("sectors") or {}, document.get("modes", {})
    for sector, name in _LABELS_OF_SECTORS:
        labels = (sectors.get(sector) or {}).get(name, ())
        for at, label, text in idle_labels(labels, known, f"sectors.{sector}.{name}"):
            yield ("sectors", sector, name, label if isinstance(labels, dict) else at), text
    for name, one in document.get("assistants", {}).items():
        for at, _, text in idle_labels(one.get("labels", ()), known, f"assistants.{name}.labels"):
            yield ("assistants", name, "labels", at), text
    for sector in SectorsData.model_fields:
        if modes.get(sector, "off") != "off" and not sectors.get(sector):
            text = f"the pack {sector} reads sectors.{sector}, which is not there"
            yield ("modes", sector), f"modes.{sector}: {text}"


def assistants(document: Mapping[str, Any], revision: str) -> Assistants:
    """Those of a document that `read_data` gave."""
    found = {
        name: Assistant(
            name,
            one["model"],
            one["instructions"],
            frozenset(one["groups"]),
            tuple(one.get("labels", ())),
        )
        for name, one in document.get("assistants", {}).items()
    }
    return Assistants(revision, found)


def unlisted(packs: Collection[str], modes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pack and fault, for each pack without a mode and each mode without a pack."""
    for pack in sorted(set(packs) - set(modes)):
        text = f"the pack {pack} has no mode: name it in modes of data.yaml ({', '.join(MODES)})"
        yield pack, text
    for name in sorted(set(modes) - set(packs)):
        yield name, f"modes.{name}: there is no pack of this name{meant(name, packs)}"
