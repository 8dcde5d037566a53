"""What a library connects to by itself, where only public addresses are allowed: refused, whoever tries."""

import socket
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from threading import Thread

import pytest

from tidegate.delivery.guarding import public_only


@pytest.fixture
def private() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def connect(port: int, folder: Path) -> None:
    socket.create_connection(("127.0.0.1", port), 5).close()


def connect_by_name(port: int, folder: Path) -> None:
    with socket.socket() as one:
        one.connect(("localhost", port))


def connect_in_file_system(port: int, folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as one:
        server.bind(str(folder / "socket"))
        server.listen()
        one.connect(str(folder / "socket"))


def datagram(port: int, folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", ("localhost", port))


WAYS: list[Callable[[int, Path], None]] = [connect, connect_by_name, connect_in_file_system, datagram]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_private_is_connected_to_or_sent_to(
    way: Callable[[int, Path], None], private: socket.socket, tmp_path: Path
) -> None:
    port = private.getsockname()[1]
    with public_only("Somebody") as refused, pytest.raises(PermissionError):
        way(port, tmp_path)
    [error] = refused
    assert "which is private or of this machine" in str(error)
    (tmp_path / "socket").unlink(missing_ok=True)
    way(port, tmp_path)


def test_it_holds_in_threads_with_its_context_and_in_no_other(private: socket.socket, tmp_path: Path) -> None:
    port = private.getsockname()[1]
    done: list[str] = []

    def attempt(name: str) -> None:
        try:
            connect(port, tmp_path)
            done.append(name)
        except PermissionError:
            pass

    with public_only("Somebody") as refused:
        theirs = copy_context()
        for thread in (Thread(target=lambda: theirs.run(attempt, "within")), Thread(target=attempt, args=("beside",))):
            thread.start()
            thread.join()
    assert done == ["beside"]
    assert str(refused[0]).startswith("Somebody is at 127.0.0.1")


def test_what_is_public_is_left_alone() -> None:
    with public_only("Somebody") as refused, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("93.184.215.14", 9))  # of a datagram's socket this sends nothing
    assert refused == []
