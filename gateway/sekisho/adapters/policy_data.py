"""policies/data.yaml as a model: what an administrator edits, checked before any rule sees it.

A misspelt key would otherwise be a rule that silently does nothing. The file is read as plain
YAML: a key that stands twice, an alias or a merge is refused, because the reviewer of a change
must see what the engine sees. policies/schema/data.json is generated from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Annotated, Any, Self

import orjson
import yaml
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from sekisho.adapters.decision_wire import (
    HOLD_TTL_S_MAX,
    RELIEF_MAX,
    RETAIN_DAYS_MAX,
    REVIEWS_MAX,
    TOKENS_MAX,
    Name,
    Wire,
)
from sekisho.adapters.plain_yaml import read_plain
from sekisho.adapters.policy_names import Entity, Id, idle_labels, no_such_id
from sekisho.adapters.policy_packs import (
    LADDER_ROWS_MAX,
    AssistantData,
    AssistantName,
    HoursData,
    LadderData,
    Mode,
    SectorsData,
    idle_sectors,
)
from sekisho.adapters.policy_words import faults
from sekisho.model.ids import is_id_pattern
from sekisho.model.limits import DIMENSIONS, LimitTable, Metric, Row, Unit, micros
from sekisho.model.prices import FREE, Price, PriceTable, UsageRules

ASSISTANTS_MAX = 1_000  # nobody finds one among more
LIMIT_ROWS_MAX = 10_000  # one for each person of a large house, and then some
PRICE_MAX = 1_000_000  # for a million tokens; keeps every sum exact, also in Lua and JSON
PRICE_ROWS_MAX = 1_000

_OF_IDS = frozenset({"principal", "group"})
_TEXT = "tag:yaml.org,2002:str"

Place = tuple[int, int]  # line and column, both from 1
_Told = tuple[tuple[int | str, ...], str]

Sentence = Annotated[str, Field(min_length=1, max_length=500)]
Tokens = Annotated[int, Field(ge=1, le=TOKENS_MAX)]
Figure = Annotated[int, Field(ge=1, le=1_000_000_000)]


def _is_money(amount: float | str) -> float | str:
    micros(amount)
    return amount


def _is_price(amount: float | str) -> float | str:
    if micros(amount) > micros(PRICE_MAX):
        raise ValueError(f"must be at most {PRICE_MAX}")
    return amount


_Amount = int | float | Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]
Money = Annotated[_Amount, AfterValidator(_is_money)]
PriceAmount = Annotated[_Amount, AfterValidator(_is_price)]


class NotPolicyData(ValueError):
    """data.yaml cannot be used; `faults` are ((line, column), what is wrong)."""

    def __init__(self, faults: list[tuple[Place, str]]) -> None:
        super().__init__("; ".join(f"line {place[0]}: {text}" for place, text in faults))
        self.faults = faults


class GroupData(Wire):
    """What a group may do. A principal in several groups gets the union of models and the
    smallest cap.
    """

    models: list[Name] = Field(description="Model names or patterns (* and ?).")
    max_tokens: Tokens | None = Field(default=None, description="Longest answer, in tokens.")
    attachments: bool = Field(default=False, description="May send inline files and images.")
    training: bool = Field(default=False, description="Needs a training that is still good.")
    hours: HoursData | None = Field(default=None, description="When its members may ask.")


class PrincipalData(Wire):
    """What differs for one principal."""

    blocked: bool = Field(default=False, description="Refuse everything.")
    models: list[Name] | None = Field(default=None, description="In place of the groups' models.")
    max_tokens: Tokens | None = Field(default=None, description="In place of the groups' cap.")


class HostedToolsData(Wire):
    """Tools that run at the backend."""

    allowed: list[Name] = Field(default=[])


class FunctionToolsData(Wire):
    """Tools that run at the client."""

    denied: list[Name] = Field(default=[])
    held: list[Name] = Field(default=[])


class UnknownFieldsData(Wire):
    """Members of the body that are not in the API we know."""

    allowed: list[Name] = Field(default=["*"])


class SentencesData(Wire):
    """One sentence in each language; English is for whoever reads none of the others."""

    en: Sentence
    zh: Sentence | None = None
    ja: Sentence | None = None


class LabelsData(Wire):
    """What a label leads to. `denied` maps a label to what the person should do instead."""

    denied: dict[Name, Sentence | SentencesData] = Field(default={})
    held: list[Name] = Field(default=[])
    onprem_only: list[Name] = Field(default=[])


class EntitiesData(Wire):
    """What a found entity leads to. Credentials are always denied, by rule."""

    denied: list[Entity] = Field(default=[])
    held: list[Entity] = Field(default=[])
    onprem_only: list[Entity] = Field(default=[])
    redacted: list[Entity] = Field(default=[])


class HoldData(Wire):
    """Who answers a hold, and how long they have."""

    models: list[Name] = Field(default=[])
    budget_percent: Annotated[int, Field(ge=10, le=100, multiple_of=10)] | None = None
    reviewers: Id = "reviewer"
    approve: Annotated[int, Field(ge=1, le=REVIEWS_MAX)] = 1
    deny: Annotated[int, Field(ge=1, le=REVIEWS_MAX)] = 1
    ttl_s: Annotated[int, Field(ge=1, le=HOLD_TTL_S_MAX)] = 86_400
    risk: Annotated[int, Field(ge=0, le=100)] = 50
    no_grant: bool = False
    office_time: bool = False
    no_break_glass: bool = False
    relief: list[Name] = Field(default=[], max_length=RELIEF_MAX)


class RecordsData(Wire):
    """What is kept of the content, and how long."""

    log_level: Annotated[str, Field(pattern="^(metadata|redacted|full)$")] = "redacted"
    retain_days: Annotated[int, Field(ge=0, le=RETAIN_DAYS_MAX)] | None = None
    label_output: bool = False


def _fits_id(text: str) -> bool:
    return is_id_pattern(text.partition(":")[2])


class LimitData(Wire):
    """How much one name, or each name that a pattern fits, may use. Windows are UTC."""

    for_: Annotated[
        str,
        Field(
            alias="for",
            max_length=300,
            pattern=f"^({'|'.join(DIMENSIONS)}):.+$",
            description="Dimension and name or pattern, as principal:* or model:gpt-4o.",
        ),
    ]
    requests_per_min: Figure | None = None
    tokens_per_min: Figure | None = None
    spend_per_day: Money | None = None
    spend_per_month: Money | None = None
    concurrent: Figure | None = None

    @field_validator("for_")
    @classmethod
    def _can_apply(cls, text: str) -> str:
        """A line for a name that nobody has would limit nothing, in silence."""
        dimension, _, pattern = text.partition(":")
        if dimension in _OF_IDS and not is_id_pattern(pattern):
            raise ValueError(no_such_id(text, _fits_id))
        return text

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(True for _ in self.rows()):
            raise ValueError(f"sets none of {', '.join(Metric)}")
        return self

    def rows(self) -> Iterator[Row]:
        """One for each figure set."""
        dimension, _, pattern = self.for_.partition(":")
        for metric in Metric:
            amount = getattr(self, metric.value)
            if amount is not None:
                figure = micros(amount) if metric.unit is Unit.MICROS else amount
                yield Row(dimension, pattern, metric, figure)


class PriceData(Wire):
    """Of a million tokens."""

    input: PriceAmount = Field(description="For a million tokens of prompts.")
    output: PriceAmount = Field(description="For a million tokens of answers.")

    @property
    def price(self) -> Price:
        """As it is calculated with."""
        return Price(micros(self.input), micros(self.output))


class PricesData(Wire):
    """What models cost. Names or patterns; a name wins over patterns, else the first that fits."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    models: dict[Name, PriceData] = Field(default={}, max_length=PRICE_ROWS_MAX)
    default: PriceData | None = Field(default=None, description="For others; absent: nothing.")


class PolicyData(Wire):
    """The whole of data.yaml."""

    modes: dict[Name, Mode] = Field(default={}, description="What each pack does.")
    groups: dict[Id, GroupData]
    principals: dict[Id, PrincipalData] = Field(default={})
    hosted_tools: HostedToolsData
    function_tools: FunctionToolsData
    unknown_fields: UnknownFieldsData
    assistants: dict[AssistantName, AssistantData] = Field(default={}, max_length=ASSISTANTS_MAX)
    ladder: list[LadderData] = Field(default=[], max_length=LADDER_ROWS_MAX)
    words: dict[Name, list[Name]] = Field(default={})
    labels: LabelsData
    entities: EntitiesData
    hold: HoldData
    records: RecordsData
    limits: list[LimitData] = Field(default=[], max_length=LIMIT_ROWS_MAX)
    prices: PricesData | None = None
    sectors: SectorsData = Field(default=SectorsData())
    custom: dict[Name, Any] = Field(default={}, description="For rules of your own.")

    @field_validator("limits")
    @classmethod
    def _each_once(cls, limits: list[LimitData]) -> list[LimitData]:
        """The second of two equal rows would do nothing, in silence."""
        met: set[tuple[str, str, Metric]] = set()
        for one in limits:
            for row in one.rows():
                place = (row.dimension, row.pattern, row.metric)
                if place in met:
                    raise ValueError(f"{one.for_} has {row.metric} twice")
                met.add(place)
        return limits

    @model_validator(mode="after")
    def _spending_has_prices(self) -> Self:
        """Without prices everything costs nothing and a budget would never end."""
        rows = [row for one in self.limits for row in one.rows()]
        if self.prices is None and any(row.metric.unit is Unit.MICROS for row in rows):
            raise ValueError(
                "spend_per_day and spend_per_month need prices: without any all is free"
            )
        return self


def _idle_labels(document: Mapping[str, Any]) -> Iterator[_Told]:
    """Labels that something should follow from and that no word gives: a slip of the pen would let
    through, in silence, what it was to hold.
    """
    known = document.get("words") or {}
    for name, labels in document["labels"].items():
        for at, label, text in idle_labels(labels, known, f"labels.{name}"):
            yield ("labels", name, label if isinstance(labels, dict) else at), text


def usage_rules(document: Mapping[str, Any]) -> UsageRules:
    """Limits and prices of a document that `read_data` gave."""
    rows = [
        row for one in document.get("limits", ()) for row in LimitData.model_validate(one).rows()
    ]
    told = document.get("prices")
    if told is None:
        return UsageRules(LimitTable(rows), PriceTable())
    prices = PricesData.model_validate(told)
    default = prices.default.price if prices.default else FREE
    models = {name: one.price for name, one in prices.models.items()}
    return UsageRules(LimitTable(rows), PriceTable(prices.currency, models, default))


# The C parser reads 1,000 principals ten times faster; where libyaml is missing, PyYAML's own does.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _refuse_tricks(root: yaml.Node | None) -> None:
    """No aliases, merges, keys that are not text, keys that stand twice. Raises MarkedYAMLError."""
    met: set[int] = set()
    stack = [root] if root is not None else []
    while stack:
        node = stack.pop()
        if id(node) in met:
            raise _at(node, "an alias (*name) repeats this value, which is not allowed")
        met.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for key, value in node.value:
                _refuse_key(key, names)
                stack.append(value)


def _refuse_key(key: yaml.Node, names: set[str]) -> None:
    if key.tag != _TEXT:
        raise _at(key, f"the key {key.value!r} must be plain text: put it in quotes, merge nothing")
    if key.value in names:
        raise _at(key, f"the key {key.value!r} stands twice")
    names.add(key.value)


def _at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def read_data(source: bytes) -> dict[str, Any]:
    """The data document as it stands in the file, so that stock OPA sees the same.

    Raises NotPolicyData with every fault.
    """
    document: dict[str, Any] = orjson.loads(_checked(source))
    return document


@lru_cache(maxsize=2)
def _checked(source: bytes) -> bytes:
    """The document as JSON, read once while only rules change: of what is in force and of what is
    tried. Raises NotPolicyData.
    """
    plain = read_plain(source)
    if plain is not None:
        try:
            PolicyData.model_validate(plain)
            if not any(_silent(plain)):
                return orjson.dumps(plain)
        except ValidationError:
            pass  # the other reader knows the places
    return _explained(source)


def _explained(source: bytes) -> bytes:
    """As `_checked`, of any YAML, and with the place of each fault."""
    loader: Any = None
    try:
        loader = _Loader(source)
        tree = loader.get_single_node()
        _refuse_tricks(tree)
        parsed = loader.construct_document(tree) if tree is not None else {}
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark) if error.problem_mark else (1, 1)
        raise NotPolicyData([(place, str(error.problem))]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotPolicyData([((1, 1), f"not readable as YAML: {error}")]) from error
    finally:
        if loader is not None:
            loader.dispose()
    try:
        PolicyData.model_validate(parsed)
    except ValidationError as error:
        found = faults(PolicyData, parsed, error.errors(include_url=False, include_input=False))
        # What concerns the whole is said of limits alone: they are what needs prices.
        told = [(_place_of(tree, place or ("limits",)), text) for place, text in found]
        raise NotPolicyData(told) from error
    if idle := [(_place_of(tree, place), text) for place, text in _silent(parsed)]:
        raise NotPolicyData(idle)
    if odd := [(_place_of(tree, place), text) for place, text in _not_json(parsed)]:
        raise NotPolicyData(odd)
    return orjson.dumps(parsed)


def _silent(document: Mapping[str, Any]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """What would do nothing, and nobody would hear of it."""
    yield from _idle_labels(document)
    yield from idle_sectors(document)


def _not_json(
    value: Any, place: tuple[int | str, ...] = ()
) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Values that YAML knows and JSON, which is what rules see, does not."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _not_json(member, (*place, name))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _not_json(member, (*place, number))
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield place, "is a number of more than 64 bits"
    elif isinstance(value, float) and not isfinite(value):
        yield place, "is no finite number"
    elif not isinstance(value, str | int | float | None):
        yield place, f"is read as a {type(value).__name__}: put it in quotes"


def _place_of(node: yaml.Node | None, place: tuple[int | str, ...]) -> Place:
    """Where `place` stands, or the nearest thing around it."""
    at = (1, 1)
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == step]
            if not found:
                break
            at, node = _place(found[0][0].start_mark), found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            at = _place(node.start_mark)
        else:
            break
    return at


def _place(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1
