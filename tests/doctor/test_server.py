"""What can be wrong on the way to the server."""

import shlex
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from doctor.broken_installs import Diagnosis, Patient, stand_in
from fixtures.commands import MESHPROXY
from fixtures.postgres import Postgres


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_server_does_not_run(patient: Patient) -> None:
    port = free_port()
    patient.runtime(url=f"http://127.0.0.1:{port}", database_url=f"sqlite:///{patient.home.state}/data/meshproxy.db")
    ill = patient.doctor()
    assert (ill.code, ill.first) == (1, "tcp")
    remedy = ill.check("tcp")["remedy"]
    assert remedy == f"meshproxy serve --port {port}"
    with (patient.home.root / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            remedy.split(), env=patient.home.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while patient.doctor().status("tcp") != "ok" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert patient.doctor().status("tcp") == "ok"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def test_name_can_not_be_looked_up(patient: Patient) -> None:
    patient.use_server(f"https://{'a' * 64}.example")  # no name server is asked: no name has a part that long
    patient.is_fixed("dns")


def test_port_is_closed(patient: Patient) -> None:
    patient.use_server(f"http://localhost:{free_port()}")
    patient.is_fixed("tcp")


def test_it_is_no_room_proxy(patient: Patient) -> None:
    with stand_in(status=404, body="no such page") as url:
        patient.use_server(url)
        patient.is_fixed("answers")


def test_server_moved_behind_a_redirect(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_KEY"] = patient.proxy.key.encode()
    patient.environ["MESHAGENT_ROOM"] = patient.room
    with stand_in(status=301, body="", location=f"{patient.proxy.url}/readyz") as url:
        patient.use_server(url)
        patient.is_fixed("answers")


def test_server_is_degraded(patient: Patient) -> None:
    with stand_in(body='{"status": "degraded", "reasons": ["the store is away"]}') as url:
        patient.use_server(url)
        found = patient.doctor()
    assert found.status("answers") == "warning"
    assert "the store is away" in found.check("answers")["found"]


@pytest.mark.parametrize("late_s", [3600, -3600])
def test_clock_is_off_by_an_hour(patient: Patient, late_s: int) -> None:
    synchronised = patient.home.root / "synchronised"
    patient.program("sudo", 'exec "$@"')  # this machine's own clock is left alone
    patient.program("timedatectl", f'[ "$*" = "set-ntp true" ] && touch {synchronised}')
    with stand_in(late_s=lambda: 0 if synchronised.exists() else late_s) as url:
        patient.use_server(url)
        ill = patient.doctor()
        assert (ill.code, ill.first) == (1, "clock")
        assert ("ahead of" if late_s > 0 else "behind") in ill.check("clock")["found"]
        assert patient.doctor(remedy=ill.check("clock")["remedy"]).status("clock") == "ok"


def test_database_is_away(patient: Patient, postgres: Postgres) -> None:
    url = postgres.create_database()
    patient.program("sudo", 'exec "$@"')  # the test's own database, which is no service of the system
    start = shlex.join(postgres.start_command)
    patient.program("systemctl", f'[ "$*" = "start postgresql" ] && {start} >/dev/null')
    with serving(patient, environ={"MESHPROXY_DATABASE_URL": url}):
        patient.cli("api-key", "create", "x", "--activate", "--silent", environ={"MESHPROXY_DATABASE_URL": url})
        assert patient.doctor().broken == {}
        postgres.stop()
        try:
            ill = wait_for(patient, "warning")
            assert (ill.code, ill.first) == (0, "answers")
            assert "the store is away" in ill.check("answers")["found"]
            assert "answered" in patient.doctor("--live").check("live-openai")["found"]
            patient.doctor(remedy=ill.check("answers")["remedy"])
            wait_for(patient, "ok")
        finally:  # for other tests, where it was not mended
            subprocess.run(postgres.start_command, capture_output=True, timeout=60, check=False)


def wait_for(patient: Patient, status: str) -> Diagnosis:
    """Return what doctor says once the server's health is so."""
    deadline = time.monotonic() + 60
    while (found := patient.doctor()).status("answers") != status and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found.status("answers") == status
    return found


def test_proxy_variable_is_in_the_way(patient: Patient) -> None:
    patient.environ |= {"http_proxy": f"http://user:pw@127.0.0.1:{free_port()}", "NO_PROXY": "", "no_proxy": ""}
    ill = patient.is_fixed("proxy-variables")
    assert "pw" not in ill.check("proxy-variables")["found"]


def certificate(directory: Path, *, days: int, name: str = "localhost") -> ssl.SSLContext:
    """Make a self-signed certificate `cert.pem` that is valid from 30 days ago until in `days`, and a server's TLS."""
    from cryptography import x509  # noqa: PLC0415 (Linux' keyring brings it)
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    here = x509.IPAddress(ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), here]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


@pytest.mark.parametrize(
    ("days", "name", "trusted", "found"),
    [
        (60, "elsewhere.example", True, "is not for localhost"),
        (60, "localhost", False, "is not trusted"),
    ],
)
def test_certificate_is_bad(patient: Patient, days: int, name: str, *, trusted: bool, found: str) -> None:
    context = certificate(patient.home.root, days=days, name=name)
    if trusted:
        patient.environ["SSL_CERT_FILE"] = str(patient.home.root / "cert.pem")
    with stand_in(tls=context) as url:
        patient.use_server(url)
        ill = patient.doctor()
        assert (ill.code, ill.first) == (1, "tls")
        assert found in ill.check("tls")["found"]
        if remedy := ill.check("tls")["remedy"]:
            own = str(patient.home.root / "cert.pem")
            well = patient.doctor(remedy=remedy.replace("/path/to/your-ca.pem", own))
            assert (well.status("tls"), well.status("answers")) == ("ok", "ok")


def test_certificate_of_a_real_server_has_expired(patient: Patient) -> None:
    certificate(patient.home.root, days=-1)
    patient.environ["SSL_CERT_FILE"] = str(patient.home.root / "cert.pem")
    with serving(patient, "--tls-cert", "cert.pem", "--tls-key", "key.pem"):
        ill = patient.doctor()
        assert (ill.code, ill.first) == (1, "tls")
        assert "has expired" in ill.check("tls")["found"]
        certificate(patient.home.root, days=60)  # its admin renewed it
        well = patient.doctor(remedy=ill.check("tls")["remedy"])
        assert (well.code, well.status("tls"), well.status("accepted")) == (0, "ok", "ok"), well.broken
        patient.configure("codex", "--model", "gpt-5.4")
        patient.configure("claude")
        agents = patient.doctor("--no-live", "--agent", "codex", "--agent", "claude", "--yes")
        assert (agents.code, agents.status("run-codex"), agents.status("run-claude")) == (0, "ok", "ok"), agents.broken


@contextmanager
def serving(patient: Patient, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run the patient's own `meshproxy serve`, by default on the hospital's database."""
    database = f"sqlite:///{patient.proxy.home.state}/data/meshproxy.db"
    runtime = patient.home.state / "state" / "serve.json"
    runtime.unlink()
    with (patient.home.root / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [MESHPROXY, "serve", "--port", "0", *options],
            env=patient.home.environ({"MESHPROXY_DATABASE_URL": database, **(environ or {})}),
            cwd=patient.home.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while not runtime.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def test_certificate_that_expires_soon_is_a_warning(patient: Patient) -> None:
    context = certificate(patient.home.root, days=3)
    patient.environ["SSL_CERT_FILE"] = str(patient.home.root / "cert.pem")
    with stand_in(tls=context) as url:
        patient.use_server(url)
        found = patient.doctor()
    assert found.status("tls") == "warning"
    assert "expires in 3 days" in found.check("tls")["found"]


def test_offline_nobody_is_asked(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        patient.cli("server", "add", "team", url, "--access-token", "-", "--use", stdin="mpa_a-token-of-somebody")
        patient.cli("api-key", "import", stdin=patient.proxy.key.encode())
        patient.environ["MESHAGENT_ROOM"] = "r"
        patient.configure("codex")
        found = patient.doctor("--offline")
        assert (found.code, found.broken) == (0, {})
        assert not {"tcp", "answers", "key-known", "live-openai"} & {one["id"] for one in found.content["checks"]}
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@contextmanager
def served(patient: Patient, remedy: str) -> Iterator[None]:
    """Run the printed `meshproxy serve`, as a person would in another terminal, until it answers."""
    with (patient.home.root / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            shlex.split(remedy), env=patient.home.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while patient.doctor().status("accepted") != "ok" and time.monotonic() < deadline:
            time.sleep(0.2)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def gone() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen(["true"]) as ended:
        return ended.pid


def test_another_program_has_the_port(patient: Patient) -> None:
    with stand_in(status=404, body="no such page") as url:
        patient.runtime(url=url, pid=gone())
        ill = patient.doctor()
    assert (ill.code, ill.first) == (1, "answers")
    assert "another program has that port" in ill.check("answers")["found"]
    assert ill.check("answers")["remedy"].startswith("meshproxy serve --port ")  # as below, where it is run


def test_a_room_proxy_of_somebody_else_has_the_port(patient: Patient) -> None:
    patient.runtime(pid=gone(), database_url=f"sqlite:///{patient.home.state}/data/meshproxy.db")
    patient.cli("api-key", "create", "own", "--activate", "--silent")
    ill = patient.doctor()
    assert (ill.code, ill.first) == (1, "accepted")
    assert "is another one than this user's" in ill.check("accepted")["found"]
    with served(patient, ill.check("accepted")["remedy"]):
        well = patient.doctor()
        assert well.code == 0, well.broken


def test_a_server_that_is_only_named_on_the_command_line(patient: Patient) -> None:
    ill = patient.doctor("--no-live", "--server", f"https://{'a' * 64}.example")
    assert ill.first == "dns"
    assert ill.check("dns")["remedy"] == "meshproxy server list"
    assert f"--server https://{'a' * 64}.example" in ill.check("api-key")["remedy"]
