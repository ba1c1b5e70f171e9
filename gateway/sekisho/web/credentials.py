"""What a request shows of who sends it: read from its head, believed only as far as it may be.

A key or token comes from anybody. Names, groups, assertions, certificate subjects and forwarded
addresses are believed only when the connection itself comes from a configured peer: from others
they are ignored, and the attempt is told to `spoofed`, so that it is recorded. A head that says two
things about who asks is refused, because two parts of an installation might read it differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, NoReturn

from sekisho.config.identity import IdentitySettings
from sekisho.errors import NotAuthenticated
from sekisho.model.principal import Shown
from sekisho.web.same_origin import require_same_origin
from sekisho.web.session_cookie import cookie_name, read_cookie

HOPS_MAX = 16  # proxies in front of one another; a longer list was written by somebody else
HOP_CHARS_MAX = 80  # an IPv6 address with zone and port
CLAIM_CHARS_MAX = 256  # a principal id or a certificate's subject; the ledger takes no longer ids
ASSERTION_CHARS_MAX = 16_384  # a signed token with many groups
GROUPS_MAX = 200
PEERS_REMEMBERED = 1024  # addresses whose trust is known without asking every network again
_MAPPED_BITS = 96  # ::ffff:0:0/96 holds all of IPv4
_OF_PAGES = frozenset({b"sec-fetch-site", b"origin"})

Address = IPv4Address | IPv6Address
Head = Mapping[bytes, list[bytes]]


def nobody_noticed(_shown: Shown, _header: str) -> None:
    """For a reader whose claims nobody records."""


class Reader:
    """Reads heads by the settings of section [identity]; `spoofed` hears of ignored claims."""

    def __init__(
        self,
        settings: IdentitySettings,
        public_url: str,
        spoofed: Callable[[Shown, str], None] = nobody_noticed,
    ) -> None:
        self._public_url = public_url
        self._cookie = cookie_name(public_url)
        self._spoofed = spoofed
        self._networks = tuple(_network(text) for text in settings.trusted_peers)
        self._user = _name(settings.user_header)
        self._groups = _name(settings.groups_header)
        self._assertion = _name(settings.assertion_header)
        self._certificate = _name(settings.certificate_header)
        self._claims = tuple(
            name
            for name in (self._user, self._groups, self._assertion, self._certificate)
            if name is not None
        )
        self._wanted = frozenset(
            {b"authorization", b"x-api-key", b"cookie", b"x-forwarded-for", *self._claims}
        )
        self._is_trusted = lru_cache(PEERS_REMEMBERED)(self._belongs)

    def shown(self, scope: Mapping[str, Any]) -> Shown:
        """What this request shows. `scope` is ASGI's: a framework's `request.scope` as well.

        Raises NotAuthenticated (`malformed`) for a head that must not be believed, and Forbidden
        (`cross_site`) if a page of another site made a browser or proxy add a sign-in to it.
        """
        head: dict[bytes, list[bytes]] = {}
        wanted = self._wanted
        for name, value in scope["headers"]:
            if name in wanted:
                head.setdefault(name, []).append(value)
        secret = _secret(head) if head else ""
        peer = _peer(scope)
        if self._networks and self._is_trusted(peer):
            return self._vouched(scope, head, secret)
        shown = Shown(
            secret=secret,
            ip=peer,
            certificate=_own_tls(scope) if "extensions" in scope else "",
            session=self._session(head) if not secret and b"cookie" in head else "",
        )
        for name in self._claims:
            if name in head:
                self._spoofed(shown, name.decode())
                break
        return shown if secret else self._meant(shown, scope)

    def address(self, scope: Mapping[str, Any]) -> str:
        """Where the request comes from: the peer, or who a trusted peer says it speaks for.

        That is the rightmost forwarded address that is not itself a trusted peer's: what stands
        left of it was written by the client and means nothing.
        """
        peer = _peer(scope)
        if not self._networks or not self._is_trusted(peer):
            return peer
        lists = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if not lists:
            return peer
        entries = b",".join(lists).decode("latin-1").rsplit(",", HOPS_MAX)
        for entry in reversed(entries[-HOPS_MAX:]):
            hop = _hop(entry.strip()) if len(entry) <= HOP_CHARS_MAX else None
            if hop is None:
                return peer
            if not self._is_trusted(hop):
                return hop
        return peer

    def _vouched(self, scope: Mapping[str, Any], head: Head, secret: str) -> Shown:
        """From a trusted peer: what it says of its client is believed, each thing said once."""
        asserted = ""
        groups: tuple[str, ...] = ()
        if self._assertion is not None:
            # Never the bare name beside it: an assertion is checked, a name is not.
            asserted = _claim(head, self._assertion, ASSERTION_CHARS_MAX)
        elif self._user is not None:
            asserted = _claim(head, self._user)
            groups = _names(head, self._groups) if self._groups and asserted else ()
        if self._certificate is not None:
            # Our own TLS would name the peer here, and not whom it speaks for.
            certificate = _claim(head, self._certificate)
        else:
            certificate = _own_tls(scope)
        shown = Shown(
            secret=secret,
            ip=self.address(scope),
            asserted=asserted,
            asserted_groups=groups,
            certificate=certificate,
            session=self._session(head) if not secret and b"cookie" in head else "",
        )
        return shown if secret else self._meant(shown, scope)

    def _session(self, head: Head) -> str:
        return read_cookie((value.decode("latin-1") for value in head[b"cookie"]), self._cookie)

    def _meant(self, shown: Shown, scope: Mapping[str, Any]) -> Shown:
        """`shown`, unless a page of another site is behind the request.

        Browsers add cookies and certificates, and proxies names, also to requests that the person
        in front knows nothing of. A session is only ever a browser's, so its page must be ours; a
        program with a certificate or behind a proxy says nothing of pages.
        """
        if shown.session or shown.asserted or shown.certificate:
            said = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in scope["headers"]
                if name in _OF_PAGES
            }
            if shown.session or said:
                require_same_origin(scope["method"], said, self._public_url)
        return shown

    def _belongs(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False  # a peer without an address (a Unix socket) is not one we were told of
        return any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    """A network; IPv4 in its IPv6 form is IPv4, as it is with addresses."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _name(header: str | None) -> bytes | None:
    return None if header is None else header.encode()


def _peer(scope: Mapping[str, Any]) -> str:
    """The connection's other end; an IPv4 address also on a socket that speaks both."""
    client = scope.get("client")
    if not client or not client[0]:
        return ""
    text = str(client[0])
    return _plain(text) if ":" in text else text


def _plain(text: str) -> str:
    try:
        return str(_unmapped(ip_address(text)))
    except ValueError:
        return text


def _unmapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(PEERS_REMEMBERED)
def _hop(text: str) -> str | None:
    """An entry of x-forwarded-for as an address: `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(_unmapped(ip_address(text)))
    except ValueError:
        return None


def _secret(head: Head) -> str:
    """The key or token of `Authorization: Bearer` or `x-api-key`; both only if they agree."""
    bearer = key = ""
    values = head.get(b"authorization")
    if values is not None:
        if len(values) > 1:
            _refuse("The request has two Authorization headers.")
        scheme, _, value = values[0].partition(b" ")
        if scheme.lower() == b"bearer":
            bearer = value.strip().decode("latin-1")
    values = head.get(b"x-api-key")
    if values is not None:
        if len(values) > 1:
            _refuse("The request has two x-api-key headers.")
        key = values[0].strip().decode("latin-1")
        if bearer and key and bearer != key:
            _refuse("The request has two different keys: Authorization and x-api-key.")
    return bearer or key


def _claim(head: Head, name: bytes, chars_max: int = CLAIM_CHARS_MAX) -> str:
    """What a trusted peer says in one header. Said twice, one may be the client's own."""
    values = head.get(name)
    if values is None:
        return ""
    if len(values) > 1:
        _refuse(f"The request has two {name.decode()} headers.")
    try:
        text = values[0].decode().strip()
    except UnicodeDecodeError:
        text = "\0"
    if len(text) > chars_max or not text.isprintable():
        _refuse(f"The header {name.decode()} is not readable, or too long.")
    return text


def _names(head: Head, name: bytes) -> tuple[str, ...]:
    text = _claim(head, name, ASSERTION_CHARS_MAX)
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(names) > GROUPS_MAX:
        _refuse(f"The header {name.decode()} names more than {GROUPS_MAX} groups.")
    return names


def _own_tls(scope: Mapping[str, Any]) -> str:
    """The client certificate that our own TLS has checked; see `web/tls.py`."""
    tls = scope.get("extensions", {}).get("tls", {})
    return str(tls.get("client_identity", ""))


def _refuse(message: str) -> NoReturn:
    raise NotAuthenticated(message, cause="malformed")
