"""Chat systems on loopback, as strict as the real ones: `/slack`, `/teams`, `/feishu`, `/dingtalk`,
`/wecom`, and `/webhook`, a program that checks our signature with the lines of the guide.

What the real ones refuse (a signature, a missing member, a size, a block of unknown type) they
refuse, each in its own way: by status, or by a code under 200. `told` has what people would see.
Trouble is scripted with `ahead`: a status, `busy`, `drop` (taken, and the reply lost), `hang`,
`redirect`, `long`, `packed`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "SECloopback7f3a"
KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
KEY_BEFORE = "whsec_" + base64.b64encode(b"b" * 32).decode()
TOKEN = "token-canary-5d21"
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "notify.md"
HANG_S = 5.0
_HOUR_S = 3600
_TEAMS_BYTES_MAX = 28_000
_FEISHU_BYTES_MAX = 20_000
_WECOM_BYTES_MAX = 2048
_SLACK_HEADER_CHARS_MAX = 150


class Refused(Exception):
    """What the chat system does not take; the text is its word for it."""


@dataclass
class Told:
    """One message that was taken: the texts people see, and links as (text, address)."""

    kind: str
    texts: list[str]
    links: list[tuple[str, str]]
    raw: dict[str, Any]
    headers: dict[str, str]

    @property
    def id(self) -> str:
        """The id of a webhook's notification."""
        return self.headers["webhook-id"]

    @property
    def text(self) -> str:
        """All that is seen."""
        return "\n".join([*self.texts, *(text for text, _ in self.links)])


@dataclass
class ChatSite:
    """The servers. `seen` counts every attempt, taken or not."""

    url: str = ""
    keys: tuple[str, ...] = (KEY,)
    told: list[Told] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    ahead: dict[str, list[str]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def address(self, kind: str) -> str:
        """What an operator copies from the chat system."""
        query = {"dingtalk": f"?access_token={TOKEN}", "wecom": f"?key={TOKEN}"}.get(kind, "")
        return f"{self.url}/{kind}{query}"

    def of(self, kind: str) -> list[Told]:
        """What was taken by one of them."""
        return [one for one in list(self.told) if one.kind == kind]


def receiver() -> Callable[..., Any]:
    """The receiver's check as docs/howto/notify.md has it."""
    [block] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own guide
    return names["check"]  # type: ignore[no-any-return]


@contextmanager
def chat_site() -> Iterator[ChatSite]:
    """All of them on one port."""
    site = ChatSite()

    class Handler(_Handler):
        chats = site

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    chats: ChatSite

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        kind = parts.path.strip("/")
        body = self.rfile.read(int(self.headers["content-length"]))
        self.chats.seen.append(kind)
        trouble = "503" if kind in self.chats.down else ""
        if self.chats.ahead.get(kind):
            trouble = self.chats.ahead[kind].pop(0)
        if trouble and trouble != "drop":
            self._misbehave(kind, trouble)
            return
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            texts, links = _read(kind, body, query, headers, self.chats)
        except (Refused, KeyError, TypeError, ValueError) as error:
            self._refuse(kind, error)
            return
        self.chats.told.append(Told(kind, texts, links, json.loads(body), headers))
        if trouble == "drop":
            self.close_connection = True
            self.connection.close()
            return
        self._say(*_TAKEN[kind])

    def _misbehave(self, kind: str, trouble: str) -> None:
        if trouble == "hang":
            time.sleep(HANG_S)
        elif trouble == "redirect":
            self._say(307, b"", location=f"{self.chats.url}/webhook")
        elif trouble == "long":
            self._say(200, b"o" * 1_000_000)
        elif trouble == "packed":
            self._say(200, b"\x1f\x8b", **{"content-encoding": "gzip"})
        elif trouble == "busy" and kind in _BUSY:
            self._say(200, _BUSY[kind])
        elif trouble == "busy":
            self._say(429, b"rate_limited", **{"retry-after": "1"})
        else:
            self._say(int(trouble), b"")

    def _refuse(self, kind: str, error: Exception) -> None:
        if kind in {"feishu", "dingtalk", "wecom"}:
            name = "code" if kind == "feishu" else "errcode"
            code = int(str(error)) if str(error).isdigit() else 9999
            self._say(200, json.dumps({name: code, "msg": f"refused {TOKEN}"}).encode())
            return
        self._say(400 if kind != "webhook" else 401, str(error).encode())

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: tests read their own output."""


Seen = tuple[list[str], list[tuple[str, str]]]


def _read(
    kind: str, body: bytes, query: dict[str, str], headers: dict[str, str], site: ChatSite
) -> Seen:
    if headers.get("content-type") != "application/json; charset=utf-8":
        raise Refused("invalid_payload")
    return _READERS[kind](body, query, headers, site)


def _only(
    value: dict[str, Any], required: set[str], optional: frozenset[str] | set[str] = frozenset()
) -> None:
    if not required <= value.keys() <= required | optional:
        raise Refused(f"members {sorted(value)}")


def _slack(body: bytes, _: Any, __: Any, ___: ChatSite) -> Seen:
    message = json.loads(body)
    _only(message, {"text", "blocks"}, {"unfurl_links", "unfurl_media"})
    # Outside blocks Slack reads <!channel>, <@U1> and <https://…>; only escaped brackets are text.
    if re.search(r"[<>]|&(?!amp;|lt;|gt;)", message["text"]):
        raise Refused("markup in text")
    texts: list[str] = [message["text"]]
    links: list[tuple[str, str]] = []
    for block in message["blocks"]:
        if block["type"] == "header":
            texts.append(_slack_header(block))
        elif block["type"] == "rich_text":
            [section] = block["elements"]
            if section["type"] != "rich_text_section":
                raise Refused("invalid_blocks")
            _slack_elements(section["elements"], texts, links)
        else:
            raise Refused("invalid_blocks")
    return texts, links


def _slack_header(block: dict[str, Any]) -> str:
    _only(block, {"type", "text"})
    _only(block["text"], {"type", "text", "emoji"})
    text = str(block["text"]["text"])
    if block["text"]["type"] != "plain_text" or block["text"]["emoji"]:
        raise Refused("invalid_blocks")
    if not 0 < len(text) <= _SLACK_HEADER_CHARS_MAX:
        raise Refused("invalid_blocks")
    return text


def _slack_elements(
    elements: list[dict[str, Any]], texts: list[str], links: list[tuple[str, str]]
) -> None:
    for one in elements:
        if one["type"] == "text":
            _only(one, {"type", "text"}, {"style"})
            texts.append(one["text"])
        elif one["type"] == "link":
            _only(one, {"type", "url", "text"})
            links.append((one["text"], one["url"]))
        else:
            raise Refused("invalid_blocks")


def _teams(body: bytes, _: Any, __: Any, ___: ChatSite) -> Seen:
    if len(body) > _TEAMS_BYTES_MAX:
        raise Refused("too large")
    message = json.loads(body)
    _only(message, {"type", "attachments"})
    [attachment] = message["attachments"]
    _only(attachment, {"contentType", "content"}, {"contentUrl"})
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        raise Refused("not a card")
    card = attachment["content"]
    _only(card, {"type", "version", "body"}, {"$schema", "actions"})
    if card["type"] != "AdaptiveCard" or card["version"] not in {"1.2", "1.3", "1.4", "1.5"}:
        raise Refused("not a card")
    texts = []
    for block in card["body"]:
        # A TextBlock or a FactSet would read Markdown; only runs do not.
        if block["type"] != "RichTextBlock":
            raise Refused(block["type"])
        for run in block["inlines"]:
            if run["type"] != "TextRun":
                raise Refused(run["type"])
            texts.append(run["text"])
    links = []
    for action in card.get("actions", []):
        _only(action, {"type", "title", "url"})
        if action["type"] != "Action.OpenUrl":
            raise Refused(action["type"])
        links.append((action["title"], action["url"]))
    return texts, links


def _feishu(body: bytes, _: Any, __: Any, ___: ChatSite) -> Seen:
    if len(body) > _FEISHU_BYTES_MAX:
        raise Refused("9499")
    message = json.loads(body)
    _only(message, {"timestamp", "sign", "msg_type", "content"})
    stamp = message["timestamp"]
    key = f"{stamp}\n{SECRET}".encode()
    expected = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    if abs(time.time() - int(stamp)) > _HOUR_S or message["sign"] != expected:
        raise Refused("19021")
    if message["msg_type"] != "post":
        raise Refused("9499")
    [(locale, post)] = message["content"]["post"].items()
    if locale not in {"en_us", "zh_cn", "ja_jp"}:
        raise Refused("9499")
    _only(post, {"title", "content"})
    texts, links = [post["title"]], []
    for line in post["content"]:
        for one in line:
            if one["tag"] == "text":
                _only(one, {"tag", "text"})
                texts.append(one["text"])
            elif one["tag"] == "a":
                _only(one, {"tag", "text", "href"})
                links.append((one["text"], one["href"]))
            else:
                raise Refused("9499")
    return texts, links


def _dingtalk(body: bytes, query: dict[str, str], _: Any, __: ChatSite) -> Seen:
    _only(query, {"access_token", "timestamp", "sign"})
    if query["access_token"] != TOKEN:
        raise Refused("300005")
    stamp = query["timestamp"]
    signed = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
    expected = base64.b64encode(signed).decode()
    if abs(time.time() * 1000 - int(stamp)) > _HOUR_S * 1000 or query["sign"] != expected:
        raise Refused("310000")
    message = json.loads(body)
    _only(message, {"msgtype", "text"}, {"at"})
    at = message.get("at", {})
    if message["msgtype"] != "text" or at.get("isAtAll") or any(at.get(n) for n in ("atMobiles",)):
        raise Refused("40035")
    return _autolinked(message["text"]["content"])


def _wecom(body: bytes, query: dict[str, str], _: Any, __: ChatSite) -> Seen:
    if query != {"key": TOKEN}:
        raise Refused("93000")
    message = json.loads(body)
    _only(message, {"msgtype", "text"})
    _only(message["text"], {"content"})
    content = message["text"]["content"]
    if len(content.encode()) > _WECOM_BYTES_MAX:
        raise Refused("45002")
    if re.search(r"<@?[^>]*>", content):  # WeCom reads <@userid> in a text
        raise Refused("40058")
    return _autolinked(content)


def _autolinked(text: str) -> Seen:
    """Plain text, in which the program on a phone makes whatever looks like an address a link."""
    return [text], [(url, url) for url in re.findall(r"https?://\S+", text)]


def _webhook(body: bytes, _: Any, headers: dict[str, str], site: ChatSite) -> Seen:
    receiver()(headers, body, [base64.b64decode(key.removeprefix("whsec_")) for key in site.keys])
    about = json.loads(body)
    return [json.dumps(about)], [(about["url"], about["url"])] if "url" in about else []


_READERS: dict[str, Callable[..., Seen]] = {
    "slack": _slack,
    "teams": _teams,
    "feishu": _feishu,
    "dingtalk": _dingtalk,
    "wecom": _wecom,
    "webhook": _webhook,
}
_TAKEN: dict[str, tuple[int, bytes]] = {
    "slack": (200, b"ok"),
    "teams": (202, b""),
    "feishu": (
        200,
        b'{"StatusCode":0,"code":0,"data":{},"msg":"success"}',
    ),
    "dingtalk": (200, b'{"errcode":0,"errmsg":"ok"}'),
    "wecom": (200, b'{"errcode":0,"errmsg":"ok"}'),
    "webhook": (204, b""),
}
_BUSY: dict[str, bytes] = {
    "feishu": b'{"code":11232,"msg":"frequency limited"}',
    "dingtalk": b'{"errcode":130101,"errmsg":"send too fast"}',
    "wecom": b'{"errcode":45009,"errmsg":"api freq out of limit"}',
}
