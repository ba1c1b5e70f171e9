"""What is kept beside the ledger: begun and ended together, and nothing needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho_audit.desks import Desks, kept
from sekisho_audit.errors import Refused
from sekisho_audit.history import History
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.published import Published
from sekisho_audit.search_desk import SearchDesk
from support.ledgers import open_ledger, run_exchange


async def test_they_begin_and_end_together(tmp_path: Path) -> None:
    """No thread is left behind, and the ledger closes after them."""
    ledger = open_ledger(tmp_path)
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    index = tmp_path / "data" / "index"
    index.mkdir(parents=True)
    desks = Desks(
        History(index / "history.db", ledger),
        SearchDesk(index / "search.db", ledger, bytes(32)),
        LogDesk(Published(index / "tiles", ledger.directory, lambda: ledger.signed)),
    )
    desks.start()
    for thread in (desks.history, desks.search):
        assert thread is not None
        assert thread.is_alive()
    await desks.stop()
    for thread in (desks.history, desks.search):
        assert thread is not None
        assert not thread.is_alive()
    ledger.close()


async def test_none_is_needed() -> None:
    """A server without them is still a server."""
    desks = Desks()
    desks.start()
    await desks.stop()
    with pytest.raises(Refused, match="keeps no search index") as refused:
        kept(desks.search, "search index")
    assert refused.value.code == "busy"
