"""`tidegate serve` as a process: ends in good order, keeps a worker alive, and leaves none behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet
from tests.support.installation import installed
from tests.support.waiting import until

from tidegate.cli.demo import listening
from tidegate.cli.keeper import Keeper
from tidegate.cli.serve import address, bind
from tidegate.errors import PortTaken


class Server:
    """A running `tidegate serve`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line)
            if "Tidegate serves" in line:
                self.url = line.split()[2]
                return
        raise AssertionError(f"it did not serve: {self.said}")

    def worker(self) -> int | None:
        """The process id of its worker."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        children = " ".join(file.read_text() for file in tasks.glob("*/children")).split() if tasks.exists() else []
        return next((int(pid) for pid in children), None)


@pytest.fixture
def start(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "TIDEGATE_HOME": str(tmp_path),
        "TIDEGATE_SECRET_KEY": Fernet.generate_key().decode(),
    }
    with contextlib.ExitStack() as running:

        def serve(*options: str, pass_fds: Sequence[int] = ()) -> Server:
            process = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "serve", "--port", "0", *options],
                env=environment,
                pass_fds=pass_fds,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.callback(_end, process)
            return Server(process)

        yield serve


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.further
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(start: Callable[..., Server], number: int) -> None:
    server = start("--no-worker")
    assert httpx.get(f"{server.url}/readyz").json()["status"] == "ready"
    assert "Connect a Stripe account" in httpx.get(server.url).text
    assert server.process.stderr is not None
    printed = server.process.stderr.readline()
    assert "first admin" in printed
    assert "Set password and sign in" in httpx.get(printed.split()[-1]).text, "the link that was printed leads there"
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert server.worker() is None


@pytest.mark.further
def test_a_worker_lives_beside_it_is_replaced_and_ends_with_it(start: Callable[..., Server]) -> None:
    server = start()
    first = until(server.worker, "a worker")
    os.kill(first, signal.SIGKILL)
    second = until(lambda: (pid := server.worker()) != first and pid, "another worker")
    server.process.terminate()
    assert server.process.wait(40) == 0
    assert not alive(second)


@pytest.mark.further
def test_no_worker_outlives_a_killed_server(start: Callable[..., Server]) -> None:
    server = start()
    worker = until(server.worker, "a worker")
    server.process.kill()
    server.process.wait()
    until(lambda: not alive(worker), "the worker's end")


@pytest.mark.wide
def test_it_ends_with_the_parent_that_gave_it_a_pipe(start: Callable[..., Server]) -> None:
    theirs, ours = os.pipe()
    server = start("--parent-pipe", str(theirs), pass_fds=[theirs])
    worker = until(server.worker, "a worker")
    os.close(theirs)
    os.close(ours)
    assert server.process.wait(40) == 0
    assert not alive(worker)
    assert "Ctrl-C" not in "".join(server.said)


@pytest.mark.wide
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the server's processes")
def test_an_embedded_database_that_was_killed_is_started_again_and_one_that_was_stopped_is_not() -> None:
    with installed() as one, one.command("serve", "--port", "0", "--no-worker") as process:
        try:
            url = Server(process).url

            def ready() -> bool:
                return httpx.get(f"{url}/readyz", timeout=20).status_code == 200

            first = one.server.status().pid
            one.kill_server()
            until(lambda: (pid := one.server.status().pid) and pid != first and ready(), "the server again")
            with one.command("stop", "--force") as stop:
                stop.communicate(timeout=60)
            until(lambda: not ready(), "the server's end")
            assert not one.server.status().running
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_a_taken_port_is_told_with_the_way_out() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port} .*--port"):
            bind("127.0.0.1", port)
    with contextlib.closing(bind("127.0.0.1", port)):
        pass


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(PortTaken, match="cannot be served"):
        bind(host, 0)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://localhost:"), ("::1", "http://[::1]:")]
)
def test_the_address_is_one_for_a_browser(host: str, shown: str) -> None:
    try:
        listener = bind(host, 0)
    except PortTaken:
        assert not socket.has_dualstack_ipv6(), host
        pytest.skip("this machine has no IPv6 loopback: enable it to test its address")
    with contextlib.closing(listener):
        assert address(listener).startswith(shown)


def shell(script: str) -> Callable[[int], Sequence[str]]:
    return lambda descriptor: ["sh", "-c", script, str(descriptor)]


def test_a_child_that_dies_young_is_started_again_more_and_more_slowly(tmp_path: Path) -> None:
    log = tmp_path / "births"
    keeper = Keeper(shell(f"echo born >> {log}; exit 3"), first_wait=0.01)
    keeper.start()
    until(lambda: log.exists() and len(log.read_text().split()) >= 4, "four births")
    keeper.stop()


def test_a_child_that_does_not_end_is_killed() -> None:
    keeper = Keeper(shell("trap '' TERM; while :; do sleep 60; done"), patience=0.1)
    keeper.start()
    pid = until(lambda: keeper.pid, "the child")
    keeper.stop()
    until(lambda: not alive(pid), "the child's end")


def test_a_socket_that_listens_already_is_served(start: Callable[..., Server]) -> None:
    """So the demo hands over its port, which may be another's before a new process comes to bind it."""
    with contextlib.closing(bind("127.0.0.1", 0)) as listener:
        server = start("--no-worker", "--listener", str(listener.fileno()), pass_fds=[listener.fileno()])
        port = listener.getsockname()[1]
    assert server.url == f"http://127.0.0.1:{port}"
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    server.process.kill()
    server.process.wait()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_a_demo_takes_any_port_where_the_usual_one_is_taken() -> None:
    with contextlib.closing(listening(0)) as first:
        taken = first.getsockname()[1]
        with contextlib.closing(listening(taken)) as second:
            assert second.getsockname()[1] not in {0, taken}
