from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.diagnosis import diagnose
from sekisho.adapters.finding import Finding
from sekisho.adapters.key_desk import KeyDesk
from sekisho.config import Settings
from sekisho.web.tls import configured
from support.authority import Authority, Pair
from support.tls_site import tls_site

CONFIG = Path("sekisho.toml")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "audit": {"keys_dir": tmp_path / "keys"},
            "server": {"port": port},
            "backends": [
                {
                    "id": "local",
                    "base_url": "http://127.0.0.1:9/v1",
                    "models": ["*"],
                    "api_key_env": "LOCAL_KEY",
                }
            ],
        }
    )


@pytest.fixture
def used(settings: Settings) -> Settings:
    """An installation in which a key was made."""
    KeyDesk(settings).create("staff-7", roles=["employee"])
    return settings


def wrong(settings: Settings, **environ: str) -> list[Finding]:
    found = diagnose(settings, CONFIG, {"LOCAL_KEY": "x", **environ}, configured)
    assert all(finding.mend for finding in found if not finding.ok)
    return [finding for finding in found if not finding.ok]


def test_a_used_installation_is_sound(used: Settings) -> None:
    """Nothing to mend, and nothing was changed by looking."""
    before = sorted(path.name for path in used.data_dir.rglob("*"))
    assert wrong(used) == []
    assert sorted(path.name for path in used.data_dir.rglob("*")) == before


@pytest.mark.parametrize(
    ("place", "mode", "part"),
    [
        ("data", 0o750, "data_dir"),
        ("keys", 0o705, "keys_dir"),
        ("keys/pepper", 0o640, "keys"),
        ("data/registry.sqlite", 0o604, "registry"),
    ],
)
def test_what_others_may_read_is_wrong(used: Settings, place: str, mode: int, part: str) -> None:
    """The finding has the chmod that mends it."""
    path = used.data_dir.parent / place
    path.chmod(mode)
    (finding,) = wrong(used)
    assert finding.part == part
    assert finding.mend.startswith("chmod ")
    assert str(path) in finding.mend


def test_lost_or_cut_keys_are_told(used: Settings) -> None:
    """With a ledger but without its keys nothing new is made; a cut key is no key."""
    pepper = used.audit.keys_dir / "pepper"
    pepper.write_bytes(b"short")
    assert "5 bytes instead of 32" in wrong(used)[0].said
    pepper.unlink()
    assert "pepper is gone" in wrong(used)[0].said


def test_a_missing_backend_key_is_told_by_its_name(used: Settings) -> None:
    """An empty variable counts as missing."""
    (finding,) = wrong(used, LOCAL_KEY="")
    assert finding.mend == "export LOCAL_KEY=…"


def test_an_unknown_profile_is_told(used: Settings) -> None:
    """The finding lists what there is."""
    backend = used.backends[0].model_copy(update={"profile": "nothing"})
    (finding,) = wrong(used.model_copy(update={"backends": (backend,)}))
    assert "openai" in finding.said


@pytest.fixture
def taken(settings: Settings) -> Iterator[None]:
    """Something else listens on the port and never answers HTTP."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((settings.server.host, settings.server.port))
        other.listen()
        yield


@pytest.mark.usefixtures("taken")
def test_a_port_that_someone_else_has_is_wrong(used: Settings) -> None:
    """A gateway would answer /readyz there; this does not."""
    (finding,) = wrong(used)
    assert finding.part == "port"
    assert "ss -ltnp" in finding.mend


def test_sockets_that_nobody_answers_are_wrong(used: Settings) -> None:
    """A left-over socket file means that a part died."""
    used.run_dir.mkdir(mode=0o700)
    for path in (used.auditd_socket, used.valkey_socket):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    assert [finding.part for finding in wrong(used)] == ["auditd", "valkey"]


def test_rules_that_are_not_there_are_wrong(used: Settings, tmp_path: Path) -> None:
    """Broken rules are told with their place, absent ones with the setting."""
    policy = used.policy.model_copy(update={"bundle": tmp_path / "none"})
    (finding,) = wrong(used.model_copy(update={"policy": policy}))
    assert "[policy] bundle" in finding.mend


def test_a_registry_that_is_no_database_is_wrong(used: Settings) -> None:
    """Its content is never overwritten by looking."""
    used.registry_path.write_bytes(b"not a database" * 100)
    (finding,) = wrong(used)
    assert finding.part == "registry"
    assert used.registry_path.read_bytes().startswith(b"not a database")


def test_a_registry_without_keys_says_how_to_make_one(settings: Settings) -> None:
    """The first thing a new operator needs is not a fault, and the key it makes may ask."""
    every = diagnose(settings, CONFIG, {"LOCAL_KEY": "x"}, configured)
    found = {finding.part: finding for finding in every}
    assert found["registry"].ok
    assert "sekisho key create" in found["registry"].said
    assert "--groups employees" in found["registry"].said


def with_tls(settings: Settings, pair: Pair, port: int) -> Settings:
    tls = {"tls_certificate": pair.certificate, "tls_key": pair.key, "port": port}
    server = settings.server.model_copy(update=tls)
    return settings.model_copy(update={"server": server})


@pytest.mark.parametrize(("policy", "said"), [("ok", "is ready"), ("down", "policy: down")])
def test_a_gateway_of_ours_behind_its_own_tls_is_known(
    used: Settings, tmp_path: Path, policy: str, said: str
) -> None:
    """Whoever signed its certificate: it is asked as over plain HTTP."""
    pair = Authority(tmp_path).server()
    with tls_site(pair, {"parts": {"policy": policy}}) as port:
        found = diagnose(with_tls(used, pair, port), CONFIG, {"LOCAL_KEY": "x"}, configured)
    (gateway,) = (finding for finding in found if finding.part == "gateway")
    assert said in gateway.said
    assert gateway.ok == (policy == "ok")


def test_another_certificate_on_the_port_is_not_ours(
    used: Settings, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Somebody else, or a gateway that was not restarted after a renewal."""
    other = Authority(tmp_path_factory.mktemp("other")).server()
    with tls_site(other, {"parts": {}}) as port:
        (finding,) = wrong(with_tls(used, Authority(tmp_path).server(), port))
    assert (finding.part, "restart serve" in finding.mend) == ("port", True)
