"""What can be set, section by section. docs/reference/settings.md is generated from here.

Each field's description gives the reason for its default. Bounds are wide enough for odd sites and
narrow enough that a slip of the hand (a second for a millisecond, a byte for a megabyte) is a fault
at start rather than an outage at noon.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from sekisho.config.anchors import AnchorSettings
from sekisho.config.break_glass import BreakGlassSettings
from sekisho.config.grants import GrantSettings
from sekisho.config.identity import (
    IdentitySettings,
    IssuerSettings,
    LimitSettings,
    ScimSettings,
)
from sekisho.config.kinds import (
    DAY_S,
    GIB,
    HOUR_S,
    KIB,
    MIB,
    EnvironmentName,
    HttpUrl,
    ModelPattern,
    Name,
    Section,
    is_loopback,
)
from sekisho.config.notify import NotifySettings
from sekisho.config.policy import PolicySettings
from sekisho.config.retention import RetentionSettings
from sekisho.config.reviews import ReviewSettings
from sekisho.config.samples import SampleSettings

# sockaddr_un holds 108 bytes with the final NUL on Linux; the longest name we add is kept below it.
_SOCKET_PATH_BYTES_MAX = 100


class ServerSettings(Section):
    """The HTTP side: where it listens and what one worker takes on."""

    host: str = Field(
        "127.0.0.1", min_length=1, description="Loopback, so that a first try exposes nothing."
    )
    port: int = Field(8080, ge=1, le=65535, description="TCP port.")
    workers: int = Field(
        1, ge=1, le=64, description="Worker processes; one a core, less one for auditd."
    )
    public_url: HttpUrl | None = Field(
        None,
        description="How people reach this gateway, for links to holds; absent: host and port.",
    )
    body_bytes_max: int = Field(
        8 * MIB,
        ge=KIB,
        le=256 * MIB,
        description="One request. Agent tools send 30 to 80 KB, images in messages a few MB.",
    )
    body_bytes_total_max: int = Field(
        256 * MIB,
        ge=KIB,
        le=64 * GIB,
        description="All bodies a worker holds at once, so that its memory is bounded.",
    )
    header_bytes_max: int = Field(
        32 * KIB,
        ge=KIB,
        le=MIB,
        description="Request line and headers; agent tools send about 2 KB.",
    )
    headers_timeout_s: float = Field(
        10, gt=0, le=300, description="From the first byte to the end of the headers."
    )
    body_timeout_s: float = Field(
        30, gt=0, le=3600, description="From the headers to the end of the body."
    )
    inflight_max: int = Field(
        512,
        ge=1,
        le=65536,
        description="Exchanges a worker runs at once; the next is told to come back (503).",
    )
    waiting_max: int = Field(
        4096,
        ge=1,
        le=65536,
        description="Clients a worker lets wait for people at once; they cost only memory.",
    )
    per_principal_max: int = Field(
        64,
        ge=1,
        le=65536,
        description="Exchanges, and waits, of one principal on a worker, so that nobody takes all.",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        max_length=20,
        description="Origins whose pages may call /v1 with a key, as `https://chat.example`; none "
        "by default, `*` is refused.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM chain; absent: plain HTTP, for a proxy that ends TLS."
    )
    tls_key: Path | None = Field(None, description="PEM key of the certificate.")
    tls_client_ca: Path | None = Field(
        None, description="PEM authorities of client certificates; absent: none is asked for."
    )
    write_timeout_s: float = Field(
        60, gt=0, le=3600, description="A client that reads nothing for so long is cut off."
    )
    connections_max: int = Field(
        8192, ge=16, le=65536, description="Open connections of a worker; further ones are closed."
    )
    json_depth_max: int = Field(
        64, ge=8, le=512, description="Nesting of a body. Tool schemas reach about 20."
    )
    drain_s: float = Field(
        20, ge=0, le=600, description="What a stopping worker gives running exchanges to end."
    )

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError("each must be an origin such as https://chat.example, no path")
        return value

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        if self.tls_client_ca is not None and self.tls_key is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self

    @model_validator(mode="after")
    def _room_for_one_body(self) -> Self:
        if self.body_bytes_total_max < self.body_bytes_max:
            raise ValueError("body_bytes_total_max must not be below body_bytes_max")
        return self


class AuditSettings(Section):
    """The ledger and the process that writes it."""

    keys_dir: Path = Field(
        Path("keys"),
        description="Signing key, key-encryption key, pepper. Never inside data_dir, so that one "
        "backup cannot bring back what was erased.",
    )
    origin: str = Field(
        "sekisho.local/ledger",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$",
        description="The ledger's name in its checkpoints: a host you own and a path. Fixed once "
        "the ledger exists.",
    )
    append_deadline_s: float = Field(
        2, gt=0, le=30, description="Evidence not durable by then refuses the exchange (503)."
    )
    session_grace_s: float = Field(
        10,
        gt=0,
        le=300,
        description="How long a vanished worker may come back before its open intents are closed "
        "as unknown.",
    )
    segment_bytes: int = Field(
        64 * MIB, ge=MIB, le=4 * GIB, description="A ledger file is closed at this size."
    )
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    index_url: SecretStr | None = Field(
        None,
        description="PostgreSQL for the search index: postgresql+asyncpg://…, a database of its "
        "own; never printed. Without it the index is a SQLite file in data_dir.",
    )

    @model_validator(mode="after")
    def _scheme(self) -> Self:
        url = self.index_url.get_secret_value() if self.index_url else ""
        if self.index_url and urlsplit(url).scheme not in {"postgresql", "postgresql+asyncpg"}:
            raise ValueError("index_url must begin with postgresql+asyncpg://")
        return self


class RedisSettings(Section):
    """Live state of holds. Without this section the supervisor runs the embedded Valkey."""

    url: SecretStr = Field(
        description="redis://, rediss:// or unix://; may carry a password and is never printed."
    )

    @model_validator(mode="after")
    def _scheme(self) -> Self:
        if urlsplit(self.url.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("url must begin with redis://, rediss:// or unix://")
        return self


class DatabaseSettings(Section):
    """The registry of principals and keys. Without this section it is SQLite in data_dir."""

    url: SecretStr = Field(description="sqlite:///absolute/path; never printed.")

    @model_validator(mode="after")
    def _scheme(self) -> Self:
        if not self.url.get_secret_value().startswith("sqlite:////"):
            raise ValueError(
                "url must begin with sqlite:/// and an absolute path: this version keeps the "
                "registry in SQLite only. Leave [database] out to keep it in data_dir"
            )
        return self


class HoldSettings(Section):
    """How long a client, a person and an approval may take."""

    hop_wait_s: float = Field(
        45,
        gt=0,
        le=300,
        description="One silent wait, before a 303 or a comment; many proxies cut those of 60 s.",
    )
    wait_total_s: float = Field(
        300,
        gt=0,
        le=3600,
        description="All waits together; clients give up at 600 s. Later answers are fetched.",
    )
    hops_max: int = Field(
        9, ge=1, le=19, description="303 hops; the strictest common client follows 10."
    )
    ttl_s_max: int = Field(
        7 * DAY_S,
        ge=10,
        le=30 * DAY_S,
        description="The longest life policy may give a hold, since content is kept that long.",
    )
    lease_s: float = Field(
        30,
        ge=2,
        le=600,
        description="A worker that sends an approved hold renews this; lost, the hold is unknown.",
    )
    hold_bytes_total_max: int = Field(
        512 * MIB,
        ge=MIB,
        le=64 * GIB,
        description="All held content together; the next hold is refused (hold_store_full).",
    )
    share_max: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Requests of one principal that have not ended; the next is refused "
        "(hold_share_full), so that nobody fills the queue for all.",
    )
    share_bytes_max: int = Field(
        64 * MIB, ge=MIB, le=64 * GIB, description="The same in bytes of what is held."
    )
    answer_bytes_max: int = Field(
        8 * MIB, ge=KIB, le=256 * MIB, description="Room set aside for a held answer."
    )
    keep_answer_s: int = Field(
        DAY_S, ge=60, le=30 * DAY_S, description="How long a held answer can be fetched."
    )
    execution_expiry_s: int = Field(
        HOUR_S, ge=60, le=7 * DAY_S, description="An approval not sent by then is void."
    )
    retry_join_s: int = Field(
        600,
        ge=0,
        le=DAY_S,
        description="A client's retry of the same request within this time joins the same hold.",
    )

    @model_validator(mode="after")
    def _waits_fit(self) -> Self:
        if self.hop_wait_s > self.wait_total_s:
            raise ValueError("hop_wait_s must not be above wait_total_s")
        if self.answer_bytes_max > self.hold_bytes_total_max:
            raise ValueError("answer_bytes_max must not be above hold_bytes_total_max")
        return self


class HaltSettings(Section):
    """The kill switch."""

    silence_s: float = Field(
        1.0,
        ge=0.5,
        le=10,
        description="A worker that has not heard Valkey for so long lets nothing through: a switch "
        "may have been set that it does not know.",
    )


class BackendSettings(Section):
    """One LLM endpoint we forward to."""

    id: Name = Field(description="Its name in policy, events and pages.")
    profile: Name = Field(
        "openai", description="How it wants to be spoken to: a file in gateway/sekisho/backends/."
    )
    base_url: HttpUrl = Field(description="Where it is, with the path before /chat/completions.")
    api_key_env: EnvironmentName | None = Field(
        None,
        description="The environment variable with its key, so that no secret stands in this file; "
        "absent: it wants none.",
    )
    models: tuple[ModelPattern, ...] = Field(
        min_length=1,
        max_length=1000,
        description='Model names offered to clients; `*` at the end stands for any rest, "*" for '
        "any name. For these `GET /v1/models` shows what the backend lists itself.",
    )
    trust: Literal["external", "region", "onprem"] = Field(
        "external", description="What policy may send there; the least trusted by default."
    )
    timeout_connect_s: float = Field(
        5, gt=0, le=60, description="A backend that does not take a connection by then is down."
    )
    timeout_read_s: float = Field(
        120,
        gt=0,
        le=3600,
        description="Silence between two reads; reasoning models think for a minute or more.",
    )
    keepalive_s: float = Field(
        15, ge=0, le=300, description="Idle connections are dropped before the backend does."
    )
    concurrency: int = Field(
        64, ge=1, le=10000, description="Connections a worker opens to it at once."
    )

    @model_validator(mode="after")
    def _no_clear_text_outside(self) -> Self:
        parts = urlsplit(self.base_url)
        near = self.trust == "onprem" or is_loopback(parts.hostname or "")
        if parts.scheme == "http" and not near:
            raise ValueError(
                'base_url must begin with https:// unless trust is "onprem" or it is this machine: '
                "prompts and the backend's key would cross the network in clear"
            )
        return self


class LogSettings(Section):
    """Logs for operators. They are never evidence and never hold content."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug adds one line a stage; it holds no content either."
    )
    format: Literal["json", "console"] = Field(
        "json", description="One JSON object a line for collectors, or lines for a terminal."
    )


class Settings(Section):
    """Everything that can be set. Paths are absolute here: `load` resolves them."""

    data_dir: Path = Field(
        Path("data"),
        description="Ledger, registry and Valkey files. Created with mode 0700.",
    )
    server: ServerSettings = Field(default_factory=ServerSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    anchors: tuple[AnchorSettings, ...] = Field(
        (), max_length=16, description="Who vouches for the ledger elsewhere; see [[anchors]]."
    )
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    issuers: tuple[IssuerSettings, ...] = Field(
        (), max_length=20, description="OpenID Connect issuers; none: keys only."
    )
    scim: ScimSettings = Field(default_factory=ScimSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    redis: RedisSettings | None = None
    database: DatabaseSettings | None = None
    policy: PolicySettings = Field(default_factory=PolicySettings)
    holds: HoldSettings = Field(default_factory=HoldSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    halt: HaltSettings = Field(default_factory=HaltSettings)
    grants: GrantSettings = Field(default_factory=GrantSettings)
    break_glass: BreakGlassSettings = Field(default_factory=BreakGlassSettings)
    reviews: ReviewSettings = Field(default_factory=ReviewSettings)
    samples: SampleSettings = Field(default_factory=SampleSettings)
    backends: tuple[BackendSettings, ...] = Field(
        min_length=1, max_length=100, description="At least one [[backends]] table."
    )
    log: LogSettings = Field(default_factory=LogSettings)

    @property
    def public_url(self) -> str:
        """How people reach this gateway."""
        if self.server.public_url:
            return self.server.public_url
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        scheme = "http" if self.server.tls_certificate is None else "https"
        return f"{scheme}://{host}:{self.server.port}"

    @property
    def ledger_dir(self) -> Path:
        """Where the ledger is: scripts and auditors rely on this place."""
        return self.data_dir / "ledger"

    @property
    def policies_dir(self) -> Path:
        """Bundles that were put in, by the digest of their files."""
        return self.data_dir / "policies"

    @property
    def run_dir(self) -> Path:
        """Sockets of the running installation."""
        return self.data_dir / "run"

    @property
    def auditd_socket(self) -> Path:
        """Where workers append to the ledger."""
        return self.run_dir / "auditd.sock"

    @property
    def valkey_socket(self) -> Path:
        """Where the embedded Valkey listens."""
        return self.run_dir / "valkey.sock"

    @property
    def redis_url(self) -> str:
        """Where holds live: the configured server, else the embedded Valkey."""
        if self.redis is not None:
            return self.redis.url.get_secret_value()
        return f"unix://{self.valkey_socket}"

    @property
    def registry_path(self) -> Path:
        """The SQLite file of the registry."""
        if self.database is not None:
            return Path(self.database.url.get_secret_value().removeprefix("sqlite:///"))
        return self.data_dir / "registry.sqlite"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        faults = []
        ids = [backend.id for backend in self.backends]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        faults += [f"two [[backends]] have the id {name!r}" for name in twice]
        if self.server.tls_certificate and not self.public_url.startswith("https://"):
            faults.append("server.public_url must begin with https:// with tls_certificate")
        anchors = [anchor.name for anchor in self.anchors]
        twice = sorted({name for name in anchors if anchors.count(name) > 1})
        faults += [f"two [[anchors]] have the name {name!r}" for name in twice]
        names = [issuer.id for issuer in self.issuers]
        twice = sorted({name for name in names if names.count(name) > 1})
        faults += [f"two [[issuers]] have the id {name!r}" for name in twice]
        urls = [issuer.url for issuer in self.issuers]
        twice = sorted({url for url in urls if urls.count(url) > 1})
        faults += [f"two [[issuers]] have the url {url}" for url in twice]
        data, keys = self.data_dir.resolve(), self.audit.keys_dir.resolve()
        if keys.is_relative_to(data) or data.is_relative_to(keys):
            faults.append(
                "audit.keys_dir and data_dir must not lie inside one another: a backup of the data "
                "would hold the keys. Put keys_dir beside data_dir"
            )
        if len(str(self.auditd_socket).encode()) > _SOCKET_PATH_BYTES_MAX:
            faults.append(
                f"data_dir is too long for the sockets inside it ({_SOCKET_PATH_BYTES_MAX} bytes "
                "with their names): choose a shorter path"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self
