"""Rules of a signed commit in git, and who signed it.

Read are the objects of the commit, never a work tree, a branch or an index. Signed is only the id
of a tree, so every object is hashed again before it is believed: git does not look when it reads.
The signature is verified by OpenSSH itself, against the file of signers in the settings, at the
present time; no configuration of the user or of the repository has a say in it. A key that is
listed for several names, or for a pattern of names, tells nobody who signed and is refused, and so
is a signature by GPG: whose keys count would be the matter of whoever runs the command.

Formats: git's "Git Objects" in the book of Git, ssh-keygen(1) ALLOWED SIGNERS.
"""

from __future__ import annotations

import hashlib
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from sekisho.errors import SekishoError

FILES_MAX = 4_000  # twice what a bundle may have: notes and schemas may lie beside the rules
BYTES_MAX = 64 * 1024 * 1024
DEPTH_MAX = 16  # folders
COMMIT_BYTES_MAX = 256 * 1024
RUN_S_MAX = 60.0
_SIGNATURES = (b"gpgsig ", b"gpgsig-sha256 ")
_SSH = b"-----BEGIN SSH SIGNATURE-----"
_FOLDER, _FILES = "40000", frozenset({"100644", "100755"})
_HASHES = {40: hashlib.sha1, 64: hashlib.sha256}
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}


class CommitNotTrusted(SekishoError):
    """A commit cannot be read, or is not signed by somebody who is known."""

    code = "commit_not_trusted"


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """The files of a folder of a commit, and the name that its signer is listed under."""

    commit: str
    signer: str
    files: Mapping[str, bytes]


def read_commit(repository: Path, revision: str, folder: str, signers: Path) -> SignedFiles:
    """The rules in `folder` of a commit. Raises CommitNotTrusted."""
    if not signers.is_file():
        raise CommitNotTrusted(f"[policy] allowed_signers: {signers} is no file.")
    words = ["rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"]
    commit = _run(_git(repository, *words), "The commit cannot be found").decode().strip()
    objects = _Objects(repository)
    said = objects.read(commit, "commit")
    signer = _signer(said, signers)
    tree = said.split(b"\n", 1)[0].removeprefix(b"tree ").decode("ascii", "replace")
    wanted = [part for part in PurePosixPath(folder).parts if part != "."]
    for part in wanted:
        below = {name: id_ for name, mode, id_ in _entries(objects, tree) if mode == _FOLDER}
        if part not in below:
            raise CommitNotTrusted(f"The commit has no folder {ascii(folder)[:200]}.")
        tree = below[part]
    files = dict(_files(objects, tree, "", DEPTH_MAX))
    if not files:
        raise CommitNotTrusted("The commit has no rules there: no .rego and no data.yaml.")
    return SignedFiles(commit, signer, files)


def _files(objects: _Objects, tree: str, above: str, depth: int) -> Iterator[tuple[str, bytes]]:
    """What a reader of a directory would take, and a fault for what it could not."""
    if not depth:
        raise CommitNotTrusted(f"{above} is more than {DEPTH_MAX} folders deep.")
    for name, mode, id_ in _entries(objects, tree):
        path = f"{above}{name}"
        if name.startswith("."):
            continue
        if mode == _FOLDER:
            yield from _files(objects, id_, f"{path}/", depth - 1)
        elif name.endswith((".rego", "data.yaml", "data.yml", "data.json")):
            if mode not in _FILES:
                raise CommitNotTrusted(f"{ascii(path)[:200]} is a link, not a file.")
            yield path, objects.read(id_, "blob")


def _entries(objects: _Objects, tree: str) -> Iterator[tuple[str, str, str]]:
    """Name, mode and object of each entry of a tree."""
    content, bytes_of_id = objects.read(tree, "tree"), len(tree) // 2
    while content:
        head, _, rest = content.partition(b"\0")
        mode, _, name = head.partition(b" ")
        try:
            yield name.decode(), mode.decode("ascii"), rest[:bytes_of_id].hex()
        except UnicodeDecodeError as error:
            raise CommitNotTrusted("A name in the commit is no UTF-8.") from error
        content = rest[bytes_of_id:]


class _Objects:
    """Reads objects of one repository, and believes none that is not what its name says."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._left = BYTES_MAX
        self._read = 0

    def read(self, id_: str, kind: str) -> bytes:
        """The content of an object. Raises CommitNotTrusted."""
        self._read += 1
        if self._read > FILES_MAX:
            raise CommitNotTrusted(f"The commit has more than {FILES_MAX} files there.")
        what = f"{kind} {id_} cannot be read"
        size = int(_run(_git(self._repository, "cat-file", "-s", id_), what))
        self._left -= size
        if self._left < 0 or (kind == "commit" and size > COMMIT_BYTES_MAX):
            raise CommitNotTrusted(f"The commit has more than {BYTES_MAX} bytes there.")
        content = _run(_git(self._repository, "cat-file", kind, id_), what)
        make = _HASHES.get(len(id_))
        head = f"{kind} {len(content)}\0".encode()
        if make is None or make(head + content).hexdigest() != id_:
            raise CommitNotTrusted(f"{kind} {id_} is not what its name says: damaged or forged.")
        return content


def _signer(commit: bytes, signers: Path) -> str:
    """The one name under which the key is listed that signed `commit`."""
    payload, signature = _parted(commit)
    if not signature:
        raise CommitNotTrusted("The commit is not signed.")
    if not signature.startswith(_SSH):
        raise CommitNotTrusted("The commit is signed with GPG; SSH signatures are taken here.")
    with TemporaryDirectory(prefix="sekisho-commit-") as folder:
        place = Path(folder) / "signature"
        place.write_bytes(signature)
        told = ["-f", str(signers.resolve()), "-s", str(place)]
        unknown = "The commit is signed by nobody in [policy] allowed_signers"
        found = _run(["ssh-keygen", "-Y", "find-principals", *told], unknown).decode().split()
        if len(found) != 1 or _listed(signature, signers) > 1:
            raise CommitNotTrusted(
                "The key that signed the commit is listed for several names in [policy] "
                "allowed_signers: list it for one person."
            )
        verify = ["ssh-keygen", "-Y", "verify", "-n", "git", "-I", found[0], *told]
        _run(verify, "The signature of the commit is not good", payload)
    return found[0]


def _listed(signature: bytes, signers: Path) -> int:
    """How many lines have the key of a signature: OpenSSH 9 tells the first only.

    Format: PROTOCOL.sshsig of OpenSSH. Behind ten bytes that are always the same stands the key,
    after its length.
    """
    try:
        body = b64decode(b"".join(signature.split(b"\n")[1:-2]), validate=True)
        lines = signers.read_text("utf-8").splitlines()
    except (ValueError, OSError) as error:
        raise CommitNotTrusted("The signature, or the file of signers, cannot be read.") from error
    key = b64encode(body[14 : 14 + int.from_bytes(body[10:14])]).decode()
    return sum(key in line.split() for line in lines)


def _parted(commit: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature: the member of the head that is named so."""
    head, gap, message = commit.partition(b"\n\n")
    signed: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        if line.startswith(_SIGNATURES):
            if signature:
                raise CommitNotTrusted("The commit is signed twice.")
            inside = True
            signature.append(line.partition(b" ")[2])
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            inside = False
            signed.append(line)
    return b"\n".join(signed) + gap + message, b"".join(line + b"\n" for line in signature)


def _git(repository: Path, *words: str) -> list[str]:
    return ["git", "-C", str(repository), "-c", "protocol.allow=never", *words]


def _run(command: list[str], failed: str, given: bytes = b"") -> bytes:
    """What a program prints. Raises CommitNotTrusted with its last words."""
    try:
        done = subprocess.run(  # noqa: S603 - a list of words, no shell
            command,
            input=given,
            capture_output=True,
            env=_ENVIRONMENT,
            timeout=RUN_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommitNotTrusted(f"{failed}: {command[0]} does not run ({error}).") from error
    if done.returncode:
        said = ascii((done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:])
        raise CommitNotTrusted(f"{failed}: {said}.")
    return done.stdout
