"""The life of a revision at the desk: who may do which half, what is asked, what is on record."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.adapters import registry_policies
from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.policy_desk import PolicyDesk
from sekisho.adapters.policy_store import PolicyStoreUnusable
from sekisho.adapters.signed_commit import CommitNotTrusted, SignedFiles
from sekisho.adapters.sql_registry import Registry
from sekisho.config import Settings
from sekisho.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    LedgerUnavailable,
    NotFound,
    PolicyRejected,
)
from sekisho.model.principal import Role, Scope
from support.revisions import (
    ACTIVATOR,
    AUTHOR,
    DENY_ALL,
    Rules,
    desk_in,
    person,
    policy_leaves,
    replay,
    settings_in,
)

MORE = "package more_test\n\ntest_always if 1 == 1\n"


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(tmp_path / "rules")


@pytest.fixture
def first(rules: Rules) -> Path:
    """What the settings name."""
    return rules.write()


@pytest.fixture
def settings(tmp_path: Path, first: Path) -> Settings:
    return settings_in(tmp_path, first)


@pytest.fixture
def desk(settings: Settings) -> PolicyDesk:
    return desk_in(settings)


def test_a_revision_lives(desk: PolicyDesk, rules: Rules, settings: Settings) -> None:
    """Draft, report, activation by another person, rollback to the shipped rules; all on record."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    noted = replay(desk, AUTHOR, row.revision)
    done = desk.activate(ACTIVATOR, row.revision[:20])
    shipped = read_bundle(settings.policy.bundle).revision
    assert (done.revision, done.previous) == (row.revision, shipped)
    assert desk.active().revision == row.revision
    assert [one.state for one in desk.listed(AUTHOR)] == ["was active", "active"]

    back = desk.rollback(ACTIVATOR)

    assert (back.revision, back.previous) == (shipped, row.revision)
    assert desk.active().revision == shipped
    leaves = policy_leaves(settings)
    assert [leaf["type"] for leaf in leaves] == [
        "policy.drafted",
        "policy.replayed",
        "policy.activated",
        "policy.activated",
    ]
    assert leaves[2]["data"]["report"] == noted.event == leaves[1]["id"]
    assert leaves[2]["data"]["previous"] == shipped
    assert leaves[2]["data"]["tests"] == 1
    assert leaves[3]["data"]["cause"] == "rollback"
    assert leaves[0]["actor"] != leaves[2]["actor"]


def test_the_author_never_activates(desk: PolicyDesk, rules: Rules) -> None:
    """Not in their own name, not as a delegate; not after a colleague put the same files in."""
    directory = rules.write(packs__team__closed=DENY_ALL)
    row = desk.draft(AUTHOR, directory)
    replay(desk, AUTHOR, row.revision)
    delegate = replace(person("friend", Role.POLICY_ACTIVATOR), stands_in_for={AUTHOR.id})
    second = person("author-2", Role.POLICY_AUTHOR, Role.POLICY_ACTIVATOR)
    desk.draft(second, directory)

    for who in (AUTHOR, delegate, second):
        with pytest.raises(Forbidden) as refused:
            desk.activate(who, row.revision)
        assert refused.value.code == "self_activation"
    assert desk.activate(ACTIVATOR, row.revision)


def test_the_author_does_not_bring_their_own_back(desk: PolicyDesk, rules: Rules) -> None:
    """A rollback to one's own rules would be an activation by the author."""
    first = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    replay(desk, AUTHOR, first.revision)
    desk.activate(ACTIVATOR, first.revision)
    other = person("author-2", Role.POLICY_AUTHOR)
    second = desk.draft(other, rules.write())
    replay(desk, other, second.revision)
    desk.activate(ACTIVATOR, second.revision)

    with pytest.raises(Forbidden):
        desk.rollback(AUTHOR)
    assert desk.rollback(ACTIVATOR).revision == first.revision


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (person("staff", Role.EMPLOYEE), "role_missing"),
        (person("op", Role.OPERATOR), "role_missing"),
        (replace(person("svc", Role.POLICY_ACTIVATOR), owner="staff"), "role_missing"),
        (replace(ACTIVATOR, scopes=frozenset({Scope.ASK})), "scope_missing"),
    ],
)
def test_only_activators_activate(desk: PolicyDesk, rules: Rules, who: object, code: str) -> None:
    """Neither an operator, a service account, nor a key that was made for asking."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    replay(desk, AUTHOR, row.revision)
    with pytest.raises(Forbidden) as refused:
        desk.activate(who, row.revision)  # type: ignore[arg-type]
    assert refused.value.code == code
    with pytest.raises(Forbidden):
        desk.draft(who, rules.write())  # type: ignore[arg-type]


def test_nothing_is_activated_unread(desk: PolicyDesk, rules: Rules, first: Path) -> None:
    """Without a report against what is in force now, whatever was reported before."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    with pytest.raises(Conflict) as refused:
        desk.activate(ACTIVATOR, row.revision)
    assert refused.value.code == "replay_missing"

    replay(desk, AUTHOR, row.revision)
    other = desk.draft(AUTHOR, rules.write())
    newer = desk.draft(AUTHOR, rules.write(packs__team__other=DENY_ALL.replace("closed", "other")))
    assert other.revision == read_bundle(first).revision
    replay(desk, AUTHOR, newer.revision)
    desk.activate(ACTIVATOR, newer.revision)

    with pytest.raises(Conflict) as refused:
        desk.activate(ACTIVATOR, row.revision)
    assert refused.value.code == "replay_missing"


def test_red_tests_are_refused_and_on_record(
    desk: PolicyDesk, rules: Rules, settings: Settings, first: Path
) -> None:
    """The event names the failing test, and the one in force stays."""
    red = "package red_test\n\ntest_never if 1 == 2\n"
    row = desk.draft(AUTHOR, rules.write(red_test=red))
    replay(desk, AUTHOR, row.revision)
    other = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL, red_test=red))
    replay(desk, AUTHOR, other.revision)

    with pytest.raises(PolicyRejected, match="test_never"):
        desk.activate(ACTIVATOR, other.revision)

    assert policy_leaves(settings)[-1]["type"] == "policy.rejected"
    assert "test_never" in policy_leaves(settings)[-1]["data"]["faults"][0]
    assert desk.active().revision == read_bundle(first).revision


def test_other_tests_for_the_same_rules_need_another_report(desk: PolicyDesk, rules: Rules) -> None:
    """What was reviewed is what is activated: a second draft replaces the tests, not the review."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    replay(desk, AUTHOR, row.revision)
    again = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL, more_test=MORE))
    assert (again.revision, again.contents) != (row.revision, row.contents)
    assert again.revision == row.revision

    with pytest.raises(Conflict):
        desk.activate(ACTIVATOR, row.revision)


def test_what_is_or_was_in_force_keeps_its_tests(
    desk: PolicyDesk, rules: Rules, settings: Settings
) -> None:
    """Workers read them when they start, and an author alone must not change what they read; nor
    what a rollback would bring back, the rules of the settings among it.
    """
    closed = {"packs__team__closed": DENY_ALL}
    row = desk.draft(AUTHOR, rules.write(**closed))
    replay(desk, AUTHOR, row.revision)
    done = desk.activate(ACTIVATOR, row.revision)
    shipped = Path(shutil.copytree(settings.policy.bundle, settings.data_dir / "again"))
    (shipped / "more_test.rego").write_text(MORE)

    for again in (rules.write(more_test=MORE, **closed), shipped):
        with pytest.raises(Conflict) as refused:
            desk.draft(AUTHOR, again)
        assert refused.value.code == "revision_in_force"
    assert desk.draft(AUTHOR, rules.write(**closed)).contents == row.contents
    assert desk.rollback(ACTIVATOR).revision == done.previous
    with pytest.raises(Conflict):
        desk.draft(AUTHOR, rules.write(more_test=MORE, **closed))


def test_the_rules_of_the_settings_come_back_with_their_own_tests(
    desk: PolicyDesk, rules: Rules, settings: Settings
) -> None:
    """Somebody put them in with others before anything was activated."""
    own = read_bundle(settings.policy.bundle)
    shipped = Path(shutil.copytree(settings.policy.bundle, settings.data_dir / "again"))
    (shipped / "more_test.rego").write_text(MORE)
    assert desk.draft(AUTHOR, shipped).contents != own.contents
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    replay(desk, AUTHOR, row.revision)
    desk.activate(ACTIVATOR, row.revision)

    assert desk.rollback(ACTIVATOR).revision == own.revision
    assert desk.active().contents == own.contents


def test_a_damaged_bundle_is_never_put_in_force(
    desk: PolicyDesk, rules: Rules, settings: Settings
) -> None:
    """Neither by activation nor by rollback."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    replay(desk, AUTHOR, row.revision)
    file = settings.policies_dir / row.contents[7:] / "packs" / "team" / "closed.rego"
    file.chmod(0o600)
    file.write_text("package packs.team.closed\n")
    with pytest.raises(PolicyStoreUnusable):
        desk.activate(ACTIVATOR, row.revision)


def test_without_evidence_nothing_changes(
    desk: PolicyDesk, rules: Rules, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger cannot be written: no draft, no activation."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    replay(desk, AUTHOR, row.revision)
    (settings.ledger_dir).rename(settings.data_dir / "away")
    settings.ledger_dir.write_text("no directory")
    with pytest.raises(LedgerUnavailable):
        desk.activate(ACTIVATOR, row.revision)
    with pytest.raises(LedgerUnavailable):
        desk.draft(AUTHOR, rules.write(packs__team__b=DENY_ALL.replace("closed", "b")))
    with Registry.open(settings.registry_path).reading() as registry:
        assert registry_policies.in_force(registry).serial == 0
        assert len(registry_policies.listed(registry)) == 1


def test_going_back_twice_goes_two_back(desk: PolicyDesk, rules: Rules, first: Path) -> None:
    """And then there is nothing more before."""
    names = []
    for word in ("one", "two"):
        row = desk.draft(AUTHOR, rules.write(packs__team__x=DENY_ALL.replace("closed", word)))
        replay(desk, AUTHOR, row.revision)
        desk.activate(ACTIVATOR, row.revision)
        names.append(row.revision)
    assert desk.rollback(ACTIVATOR).revision == names[0]
    assert desk.rollback(ACTIVATOR).revision == read_bundle(first).revision
    with pytest.raises(Conflict) as refused:
        desk.rollback(ACTIVATOR)
    assert refused.value.code == "nothing_before"


def test_unfit_rules_are_not_put_in(desk: PolicyDesk, rules: Rules) -> None:
    """A draft is checked as the gateway would: forbidden builtins, and smoke questions."""
    clock = DENY_ALL.replace('input.request.model != "none"', "time.now_ns() > 1")
    broken = "package packs.team.bad\n\nx := {"
    for files in ({"packs__team__closed": clock}, {"packs__team__bad": broken}):
        with pytest.raises(PolicyRejected):
            desk.draft(AUTHOR, rules.write(**files))
    open_to_all = rules.write()
    fold = open_to_all / "sekisho" / "main.rego"
    text = fold.read_text()
    fold.write_text(text.split("decision :=")[0] if "decision :=" in text else "package sekisho\n")
    with pytest.raises(PolicyRejected):
        desk.draft(AUTHOR, open_to_all)
    assert not desk.listed(AUTHOR)


def test_names_of_revisions(desk: PolicyDesk, rules: Rules) -> None:
    """The first digits are enough; what names none or cannot is told apart."""
    row = desk.draft(AUTHOR, rules.write())
    assert desk.known(ACTIVATOR, row.revision[7:13]).revision == row
    with pytest.raises(NotFound):
        desk.known(ACTIVATOR, "000000000000")
    for text in ("zz", "sha256:", "", "sha256:abc", "../../x"):
        with pytest.raises(BadRequest):
            desk.known(ACTIVATOR, text)
    with pytest.raises(Forbidden):
        desk.known(person("staff", Role.EMPLOYEE), row.revision)


def test_a_shadow_is_cast_by_a_second_person(
    desk: PolicyDesk, rules: Rules, settings: Settings
) -> None:
    """It sees all traffic, so its author does not; it is on record, and so is its end."""
    row = desk.draft(AUTHOR, rules.write(packs__team__closed=DENY_ALL))
    with pytest.raises(Forbidden):
        desk.shadow(AUTHOR, row.revision)
    with pytest.raises(Conflict):
        desk.shadow(ACTIVATOR, None)
    assert desk.shadow(ACTIVATOR, row.revision[:19]) == row.revision
    assert desk.known(AUTHOR, row.revision).state == "shadow"
    assert desk.shadow(ACTIVATOR, None) == row.revision
    assert desk.known(AUTHOR, row.revision).state == "draft"
    said = [leaf["data"] for leaf in policy_leaves(settings)[1:]]
    assert [(one["revision"], one["ended"]) for one in said] == [
        (row.revision, False),
        (row.revision, True),
    ]


def _commit(settings: Settings, signer: str) -> SignedFiles:
    """The first rules, as if `signer` had signed them."""
    return SignedFiles("1" * 40, signer, read_bundle(settings.policy.bundle).files)


def test_who_signed_the_commit_is_an_author(desk: PolicyDesk, settings: Settings) -> None:
    """Beside whoever put it in, and on record; the same rules drafted otherwise change nothing."""
    with Registry.open(settings.registry_path).change() as change:
        change.put_principal(ACTIVATOR.id, kind="person", owner=None)

    row = desk.draft_commit(AUTHOR, _commit(settings, ACTIVATOR.id), "policies@111")
    again = desk.draft(AUTHOR, settings.policy.bundle)

    assert {ACTIVATOR.id, AUTHOR.id} == set(row.authors) == set(again.authors)
    replay(desk, AUTHOR, row.revision)
    with pytest.raises(Forbidden) as caught:
        desk.activate(ACTIVATOR, row.revision)
    assert "self_activation" == caught.value.code
    first, second = (leaf["data"] for leaf in policy_leaves(settings)[:2])
    assert first["commit"] == "1" * 40
    assert first["signer"].startswith("p-")
    assert ACTIVATOR.id not in first.values()
    assert "signer" not in second


@pytest.mark.parametrize("who", ["nobody-1", "svc-1", "shut-1", "left-1", "No Id", "*"])
def test_signers_that_are_no_persons_here(desk: PolicyDesk, settings: Settings, who: str) -> None:
    """A service account, somebody shut out or gone, and what is no id are no authors."""
    with Registry.open(settings.registry_path).change() as change:
        for name in (AUTHOR.id, "shut-1", "left-1"):
            change.put_principal(name, kind="person", owner=None)
        change.put_principal("svc-1", kind="service", owner=AUTHOR.id)
        change.set_disabled("shut-1", True)
        change.leave("left-1")

    with pytest.raises(CommitNotTrusted, match="no person here"):
        desk.draft_commit(AUTHOR, _commit(settings, who), "policies@111")
    assert [] == list(desk.listed(AUTHOR))
