r"""A notification as each receiver wants it, and what its answer means.

Each format is chosen so that text is text there: Slack `rich_text` elements, Teams `TextRun`,
Feishu `post` tags, DingTalk and WeCom `text` read no markup, no mention and no link out of it. What
they would read anyway (Slack's and WeCom's angle brackets) is escaped or was never let in.

    slack     200 `ok`; anything else is a refusal. docs.slack.dev, incoming webhooks
    teams     202 (Workflows) or 200; 28 KB. learn.microsoft.com, webhooks and connectors
    feishu    200 with `code` 0; sign: key "time\nsecret" over nothing. open.feishu.cn, custom bots
    dingtalk  200 with `errcode` 0; sign: key secret over "time\nsecret", in the address
    wecom     200 with `errcode` 0; 2,048 bytes of text
    webhook   any 2xx
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import orjson

from sekisho.adapters.notification_words import Said, inert
from sekisho.model.notification import Moment, Notification, NotSent

WECOM_TEXT_BYTES_MAX = 2048
_OK, _ACCEPTED, _REDIRECTS, _CLIENT_FAULT = 200, 202, 300, 400
_TOO_MANY, _SERVER_FAULT = 429, 500
_NEVER = frozenset({400, 413, 422})  # the same bytes would be refused again
_FEISHU_BUSY = frozenset({9499, 11232, 11233})
_DINGTALK_BUSY = frozenset({130101, 130102, 410100, -1})
_WECOM_BUSY = frozenset({45009, 45033, -1})
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it is posted; `query` is added to the address."""

    body: bytes
    query: str = ""


def webhook(told: Notification, said: Said, now_us: int) -> dict[str, Any]:
    """Our own format; docs/howto/notify.md describes it. Members are only ever added."""
    about: dict[str, Any] = {
        "version": 1,
        "id": told.id,
        "moment": told.moment.value,
        "rules": [inert(rule) for rule in told.rules],
    }
    for name in ("stage", "state", "hold", "exchange", "opening"):
        if value := getattr(told, name):
            about[name] = inert(value)
    if said.link:
        about["url"] = said.link
    if told.moment is Moment.BREAK_GLASS:
        about["uses"] = told.uses
    elif told.moment is not Moment.TEST:
        about["risk"] = told.risk
    if told.expires_us:
        about["expires_at"] = _rfc3339(told.expires_us)
        about["time_left_s"] = max(0, (told.expires_us - now_us) // _SECOND_US)
    return about


def slack(said: Said) -> dict[str, Any]:
    """Blocks of structured text; `text` is what a notification on a phone shows."""
    lines: list[dict[str, Any]] = []
    for name, value in said.lines:
        if name:
            lines.append({"type": "text", "text": f"{name}: ", "style": {"bold": True}})
        lines.append({"type": "text", "text": f"{value}\n"})
    if said.link:
        lines.append({"type": "link", "url": said.link, "text": said.link_text})
    sections = [{"type": "rich_text_section", "elements": lines}] if lines else []
    title = {"type": "plain_text", "text": said.title, "emoji": False}
    blocks: list[dict[str, Any]] = [{"type": "header", "text": title}]
    if sections:
        blocks.append({"type": "rich_text", "elements": sections})
    return {
        "text": _slack_escaped(said.title),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def teams(said: Said) -> dict[str, Any]:
    """An adaptive card; runs of text, because text blocks and facts read Markdown."""
    body: list[dict[str, Any]] = [
        {"type": "RichTextBlock", "inlines": [_run(said.title, size="Large", weight="Bolder")]}
    ]
    for name, value in said.lines:
        runs = [_run(f"{name}: ", weight="Bolder"), _run(value)] if name else [_run(value)]
        body.append({"type": "RichTextBlock", "inlines": runs, "spacing": "Small"})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if said.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": said.link_text, "url": said.link}]
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def feishu(said: Said, secret: str, now_us: int, language: str) -> dict[str, Any]:
    """A post: a list of lines, each of elements with a tag."""
    content: list[list[dict[str, str]]] = [
        [{"tag": "text", "text": f"{name}: {value}" if name else value}]
        for name, value in said.lines
    ]
    if said.link:
        content.append([{"tag": "a", "text": said.link_text, "href": said.link}])
    locale = {"en": "en_us", "zh": "zh_cn", "ja": "ja_jp"}[language]
    post = {locale: {"title": said.title, "content": content}}
    message: dict[str, Any] = {"msg_type": "post", "content": {"post": post}}
    if secret:
        now_s = str(now_us // _SECOND_US)
        digest = hmac.digest(f"{now_s}\n{secret}".encode(), b"", hashlib.sha256)
        message |= {"timestamp": now_s, "sign": base64.b64encode(digest).decode()}
    return message


def dingtalk(said: Said) -> dict[str, Any]:
    """Plain text that mentions nobody."""
    return {
        "msgtype": "text",
        "text": {"content": said.plain()},
        "at": {"atMobiles": [], "atUserIds": [], "isAtAll": False},
    }


def dingtalk_query(secret: str, now_us: int) -> str:
    """What DingTalk wants in the address beside the token; "" for a robot without a secret."""
    if not secret:
        return ""
    now_ms = now_us // 1000
    digest = hmac.digest(secret.encode(), f"{now_ms}\n{secret}".encode(), hashlib.sha256)
    return f"timestamp={now_ms}&sign={quote_plus(base64.b64encode(digest))}"


def wecom(said: Said) -> dict[str, Any]:
    """Plain text, cut between characters at WeCom's limit; angle brackets would mention people."""
    text = said.plain().replace("<", "").replace(">", "").encode()
    if len(text) > WECOM_TEXT_BYTES_MAX:
        ending = f"\n{said.link}".encode()
        kept = text[: WECOM_TEXT_BYTES_MAX - len(ending)].decode(errors="ignore")
        text = kept.encode() + ending
    return {"msgtype": "text", "text": {"content": text.decode()}}


def posted(
    kind: str, told: Notification, said: Said, *, secret: str, now_us: int, language: str
) -> Outgoing:
    """The message in the format of a channel of this kind."""
    makers: Mapping[str, Callable[[], dict[str, Any]]] = {
        "webhook": lambda: webhook(told, said, now_us),
        "slack": lambda: slack(said),
        "teams": lambda: teams(said),
        "feishu": lambda: feishu(said, secret, now_us, language),
        "dingtalk": lambda: dingtalk(said),
        "wecom": lambda: wecom(said),
    }
    query = dingtalk_query(secret, now_us) if kind == "dingtalk" else ""
    return Outgoing(orjson.dumps(makers[kind]()), query)


def judge(kind: str, status: int, retry_after: str, body: bytes) -> None:
    """What an answer means. Raises NotSent; its cause has codes in it and no text of theirs."""
    if status == _TOO_MANY:
        raise NotSent("rate_limited", retry_after_s=_seconds(retry_after))
    if status >= _SERVER_FAULT:
        raise NotSent(f"status_{status}", retry_after_s=_seconds(retry_after))
    if status >= _CLIENT_FAULT:
        raise NotSent(f"status_{status}", final=status in _NEVER)
    if status >= _REDIRECTS or status < _OK:
        raise NotSent(f"status_{status}")
    if kind == "slack" and body.strip() != b"ok":
        raise NotSent("not_ok")
    if kind == "feishu":
        _judge_code(_code(body, "code", "StatusCode"), _FEISHU_BUSY)
    if kind == "dingtalk":
        _judge_code(_code(body, "errcode"), _DINGTALK_BUSY)
    if kind == "wecom":
        _judge_code(_code(body, "errcode"), _WECOM_BUSY)


def _judge_code(code: int | None, busy: frozenset[int]) -> None:
    if code is None:
        raise NotSent("no_code")
    if code in busy:
        raise NotSent("rate_limited")
    if code != 0:
        raise NotSent(f"code_{code}")


def _code(body: bytes, *names: str) -> int | None:
    """The code in an answer, None if there is none: then nobody knows that it was taken."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(answer, dict):
        return None
    found = [answer[name] for name in names if type(answer.get(name)) is int]
    return found[0] if found else None


def _seconds(retry_after: str) -> float | None:
    """Whole seconds only: a date is somebody else's clock."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def _run(text: str, **style: str) -> dict[str, str]:
    return {"type": "TextRun", "text": text, **style}


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _rfc3339(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / _SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
