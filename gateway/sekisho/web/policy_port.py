"""What `/v1/admin/policies` needs of the desk where revisions of policy are changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sekisho.model.principal import Principal
from sekisho.model.revisions import Activation, Known, Revision, Tested


class Policies(Protocol):
    """Revisions of policy: who may do what is asked here. Synchronous, for threads: tests of rules
    take seconds. Each change is durable evidence first.

    All raise Forbidden, NotFound or BadRequest for names, LedgerUnavailable, and SekishoError for a
    registry or a store that cannot be used.
    """

    def listed(self, who: Principal) -> Sequence[Known]:
        """All revisions, the newest first."""
        ...

    def known(self, who: Principal, named: str) -> Known:
        """One revision by the beginning of its digest."""
        ...

    def tested(self, who: Principal, named: str) -> Tested:
        """What its own tests say."""
        ...

    def draft_files(self, author: Principal, files: Mapping[str, bytes], source: str) -> Revision:
        """Put a bundle in. Raises PolicyRejected with all faults."""
        ...

    def draft_signed(self, author: Principal, packed: bytes, source: str) -> Revision:
        """Put a signed bundle file in. Raises PolicyRejected, and SekishoError (422) for one that
        is not what somebody signed whose key the settings name.
        """
        ...

    def compared(
        self, who: Principal, named: str, base: str | None, lines: bytes
    ) -> Mapping[str, Any]:
        """What disclosed inputs would be by it and by `base` (None: what is in force). Raises
        Overloaded while another one runs, PolicyRejected, PolicyUnavailable.
        """
        ...

    def shadow(self, activator: Principal, named: str | None) -> str:
        """Let it decide beside the one in force, or (None) no longer; which. Raises Conflict."""
        ...

    def activate(self, activator: Principal, named: str) -> Activation:
        """Put it in force. Raises Conflict, PolicyRejected."""
        ...

    def rollback(self, activator: Principal) -> Activation:
        """Go back to the one before. Raises Conflict."""
        ...
