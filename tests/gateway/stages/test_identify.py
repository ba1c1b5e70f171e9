"""Nobody is anonymous."""

from __future__ import annotations

import pytest

from sekisho.errors import Forbidden, NotAuthenticated
from sekisho.model.principal import Principal, Role
from sekisho.stages.identify import identify


class OneKey:
    """A directory with one key."""

    def __init__(self, *roles: Role) -> None:
        self.principal = Principal("staff-7", frozenset(roles), frozenset())

    async def find(self, secret: str) -> Principal | None:
        return self.principal if secret == "right" else None


async def test_a_known_key_is_its_principal() -> None:
    """The directory's principal comes back as it is."""
    assert "staff-7" == (await identify("right", OneKey(Role.EMPLOYEE))).id


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_no_key_and_a_wrong_key_are_refused_with_advice(secret: str) -> None:
    """Both are 401 and say what to do."""
    with pytest.raises(NotAuthenticated, match="key"):
        await identify(secret, OneKey(Role.EMPLOYEE))


async def test_an_auditor_without_the_role_employee_may_not_ask() -> None:
    """Roles do not include one another."""
    with pytest.raises(Forbidden) as caught:
        await identify("right", OneKey(Role.AUDITOR))

    assert "role_missing" == caught.value.code
