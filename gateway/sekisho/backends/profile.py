"""A backend profile: how one kind of backend wants to be spoken to, as data beside this module.

Profiles are TOML files named by the `profile` setting of a backend. Adding a backend that differs
only in such facts needs no code.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from sekisho.errors import SekishoError


class UnknownProfile(SekishoError):
    """The configuration names a profile that does not exist or does not read."""

    code = "unknown_profile"


@dataclass(frozen=True, slots=True)
class Profile:
    """`paths` maps our endpoint names to path suffixes of the base URL; `auth` says how the
    backend's own credential is sent: bearer, raw (no scheme), or api-key (Azure's header).
    """

    name: str
    auth: str
    paths: dict[str, str]


_AUTH = frozenset({"bearer", "raw", "api-key"})


def load(name: str) -> Profile:
    """Read the profile called `name`. Raises UnknownProfile and lists what there is."""
    folder = files("sekisho.backends")
    known = sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )
    if name not in known:
        message = f"There is no backend profile {name!r}. Known profiles: {', '.join(known)}."
        raise UnknownProfile(message)
    data = tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
    if data.get("auth") not in _AUTH:
        message = f"Profile {name}: auth must be one of {', '.join(sorted(_AUTH))}."
        raise UnknownProfile(message)
    return Profile(name=name, auth=data["auth"], paths=dict(data["paths"]))
