"""Nobody is anonymous, and a credential never gives more than its principal has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.errors import Forbidden, NotAuthenticated
from sekisho.model.principal import Principal, Role, Scope, Shown
from sekisho.stages.identify import identify, within_credential

RIGHT = Shown(secret="right")


class OneKey:
    """A directory with one key."""

    def __init__(self, *roles: Role, scopes: frozenset[Scope] = frozenset(Scope)) -> None:
        self.principal = Principal("staff-7", frozenset(roles), frozenset(), scopes=scopes)

    async def find(self, shown: Shown) -> Principal:
        if shown.secret != "right":
            raise NotAuthenticated("No such key.", cause="unknown")
        return self.principal


async def test_a_known_key_is_its_principal() -> None:
    """The directory's principal comes back as it is."""
    assert "staff-7" == (await identify(RIGHT, OneKey(Role.EMPLOYEE))).id


async def test_what_the_directory_refuses_is_refused() -> None:
    """With the cause for the record."""
    with pytest.raises(NotAuthenticated) as caught:
        await identify(Shown(secret="wrong"), OneKey(Role.EMPLOYEE))
    assert "unknown" == caught.value.cause


async def test_an_auditor_without_the_role_employee_may_not_ask() -> None:
    """Roles do not include one another."""
    with pytest.raises(Forbidden) as caught:
        await identify(RIGHT, OneKey(Role.AUDITOR))
    assert "role_missing" == caught.value.code
    assert "staff-7 does not have it" in caught.value.message


async def test_a_key_for_something_else_may_not_ask() -> None:
    """A key that provisions principals opens no model, whoever owns it."""
    with pytest.raises(Forbidden) as caught:
        await identify(RIGHT, OneKey(Role.EMPLOYEE, scopes=frozenset({Scope.SCIM})))
    assert "scope_missing" == caught.value.code


@pytest.mark.parametrize(
    ("models", "model", "fits"),
    [
        (None, "anything", True),
        (("gpt-*",), "gpt-4o", True),
        (("gpt-*",), "GPT-4o", False),
        (("gpt-4o",), "gpt-4o-mini", False),
        (("g*t",), "great", True),
        (("g*t",), "greatest-1", False),
        (("gpt-?",), "gpt-4", True),
        (("gpt-?",), "gpt-4o", False),
        (("*-mini",), "gpt-4o-mini", True),
        (("gpt-[45]",), "gpt-4", False),
        (("gpt-[45]",), "gpt-[45]", True),
        ((), "gpt-4o", False),
    ],
)
def test_a_narrowed_key_asks_its_models_only(
    models: tuple[str, ...] | None, model: str, fits: bool
) -> None:
    """Case matters, as it does to backends; only * and ? are wild, as in limits."""
    principal = replace(OneKey().principal, models=models)
    if fits:
        within_credential(principal, model)
        return
    with pytest.raises(Forbidden) as caught:
        within_credential(principal, model)
    assert "model_not_for_key" == caught.value.code
