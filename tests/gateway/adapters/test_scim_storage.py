"""The library's contract for storages, and what is ours on top of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from scim2_models import (
    Context,
    ForbiddenException,
    MutabilityException,
    ResponseParameters,
    ScimProvider,
    UniquenessException,
)
from scim2_server.testing import SEARCH_USERS, ScimStorageContract
from scim2_server.utils import parametrize

from sekisho.adapters import scim_storage
from sekisho.adapters.scim_people import provider as our_provider
from sekisho.adapters.scim_storage import EVENTS_AT_ONCE
from sekisho.errors import LedgerUnavailable
from support.scim import Scim

# Attributes that the contract asks about and we do not have: only questions about these, and pages
# by cursor, which are not announced, may be skipped.
_NOT_OURS = ("title", "employeeNumber")


class TestContract(ScimStorageContract):
    """Every rule of the library, but for names, which are never given to anybody else."""

    @pytest.fixture
    def provider(self) -> ScimProvider:
        """What we serve."""
        return our_provider()

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Any:
        """A new, empty storage."""
        return Scim(tmp_path).storage

    def search_users(self) -> list[dict[str, Any]]:
        """Without attributes and characters that we do not take."""
        kept = {"userName", "displayName", "name", "active", "emails"}
        users = [{k: v for k, v in user.items() if k in kept} for user in SEARCH_USERS]
        for user in users:
            user["userName"] = user["userName"].replace("%", "-")
        return users

    def search_request_or_skip(self, models: list[Any], **parameters: Any) -> Any:
        """Skip what names an attribute that we do not have, and nothing else."""
        asked = str(parameters)
        if any(name in asked for name in _NOT_OURS):
            with pytest.raises(ValidationError):
                self.search_request(models, **parameters)
            pytest.skip("no such attribute here")
        return self.search_request(models, **parameters)

    def search_or_skip(self, storage: Any, resource_types: Any, search_request: Any) -> Any:
        """Our storage refuses no search that the models take."""
        return self.search(storage, resource_types, search_request)

    @pytest.mark.parametrize("left_out", ["members", "members.value"])
    def test_get_keeps_what_the_response_returns(  # noqa: PLR0917 - the library's signature
        self,
        storage: Any,
        user_type: Any,
        group_type: Any,
        user_model: Any,
        group_model: Any,
        left_out: str,
    ) -> None:
        """As the library's, without `members.display`, which we do not keep."""
        (user,) = self.create_users(storage, user_type, user_model, "bjensen")
        group = self.create_group(storage, group_type, group_model, user)
        asked = parametrize(ResponseParameters, group_model).model_validate(
            {"excludedAttributes": left_out}
        )
        shown = [
            storage.get(group_type, group.id, response_parameters=some).model_dump(
                scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked
            )
            for some in (None, asked)
        ]
        assert shown[0] == shown[1]

    def test_update_frees_the_former_unique_values(
        self, storage: Any, user_type: Any, user_model: Any
    ) -> None:
        """Instead: a userName stays, so it is never free for another."""
        (user,) = self.create_users(storage, user_type, user_model, "bjensen")
        user.user_name = "babs"
        with pytest.raises(MutabilityException):
            storage.update(user_type, user)

    def test_delete_frees_the_unique_values(
        self, storage: Any, user_type: Any, user_model: Any
    ) -> None:
        """Instead: the name of somebody who left is never given again."""
        (user,) = self.create_users(storage, user_type, user_model, "bjensen")
        storage.delete(user_type, user.id)
        with pytest.raises(UniquenessException):
            self.create_users(storage, user_type, user_model, "bjensen")


def test_events_are_told_in_batches_that_the_ledger_takes(tmp_path: Path) -> None:
    """All before the transaction ends, in as many appends as it needs."""
    scim = Scim(tmp_path)
    users = [scim.user(f"staff-{number}") for number in range(EVENTS_AT_ONCE + 3)]
    scim.batches.clear()
    scim.group("sales", *users)

    assert scim.batches == [EVENTS_AT_ONCE, 3]


def test_a_fault_in_the_second_batch_changes_nothing(tmp_path: Path) -> None:
    """Some of the events are in the ledger then, and none of the changes in the registry."""
    scim = Scim(tmp_path)
    users = [scim.user(f"staff-{number}") for number in range(EVENTS_AT_ONCE + 3)]
    before = scim.registry.principals()
    scim.fails_at_batch = len(scim.batches) + 2
    with pytest.raises(LedgerUnavailable):
        scim.group("sales", *users)
    assert scim.registry.principals() == before


def test_there_is_an_end_to_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that runs wild does not fill the disk."""
    scim = Scim(tmp_path)
    monkeypatch.setattr(scim_storage, "RESOURCES_MAX", 1)
    scim.user("staff-7")
    with pytest.raises(ForbiddenException):
        scim.user("staff-8")
