from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sekisho.model.prices import FREE, UNLIMITED, Price, PriceTable

TOKENS = st.integers(0, 10_000_000)
MICROS = st.integers(0, 10**12)


def test_a_name_wins_then_the_first_pattern_then_the_default() -> None:
    """As for limits."""
    table = PriceTable("USD", {"gpt-*": Price(2, 2), "*": Price(3, 3), "gpt-4": Price(1, 1)})

    assert [1, 2, 3] == [table.of(name).input_micros for name in ("gpt-4", "gpt-5", "x")]
    assert FREE == PriceTable().of("x")
    assert Price(9, 9) == PriceTable("USD", {}, Price(9, 9)).of("x")


def test_many_names_do_not_fill_memory() -> None:
    """Names are chosen by clients."""
    table = PriceTable("USD", {"*": Price(1, 1)})
    for number in range(10_000):
        table.of(f"m-{number}")

    assert len(table._found) <= 4096


@given(MICROS, MICROS, TOKENS, TOKENS)
def test_a_cost_is_rounded_up_by_less_than_one(i: int, o: int, prompt: int, answer: int) -> None:
    """Whole numbers throughout; never too little."""
    cost = Price(i, o).cost_micros(prompt, answer)

    exact = i * prompt + o * answer
    assert 0 <= cost * 1_000_000 - exact < 1_000_000


def test_a_revision_names_one_table() -> None:
    """Any change of currency, price, order or default is another revision; equal tables agree."""
    one = {"a*": Price(1, 2), "b": Price(3, 4)}
    tables = [
        PriceTable("USD", one),
        PriceTable("EUR", one),
        PriceTable("USD", {"b": Price(3, 4), "a*": Price(1, 2)}),
        PriceTable("USD", {**one, "b": Price(3, 5)}),
        PriceTable("USD", one, Price(1, 1)),
        PriceTable("USD", {"a*": Price(1, 2), "b": Price(3, 4), "": Price(0, 0)}),
        UNLIMITED.prices,
    ]

    assert len(tables) == len({table.revision for table in tables})
    assert tables[0].revision == PriceTable("USD", dict(one)).revision
