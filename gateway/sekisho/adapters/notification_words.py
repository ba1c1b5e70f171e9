"""What a notification says, in the language of its channel; still without any format of its own.

Everything that is not ours (names of rules, and whatever else could come from outside) is reduced
to letters, digits and a few signs that no chat system or mail program reads as markup, a mention, a
link or a command, and that do not turn or hide text. Formats escape on top of that, each its way.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sekisho.model.notification import RULE_CHARS_MAX, Moment, Notification

_SIGNS = frozenset(
    "._- "
)  # no colon or slash: chat programs make a link of an address by themselves
_BLOT = "\u00b7"
_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400

Words = Mapping[str, str]

_EN: Words = {
    "filed": "Waiting for your review",
    "reminder": "Still waiting for your review",
    "escalation": "Not answered in time: please take over",
    "settled": "Your request was decided",
    "decided": "A rule wants you to know",
    "break_glass": "Break-glass",
    "test": "Test of this channel",
    "test_body": "An operator tries whether messages arrive here. Nothing waits for you.",
    "rule": "Rule",
    "stage": "Stage",
    "risk": "Risk",
    "state": "Decision",
    "left": "Time left",
    "exchange": "Exchange",
    "opening": "Opening",
    "uses": "Uses",
    "open": "Sign in to look at it",
    "over": "none",
    "days": "{} d",
    "hours": "{} h",
    "minutes": "{} min",
    "until": "{left}, until {time} UTC",
    "stage.request": "request",
    "stage.tool_call": "tool call",
    "stage.response": "answer",
    "state.approved": "approved",
    "state.denied": "denied",
    "state.expired": "expired: nobody decided in time",
    "state.withdrawn": "withdrawn",
    "state.failed": "approved, but it could not be sent",
    "state.unknown": "approved and sent; what became of it is unknown",
    "state.allow": "allowed",
    "state.hold": "held",
    "state.deny": "denied",
    "state.opened": "opened: holds of these rules go on without people",
    "state.used": "used again",
    "state.unreviewed": "its review is overdue",
}
_ZH: Words = {
    "filed": "等待您审批",
    "reminder": "仍在等待您审批",
    "escalation": "未及时处理：请您接手",
    "settled": "您的请求已有结果",
    "decided": "规则要求告知您",
    "break_glass": "紧急放行",
    "test": "此渠道的测试消息",
    "test_body": "运维人员正在确认消息能否送达。没有待您处理的事项。",
    "rule": "规则",
    "stage": "阶段",
    "risk": "风险",
    "state": "结果",
    "left": "剩余时间",
    "exchange": "交换编号",
    "opening": "放行编号",
    "uses": "使用次数",
    "open": "登录后查看",
    "over": "无",
    "days": "{} 天",
    "hours": "{} 小时",
    "minutes": "{} 分钟",
    "until": "{left}，截至 {time} UTC",
    "stage.request": "请求",
    "stage.tool_call": "工具调用",
    "stage.response": "回答",
    "state.approved": "已批准",
    "state.denied": "已拒绝",
    "state.expired": "已过期：无人及时处理",
    "state.withdrawn": "已撤回",
    "state.failed": "已批准，但未能发送",
    "state.unknown": "已批准并发送，结果未知",
    "state.allow": "已放行",
    "state.hold": "已暂停",
    "state.deny": "已拒绝",
    "state.opened": "已开启：这些规则的请求未经人工审核即可继续",
    "state.used": "再次使用",
    "state.unreviewed": "逾期未复核",
}
_JA: Words = {
    "filed": "あなたの承認を待っています",
    "reminder": "まだあなたの承認を待っています",
    "escalation": "期限内に回答がありません：対応をお願いします",
    "settled": "あなたの依頼の結果が出ました",
    "decided": "ルールによるお知らせ",
    "break_glass": "緊急開放",
    "test": "この通知先のテスト",
    "test_body": "管理者がメッセージの到達を確認しています。対応は不要です。",
    "rule": "ルール",
    "stage": "段階",
    "risk": "リスク",
    "state": "結果",
    "left": "残り時間",
    "exchange": "交換番号",
    "opening": "開放番号",
    "uses": "使用回数",
    "open": "サインインして確認",
    "over": "なし",
    "days": "{} 日",
    "hours": "{} 時間",
    "minutes": "{} 分",
    "until": "{left}（{time} UTC まで）",
    "stage.request": "依頼",
    "stage.tool_call": "ツール呼び出し",
    "stage.response": "回答",
    "state.approved": "承認",
    "state.denied": "否認",
    "state.expired": "期限切れ：期限内に決定されませんでした",
    "state.withdrawn": "取り下げ",
    "state.failed": "承認されましたが、送信できませんでした",
    "state.unknown": "承認され送信されましたが、結果は不明です",
    "state.allow": "許可",
    "state.hold": "保留",
    "state.deny": "否認",
    "state.opened": "開始：これらのルールの保留は審査なしで続行されます",
    "state.used": "さらに使用されました",
    "state.unreviewed": "確認の期限が過ぎています",
}
WORDS: Mapping[str, Words] = {"en": _EN, "zh": _ZH, "ja": _JA}


@dataclass(frozen=True, slots=True)
class Said:
    """A notification in words: a title, lines of a name and a value, a link with its text."""

    title: str
    lines: tuple[tuple[str, str], ...]
    link: str
    link_text: str

    def plain(self) -> str:
        """All of it as lines of text."""
        lines = [f"{name}: {value}" if name else value for name, value in self.lines]
        ending = [f"{self.link_text}: {self.link}"] if self.link else []
        return "\n".join([self.title, *lines, *ending])


def say(told: Notification, language: str, public_url: str, now_us: int) -> Said:
    """`told` in words; `now_us` is when it is sent."""
    words = WORDS[language]
    lines: list[tuple[str, str]] = []
    if told.moment is Moment.TEST:
        lines.append(("", words["test_body"]))
    if told.state:
        lines.append((words["state"], _word(words, "state", told.state)))
    lines += [(words["rule"], inert(rule)) for rule in told.rules]
    if told.stage:
        lines.append((words["stage"], _word(words, "stage", told.stage)))
    if told.opening:
        lines.append((words["opening"], inert(told.opening)))
        lines.append((words["uses"], str(told.uses)))
    if told.moment not in {Moment.TEST, Moment.DECIDED, Moment.BREAK_GLASS}:
        lines.append((words["risk"], str(told.risk)))
    if told.expires_us and told.moment is not Moment.SETTLED:
        lines.append((words["left"], _left(words, told.expires_us, now_us)))
    if not told.hold and told.exchange:
        lines.append((words["exchange"], inert(told.exchange)))
    return Said(words[told.moment], tuple(lines), link_to(told, public_url), words["open"])


def link_to(told: Notification, public_url: str) -> str:
    """The page of the hold or of the opening; it asks who is there before it shows anything. ""
    where there is neither.
    """
    if told.opening:
        return f"{public_url}/break-glass/{told.opening}"
    return f"{public_url}/approvals/{told.hold}" if told.hold else ""


def inert(text: str) -> str:
    """`text` with everything blotted that a program might read as more than text."""
    return "".join(one if _is_plain(one) else _BLOT for one in text[:RULE_CHARS_MAX])


def _is_plain(one: str) -> bool:
    # Fullwidth forms are letters to Unicode, and brackets or at-signs to whoever folds them.
    return one in _SIGNS or (
        unicodedata.category(one)[0] in "LN" and unicodedata.normalize("NFKC", one) == one
    )


def _word(words: Words, kind: str, value: str) -> str:
    return words.get(f"{kind}.{value}", inert(value))


def _left(words: Words, expires_us: int, now_us: int) -> str:
    seconds = (expires_us - now_us) // 1_000_000
    if seconds <= 0:
        return words["over"]
    if seconds < _HOUR_S:
        left = words["minutes"].format(max(1, seconds // _MINUTE_S))
    elif seconds < 2 * _DAY_S:
        left = words["hours"].format(seconds // _HOUR_S)
    else:
        left = words["days"].format(seconds // _DAY_S)
    time = datetime.fromtimestamp(expires_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")
    return words["until"].format(left=left, time=time)
