"""A report of evidence read back from its HTML, with the standard library alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta"})


@dataclass
class Element:
    """One element, with its elements and texts in order."""

    tag: str
    kind: str = ""
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that a reader sees of it."""
        return "".join(one if isinstance(one, str) else one.text for one in self.inside)

    def all(self, *tags: str) -> list[Element]:
        """Elements of these tags within it, in the order of the page."""
        return list(self._all(tags))

    def _all(self, tags: tuple[str, ...]) -> Iterator[Element]:
        for one in self.inside:
            if isinstance(one, Element):
                if one.tag in tags:
                    yield one
                yield from one._all(tags)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs).get("class") or "")
        self._open[-1].inside.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


@dataclass(frozen=True)
class Row:
    """One event as the report tells it."""

    heading: str  # what stands over the table
    index: str
    utc: str
    local: str
    what: str
    who: str
    details: list[tuple[str, str]]


@dataclass
class Page:
    """What a report tells."""

    head: dict[str, str]
    totals: dict[str, str]
    counted: dict[str, dict[str, str]]  # heading: what is counted: how many
    rows: list[Row] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)


def read_page(text: str) -> Page:
    """Read a report."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.root.all("html"), "not a page"
    head, totals = (_facts(one) for one in reader.root.all("table") if one.kind == "facts")
    [tables] = [one for one in reader.root.all("div") if one.kind == "counts"]
    counted = {one.all("h3")[0].text: _counted(one) for one in tables.all("div")}
    page, heading = Page(head, totals, counted), ""
    for one in reader.root.all("h2", "h3", "table", "pre"):
        if one.tag in {"h2", "h3"}:
            heading = one.text
        elif one.tag == "pre":
            page.texts.append((heading, one.text))
        elif one.kind == "events":
            page.rows += [_row(heading, row) for row in one.all("tbody")[0].all("tr")]
    return page


def _facts(table: Element) -> dict[str, str]:
    return {row.all("th")[0].text: row.all("td")[0].text for row in table.all("tr")}


def _counted(division: Element) -> dict[str, str]:
    rows = division.all("tr")
    counted = {row.all("td")[0].text: row.all("td")[1].text for row in rows}
    assert len(counted) == len(rows), "counted twice"
    return counted


def _row(heading: str, row: Element) -> Row:
    index, utc, local, what, who, _ = cells = row.all("td")
    names, values = cells[-1].all("dt"), cells[-1].all("dd")
    told = [(name.text, value.text) for name, value in zip(names, values, strict=True)]
    return Row(heading, index.text, utc.text, local.text, what.text, who.text, told)
