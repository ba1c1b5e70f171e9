"""Sessions of people who signed in, and sign-ins under way, in Redis or Valkey.

A session's token is 256 random bits that only the browser has; the store knows it by a keyed
digest, so who reads the store can use nothing of it. A session names the principal and the
credential it began with, never a role: those come from the directory on each request. It ends after
`ttl_s` whatever happens, after `idle_s` without use, with `end`, and with `end_all`; the server's
own clock counts. If the store loses its data, everybody signs in again.

A sign-in under way can be taken once, and there are never more than `LOGINS_MAX`: the oldest give
way, since a stranger can begin as many as they like.

Scripts change session and index together; all keys share one hash tag, as a cluster needs. They are
none of the hold store's scripts, whose absence means something there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sekisho.errors import Unavailable

TAG = "{sekisho-sessions}"
CALL_DEADLINE_S = 1.8  # everything about a dead store is said within 2 s
SESSIONS_MAX = 50  # of one principal; the oldest ends where another begins
TOUCH_S = 60  # a use is noted at most so often
LOGIN_S = 600  # to find one's password
LOGINS_MAX = 50_000  # at some 300 bytes each
TOKEN_BYTES = 32

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_SESSION_KEY = b"sekisho-session-key-v1"
_LOGIN_KEY = b"sekisho-login-key-v1"
_SESSIONS = f"{TAG}:session:"
_LOGINS = f"{TAG}:login:"
_LOGIN_INDEX = f"{TAG}:logins"

_PRELUDE = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function text(n) return string.format('%.0f', n) end
"""

# KEYS session, index  ARGV prefix, digest, principal, issuer, credential, ttl_us, idle_us, max
_BEGIN = (
    _PRELUDE
    + """
local ttl, idle = tonumber(ARGV[6]), tonumber(ARGV[7])
redis.call('HSET', KEYS[1], 'principal', ARGV[3], 'issuer', ARGV[4], 'credential', ARGV[5],
  'created_us', text(now), 'used_us', text(now), 'index', KEYS[2])
redis.call('PEXPIRE', KEYS[1], text(math.ceil(math.min(ttl, idle) / 1000)))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now - ttl))
redis.call('ZADD', KEYS[2], text(now), ARGV[2])
redis.call('PEXPIRE', KEYS[2], text(math.ceil(ttl / 1000)))
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[8]) do
  redis.call('DEL', ARGV[1] .. redis.call('ZPOPMIN', KEYS[2])[1])
end
return 1
"""
)

# KEYS session  ARGV ttl_us, idle_us, touch_us
_USE = (
    _PRELUDE
    + """
local found = redis.call('HMGET', KEYS[1], 'principal', 'issuer', 'credential', 'created_us',
  'used_us')
if not found[1] then return false end
local left = tonumber(found[4]) + tonumber(ARGV[1]) - now
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return false
end
if now - tonumber(found[5]) >= tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'used_us', text(now))
  redis.call('PEXPIRE', KEYS[1], text(math.ceil(math.min(left, tonumber(ARGV[2])) / 1000)))
end
return { found[1], found[2], found[3], found[4] }
"""
)

# KEYS session  ARGV digest
_END = """
local found = redis.call('HMGET', KEYS[1], 'principal', 'index')
if not found[1] then return false end
redis.call('DEL', KEYS[1])
redis.call('ZREM', found[2], ARGV[1])
return found[1]
"""

# KEYS index  ARGV prefix
_END_ALL = """
local ended = 0
for _, digest in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  ended = ended + redis.call('DEL', ARGV[1] .. digest)
end
redis.call('DEL', KEYS[1])
return ended
"""

# KEYS login, index  ARGV prefix, digest, value, ttl_us, max
_BEGIN_LOGIN = (
    _PRELUDE
    + """
redis.call('SET', KEYS[1], ARGV[3], 'PX', text(math.ceil(tonumber(ARGV[4]) / 1000)))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now - tonumber(ARGV[4])))
redis.call('ZADD', KEYS[2], text(now), ARGV[2])
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[5]) do
  redis.call('DEL', ARGV[1] .. redis.call('ZPOPMIN', KEYS[2])[1])
end
return 1
"""
)

# KEYS login, index  ARGV digest
_TAKE_LOGIN = """
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('GETDEL', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Session:
    """Who signed in: through which issuer (`api_key` for a key), shown which credential, when."""

    principal: str
    issuer: str
    credential: str
    created_us: int


@dataclass(frozen=True, slots=True)
class LoginState:
    """A sign-in under way. `browser` is a keyed digest of what its browser holds in a cookie."""

    issuer: str
    return_to: str
    browser: str


def fresh_token() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def is_token(text: str) -> bool:
    """Whether `text` has the form of `fresh_token`: anything else costs no round trip."""
    return _TOKEN.fullmatch(text) is not None


class RedisSessions:
    """Sessions. Every method raises Unavailable (`sessions_unavailable`) within 2 s when the store
    cannot be asked; what was asked may then have happened or not.
    """

    def __init__(self, client: Redis, pepper: bytes, *, ttl_s: int, idle_s: int) -> None:
        self._key = hmac.digest(pepper, _SESSION_KEY, hashlib.sha256)
        self._ttl_us = ttl_s * 1_000_000
        self._idle_us = idle_s * 1_000_000
        # A use between two notes must not let an active session go idle.
        self._touch_us = min(TOUCH_S * 1_000_000, self._idle_us // 4)
        self._begin = client.register_script(_BEGIN)
        self._use = client.register_script(_USE)
        self._end = client.register_script(_END)
        self._end_all = client.register_script(_END_ALL)

    async def begin(self, principal: str, issuer: str, credential: str) -> str:
        """A new session; returns its token, which exists nowhere else."""
        token = fresh_token()
        digest = self._digest(token)
        args = (
            *(_SESSIONS, digest, principal, issuer, credential),
            *(self._ttl_us, self._idle_us, SESSIONS_MAX),
        )
        keys = [_SESSIONS + digest, self._index(principal)]
        await _in_time(self._begin(keys=keys, args=args))
        return token

    async def find(self, token: str) -> Session | None:
        """The session of this token if it is alive, and note that it was used."""
        if not is_token(token):
            return None
        args = (self._ttl_us, self._idle_us, self._touch_us)
        keys = [_SESSIONS + self._digest(token)]
        found = await _in_time(self._use(keys=keys, args=args))
        if found is None:
            return None
        principal, issuer, credential, created_us = (part.decode() for part in found)
        return Session(principal, issuer, credential, int(created_us))

    async def principal_of(self, token: str) -> tuple[str, str, int] | None:
        """Principal, credential and beginning of a live session, for the directory."""
        found = await self.find(token)
        return None if found is None else (found.principal, found.credential, found.created_us)

    async def end(self, token: str) -> str | None:
        """End this session. Returns whose it was, None if there is none."""
        if not is_token(token):
            return None
        digest = self._digest(token)
        found = await _in_time(self._end(keys=[_SESSIONS + digest], args=(digest,)))
        return None if found is None else str(found.decode())

    async def end_all(self, principal: str) -> int:
        """End every session of a principal: how many there were. Safe to repeat."""
        keys = [self._index(principal)]
        return int(await _in_time(self._end_all(keys=keys, args=(_SESSIONS,))))

    def _digest(self, token: str) -> str:
        return _keyed(self._key, b"token", token)

    def _index(self, principal: str) -> str:
        return f"{TAG}:of:{_keyed(self._key, b'principal', principal)}"


class RedisLogins:
    """Sign-ins under way. Raises as RedisSessions does."""

    def __init__(self, client: Redis, pepper: bytes, *, logins_max: int = LOGINS_MAX) -> None:
        self._key = hmac.digest(pepper, _LOGIN_KEY, hashlib.sha256)
        self._max = logins_max
        self._begin = client.register_script(_BEGIN_LOGIN)
        self._take = client.register_script(_TAKE_LOGIN)

    def derive(self, purpose: str, state: str) -> str:
        """A secret of the sign-in `state` that the store never sees, 43 characters."""
        return _keyed(self._key, purpose.encode(), state)

    async def begin(self, state: str, login: LoginState) -> None:
        """Keep it for ten minutes."""
        digest = self.derive("state", state)
        value = orjson.dumps([login.issuer, login.return_to, login.browser])
        args = (_LOGINS, digest, value, LOGIN_S * 1_000_000, self._max)
        await _in_time(self._begin(keys=[_LOGINS + digest, _LOGIN_INDEX], args=args))

    async def take(self, state: str) -> LoginState | None:
        """Take it away: a second time there is nothing. A lost reply loses it too."""
        if not is_token(state):
            return None
        digest = self.derive("state", state)
        found = await _in_time(self._take(keys=[_LOGINS + digest, _LOGIN_INDEX], args=(digest,)))
        return None if found is None else LoginState(*orjson.loads(found))


def _keyed(key: bytes, purpose: bytes, text: str) -> str:
    """In the letters of `fresh_token`, so that it can be a PKCE verifier too."""
    digest = hmac.digest(key, purpose + b"\0" + text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def _in_time(call: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(CALL_DEADLINE_S):
            return await call
    except (RedisError, OSError, TimeoutError) as error:
        message = (
            "Sessions cannot be read or kept at the moment, so nobody is let in by one. "
            "Try again in a few seconds."
        )
        raise Unavailable(message, code="sessions_unavailable") from error
