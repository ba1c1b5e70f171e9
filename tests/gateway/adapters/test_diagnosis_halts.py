"""What the doctor says of the kill switch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from sekisho.adapters.diagnosis_halts import halts
from sekisho.adapters.finding import Finding
from sekisho.adapters.redis_halts import KEY, encode
from sekisho.config import Settings
from sekisho.config.sections import RedisSettings
from support.revisions import Rules, settings_in
from support.switch import halt
from support.switchboards import ONE, open_board, running_auditd
from support.valkey import Valkey


@pytest.fixture
def settings(tmp_path: Path, valkey: Valkey) -> Settings:
    """Settings of an installation whose Valkey is this one."""
    made = settings_in(tmp_path, Rules(tmp_path / "rules").write())
    return made.model_copy(update={"redis": RedisSettings(url=SecretStr(valkey.url))})


async def told(settings: Settings) -> list[Finding]:
    """The findings; the doctor has no loop of its own here."""
    return await asyncio.to_thread(lambda: list(halts(settings, 5.0)))


def test_nothing_is_said_where_nobody_can_be_asked(settings: Settings, valkey: Valkey) -> None:
    """Other findings tell what is down."""
    valkey.kill()
    try:
        assert list(halts(settings, 1.0)) == []
    finally:
        valkey.start()


def test_without_auditd_valkey_tells(settings: Settings, valkey: Valkey) -> None:
    """What stands there, and that no ledger here has it."""
    [finding] = halts(settings, 1.0)
    assert (finding.ok, finding.said, finding.mend) == (True, "nothing is stopped", "")
    with redis.Redis.from_url(valkey.url) as client:
        client.hset(KEY, "halt-all-", encode(halt()))

    [finding] = halts(settings, 1.0)

    assert finding.ok
    assert finding.said.startswith("everything is stopped by operator-1: There is a leak.")
    assert "not in this ledger" in finding.said
    assert "lifting takes two" in finding.mend


async def test_what_valkey_does_not_have_as_the_ledger_is_wrong(
    settings: Settings, valkey: Valkey
) -> None:
    """Somebody changed it by hand, and the gateway does not run to write it back."""
    socket = settings.auditd_socket
    socket.parent.mkdir(parents=True)
    with running_auditd(settings.data_dir.parent, socket) as path:
        board = await open_board(path, valkey.url)
        await board.desk.set(ONE, "team", "sales", "There is a leak.")
        await board.close()
        [sound] = await told(settings)
        with redis.Redis.from_url(valkey.url) as client:
            client.delete(KEY)
        [wrong] = await told(settings)

    assert (sound.ok, wrong.ok) == (True, False)
    assert "the team sales is stopped" in sound.said
    assert "does not have it as the ledger does" in wrong.said
