import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
import stripe

from tidegate.errors import ConfigurationError
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import Sandbox

ASK = b"GET /v1/customers?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(SandboxConfig(customers=45)) as running:
        yield running


def connect(sandbox: Sandbox) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1])), timeout=10)


def test_the_official_sdk_reads_it(sandbox: Sandbox) -> None:
    client = stripe.StripeClient(sandbox.key, base_addresses={"api": sandbox.url})
    listed = client.v1.customers.list({"limit": 7})
    (clock,) = client.v1.test_helpers.test_clocks.list().data
    on_clock = client.v1.customers.list({"limit": 1, "test_clock": clock.id})
    found = [*listed.auto_paging_iter(), *on_clock.auto_paging_iter()]
    assert len(found) == sandbox.truth()["customers"]
    subscription = client.v1.subscriptions.list({"status": "all", "limit": 1, "expand": ["data.customer"]}).data[0]
    assert subscription.customer.object == "customer"  # type: ignore[union-attr]
    prices = client.v1.prices.list({"expand": ["data.tiers"], "limit": 100, "created": {"gte": 1}})
    assert any(price.tiers for price in prices.data)
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_x'"):
        client.v1.customers.retrieve("cus_x")
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_wrong", base_addresses={"api": sandbox.url}).v1.customers.list()


def test_one_connection_takes_many_requests_also_at_once(sandbox: Sandbox) -> None:
    with connect(sandbox) as wire:
        wire.sendall(ASK % sandbox.key.encode() * 3)
        received = b""
        while received.count(b'"object":"list"') < 3:
            received += wire.recv(65_536)
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert len(set(re.findall(rb"Request-Id: (req_\w+)", received))) == 3
        wire.sendall(b"GET /v1/customers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        rest = b""
        while part := wire.recv(65_536):
            rest += part
        assert rest.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


def test_what_is_no_http_is_refused(sandbox: Sandbox) -> None:
    with connect(sandbox) as wire:
        wire.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 400")
        assert wire.recv(1000) == b""


def test_latency_does_not_hold_others_up() -> None:
    with Sandbox.start(SandboxConfig(customers=5, latency=0.3)) as slow:
        begun = time.monotonic()
        wires = [connect(slow) for _ in range(100)]
        for wire in wires:
            wire.sendall(ASK % slow.key.encode())
        for wire in wires:
            assert wire.recv(20).startswith(b"HTTP/1.1 200")
            wire.close()
        assert 0.3 <= time.monotonic() - begun < 3


def test_a_truncated_body_and_a_reset_connection() -> None:
    with Sandbox.start(SandboxConfig(customers=5, faults="truncate=1")) as broken, connect(broken) as wire:
        wire.sendall(ASK % broken.key.encode())
        received = b""
        while part := wire.recv(65_536):
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(re.findall(rb"Content-Length: (\d+)", head)[0])
        assert head.startswith(b"HTTP/1.1 200")
        assert len(body) == length // 2
    with Sandbox.start(SandboxConfig(customers=5, faults="reset=1")) as broken:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{broken.url}/v1/customers")
        assert httpx.get(f"{broken.url}/__stats").json()["faults"] == {"reset": 1}


def test_a_port_that_is_taken_is_said(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
        Sandbox.start(SandboxConfig(customers=0, port=port))


def test_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "tidegate.sandbox", "--port", "0", "--customers", "5", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"sandbox ready at (http://127\.0\.0\.1:\d+) with key (sk_test_\w+)\n", line)
        assert found, line
        asked = httpx.get(f"{found[1]}/v1/customers", headers={"Authorization": f"Bearer {found[2]}"})
        assert len(asked.json()["data"]) == 5
        process.terminate()
        assert process.wait(10) == 0
    wrong = subprocess.run([*command, "--faults", "boom"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "--faults does not understand 'boom'" in wrong.stderr
