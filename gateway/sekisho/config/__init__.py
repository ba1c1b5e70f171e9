"""Settings: every knob with type, unit in its name, bound, default and why.

`sections.py` and its neighbours say what can be set, `load.py` reads a TOML file and the
environment and reports all faults at once. Nothing else in the product reads a configuration file
or a `SEKISHO_…` variable.
"""

from sekisho.config.identity import (
    IdentitySettings,
    IssuerSettings,
    LimitSettings,
    ScimSettings,
)
from sekisho.config.load import ConfigError, load, parse
from sekisho.config.notify import ChannelSettings, NotifySettings
from sekisho.config.policy import PolicySettings
from sekisho.config.reviews import ReviewSettings
from sekisho.config.sections import (
    AuditSettings,
    BackendSettings,
    DatabaseSettings,
    HoldSettings,
    LogSettings,
    RedisSettings,
    ServerSettings,
    Settings,
)

__all__ = [
    "AuditSettings",
    "BackendSettings",
    "ChannelSettings",
    "ConfigError",
    "DatabaseSettings",
    "HoldSettings",
    "IdentitySettings",
    "IssuerSettings",
    "LimitSettings",
    "LogSettings",
    "NotifySettings",
    "PolicySettings",
    "RedisSettings",
    "ReviewSettings",
    "ScimSettings",
    "ServerSettings",
    "Settings",
    "load",
    "parse",
]
