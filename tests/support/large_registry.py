"""A registry of a large house: many people with a key, an identity at an issuer, groups, and some
delegations, written in one go.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert

from sekisho.adapters.registry_schema import (
    api_keys,
    delegations,
    principal_groups,
    principal_links,
    principal_roles,
    principals,
)
from sekisho.adapters.sql_registry import Registry

LENDING_OF = 50  # one of so many people has a delegate


def fill(path: Path, size: int) -> Registry:
    """`person-0` and so on, all employees of two groups; the caller closes the registry."""
    registry = Registry.open(path)
    names = [f"person-{number}" for number in range(size)]
    people = [
        {"id": name, "kind": "person", "owner": None, "disabled": False, "created_us": 1}
        for name in names
    ]
    roles = [{"principal": name, "role": "employee", "source": "scim"} for name in names]
    groups = [
        {"principal": name, "group_name": group, "source": "scim"}
        for name in names
        for group in ("sales", "all")
    ]
    keys = [
        {"id": f"{number:08d}", "principal": name, "hash": b"x" * 32, "label": "", "created_us": 1}
        for number, name in enumerate(names)
    ]
    identities = [
        {"issuer": "corp", "subject": f"s-{name}", "principal": name, "claims": "", "as_of_us": 0}
        for name in names
    ]
    lendings = [
        {
            "id": f"d-{number}",
            "principal": name,
            "delegate": names[number - 1],
            "role": "employee",
            "from_us": 1,
            "until_us": 2**50,
        }
        for number, name in enumerate(names)
        if number % LENDING_OF == 1
    ]
    with registry.change() as change:
        for table, rows in (
            (principals, people),
            (principal_roles, roles),
            (principal_groups, groups),
            (api_keys, keys),
            (principal_links, identities),
            (delegations, lendings),
        ):
            change.changed = True
            change._connection.execute(insert(table), rows)
    return registry
