"""Who may use payload keys: the file `officers` in the directory of keys.

Whoever holds that directory can open every payload anyway, so it is they who say who else may ask
auditd to. The file is JSON: for each officer the SHA-256 of a secret and a list of duties, and the
duties that need two officers at once. A secret is random and has 256 bits, so a fast hash without
salt is enough; its last six characters are a checksum, so that a slip is told from a guess.

    sk-sekisho-officer-<43 of A-Za-z0-9>-<6 hex digits>

auditd records what it finds there before anybody can use it (`officer_desk.py`), so writing the
file by hand is no way around the ledger.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sekisho_audit.durable import KEY_MODE, replace_file

FILE = "officers"
FORMAT = "sekisho-officers/v1"
DUTIES = ("search", "disclose", "export", "erase", "legal_hold", "retention")
# What a new file asks two officers for: what these do cannot be undone, or hides that it was not.
TWO_AT_FIRST = ("erase", "legal_hold")
FILE_BYTES_MAX = 1_048_576  # it is read again whenever it changes
OFFICERS_MAX = 256
_PREFIX = "sk-sekisho-officer-"
_LETTERS = string.ascii_letters + string.digits
_SECRET_CHARS = 43  # 43 * log2(62) = 256 bits
_CHECK_CHARS = 6
_FORM = re.compile(rf"{_PREFIX}([A-Za-z0-9]{{{_SECRET_CHARS}}})-([0-9a-f]{{{_CHECK_CHARS}}})")
# As the gateway names principals: lower case only, so that two spellings are not two people.
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
_CREDENTIAL_CHARS = 16


class BadOfficers(ValueError):
    """The file, or what is to be written to it, is not what it must be; says what to do."""


@dataclass(frozen=True, slots=True)
class Officer:
    """One officer: the hash of the secret (hex) and what they may do."""

    secret: str
    duties: tuple[str, ...]

    @property
    def credential(self) -> str:
        """A public name of the credential: another secret has another one."""
        named = sha256(b"sekisho-officer-credential-v1|" + self.secret.encode()).hexdigest()
        return named[:_CREDENTIAL_CHARS]

    def opens(self, presented: str) -> bool:
        """Whether this is the officer's secret."""
        return hmac.compare_digest(secret_hash(presented), self.secret)


@dataclass(frozen=True, slots=True)
class Roll:
    """All officers by name, and the duties that two of them must do together."""

    officers: Mapping[str, Officer] = field(default_factory=dict)
    two: tuple[str, ...] = ()


def mint() -> str:
    """A fresh secret."""
    body = "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_CHARS))
    return f"{_PREFIX}{body}-{_check_of(body)}"


def well_formed(presented: str) -> bool:
    """Whether a text can be a secret: its checksum fits, so nobody mistyped it."""
    match = _FORM.fullmatch(presented)
    return match is not None and _check_of(match[1]) == match[2]


def secret_hash(presented: str) -> str:
    """What the file keeps of a secret."""
    return sha256(presented.encode("utf-8", "replace")).hexdigest()


def _check_of(body: str) -> str:
    return sha256(body.encode()).hexdigest()[:_CHECK_CHARS]


# -- the file


def load(keys_dir: Path) -> Roll:
    """The officers of a directory of keys; nobody if there is no file. Raises BadOfficers."""
    path = keys_dir / FILE
    try:
        with path.open("rb") as file:
            loose = os.fstat(file.fileno()).st_mode & 0o777 & ~KEY_MODE
            raw = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return Roll()
    except OSError as error:
        raise BadOfficers(f"{path} cannot be read: {error.strerror}") from error
    if loose:
        raise BadOfficers(f"{path} is open to others; run: chmod {KEY_MODE:o} {path}")
    if len(raw) > FILE_BYTES_MAX:
        raise BadOfficers(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    try:
        return _roll(json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadOfficers(
            f"{path} is not a file of officers ({error}); restore it, or remove it and name them "
            "again with `sekisho-audit officers add`"
        ) from error


def _roll(said: Any) -> Roll:
    if said.keys() != {"format", "officers", "two"} or said["format"] != FORMAT:
        raise ValueError(f"it is not {FORMAT}")
    if len(said["officers"]) > OFFICERS_MAX:
        raise ValueError(f"more than {OFFICERS_MAX} officers")
    officers = {}
    for name, one in said["officers"].items():
        check_name(name)
        if one.keys() != {"secret", "duties"} or not _HASH.fullmatch(one["secret"]):
            raise ValueError(f"{name} has no hash of a secret")
        officers[name] = Officer(one["secret"], _duties(one["duties"]))
    return Roll(officers, _duties(said["two"]))


def _duties(said: Any) -> tuple[str, ...]:
    unknown = sorted(set(said) - set(DUTIES)) if isinstance(said, (list, tuple)) else [said]
    if unknown:
        raise ValueError(f"no such duty: {unknown}; there are {', '.join(DUTIES)}")
    return tuple(duty for duty in DUTIES if duty in said)


def check_name(name: str) -> None:
    """BadOfficers unless a principal can be called so."""
    if not _NAME.fullmatch(name):
        raise BadOfficers(
            f"{name[:128]!r} cannot be an officer: names are those of principals, in lower case"
        )


def save(keys_dir: Path, roll: Roll) -> None:
    """Write the file, durably."""
    said = {
        "format": FORMAT,
        "officers": {
            name: {"secret": one.secret, "duties": list(one.duties)}
            for name, one in sorted(roll.officers.items())
        },
        "two": list(roll.two),
    }
    replace_file(keys_dir / FILE, (json.dumps(said, indent=2) + "\n").encode())


@contextmanager
def _alone(keys_dir: Path) -> Iterator[None]:
    """One command at a time changes the file."""
    fd = os.open(keys_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _change(keys_dir: Path, change: Callable[[dict[str, Officer]], tuple[str, ...] | None]) -> None:
    with _alone(keys_dir):
        roll = load(keys_dir) if (keys_dir / FILE).exists() else Roll({}, TWO_AT_FIRST)
        officers = dict(roll.officers)
        two = change(officers)
        if len(officers) > OFFICERS_MAX:
            raise BadOfficers(f"at most {OFFICERS_MAX} officers")
        save(keys_dir, Roll(officers, roll.two if two is None else two))


def add(keys_dir: Path, name: str, duties: tuple[str, ...]) -> str:
    """Make somebody an officer with these duties, or give an officer a new secret and these;
    returns the secret, which is written nowhere. Raises BadOfficers.
    """
    check_name(name)
    try:
        known = _duties(duties)
    except ValueError as error:
        raise BadOfficers(str(error)) from error
    if not known:
        raise BadOfficers(f"name at least one duty: {', '.join(DUTIES)}")
    secret = mint()

    def change(officers: dict[str, Officer]) -> None:
        officers[name] = Officer(secret_hash(secret), known)

    _change(keys_dir, change)
    return secret


def remove(keys_dir: Path, name: str) -> None:
    """End somebody's office. Raises BadOfficers."""

    def change(officers: dict[str, Officer]) -> None:
        if officers.pop(name, None) is None:
            raise BadOfficers(f"{name[:128]!r} is no officer")

    _change(keys_dir, change)


def set_two(keys_dir: Path, duties: tuple[str, ...]) -> None:
    """Say which duties need two officers from now on. Raises BadOfficers."""
    try:
        known = _duties(duties)
    except ValueError as error:
        raise BadOfficers(str(error)) from error
    _change(keys_dir, lambda _officers: known)
