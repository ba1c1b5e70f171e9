"""What an OPA server is given: the same rules and data, named by the same digest."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from opa_bindings import OpaEngine

from sekisho.adapters.bundle import build, read_bundle
from sekisho.adapters.opa_bundle import manifest, packed
from support.rules import SHIPPED, bundle, document


def files(content: bytes) -> dict[str, bytes]:
    """The members of a bundle."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar.getmembers()}  # type: ignore[union-attr]


def test_it_has_what_runs_and_nothing_else() -> None:
    """Modules as they were reviewed, data as they are read; no tests, no schema, no notes."""
    made = read_bundle(SHIPPED)
    found = files(packed(made))

    assert {".manifest", "data.json"} | {m.path for m in made.modules} == set(found)
    assert all(found[m.path].decode() == m.source for m in made.modules)
    assert made.data == json.loads(found["data.json"])
    assert made.revision == json.loads(found[".manifest"])["revision"]


def test_it_decides_the_same() -> None:
    """An engine made of its members gives the same answer as one made of the directory."""
    made = read_bundle(SHIPPED)
    found = files(packed(made))
    with OpaEngine() as engine, build(made) as direct:
        for name, content in found.items():
            if name.endswith(".rego"):
                engine.add_policy(name, content.decode())
        engine.add_data(json.loads(found["data.json"]))
        for asked in (document(), document(content__labels=["review"]), document(stage="x")):
            assert direct.eval_document("sekisho.decision", asked) == engine.eval_document(
                "sekisho.decision", asked
            )


def test_the_same_rules_give_the_same_bytes(tmp_path: Path) -> None:
    """Whoever packs them, whenever: a digest of the file can be compared."""
    assert packed(read_bundle(SHIPPED)) == packed(read_bundle(bundle(tmp_path)))


def test_nobody_can_put_rules_beside_them(tmp_path: Path) -> None:
    """Every root that a rule or data may use is claimed, used or not; `system` is the operator's.

    OPA refuses a module or a document outside the roots, and another's inside them.
    """
    roots = manifest(read_bundle(SHIPPED))["roots"]
    assert {"packs", "sekisho", "lib", "groups", "principals", "limits", "custom"} <= set(roots)
    assert not any(root.split("/")[0] in {"", "system"} for root in roots)
    assert set(read_bundle(SHIPPED).data) <= set(roots)


def test_a_long_path_is_kept(tmp_path: Path) -> None:
    """Longer than the oldest form of tar can name."""
    name = "__".join(["lib", *["area" * 12] * 5])
    grown = bundle(tmp_path, **{name: "package lib.long\n\nx := 1\n"})
    assert any(len(path) > 240 for path in files(packed(read_bundle(grown))))
