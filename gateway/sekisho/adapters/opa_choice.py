"""Which OPA answers, as section [policy] says: never one in place of the other.

The client of an OPA server is an extra package, so its adapter is loaded only where it is asked
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.config import PolicySettings
from sekisho.errors import SekishoError

if TYPE_CHECKING:
    from sekisho.adapters.opa_server import ServerOPA

_CLIENT = "opa_client"


class EngineMissing(SekishoError):
    """The engine that the settings ask for cannot be built; the message says what it lacks."""

    code = "config_invalid"


def rules_engine(policy: PolicySettings, environ: Mapping[str, str]) -> EmbeddedOPA | ServerOPA:
    """The engine, not yet started. Raises EngineMissing."""
    if policy.engine == "server":
        return server_engine(policy, environ)
    return EmbeddedOPA(policy.bundle, engines=policy.engines, deadline_ms=policy.deadline_ms)


def server_engine(policy: PolicySettings, environ: Mapping[str, str]) -> ServerOPA:
    """The engine of `engine = "server"`, not yet started. Raises EngineMissing."""
    token = environ.get(policy.token_env, "") if policy.token_env else None
    if token == "":
        raise EngineMissing(f"[policy] token_env names {policy.token_env}, which is not set.")
    if find_spec(_CLIENT) is None:
        raise EngineMissing(
            '[policy] engine = "server" needs one package more: pip install "sekisho[opa-server]"'
        )
    made: ServerOPA = import_module("sekisho.adapters.opa_server").of_settings(policy, token)
    return made
