"""A reviewer without a key: the company's sign-in in real Chromium, and back to the hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from support.chromium import Chromium, put_in_place
from support.installation import Installation, events_of
from support.loopback_backend import in_thread
from support.oidc_servers import NodeIssuer
from support.reviewer import Reviewer

SECRET = "se+cret%with:every thing"
ISSUERS = """
[[issuers]]
id = "corp"
url = "{url}"
audience = "https://gateway.example/api"
client_id = "sekisho-secret"
client_secret_env = "CORP_SECRET"
provision = true
[issuers.groups]
"finance" = "reviewers"
[issuers.roles]
"finance" = ["employee", "reviewer"]
"""
PAUSED = "button[type=submit]"


@dataclass
class House:
    """An installation that asks a real issuer, and a browser."""

    made: Installation
    issuer: NodeIssuer
    chromium: Chromium

    def held(self) -> str:
        """Something that staff-7 asked and that waits; the hold's id."""
        said = {"model": "ok", "messages": [{"role": "user", "content": "Our customer list."}]}
        answer = httpx.post(
            f"{self.made.url}/v1/chat/completions",
            json=said,
            headers={"authorization": f"Bearer {self.made.key('staff-7')}"},
            timeout=30,
            trust_env=False,
        )
        assert answer.status_code == 303, answer.text
        return str(answer.json()["error"]["approval"]["id"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    put_in_place()
    with in_thread() as backend, Chromium() as chromium, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORP_SECRET", SECRET)
        made = Installation(tmp_path_factory.mktemp("o"), {"*": backend.url})
        back = f"{made.url}/login/corp/callback"
        with NodeIssuer(back, "https://gateway.example/api", SECRET) as issuer:
            made.write()
            with made.config.open("a") as config:
                config.write(ISSUERS.format(url=issuer.url))
            made.start()
            try:
                yield House(made, issuer, chromium)
            finally:
                made.stop()


def test_by_the_link_through_the_companys_sign_in_to_a_decision_and_out_again(
    house: House,
) -> None:
    """The link leads to the sign-in and back to the hold; the decision is that person's; who has
    signed out is asked again.
    """
    hold = house.held()
    page = f"{house.made.url}/approvals/{hold}"
    elsewhere = [house.issuer.url.removeprefix("http://")]

    said = house.chromium.run(
        "rev-9",
        ("goto", page),
        ("axe",),
        ("click", "a.button"),
        ("fill", "[name=login]", "rev-9"),
        ("fill", "[name=password]", "any"),
        ("click", PAUSED),
        ("gone", "[name=login]"),
        ("click", PAUSED),
        ("wait", "#binding"),
        ("url",),
        ("press", "a"),
        ("type", "The owner knows."),
        ("press", "Enter"),
        ("gone", ".deck"),
        ("goto", f"{house.made.url}/approvals"),
        ("click", "form[action$='/logout'] button"),
        ("settled",),
        ("goto", page),
        ("count", "#key"),
        ("count", "#binding"),
        elsewhere=elsewhere,
    )

    assert said[1] == []
    assert said[9] == page
    assert said[-2:] == [1, 0]
    reviewer = Reviewer(house.made.url, house.made.key("reviewer-2", "reviewers", "reviewer"))
    assert reviewer.look(hold)["status"] in {"approved", "dispatching", "ready"}
    leaves = house.made.leaves()
    [review] = events_of(leaves, "hold.review")
    [began] = events_of(leaves, "session.signed_in")
    assert (began["principal"], "corp") == (review["actor"], began["data"]["issuer"])
