"""The style sheet and the script of all pages, each under a name with its digest.

A page of one build never meets the script of another, and browsers may keep both for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "static"
_KINDS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of ours as it is served."""

    name: str
    content_type: str
    content: bytes


def _read(file: str) -> Asset:
    content = (_FOLDER / file).read_bytes()
    stem, _, ending = file.partition(".")
    digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
    return Asset(f"{stem}-{digest}.{ending}", _KINDS[file], content)


BY_FILE: Mapping[str, Asset] = {file: _read(file) for file in _KINDS}
SERVED: Mapping[str, Asset] = {asset.name: asset for asset in BY_FILE.values()}
