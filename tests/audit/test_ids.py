"""uuid7 as RFC 9562 has it."""

from __future__ import annotations

import uuid

from sekisho_audit.ids import uuid7


def test_version_variant_and_time_are_where_the_rfc_puts_them() -> None:
    """The standard library reads back what we wrote."""
    value = uuid.UUID(uuid7(1_700_000_000_123))

    assert (7, uuid.RFC_4122) == (value.version, value.variant)
    assert 1_700_000_000_123 == value.int >> 80


def test_later_is_greater() -> None:
    """Ids given at different milliseconds sort by time as text."""
    assert uuid7(1_000) < uuid7(1_001) < uuid7(2**47)


def test_no_two_are_equal() -> None:
    """74 random bits keep ids of one millisecond apart."""
    assert 10_000 == len({uuid7(5) for _ in range(10_000)})
