"""How people review, counted from the rows of `review_rows`: in all, by rule and by person.

Figures of few people are figures about persons. Below `people_min` people who answered in the time
asked about, nobody is listed; a rule tells how it was answered, and how fast and how much alike
only if so many answered it; and where all answers are of one person only their number is told.
Whoever asks for their own figures gets all of them.

Each group has counts (`decisions`, `approved`, `under_5_s`, `edits`, `hours` in which anything was
decided, `people`), the median time in microseconds (`median_us`), and of how many versions that
several people answered (`together`) all answers were alike (`agreed`). Answers to test items
that are over are in none of these; they are `caught` or `missed`. Before, they count as answers to
any hold: figures must not tell a test item to whoever has yet to answer it. None is what is not
told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

HASTY_US = 5_000_000
LISTED_MAX = 500  # rules, and people, each with the most decisions first
_HOUR_US = 3_600 * 1_000_000

Figures = dict[str, Any]

_COUNTED = """
SELECT key, count(*) AS decisions, sum(approved) AS approved,
       sum(took_us < :hasty_us) AS under_5_s, count(DISTINCT reviewer) AS people,
       count(DISTINCT reviewer || ' ' || (at_us / :hour_us)) AS hours
FROM keyed GROUP BY key ORDER BY decisions DESC, key LIMIT :listed_max
"""
# Of an even number the mean of the two in the middle, as everywhere.
_MEDIAN = """
SELECT key, sum(took_us) / count(*) FROM (
    SELECT key, took_us, row_number() OVER (PARTITION BY key ORDER BY took_us) AS place,
           count(*) OVER (PARTITION BY key) AS many FROM keyed)
WHERE place IN ((many + 1) / 2, (many + 2) / 2) GROUP BY key
"""
_AGREED = """
SELECT key, count(*), sum(alike) FROM (SELECT DISTINCT key, hold, version FROM keyed)
JOIN (SELECT hold, version, min(approved) = max(approved) AS alike FROM taken
      GROUP BY hold, version HAVING count(DISTINCT reviewer) > 1) USING (hold, version)
GROUP BY key
"""
_SEEDS = "SELECT key, sum(NOT approved), sum(approved) FROM keyed_seeds GROUP BY key"
_EDITED = "SELECT key, count(*) FROM keyed_edits GROUP BY key"
_TAKEN = """
over AS (SELECT hold FROM seeded WHERE over),
taken AS (SELECT * FROM answered WHERE at_us >= :since AND NOT (seeded AND hold IN over)),
seeds AS (SELECT * FROM answered WHERE at_us >= :since AND seeded AND hold IN over)
"""
_EDITS = "edits AS (SELECT * FROM filed WHERE editor IS NOT NULL AND at_us >= :since)"
_MEASURES = {"hasty_us": HASTY_US, "hour_us": _HOUR_US, "listed_max": LISTED_MAX}
# What an answer, an edit and an answer to a test item are counted under.
_KEYS = {
    "total": (
        "SELECT '' AS key, taken.* FROM taken",
        "SELECT '' AS key, edits.* FROM edits",
        "SELECT '' AS key, seeds.* FROM seeds",
    ),
    "rules": (
        "SELECT rule AS key, taken.* FROM taken JOIN ruled USING (hold, version)",
        "SELECT rule AS key, edits.* FROM edits JOIN ruled USING (hold, version)",
        "SELECT rule AS key, seeds.* FROM seeds JOIN ruled USING (hold, version)",
    ),
    "people": (
        "SELECT reviewer AS key, taken.* FROM taken",
        "SELECT editor AS key, edits.* FROM edits",
        "SELECT reviewer AS key, seeds.* FROM seeds",
    ),
    "own": (
        "SELECT reviewer AS key, taken.* FROM taken WHERE reviewer = :whose",
        "SELECT editor AS key, edits.* FROM edits WHERE editor = :whose",
        "SELECT reviewer AS key, seeds.* FROM seeds WHERE reviewer = :whose",
    ),
}
_OF_BEHAVIOUR = (
    *("under_5_s", "median_us", "together", "agreed", "edits", "hours", "caught", "missed"),
)
_NOTHING: Figures = {
    "decisions": 0,
    "approved": 0,
    "people": 0,
    "under_5_s": 0,
    "median_us": None,
    "together": 0,
    "agreed": 0,
    "edits": 0,
    "hours": 0,
    "caught": 0,
    "missed": 0,
}


def all_figures(db: sqlite3.Connection, since_us: int, people_min: int) -> Figures:
    """What may be told of everybody's answers since then: `total`, `rules` and `people` by key,
    `people` None where they are too few to be listed. Keys of people are pseudonyms.
    """
    asked = {"since": since_us, **_MEASURES}
    total = _groups(db, "total", asked).get("", dict(_NOTHING))
    few = total["people"] < people_min
    rules = _groups(db, "rules", asked)
    return {
        "total": _told(total, 2),
        "rules": {rule: _told(one, people_min) for rule, one in rules.items()},
        "people": None if few else _groups(db, "people", asked),
    }


def own_figures(db: sqlite3.Connection, since_us: int, reviewer: str | None) -> Figures:
    """Everything about one pseudonym's answers since then; nothing if there is no pseudonym."""
    found = _groups(db, "own", {"since": since_us, "whose": reviewer, **_MEASURES})
    return found.get(reviewer or "", dict(_NOTHING))


def _told(figures: Figures, people_min: int) -> Figures:
    """How people work is told of so many of them, and that nothing was done of nobody."""
    if figures["people"] >= people_min or figures == _NOTHING:
        return figures
    return {**figures, **dict.fromkeys(_OF_BEHAVIOUR), "people": None}


def _groups(db: sqlite3.Connection, by: str, asked: Mapping[str, Any]) -> dict[str, Figures]:
    answers, edits, seeds = _KEYS[by]
    # `by` is a word of this module, never one of whoever asks.
    keyed = f"keyed AS ({answers}), keyed_edits AS ({edits}), keyed_seeds AS ({seeds})"
    head = f"WITH {_TAKEN}, {_EDITS}, {keyed}"
    counted = db.execute(f"{head} {_COUNTED}", asked)
    names = [column[0] for column in counted.description[1:]]
    groups = {
        key: {**_NOTHING, **dict(zip(names, row, strict=True))} for key, *row in counted.fetchall()
    }
    for key, median_us in db.execute(f"{head} {_MEDIAN}", asked):
        if key in groups:
            groups[key]["median_us"] = median_us
    for key, together, agreed in db.execute(f"{head} {_AGREED}", asked):
        if key in groups:
            groups[key].update(together=together, agreed=agreed)
    for key, edited in db.execute(f"{head} {_EDITED}", asked):
        groups.setdefault(key, dict(_NOTHING))["edits"] = edited
    for key, caught, missed in db.execute(f"{head} {_SEEDS}", asked):
        groups.setdefault(key, dict(_NOTHING)).update(caught=caught, missed=missed)
    return groups
