"""The first page and those around signing in: no scripts, no fonts or pictures from anywhere.

Everything that is not ours is escaped. The one style sheet is named by its digest in the content
security policy, so not even an injected `<style>` would apply.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from urllib.parse import quote, urlencode

from sekisho.model.principal import Principal, Scope

_STYLE = """\
:root{color-scheme:light dark}
body{font:1rem/1.6 system-ui,sans-serif;max-width:26rem;margin:10vh auto;padding:0 1.25rem}
h1{font-size:1.4rem;line-height:1.3}
a.button,button{display:block;box-sizing:border-box;width:100%;margin:.6rem 0;padding:.7rem 1rem;
font:inherit;text-align:center;text-decoration:none;cursor:pointer;border-radius:.4rem;
border:1px solid #1a5fb4;background:#1a5fb4;color:#fff}
button.plain{background:transparent;color:inherit;border-color:#888}
label{display:block;margin-top:1.6rem}
input{box-sizing:border-box;width:100%;padding:.7rem;font:inherit;border:1px solid #888;
border-radius:.4rem}
a.button:focus,button:focus,input:focus{outline:3px solid #62a0ea;outline-offset:2px}
.fault{border-left:.3rem solid #c01c28;padding-left:.8rem}
small{opacity:.8}"""

_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}

# Every answer says `referrer-policy: no-referrer`, by which a browser sends `Origin: null` even
# with our own forms; the page itself says otherwise, for browsers without `Sec-Fetch-Site`.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="same-origin">
<title>{title} · Sekisho</title><style>{style}</style></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""


def sign_in(issuers: Sequence[str], return_to: str, fault: str = "") -> str:
    """A button for each issuer and a field for a key; `fault` says why it is shown again."""
    wanted = urlencode({"return_to": return_to})
    buttons = "".join(
        f'<a class="button" href="/login/{quote(issuer)}?{escape(wanted)}">'
        f"Sign in with {escape(issuer)}</a>\n"
        for issuer in issuers
    )
    said = f'<p class="fault" role="alert">{escape(fault)}</p>\n' if fault else ""
    form = (
        '<form method="post" action="/login" autocomplete="off">\n'
        f'<input type="hidden" name="return_to" value="{escape(return_to)}">\n'
        '<label for="key">Your Sekisho key</label>\n'
        '<input id="key" name="key" type="password" required autocomplete="off" '
        'spellcheck="false" placeholder="sk-sekisho-…">\n'
        '<button class="plain">Sign in with a key</button>\n</form>'
    )
    return _page("Sign in", f"{said}{buttons}{form}")


def home(public_url: str) -> str:
    """What this is, what programs need, and where people go."""
    return _page(
        "Sekisho",
        "<p>The gate between staff and language models here: what is asked meets rules, where they "
        "say so a person, and a log.</p>\n"
        f"<p>For a program: base URL <strong>{escape(public_url)}/v1</strong> and your Sekisho key "
        "where it expects the OpenAI key.</p>\n"
        '<a class="button" href="/login">Sign in</a>\n'
        '<p><small>What can be called: <a href="/openapi.json">/openapi.json</a></small></p>',
    )


def signed_in(principal: Principal) -> str:
    """Who is signed in here, what there is to see, and the way out."""
    roles = ", ".join(sorted(role.value for role in principal.roles)) or "none"
    places = [("/v1/exchanges", "Your history"), ("/v1/me", "Who you are here")]
    if Scope.REVIEW in principal.usable_scopes:
        places.insert(0, ("/v1/approvals", "Requests that wait for review"))
    links = "<br>\n".join(f'<a href="{path}">{text}</a>' for path, text in places)
    return _page(
        "You are signed in",
        f"<p>as <strong>{escape(principal.id)}</strong><br><small>Roles: {escape(roles)}</small>"
        f'</p>\n<p>{links}</p>\n<form method="post" action="/logout">'
        '<button class="plain">Sign out</button></form>',
    )


def failed(message: str, code: str) -> str:
    """What went wrong, and the way to try again."""
    return _page(
        "That did not work",
        f'<p class="fault" role="alert">{escape(message)}</p>\n'
        f"<p><small>Code: {escape(code)}</small></p>\n"
        '<a class="button" href="/login">Sign in</a>',
    )


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), style=_STYLE, body=body)
