"""Where the rules of a command come from: a directory, a bundle file that somebody signed, or a
signed commit in git.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sekisho.adapters.opa_signed import BundleNotTrusted, Trust, read_signed, read_trust
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_store import write_files
from sekisho.adapters.signed_commit import CommitNotTrusted, read_commit
from sekisho.config import PolicySettings
from sekisho.model.principal import Principal
from sekisho.model.revisions import Revision


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The options that say by whose signature a bundle file is believed."""
    parser.add_argument(
        "--verification-key",
        type=Path,
        metavar="FILE",
        help="public key (PEM) by which a bundle file has to be signed",
    )
    parser.add_argument("--scope", help="the scope that the signature has to be for")


def trust_of(options: argparse.Namespace, settings: PolicySettings) -> Trust:
    """The key of the settings, else that of the options: what the house says, nobody replaces.

    Raises BundleNotTrusted if there is none, if there are two or if it can verify nothing.
    """
    told = (options.verification_key, options.scope)
    if settings.verification_key is not None:
        if told != (None, None):
            raise BundleNotTrusted(
                "The settings say who signs bundles ([policy] verification_key): leave "
                "--verification-key and --scope out."
            )
        return read_trust(settings.verification_key, settings.verification_scope)
    if options.verification_key is None:
        raise BundleNotTrusted(
            "A bundle file has to be signed: say whose key it is, in the settings ([policy] "
            "verification_key) or with --verification-key."
        )
    return read_trust(options.verification_key, options.scope or "")


def draft(
    desk: PolicyDesk, who: Principal, options: argparse.Namespace, settings: PolicySettings
) -> Revision:
    """Put the rules in that the options name. Raises as the desk does, and BundleNotTrusted,
    CommitNotTrusted.
    """
    if options.commit is None:
        with directory_of(options.source, options, settings) as directory:
            return desk.draft(who, directory, options.source.name)
    if settings.allowed_signers is None:
        raise CommitNotTrusted(
            "The settings do not say who signs commits: [policy] allowed_signers."
        )
    found = read_commit(
        options.repo, options.commit, options.source.as_posix(), settings.allowed_signers
    )
    return desk.draft_commit(who, found, f"{options.source.name or 'commit'}@{found.commit[:12]}")


@contextmanager
def directory_of(
    place: Path, options: argparse.Namespace, settings: PolicySettings
) -> Iterator[Path]:
    """The rules of a directory or of a signed bundle as a directory, for as long as it is used.

    Raises BundleNotTrusted, and PolicyRejected for names that lead elsewhere.
    """
    if not place.is_file():
        yield place
        return
    files = read_signed(place, trust_of(options, settings))
    with TemporaryDirectory(prefix="sekisho-bundle-") as folder:
        directory = Path(folder) / place.name.partition(".")[0]
        write_files(directory, files)
        yield directory
