"""What the pages of samples show: what waits for one reader, and one sample with its content.

Pure. What others found is on a page only for who has said what they found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from sekisho.console.alarms import hidden_in, mixed_in
from sekisho.console.bound import Bound, bound_of
from sekisho.content import assemble
from sekisho.holding.sample_desk import REASON_CHARS_MAX
from sekisho.model.principal import Principal
from sekisho.model.samples import Content, Sample, Verdict

_MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class SampleLine:
    """One sample of the list. Times are seconds since the epoch."""

    sample: Sample

    @property
    def drawn(self) -> int:
        """When it was drawn."""
        return self.sample.drawn_us // _MICROS


@dataclass(frozen=True, slots=True)
class SamplesPage:
    """The values of `samples.html`; `said`: the reader has just judged one."""

    waiting: tuple[SampleLine, ...]
    said: bool
    now: int


@dataclass(frozen=True, slots=True)
class SamplePage:
    """The values of `sample.html`. `request` and `answer` are None where they are not there any
    more; `verdicts` is empty until the reader has judged it.
    """

    sample: Sample
    request: Bound | None
    answer: Bound | None
    cut: bool
    hidden: int
    mixed: int
    mine: str
    verdicts: tuple[Verdict, ...]
    now: int

    @property
    def drawn(self) -> int:
        """When it was drawn."""
        return self.sample.drawn_us // _MICROS

    @property
    def until(self) -> int:
        """When nobody is asked any more."""
        return self.sample.until_us // _MICROS

    @property
    def may_judge(self) -> bool:
        """Whether there is something to judge, and the reader has not done it."""
        return not self.mine and (self.request is not None or self.answer is not None)

    @property
    def reason_chars_max(self) -> int:
        """How long a reason may be."""
        return REASON_CHARS_MAX


def samples_page(samples: Sequence[Sample], now_us: int, *, said: bool) -> SamplesPage:
    """What waits for one reader."""
    return SamplesPage(tuple(map(SampleLine, samples)), said, now_us // _MICROS)


def sample_page(
    sample: Sample, content: Content | None, reader: Principal, now_us: int
) -> SamplePage:
    """One sample for who may judge it, or has."""
    request = bound_of(content.request, "request") if content and content.request else None
    answer = _answer(content.answer) if content else None
    texts = [one.text for one in (request, answer) if one is not None and one.is_text]
    mine = sample.said_by(reader.id)
    return SamplePage(
        sample=sample,
        request=request,
        answer=answer,
        cut=content is not None and content.cut,
        hidden=sum(map(hidden_in, texts)),
        mixed=sum(map(mixed_in, texts)),
        mine=mine.verdict if mine else "",
        verdicts=sample.verdicts if mine else (),
        now=now_us // _MICROS,
    )


def _answer(body: bytes) -> Bound:
    """An answer as JSON has it; a stream is put together, and its exact bytes stay those of it."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        if b"data:" in body:
            together = bound_of(orjson.dumps(assemble.completion(body)), "response")
            return replace(together, text=body.decode(errors="replace"))
    return bound_of(body, "response")
