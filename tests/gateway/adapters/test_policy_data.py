"""data.yaml: every slip of an admin is told with its line, none does nothing in silence."""

from __future__ import annotations

import pytest

from sekisho.adapters.policy_data import NotPolicyData, read_data, usage_rules
from sekisho.model.limits import MICROS, Spender
from sekisho.model.prices import Price
from support.rules import SHIPPED

LEAST = """
groups:
  employees:
    models: ["*"]
hosted_tools: {}
function_tools: {}
unknown_fields: {}
labels: {}
entities: {}
hold: {}
records: {}
"""


def faults(source: str) -> list[tuple[int, str]]:
    """Line and text of what is wrong."""
    with pytest.raises(NotPolicyData) as caught:
        read_data(source.encode())
    return [(line, text) for (line, _), text in caught.value.faults]


def test_shipped() -> None:
    """The shipped file reads, and comes out as it stands there, without defaults filled in."""
    data = read_data((SHIPPED / "data.yaml").read_bytes())

    assert ["*"] == data["groups"]["employees"]["models"]
    assert "max_tokens" not in data["groups"]["employees"]


def test_least() -> None:
    """What has a default may be left out."""
    assert {"employees": {"models": ["*"]}} == read_data(LEAST.encode())["groups"]


@pytest.mark.parametrize(
    ("wrong", "line", "text"),
    [
        (LEAST.replace("groups:", "grops:"), 2, "grops"),
        (LEAST.replace('models: ["*"]', 'model: ["*"]'), 4, "model"),
        (LEAST.replace('models: ["*"]', "models: all"), 4, "models"),
        (LEAST.replace('models: ["*"]', 'models: ["*"]\n    max_tokens: "5"'), 5, "max_tokens"),
        (LEAST.replace('models: ["*"]', 'models: ["*"]\n    max_tokens: 0'), 5, "max_tokens"),
        (LEAST.replace("employees:", "no:"), 3, "must be plain text"),
        (LEAST.replace("employees:", "7:"), 3, "must be plain text"),
        (LEAST + "groups: {}\n", 12, "stands twice"),
        (LEAST + "words:\n  a: [x]\n  a: [y]\n", 14, "stands twice"),
        (LEAST + "words:\n  a: &x [x]\n  b: *x\n", 13, "an alias"),
        (LEAST + "words:\n  <<: {a: [x]}\n", 13, "merge nothing"),
        (LEAST + "words:\n  a: [on]\n", 13, "words.a.0"),
        (LEAST.replace("hold: {}", "hold: {ttl_s: 0}"), 10, "hold.ttl_s"),
        (LEAST.replace("hold: {}", "hold: {approve: 0}"), 10, "hold.approve"),
        (LEAST.replace("hold: {}", "hold: {risk: 101}"), 10, "hold.risk"),
        (LEAST.replace("records: {}", "records: {log_level: all}"), 11, "records.log_level"),
        (LEAST + "a: [\n", 13, ""),
        (LEAST + "when: 2026-01-01\n", 12, "when"),
    ],
)
def test_faults(wrong: str, line: int, text: str) -> None:
    """Line and name of what is wrong."""
    found = faults(wrong)

    assert any(text in said for _, said in found), found
    assert line in [place for place, _ in found]


def test_faults_have_columns() -> None:
    """A value deep in one line is pointed at, and so is a key that stands twice."""
    for wrong, place in (
        (LEAST.replace("hold: {}", "hold: {ttl_s: 60, risk: 101}"), (10, 19)),
        (LEAST.replace("hold: {}", "hold: {risk: 1, risk: 2}"), (10, 17)),
        (LEAST + "words:\n  a: [b, on]\n", (13, 10)),
    ):
        with pytest.raises(NotPolicyData) as caught:
            read_data(wrong.encode())
        assert [place] == [at for at, _ in caught.value.faults], wrong


@pytest.mark.parametrize("source", ["", "[]", "7", "null", "!!python/object:os.system {}", "\x00"])
def test_not_even_close(source: str) -> None:
    """Other YAML, empty files and tags that would make objects are refused."""
    assert faults(source)


def test_all_faults_at_once() -> None:
    """An admin sees all of them."""
    wrong = LEAST.replace("hold: {}", "hold: {risk: 101, ttl_s: 0}") + "extra: 1\n"

    assert {"hold.risk", "hold.ttl_s", "extra"} <= {text.split(":")[0] for _, text in faults(wrong)}


PRICED = LEAST + 'prices: {currency: USD, models: {"gpt-*": {input: 2.5, output: "10"}}}\n'


def limited(lines: str) -> str:
    """A file with these limits; the first stands on line 13."""
    return PRICED + "limits:\n" + lines


def test_limits_and_prices() -> None:
    """Figures come out as whole numbers, money in millionths."""
    data = read_data(
        limited('  - {for: "group:sales", spend_per_day: 0.25, requests_per_min: 3}\n').encode()
    )

    usage = usage_rules(data)
    limits = usage.limits.limits_of(Spender("staff-7", frozenset({"sales"}), "gpt-4", "b"))
    assert {"requests_per_min": 3, "spend_per_day": 250_000} == {
        limit.metric.value: limit.amount for limit in limits
    }
    assert Price(2_500_000, 10_000_000) == usage.prices.of("gpt-4")
    assert usage.prices.currency == "USD"


def test_the_shipped_file_limits_nothing() -> None:
    """A first installation runs without budgets, and its examples are good lines."""
    source = (SHIPPED / "data.yaml").read_text("utf-8")
    assert () == usage_rules(read_data(source.encode())).limits.limits_of(
        Spender("staff-7", frozenset({"sales"}), "gpt-4o", "openai", "helper")
    )

    head, examples = source[: source.index("# limits:\n")], source[source.index("# limits:\n") :]
    shown = [line.removeprefix("# ") for line in examples.splitlines() if ":" in line]
    usage = usage_rules(read_data((head + "\n".join(shown)).encode()))
    found = usage.limits.limits_of(Spender("svc-batch", frozenset({"sales"}), "gpt-4o", "openai"))
    assert [600, 2_000_000, 64, 50 * MICROS, 800 * MICROS, 5000 * MICROS, 3000] == [
        limit.amount for limit in found
    ]
    assert Price(2_500_000, 10_000_000) == usage.prices.of("gpt-4o")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ('  - {for: "group:sales"}\n', "sets none of"),
        ('  - {for: "team:sales", concurrent: 1}\n', "limits.0.for"),
        ('  - {for: "group:", concurrent: 1}\n', "limits.0.for"),
        ('  - {for: "group:a", concurrent: 0}\n', "limits.0.concurrent"),
        ('  - {for: "group:a", concurrent: true}\n', "limits.0.concurrent"),
        ('  - {for: "group:a", requests_per_min: 1.5}\n', "limits.0.requests_per_min"),
        ('  - {for: "group:a", spend_per_day: -1}\n', "limits.0.spend_per_day"),
        ('  - {for: "group:a", spend_per_day: 0.0000001}\n', "limits.0.spend_per_day"),
        ('  - {for: "group:a", spend_per_day: "1e3"}\n', "limits.0.spend_per_day"),
        ('  - {for: "group:a", spend_per_day: .inf}\n', "limits.0.spend_per_day"),
        ('  - {for: "group:a", spend_per_day: true}\n', "limits.0.spend_per_day"),
        ('  - {for: "group:a", spend_per_week: 1}\n', "limits.0.spend_per_week"),
        ('  - {for: "group:*", concurrent: 1}\n' * 2, "twice"),
    ],
)
def test_wrong_limits(lines: str, text: str) -> None:
    """A limit that would do nothing, or something else, is told and not taken."""
    assert any(text in fault for _, fault in faults(limited(lines)))


@pytest.mark.parametrize(
    "prices",
    [
        "prices: {models: {}}\n",
        "prices: {currency: dollars}\n",
        "prices: {currency: USD, models: {a: {input: 1}}}\n",
        "prices: {currency: USD, models: {a: {input: 1000001, output: 1}}}\n",
    ],
)
def test_wrong_prices(prices: str) -> None:
    """A price is whole, in a named currency, and not absurd."""
    assert faults(LEAST + prices)


def test_a_budget_without_prices_would_never_end() -> None:
    """So it is a fault."""
    lines = 'limits:\n  - {for: "group:a", spend_per_day: 1}\n'
    assert any("need prices" in fault for _, fault in faults(LEAST + lines))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            'words: {review: ["x"]}\nlabels: {held: ["reveiw"]}',
            "labels.held: no line of words gives the label 'reveiw'; did you mean review?",
        ),
        (
            'words: {secret: ["x"]}\nlabels: {denied: {secrt: "Take it out."}}',
            "labels.denied: no line of words gives the label 'secrt'; did you mean secret?",
        ),
        (
            'labels: {onprem_only: ["house"]}',
            "labels.onprem_only: no line of words gives the label 'house'; known: none",
        ),
        ('entities: {denied: ["emial"]}', "is nothing a scan finds; did you mean email?"),
        ('entities: {held: ["residnt_id"]}', "is nothing a scan finds; did you mean resident_id?"),
    ],
)
def test_what_nothing_can_lead_to_is_a_fault(lines: str, said: str) -> None:
    """Such a line would let through in silence what it was written to hold."""
    name = lines.rpartition("\n")[2].partition(":")[0]
    [(line, text)] = faults(LEAST.replace(f"{name}: {{}}", lines))

    assert said in text
    assert line > 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-01-02", "put it in quotes"),
        ("[1, {deep: .inf}]", "no finite number"),
        (".nan", "no finite number"),
        ("36893488147419103232", "64 bits"),
        ("!!binary aGk=", "put it in quotes"),
    ],
)
def test_what_rules_could_not_see(value: str, said: str) -> None:
    """Rules see JSON: what it has no word for never reaches the engine."""
    [(line, text)] = faults(f"{LEAST}custom:\n  own: {value}\n")

    assert (13, True) == (line, said in text)


def test_each_reading_is_its_own() -> None:
    """What was read once is kept, and nobody can change it for the next."""
    first = read_data(LEAST.encode())
    first["groups"].clear()

    assert {"employees": {"models": ["*"]}} == read_data(LEAST.encode())["groups"]


def test_both_readers_refuse_alike() -> None:
    """A file that the quick reader knows is checked like any other."""
    plain = LEAST.replace("labels: {}", "labels: {held: [none]}")
    assert faults(plain) == faults(plain.replace("hold: {}", "hold: !!map {}"))
