"""An employee with an ordinary OpenAI client and a real model."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from support.installation import Installation, events_of

MODEL = "smollm2-135m"
HELD = "Summarise our customer list in one line."
SECRET = "This is strictly confidential: the merger."


def _ask(client: openai.OpenAI, text: str, **more: Any) -> Any:
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=16, **more
    )


def _decide_when_held(gateway: Installation, key: str, verb: str, nonce: str) -> Callable[[], None]:
    """Start a reviewer who waits for the hold and decides it with the CLI; returns a join."""
    problems: list[BaseException] = []

    def review() -> None:
        try:
            hold_id = find_hold(gateway, key, nonce)
            sure = ["--yes"] if verb == "approve" else []
            gateway.run("hold", verb, hold_id, "--reason", "looked at it", *sure, key=key)
        except BaseException as error:
            problems.append(error)
            raise

    thread = threading.Thread(target=review)
    thread.start()

    def join() -> None:
        thread.join(30)
        assert not problems, problems

    return join


def find_hold(gateway: Installation, key: str, nonce: str) -> str:
    """The id of the open hold whose text has `nonce` in it."""
    headers = {"authorization": f"Bearer {key}"}
    until = time.monotonic() + 20
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False) as http:
        while time.monotonic() < until:
            for card in http.get("/v1/approvals", params={"status": "open"}).json()["data"]:
                if nonce in http.get(f"/v1/approvals/{card['id']}").text:
                    return str(card["id"])
            time.sleep(0.1)
    message = f"no hold with {nonce}"
    raise AssertionError(message)


def test_ask(client: openai.OpenAI, gateway: Installation) -> None:
    """The answer of the real model comes back as if there were no gate."""
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "Say hello."}], max_tokens=16
    )
    answer = raw.parse()

    assert answer.choices[0].message.content
    assert MODEL == answer.model
    exchange = raw.headers["x-sekisho-exchange"]
    mine = [leaf for leaf in gateway.leaves() if leaf["exchange"] == exchange]
    assert [
        "request.received", "policy.decision", "backend.intent", "backend.outcome",
    ] == [leaf["type"] for leaf in mine]  # fmt: skip


def test_stream(client: openai.OpenAI) -> None:
    """Chunks come one by one and end properly."""
    chunks = list(_ask(client, "Count to five.", stream=True))

    assert len(chunks) > 2
    assert any(c.choices and c.choices[0].finish_reason for c in chunks)


def test_models(client: openai.OpenAI) -> None:
    """The list of models is that of the gateway."""
    assert [MODEL] == [model.id for model in client.models.list()]


def test_denied(client: openai.OpenAI) -> None:
    """A denial is a PermissionDeniedError whose message has the rule and what to do."""
    with pytest.raises(openai.PermissionDeniedError) as caught:
        _ask(client, SECRET)

    assert "policy_denied" == caught.value.code
    assert "rule" in caught.value.message
    assert "never leave the house" in caught.value.message


def test_denied_for_an_unknown_model(client: openai.OpenAI) -> None:
    """A model nobody configured is a denial, not a blind relay."""
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize(
    ("text", "effect", "code"),
    [("Say hello.", "allow", ""), (SECRET, "deny", "label_denied"), (HELD, "hold", "label_held")],
    ids=["allow", "deny", "hold"],
)
def test_what_would_happen(
    client: openai.OpenAI, gateway: Installation, text: str, effect: str, code: str
) -> None:
    """Asked first, nothing is sent; the ledger says that it was asked."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    told = json.loads(client.post("/check", body=body, cast_to=httpx.Response).content)

    assert (effect, False) == (told["effect"], told["sent"])
    assert code in {"", *(reason["code"] for reason in told["reasons"])}
    mine = [leaf["type"] for leaf in gateway.leaves() if leaf["exchange"] == told["exchange"]]
    assert ["request.received", "policy.decision", "exchange.checked"] == mine


def test_unknown_key(gateway: Installation) -> None:
    """A wrong key is an AuthenticationError that says what to do."""
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-wrong") as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        _ask(stranger, "hi")

    assert "operator" in caught.value.message


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_held_and_approved_while_waiting(
    client: openai.OpenAI, gateway: Installation, keys: dict[str, str], stream: bool
) -> None:
    """The client just waits a little longer and gets its answer."""
    nonce = f"approve-{stream}"
    join = _decide_when_held(gateway, keys["reviewer"], "approve", nonce)

    answer = _ask(client, f"{HELD} {nonce}", stream=stream)

    if stream:
        chunks = list(answer)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    else:
        assert answer.choices[0].message.content
    join()


def test_held_and_denied(
    client: openai.OpenAI, gateway: Installation, keys: dict[str, str]
) -> None:
    """The reviewer's no is a PermissionDeniedError with its own code."""
    join = _decide_when_held(gateway, keys["reviewer"], "deny", "deny-1")

    with pytest.raises(openai.PermissionDeniedError) as caught:
        _ask(client, f"{HELD} deny-1")

    assert "approval_denied" == caught.value.code
    join()


def test_held_timed_out_approved_later_and_retrieved(
    client: openai.OpenAI, gateway: Installation, keys: dict[str, str]
) -> None:
    """Out of time is a 428 that tells everything; the answer is fetched later, sent once."""
    with pytest.raises(openai.APIStatusError) as caught:
        _ask(client, f"{HELD} later-1")
    error = caught.value
    assert (428, "approval_pending") == (error.status_code, error.code)
    approval = dict(error.body)["approval"]  # type: ignore[call-overload]
    assert approval["id"] in error.message
    assert approval["result_id"] in error.message

    gateway.run(
        "hold", "approve", approval["id"], "--reason", "fine", "--yes", key=keys["reviewer"]
    )
    answer = _retrieve(client, approval["result_id"])

    assert answer.choices[0].message.content
    again = client.chat.completions.retrieve(approval["result_id"])
    assert answer.choices[0].message.content == again.choices[0].message.content
    exchange = events_of(gateway.leaves(), "hold.filed")[-1]["exchange"]
    intents = events_of(gateway.leaves(), "backend.intent")
    assert 1 == sum(leaf["exchange"] == exchange for leaf in intents)


def _retrieve(client: openai.OpenAI, result_id: str) -> Any:
    until = time.monotonic() + 20
    while True:
        try:
            return client.chat.completions.retrieve(result_id)
        except openai.APIStatusError as error:
            if error.status_code != 428 or time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_nobody_reviews_their_own(gateway: Installation, keys: dict[str, str]) -> None:
    """Not with the same key, not with another key of the same person."""
    key = keys["reviewing-employee"]
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key) as own,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        _ask(own, f"{HELD} own-1")
    approval = dict(caught.value.body)["approval"]  # type: ignore[call-overload]
    second = gateway.key("staff-9", roles="employee,reviewer")
    shown = httpx.get(
        f"{gateway.url}/v1/approvals/{approval['id']}",
        headers={"authorization": f"Bearer {keys['reviewer']}"},
        trust_env=False,
    ).json()

    for attempt in (key, second):
        refused = httpx.post(
            f"{gateway.url}/v1/approvals/{approval['id']}/reviews",
            headers={"authorization": f"Bearer {attempt}"},
            json={"decision": "approve", "binding": shown["binding"], "reason": "mine"},
            trust_env=False,
        )
        assert (403, "self_approval") == (refused.status_code, refused.json()["error"]["code"])
    assert "pending" == shown["status"]


def test_someone_elses_hold_is_not_there(
    client: openai.OpenAI, gateway: Installation, keys: dict[str, str]
) -> None:
    """Another employee gets 404 for the hold, its result and its answer."""
    with pytest.raises(openai.APIStatusError) as caught:
        _ask(client, f"{HELD} mine-1")
    approval = dict(caught.value.body)["approval"]  # type: ignore[call-overload]

    for path in (
        f"/v1/approvals/{approval['id']}",
        f"/v1/approvals/{approval['id']}/result",
        f"/v1/chat/completions/{approval['result_id']}",
    ):
        answer = httpx.get(
            gateway.url + path,
            headers={"authorization": f"Bearer {keys['other']}"},
            trust_env=False,
        )
        assert 404 == answer.status_code


def test_the_ledger_verifies_and_holds_no_word_of_it(
    gateway: Installation, client: openai.OpenAI
) -> None:
    """After all of it, verify is content, and no prompt stands in the ledger in clear."""
    _ask(client, "canary-5f1c is a word")

    done = gateway.verify()

    assert done.returncode in (0, 2), done.stdout
    for file in gateway.ledger.rglob("*"):
        if file.is_file():
            assert b"canary-5f1c" not in file.read_bytes()
            assert b"staff-7" not in file.read_bytes()


def test_curl_is_told_everything(gateway: Installation, keys: dict[str, str]) -> None:
    """A client that does not follow redirects reads the whole story in the 303."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"{HELD} curl-1"}]}
    done = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", f"{gateway.url}/v1/chat/completions",
         "-H", f"authorization: Bearer {keys['employee']}",
         "-H", "content-type: application/json", "-d", json.dumps(body)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    said, status = done.stdout.rsplit("\n", 1)

    assert "303" == status
    assert "approval_pending" == json.loads(said)["error"]["code"]
