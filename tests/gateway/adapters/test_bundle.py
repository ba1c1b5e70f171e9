"""What is loaded is what was reviewed; everything else is a fault with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from opa_bindings import OpaEngine

from sekisho.adapters import bundle as bundle_module
from sekisho.adapters.bundle import Fault, Module, build, read_bundle, syntax_tree
from sekisho.errors import PolicyRejected
from support.rules import SHIPPED, bundle


def faults(directory: Path) -> tuple[str, ...]:
    """Why the bundle is refused."""
    with pytest.raises(PolicyRejected) as caught:
        build(read_bundle(directory)).close()
    return caught.value.faults


def test_shipped() -> None:
    """The shipped bundle loads: modules without tests, data, words, a digest."""
    made = read_bundle(SHIPPED)

    assert {"sekisho/main.rego", "packs/default/models.rego"} <= {m.path for m in made.modules}
    assert not any(module.path.endswith("_test.rego") for module in made.modules)
    assert any(module.path == "sekisho/main_test.rego" for module in made.tests)
    assert "top secret" in made.words["secret"]
    assert 71 == len(made.revision)


def test_revision_follows_every_byte(tmp_path: Path) -> None:
    """The digest changes with rules, data and names, and with nothing else."""
    made = bundle(tmp_path)
    first = read_bundle(made).revision
    assert first == read_bundle(SHIPPED).revision

    (made / "notes.txt").write_text("x")
    (made / "packs/default/more_test.rego").write_text("package packs.default.more_test\n")
    assert first == read_bundle(made).revision

    data = made / "data.yaml"
    data.write_text(data.read_text("utf-8") + "\n", "utf-8")
    second = read_bundle(made).revision
    (made / "packs/default/holds.rego").rename(made / "packs/default/stops.rego")
    third = read_bundle(made).revision
    assert 3 == len({first, second, third})


def test_what_did_not_change_is_not_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a changed bundle only the changed module is parsed; its faults and reads are its own."""
    parsed: list[str] = []

    def counted(parser: OpaEngine, module: Module) -> dict[str, Any]:
        parsed.append(module.path)
        return syntax_tree(parser, module)

    monkeypatch.setattr(bundle_module, "syntax_tree", counted)
    source = "package packs.team.rules\n\nx := {0}.{1}\n"
    made = bundle(tmp_path, packs__team__rules=source.format("input", "one"))
    before = read_bundle(made)
    parsed.clear()
    assert read_bundle(made) == before
    assert [] == parsed

    place = made / "packs/team/rules.rego"
    place.write_text(source.format("input", "two"))
    after = read_bundle(made)
    assert ["packs/team/rules.rego"] == parsed
    assert (("one",) in (before.reads or ()), ("two",) in (after.reads or ())) == (True, True)
    assert ("one",) not in (after.reads or ())

    place.write_text(source.format("opa", "runtime()"))
    for _ in range(2):
        assert "opa.runtime may not be used" in faults(made)[0]
    other = made / "packs/team/more.rego"
    place.rename(other)
    assert faults(made)[0].startswith("packs/team/more.rego:3:")


def test_a_faulty_test_keeps_the_bundle_out(tmp_path: Path) -> None:
    """A worker never runs tests, but what it takes is what the command takes."""
    made = bundle(tmp_path)
    (made / "packs/default/more_test.rego").write_text("package packs.default.more\n\nx := )\n")

    for _ in range(2):
        assert any("more_test.rego:3:" in fault for fault in faults(made))


def test_a_large_module_is_looked_at_each_time(tmp_path: Path) -> None:
    """What is kept is bounded by number and by size; a large one is read all the same."""
    source = "package packs.team.large\n\nx := input.one\n" + "# much" * 12_000
    made = bundle(tmp_path, packs__team__large=source)

    assert len(source) > bundle_module.LOOK_CHARS_MAX
    assert [("one",) in (read_bundle(made).reads or ()) for _ in range(2)] == [True, True]


def test_lengths_keep_files_apart(tmp_path: Path) -> None:
    """Moving bytes from one file to the next makes another bundle."""
    one, two = tmp_path / "1", tmp_path / "2"
    a, b = "package lib.a\nx := 1\n", "package lib.b\n"
    first = bundle(one, lib__a=a, lib__b=b)
    other = bundle(two, lib__a=a + "# ", lib__b=b)

    assert read_bundle(first).revision != read_bundle(other).revision


@pytest.mark.parametrize(
    ("source", "place", "text"),
    [
        ("package packs.a.b\n\nx := ]\n", "3:6", "unexpected ]"),
        ("package packs.a.b\n\nx := 1 if {\n\t[1, 2\n}\n", "5:1", "unexpected"),
        ("package packs.a.b\n\ndeny[x] { x := 1 }\n", "3:1", "`contains` keyword"),
        ("package packs.a.b\n\ndeny[x] { x := 1 }\n", "3:1", "Rego v0 is not read"),
        ("package packs.a.b\n\nx := nosuch(1)\n", "3:6", "undefined function nosuch"),
        ("package packs.a.b\n\nx := 1 if lib.nosuch(1)\n", "3:11", "undefined function"),
        ("package packs.a.b\n\nx if {\n\tnot_y == not_y2\n}\n", "4:2", "unsafe"),
        ('package packs.a.b\n\nx := 1 + "a"\n', "3:1", "invalid argument"),
        ("package packs.a.b\n\nx := [1, count(1)]\n", "3:10", "invalid argument"),
        ("package packs.a.b\n\nx := y\n", "3:6", "unsafe"),
        ("package packs.a.b\n\nx if { q := 1; q := 2 }\n", "3:8", "assigned above"),
    ],
)
def test_compile_faults_have_places(tmp_path: Path, source: str, place: str, text: str) -> None:
    """File, line and column of the fault, in the words of the engine."""
    said = faults(bundle(tmp_path, packs__a__b=source))

    assert any(fault.startswith(f"packs/a/b.rego:{place}: ") and text in fault for fault in said)


def test_no_decision(tmp_path: Path) -> None:
    """A fold that decides nothing is named as such, not found out by the first person refused."""
    made = bundle(tmp_path)
    (made / "sekisho/main.rego").write_text("\n package sekisho\n\nx := 1\n")

    (fault,) = faults(made)

    assert fault.startswith("sekisho/main.rego:2:2: defines no rule `decision`")


def test_all_faults_at_once(tmp_path: Path) -> None:
    """An admin sees everything that is wrong, not the first thing only."""
    made = bundle(tmp_path, packs__a__b="package packs.a.b\nx := \n", packs__a__c="package bad\n")
    (made / "data.yaml").write_text("grops: {}\n")

    files = {Fault.read(text).file for text in faults(made)}

    assert {"packs/a/b.rego", "packs/a/c.rego", "data.yaml"} <= files


def test_links(tmp_path: Path) -> None:
    """A link may not lead out of the bundle, nor to a directory; one inside is read."""
    made = bundle(tmp_path)
    outside = tmp_path / "outside.rego"
    outside.write_text("package lib.outside\n")
    (made / "lib/inside.rego").write_text("package lib.inside\n")
    (made / "lib/link.rego").symlink_to(made / "lib/inside.rego")
    assert any(module.path == "lib/link.rego" for module in read_bundle(made).modules)

    (made / "lib/out.rego").symlink_to(outside)
    (made / "elsewhere").symlink_to(tmp_path, target_is_directory=True)

    said = faults(made)
    assert any("lib/out.rego:1:1: is a link that leads out" in text for text in said)
    assert any("elsewhere:1:1: is a link to a directory" in text for text in said)


def test_mounted_by_kubernetes(tmp_path: Path) -> None:
    """Files that are links into a hidden folder of the same bundle are read."""
    made = bundle(tmp_path)
    hidden = made / "..2026_11_23"
    hidden.mkdir()
    (made / "data.yaml").rename(hidden / "data.yaml")
    (made / "..data").symlink_to(hidden, target_is_directory=True)
    (made / "data.yaml").symlink_to("..data/data.yaml")

    assert read_bundle(SHIPPED).revision == read_bundle(made).revision


@pytest.mark.parametrize("name", ["packs/data.yaml", "data.json", "packs/default/data.json"])
def test_data_elsewhere(tmp_path: Path, name: str) -> None:
    """Data that would silently not be read is a fault."""
    made = bundle(tmp_path)
    (made / name).write_text("{}")

    assert any("read from data.yaml at the top only" in text for text in faults(made))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"package lib.a\x00"])
def test_not_text(tmp_path: Path, content: bytes) -> None:
    """A module that is not text is a fault, not a surprise in the engine."""
    made = bundle(tmp_path, lib__a="")
    (made / "lib/a.rego").write_bytes(content)

    assert any(text.startswith("lib/a.rego:1:1: ") for text in faults(made))


@pytest.mark.parametrize("name", [b"\xff.rego", b"a\n.rego", b"a\x1b[31m.rego", b"a\\b.rego"])
def test_names_that_no_bundle_keeps(tmp_path: Path, name: bytes) -> None:
    """The check says so, and not only the store when the rules are put in."""
    made = bundle(tmp_path)
    (made / "lib" / os.fsdecode(name)).write_text("package lib.a\n")
    (fault,) = faults(made)
    assert "characters in its name" in fault
    assert fault.isprintable()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody may ever write to it."""
    made = bundle(tmp_path)
    os.mkfifo(made / "lib/pipe.rego")
    assert faults(made) == ("lib/pipe.rego:1:1: is no file",)


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond its limit is refused before it is read whole."""
    monkeypatch.setattr(bundle_module, "MODULE_BYTES_MAX", 40_000)
    made = bundle(tmp_path, lib__a="package lib.a\n# " + "x" * 50_000)

    assert ("lib/a.rego:1:1: is larger than 40000 bytes",) == faults(made)


def test_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One module more than the limit is refused."""
    monkeypatch.setattr(bundle_module, "MODULES_MAX", 2)

    assert any("one module too many" in text for text in faults(bundle(tmp_path)))


def test_nothing_there(tmp_path: Path) -> None:
    """No directory, an empty one, and one without the fold are refused."""
    assert any("not a directory" in text for text in faults(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    assert any("no Rego modules" in text for text in faults(tmp_path / "empty"))
    made = bundle(tmp_path)
    (made / "sekisho/main.rego").unlink()
    assert any("sekisho/main.rego:1:1: is missing" in text for text in faults(made))


def test_fault_reads_back() -> None:
    """A fault's text leads back to the fault."""
    fault = Fault("a/b.rego", 7, "rego_type_error: x: y", 3)

    assert fault == Fault.read(str(fault))
    assert "a/b.rego:7:3: rego_type_error: x: y" == str(fault)
    assert Fault("a/b.rego", 7, "x") == Fault.read("a/b.rego:7: x")
    assert Fault("sekisho/main.rego", 1, "odd") == Fault.read("odd")
