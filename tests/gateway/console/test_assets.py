from __future__ import annotations

import hashlib

from sekisho.console.assets import BY_FILE, SERVED


def test_a_name_changes_with_its_content() -> None:
    """It has the digest of what is served."""
    for file, asset in BY_FILE.items():
        stem, ending = file.split(".")
        digest = hashlib.sha256(asset.content).hexdigest()
        assert asset.name == f"{stem}-{digest[:16]}.{ending}"
        assert SERVED[asset.name] is asset


def test_nothing_is_loaded_from_elsewhere() -> None:
    """No fonts, pictures or other scripts; the script makes no markup and runs no text."""
    css, js = BY_FILE["page.css"].content, BY_FILE["page.js"].content

    assert b"url(" not in css
    assert b"@import" not in css
    for word in (b"http", b"innerHTML", b"eval", b"insertAdjacent", b"document.write", b"fetch("):
        assert word not in js, word
