"""The client for product code on a real hub, which is killed and comes back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.ports import free_port
from tests.support.product import ADA, Product, sold
from tests.support.waiting import until

from tidegate_client import Entitlements


@pytest.fixture
def product(fresh_database_url: str) -> Iterator[Product]:
    with sold(fresh_database_url) as product:
        yield product


@contextmanager
def hub(database_url: str, home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A web process in its own process group, ended with the block; SIGKILL is the test's."""
    environment = {"PATH": os.environ["PATH"], "TIDEGATE_HOME": str(home), "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "tidegate", "serve", "--no-worker", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    def alive() -> bool:
        assert process.poll() is None, "the hub ended"
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(alive, "the hub serves", seconds=60)
        yield process
    finally:
        process.kill()
        process.wait(20)


@pytest.mark.wide
def test_a_hub_is_killed_and_comes_back(product: Product, fresh_database_url: str, tmp_path: Path) -> None:
    port = free_port()
    token = product.token("entitlements")
    with Entitlements(f"http://127.0.0.1:{port}", token, timeout=10, fresh=0, retry=0.1) as client:
        with hub(fresh_database_url, tmp_path, port) as process:
            assert client.check(ADA, "sso").stale is False
            assert client.check(ADA, "calls").remaining == 1000
            assert client.consume(ADA, "calls", 10).used == 10
            process.send_signal(signal.SIGKILL)
            process.wait(20)
            gone = client.check(ADA, "sso")
            assert (gone.granted, gone.stale) == (True, True)
            done = client.consume(ADA, "calls", 5)
            assert (done.allowed, done.stale, client.waiting) == (True, True, 1)
        with hub(fresh_database_url, tmp_path, port):
            until(lambda: client.waiting == 0, "the usage is counted")
            until(lambda: not client.check(ADA, "calls").stale, "the hub is asked again", seconds=60)
            assert client.check(ADA, "calls").used == 15
