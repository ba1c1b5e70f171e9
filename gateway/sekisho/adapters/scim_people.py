"""People and groups as a directory describes them over SCIM 2.0, and what they mean here.

A user's `userName`, in lower case, is the id of a principal and never changes. A group's name, with
case and width evened out, is looked up in the tables of `[scim]`: it may stand for a group of ours,
for roles, or for both. Little is kept of a person: what the schemas below name and nothing else,
so `/Schemas` tells the truth and whatever more a directory sends is dropped unread.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    External,
    Filter,
    InvalidValueException,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from sekisho.adapters.sql_registry import is_id
from sekisho.config.identity import ScimSettings
from sekisho.model.principal import Role

USER = "User"
GROUP = "Group"

TEXT_CHARS_MAX = 320  # the longest e-mail address; longer names are no names
EMAILS_MAX = 10
MEMBERS_MAX = 5_000  # of one group
JOINS_MAX = (
    1_000  # in one request, a transaction that others wait for; who leaves is never too many
)
RESULTS_MAX = 200  # of one page; a directory reads pages


class PersonName(ComplexAttribute):
    """The parts of a name."""

    formatted: str | None = None
    family_name: str | None = None
    given_name: str | None = None


class Email(ComplexAttribute):
    """An address; it identifies nobody here."""

    value: str | None = None
    type: str | None = None
    primary: bool | None = None


class Belonging(ComplexAttribute):
    """A group that a user is in, told from the group's members."""

    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[Reference[Group] | None, Mutability.read_only] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.read_only] = Field(None, examples=["direct"])


class User(Resource[Any]):
    """A person."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true, Mutability.immutable] = None
    name: PersonName | None = None
    display_name: str | None = None
    active: bool | None = None
    emails: list[Email] | None = None
    groups: Annotated[list[Belonging] | None, Mutability.read_only] = None


class Member(ComplexAttribute):
    """A user in a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """A group of users."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    members: list[Member] | None = None


# They name one another, so only now can they be completed; until then no filter finds a field.
for _model in (Belonging, User, Member, Group):
    _model.model_rebuild()


def provider() -> ScimProvider:
    """What the service is and can do, as its discovery endpoints tell it.

    The policy allows what the directories in use do beyond the letter: they send attributes that we
    have no use for, and name the member to remove in the body.
    """
    return ScimProvider(
        models=[User, Group],
        resource_types=[_type(USER, "/Users", User), _type(GROUP, "/Groups", Group)],
        config=ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=RESULTS_MAX),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=True),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="Sekisho key",
                    description="A key with the scope scim, as Authorization: Bearer.",
                    spec_uri=Reference[External]("https://www.rfc-editor.org/info/rfc6750"),
                    primary=True,
                )
            ],
        ),
        policy=ScimPolicy(
            unknown=ScimPolicy.Unknown.ignore,
            remove_value_as_filter=ScimPolicy.RemoveValue.apply,
            unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
        ),
    )


def user_key(user_name: str | None) -> str:
    """The principal id that a userName means. Raises InvalidValueException.

    Only ASCII is put into lower case: the Kelvin sign becomes a k there, and two spellings would
    be one person.
    """
    name = user_name or ""
    if name.isascii() and is_id(name.lower()):
        return name.lower()
    raise InvalidValueException(
        detail="This userName cannot name a principal: use a-z, 0-9 and . _ @ + -, beginning with "
        "a letter or digit, at most 128 characters. Map an attribute of that form to userName."
    )


def group_key(name: str) -> str:
    """The name under which groups are compared: two spellings are never two groups."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


@dataclass(frozen=True, slots=True)
class Meaning:
    """What membership of one group gives."""

    group: str | None = None
    roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """From the directory's groups to ours, and to roles."""

    groups: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    everyone: frozenset[Role] = frozenset({Role.EMPLOYEE})

    @classmethod
    def of(cls, settings: ScimSettings) -> Table:
        """The tables of `[scim]`, with names as they are compared."""
        everyone = {Role.EMPLOYEE} if settings.employees else set[Role]()
        return cls(
            {group_key(name): ours for name, ours in settings.groups.items()},
            {group_key(name): roles for name, roles in settings.roles.items()},
            frozenset(everyone),
        )

    def meaning(self, key: str) -> Meaning:
        """What the group compared as `key` gives. Raises InvalidValueException if nothing can be.

        A group that only gives roles needs no name of ours. Any other must have one: a rule may
        deny by group, so an unnamed one must not be lost.
        """
        roles = frozenset(Role(role) for role in self.roles.get(key, ()))
        group = self.groups.get(key)
        if group is None and is_id(key):
            group = key
        if group is None and not roles:
            raise InvalidValueException(
                detail="This group's name cannot be used here as it is. Give it one in the table "
                "[scim.groups] of the gateway, or name it with a-z, 0-9 and . _ @ + - only."
            )
        return Meaning(group, roles)

    def given(self, keys: Iterable[str]) -> tuple[frozenset[str], frozenset[Role]]:
        """The groups and roles of somebody who is in the groups compared as `keys`."""
        meanings = [self.meaning(key) for key in keys]
        roles = self.everyone.union(*(meaning.roles for meaning in meanings))
        return frozenset(one.group for one in meanings if one.group is not None), roles


def kept_of_user(user: User) -> dict[str, Any]:
    """The part of a user that is stored. Raises InvalidValueException for what is too much."""
    said: Mapping[str, Any] = user.model_dump()
    kept: dict[str, Any] = {
        name: said[name]
        for name in ("userName", "name", "displayName", "emails", "externalId", "active")
        if name in said
    }
    _bound(kept)
    if len(kept.get("emails", ())) > EMAILS_MAX:
        raise InvalidValueException(detail=f"A user has at most {EMAILS_MAX} emails here.")
    return kept


def kept_of_group(group: Group) -> dict[str, Any]:
    """The part of a group that is stored, its members apart. Raises InvalidValueException."""
    said: Mapping[str, Any] = group.model_dump()
    kept: dict[str, Any] = {
        name: said[name] for name in ("displayName", "externalId") if name in said
    }
    _bound(kept)
    if not group_key(kept.get("displayName", "")):
        raise InvalidValueException(detail="A group needs a displayName.")
    return kept


def members_of(group: Group) -> list[str]:
    """The ids of a group's members, each once. Raises InvalidValueException."""
    members = group.members or []
    if len(members) > MEMBERS_MAX:
        raise InvalidValueException(detail=f"A group has at most {MEMBERS_MAX} members here.")
    if any((member.type or USER) != USER for member in members):
        raise InvalidValueException(
            detail="Members are users. Assign the people of an inner group to the outer one."
        )
    ids = [member.value for member in members if member.value]
    if len(ids) != len(members):
        raise InvalidValueException(detail="Every member needs a value: the id of a user.")
    return list(dict.fromkeys(ids))


def _type(name: str, endpoint: str, model: type[Resource[Any]]) -> ResourceType:
    return ResourceType(id=name, name=name, endpoint=endpoint, schema_=model.__schema__)


def _bound(kept: Mapping[str, Any]) -> None:
    for text in _texts(kept):
        if len(text) > TEXT_CHARS_MAX or not text.isprintable():
            raise InvalidValueException(
                detail=f"Texts are at most {TEXT_CHARS_MAX} printable characters."
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
