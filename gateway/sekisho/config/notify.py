"""Settings of notifications: whom holds are told to outside the gateway, and over what.

Addresses of chat systems are secrets (whoever has one may write there), so they come from the
environment and never stand in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sekisho.config.kinds import DAY_S, EnvironmentName, Name, Section

ChannelKind = Literal["webhook", "slack", "teams", "feishu", "dingtalk", "wecom", "smtp"]
GroupName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$|^[0-9a-f:]{2,45}$")
]
# No quotes, comments or routes: an address is for one person or list, and never a second header.
Address = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$")
]

_CHAT: set[str] = {"url_env"}
_NEEDED: dict[str, set[str]] = {
    "webhook": {"url_env", "secret_env"},
    "slack": _CHAT,
    "teams": _CHAT,
    "feishu": _CHAT,
    "dingtalk": _CHAT,
    "wecom": _CHAT,
    "smtp": {"host", "sender", "to"},
}
_ALLOWED: dict[str, set[str]] = {
    "webhook": {"secret_before_env", "ca_file"},
    "slack": {"ca_file"},
    "teams": {"ca_file"},
    "feishu": {"secret_env", "ca_file"},
    "dingtalk": {"secret_env", "ca_file"},
    "wecom": {"ca_file"},
    "smtp": {"port", "tls", "username", "secret_env", "ca_file"},
}
_ALL = {
    *("name", "kind", "groups", "escalation_of", "requesters", "language", "per_minute_max"),
}
_SMTP_PORTS = {"starttls": 587, "implicit": 465}


class ChannelSettings(Section):
    """A place where people are told that something waits for them. docs/howto/notify.md shows one
    for each kind.
    """

    name: Name = Field(description="Its name in rules (`notify`), metrics, events and commands.")
    kind: ChannelKind = Field(
        description="`webhook`: a program of yours. The rest: incoming webhooks of Slack, Teams "
        "(Workflows), Feishu, DingTalk, WeCom; `smtp`: mail."
    )
    url_env: EnvironmentName | None = Field(
        None,
        description="The environment variable with the address, which is a secret of its own. "
        "https, or http to this machine or to one of `http_hosts`. Not for `smtp`.",
    )
    secret_env: EnvironmentName | None = Field(
        None,
        description="The environment variable with the key that messages are signed with "
        "(webhook: `whsec_…`, feishu and dingtalk: the robot's secret), or the password of `smtp`.",
    )
    secret_before_env: EnvironmentName | None = Field(
        None,
        description="webhook: the key of before, which signs as well, until every receiver knows "
        "the new one.",
    )
    groups: tuple[GroupName, ...] = Field(
        (),
        max_length=64,
        description="Groups or roles of reviewers: told here when something waits for them, and "
        "reminded.",
    )
    escalation_of: tuple[GroupName, ...] = Field(
        (),
        max_length=64,
        description="Groups or roles of reviewers: told here when these have not answered in time.",
    )
    requesters: tuple[GroupName, ...] = Field(
        (),
        max_length=64,
        description="Groups whose members' own requests are told here when they were decided.",
    )
    language: Literal["en", "zh", "ja"] = Field("en", description="What it is written in.")
    per_minute_max: int = Field(
        20,
        ge=1,
        le=6000,
        description="Messages a minute; DingTalk and WeCom shut a robot out above 20.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file for TLS, whole path; absent: the authorities of the system."
    )
    host: HostName | None = Field(None, description="smtp: the server.")
    port: int | None = Field(
        None, ge=1, le=65535, description="smtp: absent: 587 for starttls, 465 for implicit."
    )
    tls: Literal["starttls", "implicit"] | None = Field(
        None,
        description="smtp: how TLS begins; absent: starttls. Without TLS, or with a certificate "
        "that is not trusted, nothing is sent.",
    )
    username: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,255}$")] | None = Field(
        None, description="smtp: sign in with it and `secret_env`; absent: the server asks nobody."
    )
    sender: Address | None = Field(None, description="smtp: the address it comes from.")
    to: tuple[Address, ...] | None = Field(
        None, min_length=1, max_length=50, description="smtp: who gets it; a list, not persons."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = {name for name, _ in self if getattr(self, name) is not None} - _ALL
        missing, odd = _NEEDED[self.kind] - given, given - _NEEDED[self.kind] - _ALLOWED[self.kind]
        faults = [f'kind "{self.kind}" needs {name}' for name in sorted(missing)]
        faults += [f'kind "{self.kind}" has no {name}' for name in sorted(odd)]
        if self.kind == "smtp" and (self.username is None) != (self.secret_env is None):
            faults.append("username and secret_env belong together")
        if self.ca_file is not None and not self.ca_file.is_absolute():
            faults.append("ca_file must be a whole path")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def smtp_port(self) -> int:
        """The port of the mail server."""
        return self.port or _SMTP_PORTS[self.tls or "starttls"]

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that it needs."""
        named = (self.url_env, self.secret_env, self.secret_before_env)
        return tuple(name for name in named if name is not None)


class NotifySettings(Section):
    """What holds for all channels. Without [[notify.channels]] nobody is told anything."""

    channels: tuple[ChannelSettings, ...] = Field((), max_length=32)
    http_hosts: tuple[HostName, ...] = Field(
        (),
        max_length=20,
        description="Hosts that may be reached without TLS: what is sent there crosses the network "
        "in clear, its address and all.",
    )
    deadline_s: float = Field(
        10, ge=0.1, le=60, description="For one attempt; the sender waits for no channel longer."
    )
    reminder_percent: int = Field(
        50, ge=1, le=99, description="Of a hold's time: then its reviewers are reminded."
    )
    escalation_percent: int = Field(
        75,
        ge=1,
        le=99,
        description="Of a hold's time: then the next group is told, and "
        "whoever relieves the reviewers may answer.",
    )
    give_up_s: int = Field(
        14_400,
        ge=1,
        le=7 * DAY_S,
        description="A message that no attempt brought there by then is given up: an event, a "
        "metric and an error in the log say so.",
    )
    waiting_max: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Messages that wait for one channel, half a kilobyte each in Valkey; further "
        "ones are given up at once.",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [channel.name for channel in self.channels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                "; ".join(f"two [[notify.channels]] have the name {name!r}" for name in twice)
            )
        return self

    def channel(self, name: str) -> ChannelSettings | None:
        """The channel of this name, if there is one."""
        return next((channel for channel in self.channels if channel.name == name), None)
