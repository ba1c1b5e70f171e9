"""A deny of the rules as who asked hears it: each reason with its rule, in every language."""

from __future__ import annotations

from collections.abc import Iterable

from sekisho.errors import DeniedByPolicy
from sekisho.model.decision import Decision, Reason


def denied(decision: Decision, code: str | None = None) -> DeniedByPolicy:
    """The refusal, in every language that some reason speaks."""
    languages = {language for reason in decision.reasons for language in reason.texts}
    texts = {language: _said(decision, language) for language in sorted(languages)}
    return DeniedByPolicy(_said(decision, "en"), code=code, texts=texts)


def _said(decision: Decision, language: str) -> str:
    if not decision.reasons:
        return "Policy denied this request and gave no reason. Ask an operator."
    return said(decision.reasons, language)


def said(reasons: Iterable[Reason], language: str = "en") -> str:
    """Each reason with the rule that gave it, in one line."""
    return " ".join(f"{reason.said_in(language)} (rule {reason.rule})" for reason in reasons)
