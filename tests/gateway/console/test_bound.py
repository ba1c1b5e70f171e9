from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from sekisho.console.bound import ROWS_MAX, Bound, Row, bound_of, offered, parsed, rows_of
from sekisho.content.tool_calls import changed, proposed


def request(**members: Any) -> Bound:
    """A request with these members, taken apart."""
    return bound_of(orjson.dumps(members), "request")


def answer(*calls: Any, **message: Any) -> Bound:
    """An answer with these calls, taken apart."""
    said = {"role": "assistant", "content": None, "tool_calls": list(calls), **message}
    return bound_of(orjson.dumps({"choices": [{"index": 0, "message": said}]}), "tool_call")


def call(arguments: str, name: str = "pay", number: str = "call_1") -> dict[str, Any]:
    """A call as backends write it."""
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_messages_have_a_role_texts_and_the_rest() -> None:
    """Parts that are text and nothing else are texts; any other part is shown member by member."""
    bound = request(
        messages=[
            {"role": "user", "content": "a"},
            {"role": "user", "name": "n", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": [{"type": "text", "text": "c", "cache_control": {"x": 1}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}, "odd"]},
        ]
    )

    assert [m.texts for m in bound.messages] == [("a",), ("b",), (), ()]
    assert bound.messages[1].rows == (Row("name", "n"),)
    assert Row("content[0].cache_control.x", "1", "number") in bound.messages[2].rows
    assert Row("content[1]", "odd") in bound.messages[3].rows


@pytest.mark.parametrize("said", ["text", {"a": 1}, 5, None, [], [[["x"]]]])
def test_messages_of_an_odd_form_are_rows(said: Any) -> None:
    """Whatever stands in their place is read somewhere."""
    bound = request(messages=said, model="m")
    texts = [text for message in bound.messages for text in message.texts]
    rows = [row.value for m in bound.messages for row in m.rows] + [r.value for r in bound.rows]

    for row in rows_of(parsed(json.dumps(said))):
        assert row.value in [*texts, *rows]


def test_the_newer_dialect_is_read_as_well() -> None:
    """Instructions and input of a request, output of an answer."""
    bound = request(instructions="i", input=[{"role": "user", "content": "q"}])
    assert [(m.role, m.texts) for m in bound.messages] == [
        ("instructions", ("i",)),
        ("user", ("q",)),
    ]
    assert request(input="q").messages[0].texts == ("q",)

    part = {"type": "output_text", "text": "said"}
    output = [{"type": "message", "role": "assistant", "content": [part]}]
    bound = bound_of(orjson.dumps({"output": output}), "response")
    assert bound.messages[0].texts == ("said",)


def test_tools_have_a_name_what_they_say_and_their_parameters() -> None:
    """A tool's own words are content like any other."""
    function = {"name": "pay", "description": "about", "parameters": {"type": "object"}}
    [tool, odd] = request(tools=[{"type": "function", "function": function}, "odd"]).tools

    assert (tool.role, tool.texts) == ("pay", ("about",))
    assert Row("function.parameters.type", "object") in tool.rows
    assert odd.rows == (Row("", "odd"),)


def test_numbers_stay_as_they_are_written() -> None:
    """Also those that lose digits when they are read."""
    bound = bound_of(b'{"a":1.50,"b":1e2,"c":12345678901234567890123}', "request")
    assert [row.value for row in bound.rows] == ["1.50", "1e2", "12345678901234567890123"]
    assert {row.kind for row in bound.rows} == {"number"}


@pytest.mark.parametrize(
    "content", [b'{"a":1,"a":2}', b'{"a":NaN}', b"[1]", b'"x"', b"{", b"", b"[" * 100_000]
)
def test_what_no_reading_can_be_trusted_with_is_shown_as_it_is(content: bytes) -> None:
    """Twice the same member, no JSON, or no object; the text is all there is."""
    bound = bound_of(content, "request")
    assert (bound.structured, bound.text.encode()) == (False, content)


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    """All of them."""
    assert bound_of(b"\xff\x00", "request") == Bound("ff 00", is_text=False)


def test_no_two_places_look_alike() -> None:
    """A name with a dot is not a member of a member."""
    places = [row.place for row in rows_of({"a.b": 1, "a": {"b": 2}, "": 3, "x y": [{"id": "k"}]})]
    assert places == ['["a.b"]', "a.b", '[""]', '["x y"][k].id']


def test_a_list_of_plain_values_is_one_row() -> None:
    """Quoted, so that it is seen where each begins; with nothing hidden."""
    [row] = rows_of(parsed('{"enum":["a","b, c",1.0,null,"\u202e"]}'))
    assert row == Row("enum", '["a", "b, c", 1.0, null, "\\u202e"]', "array")


def test_what_has_too_many_members_is_one_text() -> None:
    """A page of so many rows would take the gateway's time and be read by nobody."""
    bound = request(**{f"m{number}": number for number in range(ROWS_MAX + 1)})
    assert (bound.structured, bound.rows) == (False, ())
    assert "m77" in bound.text


def test_what_is_nested_too_deep_is_one_text() -> None:
    """The page does not fall over it, and leaves nothing out."""
    value: Any = {"core": 1}
    for _ in range(300):
        value = [value]
    assert [row.kind for row in rows_of(value)] == ["depth"]
    bound = bound_of(json.dumps({"model": "m", "deep": value}).encode(), "request")
    assert (bound.structured, "core" in bound.text) == (False, True)


def test_a_call_is_offered_in_a_form_that_says_the_same_and_hides_nothing() -> None:
    """In lines, with escapes for what would not be seen."""
    raw = '{"to":"A\u202enn","sum":1.50,"中":"文"}'
    [one] = answer(call(raw)).calls

    assert (one.place, one.name, one.id, one.raw) == (0, "pay", "call_1", raw)
    assert one.offered is not None
    assert "\\u202e" in one.offered
    assert "\u202e" not in one.offered
    assert "文" in one.offered
    assert orjson.loads(one.offered) == orjson.loads(raw)


@pytest.mark.parametrize("number", ["1.0e2", "1.50", "-0.0", "12345678901234567890123"])
def test_numbers_are_offered_as_they_are_written(number: str) -> None:
    """What nobody touched must not change."""
    [one] = answer(call(f'{{"a":[{number},[],{{}},true,null]}}')).calls
    assert one.offered is not None
    assert number in one.offered
    assert parsed(one.offered) == parsed(one.raw)


def test_a_call_without_arguments_is_offered_as_it_is() -> None:
    """Some backends send nothing for a function without parameters."""
    assert answer(call("")).calls[0].offered == ""


def test_what_cannot_be_shown_whole_is_not_offered() -> None:
    """A text of a custom tool with something hidden in it, and arguments that are no object."""
    custom = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls \u200b"}}
    plain = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    calls = answer(custom, plain, call("[1]"), call('{"a":1,"a":2}')).calls

    assert [one.offered for one in calls] == [None, "ls", None, None]
    assert [one.raw for one in calls] == ["ls \u200b", "ls", "[1]", '{"a":1,"a":2}']


def test_calls_are_numbered_as_an_edit_names_them() -> None:
    """Over choices, and the older form after the newer."""
    message = {
        "content": "",
        "tool_calls": [call("{}", "a"), call("{}", "b")],
        "function_call": {"name": "c", "arguments": "{}"},
    }
    document = {"choices": [{"message": message}, {"message": {"tool_calls": [call("{}", "d")]}}]}
    calls = bound_of(orjson.dumps(document), "tool_call").calls

    assert [one.name for one in calls] == ["a", "b", "c", "d"]
    after = changed(document, {2: '{"x":1}'})
    assert [one.arguments for one in proposed(after)][2] == {"x": 1}


def test_offered_escapes_are_those_of_json() -> None:
    """A character outside of the first plane too."""
    text = offered({"a": "\U000e0041\t"})
    assert "\U000e0041" not in text
    assert orjson.loads(text) == {"a": "\U000e0041\t"}
