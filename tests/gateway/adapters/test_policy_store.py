from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.policy_store import PolicyStore, PolicyStoreUnusable, write_files
from sekisho.errors import PolicyRejected
from support.rules import SHIPPED, bundle


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    return PolicyStore(tmp_path / "policies")


def test_what_was_put_in_comes_back_exactly(store: PolicyStore) -> None:
    """Rules, data and tests, byte for byte, under the revision they had."""
    bundle = read_bundle(SHIPPED)
    store.put(bundle)
    kept = store.read(bundle.revision, bundle.contents)
    assert kept.files == bundle.files
    assert kept.revision == bundle.revision
    assert any(name.endswith("_test.rego") for name in kept.files)


def test_putting_in_twice_is_once(store: PolicyStore) -> None:
    """The same bytes are kept once, without leftovers."""
    bundle = read_bundle(SHIPPED)
    assert store.put(bundle) == store.put(bundle)
    assert [path.name for path in store.place(bundle.contents).parent.iterdir()] == [
        bundle.contents.removeprefix("sha256:")
    ]


@pytest.mark.parametrize("kind", ["data.yaml", "sekisho/main.rego", "_test.rego"])
def test_one_changed_byte_is_refused_and_mended_by_the_same_files(
    store: PolicyStore, kind: str
) -> None:
    """Also in a test file, which the revision says nothing of: greenness would be forged by it."""
    bundle = read_bundle(SHIPPED)
    name = next(name for name in bundle.files if name.endswith(kind))
    store.put(bundle)
    file = store.place(bundle.contents) / name
    file.chmod(0o600)
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(PolicyStoreUnusable, match="edited"):
        store.read(bundle.revision, bundle.contents)
    store.put(bundle)
    assert store.read(bundle.revision, bundle.contents).files == bundle.files


def test_an_added_or_missing_file_is_refused(store: PolicyStore) -> None:
    """A rule that somebody slips in, or takes away."""
    bundle = read_bundle(SHIPPED)
    store.put(bundle)
    place = store.place(bundle.contents)
    (place / "lib").mkdir(exist_ok=True)
    (place / "lib" / "more.rego").write_text("package lib.more\n\nx := 1\n")
    with pytest.raises(PolicyStoreUnusable):
        store.read(bundle.revision, bundle.contents)
    (place / "lib" / "more.rego").unlink()
    assert store.read(bundle.revision, bundle.contents)
    (place / "sekisho" / "main.rego").unlink()
    with pytest.raises(PolicyStoreUnusable):
        store.read(bundle.revision, bundle.contents)


def test_other_contents_under_a_revision_are_refused(store: PolicyStore, tmp_path: Path) -> None:
    """A whole other bundle, well kept, is not the one that was asked for."""
    bundle = read_bundle(SHIPPED)
    store.put(bundle)
    with pytest.raises(PolicyStoreUnusable):
        store.read("sha256:" + "0" * 64, bundle.contents)


@pytest.mark.parametrize("contents", ["sha256:../../etc", "md5:00", "", "sha256:"])
def test_what_is_no_digest_leads_nowhere(store: PolicyStore, contents: str) -> None:
    """A row of the registry that somebody edited names no other directory."""
    with pytest.raises(PolicyStoreUnusable):
        store.place(contents)


@pytest.mark.parametrize(
    "name",
    ["../x.rego", "/etc/x.rego", "a//b.rego", "./a.rego", ".hid/a.rego", "a\\b.rego", "", "a\nb"],
)
def test_sent_names_stay_inside(tmp_path: Path, name: str) -> None:
    """What is sent names files below its own folder and nothing else."""
    with pytest.raises(PolicyRejected):
        write_files(tmp_path / "new", {name: b"package lib.a\n"})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("folder", ["packs", "packs/q.rego"])
def test_no_file_is_the_folder_of_another(tmp_path: Path, folder: str) -> None:
    """Which no disk can hold."""
    files = {folder: b"package lib.a\n", "packs/q.rego/a.rego": b"package lib.b\n"}
    with pytest.raises(PolicyRejected, match="also the folder of another"):
        write_files(tmp_path / "new", files)
    assert not (tmp_path / "new").exists()


def test_what_a_worker_began_with_is_kept(store: PolicyStore, tmp_path: Path) -> None:
    """It comes back whole though the directory is edited meanwhile; the next one replaces it."""
    assert store.first() is None
    made = bundle(tmp_path / "made")
    began = read_bundle(made)
    store.note_first(began)
    (made / "data.yaml").write_text((made / "data.yaml").read_text() + "# edited\n")
    found = store.first()
    assert found is not None
    assert (found.revision, found.files) == (began.revision, began.files)
    store.note_first(read_bundle(made))
    again = store.first()
    assert again is not None
    assert again.revision == read_bundle(made).revision != began.revision


@pytest.mark.parametrize(
    "note",
    ["", "sha256:00", "x y z", "sha256:00 ../../etc", f"sha256:{'0' * 64} sha256:{'0' * 64}"],
)
def test_a_note_that_was_edited_is_refused(store: PolicyStore, note: str, tmp_path: Path) -> None:
    """It names what is kept, whole, or nothing."""
    kept = read_bundle(bundle(tmp_path / "made"))
    store.note_first(kept)
    file = store.place(kept.contents).parent / "first"
    file.write_text(note)
    with pytest.raises(PolicyStoreUnusable):
        store.first()
    file.write_text(f"sha256:{'0' * 64} {kept.contents}")
    with pytest.raises(PolicyStoreUnusable, match="edited"):
        store.first()


def test_a_store_that_takes_no_note_says_so(store: PolicyStore, tmp_path: Path) -> None:
    """A directory in the way leaves nothing half written."""
    kept = read_bundle(bundle(tmp_path / "made"))
    store.put(kept)
    root = store.place(kept.contents).parent
    (root / "first").mkdir()
    with pytest.raises(PolicyStoreUnusable, match="cannot be noted"):
        store.note_first(kept)
    with pytest.raises(PolicyStoreUnusable, match="cannot be read"):
        store.first()
    assert not list(root.glob(".new-*"))
