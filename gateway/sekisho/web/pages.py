"""The page a hold's link leads to: what the id is, and the commands to see and decide it.

It shows nothing of the hold, because it asks for no key; pages with sign-in grow from here.
"""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from sekisho.holding.names import is_hold_id

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sekisho: a request waiting for review</title>
<style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}}
code{{background:#8882;padding:.1em .3em;border-radius:.2em;overflow-wrap:anywhere}}</style>
<h1>A request waiting for review</h1>
<p>This link names the hold <code>{id}</code>: a request, or the answer to one. What it contains is
shown only to its reviewers and, once that is allowed, to the person who asked, each with their own
key.</p>
<h2>If you asked</h2><p>See how it stands, or take it back:</p>
<p><code>sekisho hold show {id}</code><br><code>sekisho hold withdraw {id}</code></p>
<p>If you were told <code>justification_required</code>, say why you ask; the reason is kept as
evidence, and nothing is sent without it:</p>
<p><code>sekisho hold justify {id} --reason "…"</code></p>
<p>Your program gets the answer with
<code>client.chat.completions.retrieve("chatcmpl-{id}")</code>.</p>
<h2>If you review</h2><p>See exactly what would be sent or given out, then decide:</p>
<p><code>sekisho hold show {id}</code><br>
<code>sekisho hold approve {id} --reason "…"</code><br>
<code>sekisho hold deny {id} --reason "…"</code></p>
</html>"""

router = APIRouter(include_in_schema=False)


@router.get("/approvals/{hold_id}")
async def hold_page(hold_id: str) -> HTMLResponse:
    """The same page for every well-formed id, so that it tells nobody which ids exist."""
    if not is_hold_id(hold_id):
        return HTMLResponse("<h1>No such page</h1>", status_code=404, headers=_HEADERS)
    return HTMLResponse(_PAGE.format(id=escape(hold_id)), headers=_HEADERS)
