"""Settings of anchors: who, elsewhere, vouches for what the ledger was at a time.

auditd reads the same members again, with the same bounds (`sekisho_audit/anchors/options.py`); here
they are checked at start, with all other faults of the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sekisho.config.kinds import DAY_S, HttpUrl, Section

_NEEDED = {"pin": {"path"}, "witness": {"url", "keys"}, "rfc3161": {"url", "roots"}}
_OF_SERVERS = {"timeout_s", "ca_file", "url"}
_ALLOWED = {
    "pin": {"path"},
    "witness": {"keys", "monitor_url"} | _OF_SERVERS,
    "rfc3161": {"roots"} | _OF_SERVERS,
}
_ALL = {"name", "kind", "interval_s"}
_PATHS = ("path", "roots", "ca_file")


class AnchorSettings(Section):
    """Somebody elsewhere who can say later what the ledger was. docs/howto/anchors.md helps to
    choose; without any, a cloned machine or a restored old copy may go unnoticed.
    """

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Its name in events and in `sekisho doctor`."
    )
    kind: Literal["pin", "witness", "rfc3161"] = Field(
        description="`pin`: a folder elsewhere. `witness`: C2SP tlog-witness. `rfc3161`: a time "
        "stamping authority."
    )
    interval_s: float = Field(
        300,
        ge=1,
        le=DAY_S,
        description="How often, if anything happened; what is younger has no outside word yet.",
    )
    path: Path | None = Field(
        None,
        description="pin: the folder, whole path; it must exist, so that a mount that is missing "
        "is not taken for an empty one.",
    )
    url: HttpUrl | None = Field(
        None, description="witness: the submission prefix. rfc3161: where requests are posted."
    )
    keys: tuple[str, ...] | None = Field(
        None, max_length=8, description="witness: its verifier keys (type 0x04 or 0x06)."
    )
    monitor_url: HttpUrl | None = Field(
        None, description="witness: the monitoring prefix; absent: the same as url."
    )
    roots: Path | None = Field(
        None, description="rfc3161: PEM file with the authorities that its certificates lead to."
    )
    ca_file: Path | None = Field(
        None, description="PEM file for TLS; absent: the authorities of the system."
    )
    timeout_s: float | None = Field(
        None, ge=0.1, le=60, description="For a whole answer; absent: 10. Nobody else waits for it."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = set(self.model_dump(exclude_none=True)) - _ALL
        missing, odd = _NEEDED[self.kind] - given, given - _ALLOWED[self.kind]
        faults = [f'kind "{self.kind}" needs {name}' for name in sorted(missing)]
        faults += [f'kind "{self.kind}" has no {name}' for name in sorted(odd)]
        faults += [
            f"{name} must be a whole path"
            for name in _PATHS
            if name in given and not Path(getattr(self, name)).is_absolute()
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def argument(self) -> str:
        """As auditd takes it."""
        about: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        return json.dumps(about, sort_keys=True)
