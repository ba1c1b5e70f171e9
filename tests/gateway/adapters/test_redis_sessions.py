from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sekisho.adapters.redis_holds import connect
from sekisho.adapters.redis_sessions import (
    SESSIONS_MAX,
    TAG,
    LoginState,
    RedisLogins,
    RedisSessions,
    Session,
    fresh_token,
    is_token,
)
from sekisho.errors import Unavailable
from support.valkey import Valkey

PEPPER = b"p" * 32
STATE = LoginState("corp", "/approvals/h-1", "digest")


class LossyRedis(Redis):
    """Loses scripts on demand: before they ran, or their reply."""

    lose_before = False
    lose_after = False

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        if self.lose_before:
            raise RedisConnectionError("lost before it ran")
        answer = await super().evalsha(sha, numkeys, *keys_and_args)
        if self.lose_after:
            raise RedisConnectionError("its reply was lost")
        return answer


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[LossyRedis]:
    one = LossyRedis(connection_pool=connect(valkey.url).connection_pool)
    yield one
    await one.aclose()
    await one.connection_pool.disconnect()


@pytest.fixture
def sessions(client: Redis) -> RedisSessions:
    return RedisSessions(client, PEPPER, ttl_s=36_000, idle_s=3_600)


@pytest.fixture
def logins(client: Redis) -> RedisLogins:
    return RedisLogins(client, PEPPER, logins_max=5)


async def _keys(client: Redis, kind: str) -> list[str]:
    return [key.decode() async for key in client.scan_iter(match=f"*:{kind}:*")]


async def test_a_session_names_principal_issuer_and_credential(sessions: RedisSessions) -> None:
    """And no role: those come from the directory."""
    token = await sessions.begin("staff-7", "corp", "oidc:corp")

    found = await sessions.find(token)

    assert found is not None
    assert found == Session("staff-7", "corp", "oidc:corp", found.created_us)


async def test_every_session_has_a_token_of_its_own(sessions: RedisSessions) -> None:
    """256 bits of it."""
    tokens = {await sessions.begin("staff-7", "corp", "") for _ in range(20)}

    assert len(tokens) == 20
    assert all(is_token(token) for token in tokens)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "é" * 43, "A" * 42 + "\n", "A" * 5000])
async def test_another_token_finds_nothing(sessions: RedisSessions, token: str) -> None:
    """Whatever it looks like."""
    await sessions.begin("staff-7", "corp", "")

    assert await sessions.find(token) is None
    assert await sessions.end(token) is None


async def test_the_store_never_sees_a_token(
    sessions: RedisSessions, client: Redis, valkey: Valkey
) -> None:
    """Neither its memory nor its files: who reads them can use nothing."""
    token = await sessions.begin("staff-7", "corp", "")
    await sessions.find(token)

    assert token.encode() not in valkey.files()
    assert b"staff-7" in valkey.files(), "the test looks at the right place"


async def test_another_pepper_finds_nothing(sessions: RedisSessions, client: Redis) -> None:
    """The digest is keyed."""
    token = await sessions.begin("staff-7", "corp", "")

    other = RedisSessions(client, b"q" * 32, ttl_s=36_000, idle_s=3_600)
    assert await other.find(token) is None


async def test_an_ended_session_is_gone(sessions: RedisSessions) -> None:
    """And ending says whose it was, once."""
    token = await sessions.begin("staff-7", "corp", "")

    assert await sessions.end(token) == "staff-7"
    assert await sessions.find(token) is None
    assert await sessions.end(token) is None


async def test_all_sessions_of_a_principal_end_together(sessions: RedisSessions) -> None:
    """Nobody else's do."""
    own = [await sessions.begin("staff-7", "corp", "") for _ in range(3)]
    other = await sessions.begin("staff-8", "corp", "")
    await sessions.end(own[0])

    assert await sessions.end_all("staff-7") == 2
    assert [await sessions.find(token) for token in own] == [None, None, None]
    assert await sessions.find(other) is not None
    assert await sessions.end_all("staff-7") == 0


async def test_a_principal_has_so_many_sessions_at_most(
    sessions: RedisSessions, client: Redis
) -> None:
    """The oldest ends where another begins."""
    tokens = [await sessions.begin("staff-7", "corp", "") for _ in range(SESSIONS_MAX + 2)]

    alive = [token for token in tokens if await sessions.find(token) is not None]
    assert alive == tokens[2:]
    assert len(await _keys(client, "session")) == SESSIONS_MAX


async def test_ended_sessions_take_no_place(sessions: RedisSessions) -> None:
    """Who signs in and out all day does not sign out their other browser."""
    first = await sessions.begin("staff-7", "corp", "")
    for _ in range(SESSIONS_MAX + 1):
        await sessions.end(await sessions.begin("staff-7", "corp", ""))

    assert await sessions.find(first) is not None


async def test_sessions_that_ran_out_take_no_place(client: Redis, sessions: RedisSessions) -> None:
    """The index forgets them with the next sign-in, and as a whole in the end."""
    await sessions.begin("staff-7", "corp", "")
    (index,) = await _keys(client, "of")
    await client.zadd(index, {f"old-{number}": number for number in range(SESSIONS_MAX)})
    first = await sessions.begin("staff-7", "corp", "")

    assert await client.zcard(index) == 2
    assert await sessions.find(first) is not None
    await sessions.end_all("staff-7")
    assert await _keys(client, "of") == []


async def _ttl_ms(client: Redis) -> int:
    (key,) = await _keys(client, "session")
    return int(await client.pttl(key))


async def _age(client: Redis, seconds: int) -> None:
    """Make the only session look so much older."""
    (key,) = await _keys(client, "session")
    for name in ("created_us", "used_us"):
        await client.hincrby(key, name, -seconds * 1_000_000)


async def test_an_unused_session_ends_by_itself(client: Redis, sessions: RedisSessions) -> None:
    """The server forgets it after `idle_s`."""
    await sessions.begin("staff-7", "corp", "")

    assert 3_590_000 < await _ttl_ms(client) <= 3_600_000


async def test_using_it_keeps_it(client: Redis, sessions: RedisSessions) -> None:
    """From the use on, it lives for `idle_s` again."""
    token = await sessions.begin("staff-7", "corp", "")
    (key,) = await _keys(client, "session")
    await client.pexpire(key, 1_000_000)
    await _age(client, 61)

    assert await sessions.find(token) is not None
    assert await _ttl_ms(client) > 3_590_000


async def test_a_use_is_noted_once_a_minute_at_most(client: Redis, sessions: RedisSessions) -> None:
    """A page that asks every second does not make the store write every second."""
    token = await sessions.begin("staff-7", "corp", "")
    (key,) = await _keys(client, "session")
    await client.pexpire(key, 1_000_000)
    await _age(client, 50)

    assert await sessions.find(token) is not None
    assert await _ttl_ms(client) <= 1_000_000


async def test_a_short_idle_time_is_noted_more_often(client: Redis) -> None:
    """Otherwise somebody active could be signed out between two notes."""
    short = RedisSessions(client, PEPPER, ttl_s=600, idle_s=60)
    token = await short.begin("staff-7", "corp", "")
    (key,) = await _keys(client, "session")
    await client.pexpire(key, 40_000)
    await _age(client, 16)

    assert await short.find(token) is not None
    assert await _ttl_ms(client) > 50_000


async def test_no_use_keeps_it_longer_than_its_time(client: Redis, sessions: RedisSessions) -> None:
    """`ttl_s` counts from the sign-in."""
    token = await sessions.begin("staff-7", "corp", "")
    await _age(client, 35_900)
    assert await sessions.find(token) is not None
    assert await _ttl_ms(client) <= 100_000

    await _age(client, 101)
    assert await sessions.find(token) is None
    assert await _keys(client, "session") == []


async def test_nothing_stays_for_ever(
    client: Redis, sessions: RedisSessions, logins: RedisLogins
) -> None:
    """Every key but the bounded index of sign-ins has an end."""
    await sessions.begin("staff-7", "corp", "")
    await logins.begin(fresh_token(), STATE)

    endless = [key async for key in client.scan_iter() if await client.pttl(key) == -1]
    assert endless == [f"{TAG}:logins".encode()]


async def test_lost_data_means_signing_in_again(valkey: Valkey, sessions: RedisSessions) -> None:
    """A store that forgot is not a store that lets in."""
    token = await sessions.begin("staff-7", "corp", "")
    valkey.restart(lose_data=True)

    assert await _until(lambda: sessions.find(token)) is None


async def test_sessions_outlive_a_restart_of_the_store(
    valkey: Valkey, sessions: RedisSessions
) -> None:
    """Scripts are gone then and come back by themselves."""
    token = await sessions.begin("staff-7", "corp", "")
    valkey.restart()

    assert await _until(lambda: sessions.find(token)) is not None


async def _until(ask: Callable[[], Awaitable[Session | None]]) -> Session | None:
    """The answer, once the connections of before have been noticed to be dead."""
    for _ in range(20):
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(0.05)
    return await ask()


async def test_a_dead_store_lets_nobody_in(valkey: Valkey, sessions: RedisSessions) -> None:
    """It is an error with a code, never None and never a session."""
    token = await sessions.begin("staff-7", "corp", "")
    valkey.pause()
    try:
        calls = (sessions.find(token), sessions.end(token), sessions.end_all("staff-7"))
        for call in calls:
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.code == "sessions_unavailable"
            assert token not in caught.value.message
    finally:
        valkey.unpause()


async def test_a_beginning_that_was_lost_leaves_nothing_usable(
    client: LossyRedis, sessions: RedisSessions
) -> None:
    """Before it ran: no session. Its reply: a session whose token nobody has."""
    client.lose_before = True
    with pytest.raises(Unavailable):
        await sessions.begin("staff-7", "corp", "")
    client.lose_before = False
    assert await _keys(client, "session") == []

    await sessions.end_all("nobody")  # loads nothing of `begin`, which the next call does
    await sessions.end(await sessions.begin("staff-7", "corp", ""))
    client.lose_after = True
    with pytest.raises(Unavailable):
        await sessions.begin("staff-7", "corp", "")
    client.lose_after = False
    assert await sessions.end_all("staff-7") == 1


async def test_an_end_that_was_lost_can_be_repeated(
    client: LossyRedis, sessions: RedisSessions
) -> None:
    """In both forms the session is gone afterwards."""
    await sessions.end(await sessions.begin("staff-7", "corp", ""))
    for lost in ("lose_before", "lose_after"):
        token = await sessions.begin("staff-7", "corp", "")
        setattr(client, lost, True)
        with pytest.raises(Unavailable):
            await sessions.end(token)
        setattr(client, lost, False)
        await sessions.end(token)
        assert await sessions.find(token) is None


async def test_a_sign_in_can_be_taken_once(client: Redis, logins: RedisLogins) -> None:
    """A second time there is nothing."""
    state = fresh_token()
    await logins.begin(state, STATE)

    assert await logins.take(state) == STATE
    assert await logins.take(state) is None
    assert await client.zcard(f"{TAG}:logins") == 0, "and its place is free"


async def test_of_many_who_take_one_sign_in_one_gets_it(logins: RedisLogins) -> None:
    """Replay cannot race."""
    state = fresh_token()
    await logins.begin(state, STATE)

    taken = await asyncio.gather(*(logins.take(state) for _ in range(20)))

    assert [login for login in taken if login is not None] == [STATE]


@pytest.mark.parametrize("state", ["", "x", "B" * 43, "*", "é" * 43])
async def test_an_unknown_state_is_nothing(logins: RedisLogins, state: str) -> None:
    """Whatever it looks like."""
    await logins.begin(fresh_token(), STATE)

    assert await logins.take(state) is None


async def test_a_lost_taking_ends_the_sign_in_or_leaves_it(
    client: LossyRedis, logins: RedisLogins
) -> None:
    """Before it ran it can be taken later; its reply lost, it is used up: never twice."""
    await logins.take(fresh_token())
    first, second = fresh_token(), fresh_token()
    await logins.begin(first, STATE)
    await logins.begin(second, STATE)
    client.lose_before = True
    with pytest.raises(Unavailable):
        await logins.take(first)
    client.lose_before, client.lose_after = False, True
    with pytest.raises(Unavailable):
        await logins.take(second)
    client.lose_after = False

    assert await logins.take(first) == STATE
    assert await logins.take(second) is None


async def test_strangers_cannot_fill_the_store(client: Redis, logins: RedisLogins) -> None:
    """The oldest sign-ins give way; those just begun can be finished."""
    states = [fresh_token() for _ in range(20)]
    for state in states:
        await logins.begin(state, STATE)

    assert len(await _keys(client, "login")) == 5
    assert await logins.take(states[0]) is None
    assert await logins.take(states[-1]) == STATE


async def test_a_sign_in_ends_after_ten_minutes(client: Redis, logins: RedisLogins) -> None:
    """The server forgets it."""
    await logins.begin(fresh_token(), STATE)

    (key,) = await _keys(client, "login")
    assert 590_000 < await client.pttl(key) <= 600_000


async def test_what_is_derived_of_a_state_is_never_stored(
    valkey: Valkey, logins: RedisLogins
) -> None:
    """Nonce and verifier exist only where the state is known."""
    state = fresh_token()
    await logins.begin(state, STATE)
    derived = [logins.derive(purpose, state) for purpose in ("nonce", "verifier", "browser")]

    assert len({*derived, state}) == 4
    assert all(is_token(text) for text in derived)
    assert not [text for text in (*derived, state) if text.encode() in valkey.files()]
