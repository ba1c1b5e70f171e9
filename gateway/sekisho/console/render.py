"""Pages from templates. Everything put into one is escaped, and one that lacks a value is a fault.

`page` is all that the web layer calls. Templates know four filters: `inert` for content, `stamp`
for times, `count` for grouped digits and `short` for digests.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sekisho.console.assets import BY_FILE
from sekisho.console.inert import inert
from sekisho.console.words import WORDS

_SHORT_CHARS = 19  # "sha256:" and twelve digits


def page(
    template: str, language: str, base: str, *, break_glass_open: int = 0, **values: object
) -> str:
    """The page of `template` in `language`; `base` is the path under which this gateway stands.
    Whoever reads it is told on each page of so many openings of break-glass.
    """
    words = WORDS[language]
    made = _ENVIRONMENT.get_template(template)
    about = {"t": words, "base": base, "assets": BY_FILE, "break_glass_open": break_glass_open}
    return made.render(**about, **values)


def stamp(seconds: int) -> Markup:
    """A time in UTC, to the minute, which the script may say in the reader's own zone."""
    then = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        f"{then:%Y-%m-%dT%H:%M:%SZ}", f"{then:%Y-%m-%d %H:%M} UTC"
    )


def short(digest: str) -> str:
    """As much of a digest as tells two apart."""
    return digest if len(digest) <= _SHORT_CHARS else f"{digest[:_SHORT_CHARS]}…"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"inert": inert, "stamp": stamp, "short": short, "count": "{:,}".format}
    return made


_ENVIRONMENT = _environment()
