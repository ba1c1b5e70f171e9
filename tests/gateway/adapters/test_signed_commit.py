"""The rules of a commit count as its signer's, whatever stands around it in the repository."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from sekisho.adapters.signed_commit import CommitNotTrusted, SignedFiles, read_commit
from support.signed_repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def read(repository: Repository, revision: str = "HEAD", folder: str = "policies") -> SignedFiles:
    """The rules of a commit."""
    return read_commit(repository.place, revision, folder, repository.signers)


@pytest.mark.parametrize("format_", ["sha1", "sha256"])
def test_files_and_signer(tmp_path: Path, format_: str) -> None:
    """The files of that commit, also when the branch and the work tree say something else."""
    repository = Repository(tmp_path, format_)
    key = repository.key("one", "author-1")
    commit = repository.commit(key, policies__lib__a="# not a rule\n")
    (repository.place / "policies/data.yaml").write_text("changed\n")
    repository.commit(None, policies__packs__x="later\n")

    found = read(repository, commit[:12])

    assert (commit, "author-1") == (found.commit, found.signer)
    assert "groups:" in found.files["data.yaml"].decode()
    assert "sekisho/main.rego" in found.files
    assert not [name for name in found.files if name.endswith((".md", "lib/a"))]
    assert {f"policies/{name}" for name in found.files} == read(
        repository, commit, "."
    ).files.keys()


def test_a_signed_merge(repository: Repository) -> None:
    """The signature of the merge counts, not those of what was merged."""
    key = repository.key("one", "author-1")
    repository.commit()
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(None, policies__lib__b="x\n")
    repository.git("checkout", "-q", "-")
    sign = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
    repository.git(*sign, "merge", "-q", "--no-ff", "-S", "-m", "Merge", "side")

    assert "author-1" == read(repository).signer
    with pytest.raises(CommitNotTrusted, match="not signed"):
        read(repository, "side")


def test_who_is_not_believed(repository: Repository) -> None:
    """No signature, a stranger's, one listed twice, one that was shut out by time."""
    repository.commit()
    with pytest.raises(CommitNotTrusted, match="not signed"):
        read(repository)
    stranger = repository.commit(repository.key("stranger"))
    with pytest.raises(CommitNotTrusted, match="nobody in"):
        read(repository, stranger)
    twice = repository.commit(repository.key("two", "author-1", "author-2"))
    with pytest.raises(CommitNotTrusted, match="several names"):
        read(repository, twice)
    over = repository.commit(repository.key("old", 'author-3 valid-before="20200101"'))
    with pytest.raises(CommitNotTrusted, match=r"nobody|not good"):
        read(repository, over)
    other = repository.commit(repository.key("mail", 'author-4 namespaces="file"'))
    with pytest.raises(CommitNotTrusted, match=r"nobody|not good"):
        read(repository, other)


def _forged(repository: Repository, changed: bytes) -> str:
    """A commit with other content, under its own true name."""
    return repository.git("hash-object", "-t", "commit", "-w", "--stdin", given=changed)


def _raw(repository: Repository, commit: str) -> bytes:
    return (repository.git("cat-file", "commit", commit) + "\n").encode()


def test_another_tree_under_a_good_signature(repository: Repository) -> None:
    """The signature of one commit, put on another."""
    commit = repository.commit(repository.key("one", "author-1"))
    other = repository.commit(None, policies__lib__b="x\n")
    trees = [repository.git("rev-parse", f"{one}^{{tree}}").encode() for one in (commit, other)]
    forged = _forged(repository, _raw(repository, commit).replace(*trees))

    with pytest.raises(CommitNotTrusted, match="not good"):
        read(repository, forged)


@pytest.mark.parametrize("kind", ["blob", "tree", "commit"])
def test_objects_that_are_not_what_their_name_says(repository: Repository, kind: str) -> None:
    """Git reads an object by its name and does not look; only the name was signed."""
    commit = repository.commit(repository.key("one", "author-1"))
    name = {
        "blob": f"{commit}:policies/data.yaml",
        "tree": f"{commit}:policies",
        "commit": commit,
    }[kind]
    id_ = repository.git("rev-parse", name)
    said = _raw(repository, commit) + b"more\n"
    body = {"blob": b"groups: {}\n", "tree": b"", "commit": said}[kind]
    place = repository.place / ".git/objects" / id_[:2] / id_[2:]
    place.chmod(0o600)
    place.write_bytes(zlib.compress(f"{kind} {len(body)}\0".encode() + body))

    with pytest.raises(CommitNotTrusted, match=r"not what its name says|cannot be"):
        read(repository, commit)


def test_the_repository_has_no_say(repository: Repository, tmp_path: Path) -> None:
    """Its own signers, programs, replacements and environment are not asked."""
    stranger = repository.key("stranger")
    good = repository.commit(repository.key("one", "author-1"))
    bad = repository.commit(stranger, policies__lib__c="bad\n")
    own = tmp_path / "own"
    own.write_text(f"author-1 {stranger.with_suffix('.pub').read_text()}")
    repository.git("config", "gpg.ssh.allowedSignersFile", str(own))
    repository.git("config", "gpg.ssh.program", "true")
    with pytest.raises(CommitNotTrusted, match="nobody in"):
        read(repository, bad)
    repository.git("replace", good, bad)

    assert "author-1" == read(repository, good).signer
    assert "lib/c" not in read(repository, good).files


def test_gpg_is_not_taken(repository: Repository) -> None:
    """Whose key would count is not in the settings."""
    commit = repository.commit()
    signed = _raw(repository, commit).replace(
        b"\n\n", b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n\n", 1
    )
    with pytest.raises(CommitNotTrusted, match="GPG"):
        read(repository, _forged(repository, signed))


def test_two_signatures(repository: Repository) -> None:
    """Which one counts would be a matter of the reader."""
    commit = repository.commit(repository.key("one", "author-1"))
    head, gap, message = _raw(repository, commit).partition(b"\n\n")
    twice = head + b"\ngpgsig-sha256 " + head.partition(b"\ngpgsig ")[2] + gap + message
    with pytest.raises(CommitNotTrusted, match="signed twice"):
        read(repository, _forged(repository, twice))


def test_links(repository: Repository) -> None:
    """A link leads wherever the reader's machine has something."""
    repository.commit(repository.key("one", "author-1"), link=True)
    with pytest.raises(CommitNotTrusted, match=r"link\.rego' is a link"):
        read(repository)


@pytest.mark.parametrize("revision", ["nothing", "--all", "HEAD:README.md", "HEAD^{tree}", ""])
def test_what_is_no_commit(repository: Repository, revision: str) -> None:
    """An option, a file, nothing."""
    repository.commit(repository.key("one", "author-1"))
    with pytest.raises(CommitNotTrusted, match="cannot be found"):
        read(repository, revision)


def test_what_is_not_there(repository: Repository, tmp_path: Path) -> None:
    """A folder, rules, a repository, the file of signers."""
    repository.commit(repository.key("one", "author-1"), notes__a="x\n")
    for folder in ("absent", "README.md", "..", "/policies"):
        with pytest.raises(CommitNotTrusted, match="no folder"):
            read(repository, folder=folder)
    with pytest.raises(CommitNotTrusted, match="no rules"):
        read(repository, folder="notes")
    with pytest.raises(CommitNotTrusted, match="cannot be found"):
        read_commit(tmp_path / "absent", "HEAD", ".", repository.signers)
    with pytest.raises(CommitNotTrusted, match="is no file"):
        read_commit(repository.place, "HEAD", ".", tmp_path / "absent")
