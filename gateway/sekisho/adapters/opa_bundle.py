"""The rules as an OPA server takes them: a bundle (`.tar.gz`) that names its revision.

Format: openpolicyagent.org/docs/management-bundles. The same rules give the same bytes, whoever
packs them. Data go in as JSON, as this product reads data.yaml, so that no second reader of YAML
has a say; tests stay out. The manifest claims every root that rules or data may use, so that OPA
lets nobody put anything beside them, and leaves `system` to the operator of the server.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any

import orjson

from sekisho.adapters.bundle import Bundle
from sekisho.adapters.policy_data import PolicyData

MANIFEST = ".manifest"
DATA = "data.json"
_RULES = ("lib", "packs", "sekisho")


def packed(bundle: Bundle) -> bytes:
    """The bundle as one file."""
    files = {
        MANIFEST: _json(manifest(bundle)),
        DATA: _json(bundle.data),
        **{module.path: module.source.encode() for module in bundle.modules},
    }
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(held.getvalue(), mtime=0)


def manifest(bundle: Bundle) -> dict[str, Any]:
    """What the bundle says of itself; OPA repeats the revision in its provenance."""
    roots = {*_RULES, *PolicyData.model_fields, *bundle.data}
    return {"revision": bundle.revision, "roots": sorted(roots), "rego_version": 1}


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
