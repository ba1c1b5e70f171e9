"""Who runs a command that only some persons may run: proved by their key, in the registry itself.

So such a command works before, beside and after `serve`, and yet asks who it is: the account of the
machine is no person, and two persons may share it.
"""

from __future__ import annotations

import argparse
import asyncio

from sekisho.adapters.key_desk import read_pepper
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.cli.gate import key_of
from sekisho.config import Settings
from sekisho.model.principal import Principal


def person_of(options: argparse.Namespace, settings: Settings) -> Principal:
    """The principal of the key that was given. Raises GateFailed, NotAuthenticated, Forbidden."""
    key = key_of(options)
    return asyncio.run(_found(settings, key))


async def _found(settings: Settings, key: str) -> Principal:
    async with SqlDirectory(
        settings.registry_path, read_pepper(settings.audit.keys_dir)
    ) as directory:
        return directory.by_key(key)
