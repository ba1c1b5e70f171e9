"""From auditd's command line to anchors: each `--anchor` is a small JSON object.

    {"kind": "pin", "name": "nas", "path": "/mnt/nas/sekisho"}
    {"kind": "witness", "name": "w1", "url": "https://w.example/w1", "keys": ["w.example/w1+…"]}
    {"kind": "rfc3161", "name": "tsa", "url": "https://tsa.example/", "roots": "/etc/tsa.pem"}

Further members: `interval_s`, `timeout_s`, `ca_file`, and of a witness `monitor_url`. The settings
of the gateway (`[[anchors]]`) have the same names, bounds and defaults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho_audit.anchors.pin import Pin
from sekisho_audit.anchors.port import Anchor
from sekisho_audit.anchors.rfc3161 import TimeStamps
from sekisho_audit.anchors.transport import Site
from sekisho_audit.anchors.witness import Witness
from sekisho_audit.checkpoint import BadNote
from sekisho_audit.cosignature import WitnessKey
from sekisho_audit.time_stamp import read_roots

ANCHORS_MAX = 16
INTERVAL_S = 300.0
TIMEOUT_S = 10.0
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_INTERVALS_S = (0.05, 86_400.0)
_TIMEOUTS_S = (0.05, 60.0)
_COMMON = frozenset({"kind", "name", "interval_s"})
_ASKED = frozenset({"url", "timeout_s", "ca_file"})


class BadAnchor(ValueError):
    """An anchor that is not described as it must be; names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Planned:
    """An anchor and how often it is asked."""

    anchor: Anchor
    interval_s: float


def _pin(about: Mapping[str, Any], origin: str) -> Anchor:
    return Pin(about["name"], Path(about["path"]), origin)


def _witness(about: Mapping[str, Any], _origin: str) -> Anchor:
    keys = [WitnessKey.parse(line) for line in about["keys"]]
    if not keys:
        raise BadAnchor("a witness needs its keys")
    site = _site(about, about["url"])
    monitor = _site(about, about["monitor_url"]) if "monitor_url" in about else site
    return Witness(about["name"], site, keys, monitor)


def _rfc3161(about: Mapping[str, Any], _origin: str) -> Anchor:
    return TimeStamps(about["name"], _site(about, about["url"]), read_roots(Path(about["roots"])))


def _site(about: Mapping[str, Any], url: str) -> Site:
    ca_file = about.get("ca_file")
    timeout_s = _number(about, "timeout_s", TIMEOUT_S, _TIMEOUTS_S)
    return Site(url, timeout_s, Path(ca_file) if ca_file else None)


def _number(
    about: Mapping[str, Any], name: str, default: float, bounds: tuple[float, float]
) -> float:
    found = about.get(name, default)
    if type(found) not in {int, float} or not bounds[0] <= found <= bounds[1]:
        raise BadAnchor(f"{name} is a number from {bounds[0]:g} to {bounds[1]:g}")
    return float(found)


_KINDS: dict[str, tuple[Callable[[Mapping[str, Any], str], Anchor], frozenset[str]]] = {
    "pin": (_pin, _COMMON | {"path"}),
    "witness": (_witness, _COMMON | _ASKED | {"keys", "monitor_url"}),
    "rfc3161": (_rfc3161, _COMMON | _ASKED | {"roots"}),
}


def plan(texts: Sequence[str], origin: str) -> list[Planned]:
    """The anchors of a command line. Raises BadAnchor."""
    if len(texts) > ANCHORS_MAX:
        raise BadAnchor(f"at most {ANCHORS_MAX} anchors")
    planned = [_planned(text, origin) for text in texts]
    names = [one.anchor.name for one in planned]
    if len(set(names)) != len(names):
        raise BadAnchor("two anchors have one name")
    return planned


def _planned(text: str, origin: str) -> Planned:
    try:
        about = json.loads(text)
        if not isinstance(about, dict):
            raise BadAnchor("not a JSON object")
        name = about.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadAnchor("a name is up to 32 small letters, digits and dashes")
        build, members = _KINDS[about["kind"]]
        if about.keys() - members:
            raise BadAnchor(f"unknown members: {sorted(about.keys() - members)}")
        interval_s = _number(about, "interval_s", INTERVAL_S, _INTERVALS_S)
        return Planned(build(about, origin), interval_s)
    except KeyError as error:
        raise BadAnchor(f"{text[:80]}: {error} is missing, or no kind of anchor") from error
    except (ValueError, TypeError, OSError, BadNote) as error:
        raise BadAnchor(f"{text[:80]}: {error}") from error
