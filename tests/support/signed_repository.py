"""A git repository with real SSH signatures, made by the programs that people use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.revisions import GREEN
from support.rules import SHIPPED

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "author",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "author",
    "GIT_COMMITTER_EMAIL": "author@example.com",
}


def run(*command: str, given: bytes = b"") -> str:
    """What a program prints; the test fails if it does."""
    done = subprocess.run(
        command, input=given, capture_output=True, env=_ENVIRONMENT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


class Repository:
    """Rules below `policies`, and the keys of those who may sign."""

    def __init__(self, folder: Path, format_: str = "sha1") -> None:
        self.place, self._folder = folder / "repo", folder
        self.signers = folder / "allowed_signers"
        self.signers.touch()
        run("git", "init", "-q", f"--object-format={format_}", str(self.place))

    def git(self, *words: str, given: bytes = b"") -> str:
        """What git says in this repository."""
        return run("git", "-C", str(self.place), *words, given=given)

    def key(self, name: str, *listed: str) -> Path:
        """A new key, listed as one that may sign under these names."""
        path = self._folder / f"{name}-key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
        public = path.with_suffix(".pub").read_text()
        with self.signers.open("a") as file:
            file.writelines(f"{one} {public}" for one in listed)
        return path

    def commit(self, key: Path | None = None, *, link: bool = False, **more: str) -> str:
        """Commit the shipped rules without their tests, one of our own, and `more`."""
        sources = [place for place in SHIPPED.rglob("*") if place.suffix in {".rego", ".yaml"}]
        files = {
            f"policies/{place.relative_to(SHIPPED)}": place.read_text("utf-8")
            for place in sources
            if not place.name.endswith("_test.rego")
        }
        files |= {"policies/green_test.rego": GREEN, "README.md": "Rules.\n"}
        files |= {name.replace("__", "/"): text for name, text in more.items()}
        for name, text in files.items():
            place = self.place / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
        if link:
            (self.place / "policies/link.rego").symlink_to("/etc/hostname")
        self.git("add", "-A")
        config = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={key}"]
        signing = ["-S"] if key else ["--no-gpg-sign"]
        self.git(*config, "commit", "-q", "--allow-empty", "-m", "Rules", *signing)
        return self.git("rev-parse", "HEAD")
