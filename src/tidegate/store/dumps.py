"""Both schemas as SQL and back, by PostgreSQL's own pg_dump and psql."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from psycopg import conninfo, pq

from tidegate.errors import EmbeddedServerError, PostgresProgramsMissing
from tidegate.store.embedded_binaries import binaries, major_of

SCHEMAS = ("tidegate", "stripe")
COMPLETE = b"PostgreSQL database dump complete"
"""What stands in the last lines of a whole dump."""
SINCE_17 = b"\nSET transaction_timeout = 0;"
"""A setting at the head of a dump that no server before PostgreSQL 17 knows."""


class DumpFailed(Exception):
    """pg_dump or psql ended with an error; the text is what it said."""


@contextmanager
def dumped(url: str, server: int) -> Generator[IO[bytes]]:
    """The database at `url` (libpq's), schema and rows at one instant, as SQL to be read. `server`: its major version.

    Nothing of owners and rights is in it: they are whose who restores it. Raises DumpFailed at the end, and
    PostgresProgramsMissing.
    """
    program = _programs(server) / "pg_dump"
    command = [str(program), "--no-password", "--no-owner", "--no-privileges", *(f"--schema={one}" for one in SCHEMAS)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=_environment(url))
        try:
            assert process.stdout is not None
            yield process.stdout
            process.stdout.close()
            if process.wait():
                raise DumpFailed(_told(said, process.returncode))
        finally:
            process.kill()
            process.wait()


def load(url: str, server: int, sql: Iterable[bytes]) -> None:
    """Puts what was dumped in place of both schemas, in one transaction: all of it or nothing.

    Nothing is changed when `sql` itself raises, or ends early. Raises DumpFailed and PostgresProgramsMissing.
    """
    program = _programs(server) / "psql"
    command = [str(program), "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=_environment(url)
        )
        assert process.stdin is not None
        try:
            _feed(process.stdin, sql, old=server < 17)
            if process.wait():
                raise DumpFailed(_told(said, process.returncode))
        except BrokenPipeError as error:  # psql ended by an error of its own
            raise DumpFailed(_told(said, process.wait())) from error
        finally:
            process.kill()  # what is not whole is not committed
            process.wait()
            with suppress(BrokenPipeError):
                process.stdin.close()


def _feed(stdin: IO[bytes], sql: Iterable[bytes], *, old: bool) -> None:
    """psql's own `--single-transaction` would commit what came until its input ends, as it does when we are killed."""
    stdin.write(
        f"begin;\nset client_min_messages = warning;\ndrop schema if exists {', '.join(SCHEMAS)} cascade;\n".encode()
    )
    tail, first = b"", True
    for piece in sql:
        stdin.write(piece.replace(SINCE_17, b"", 1) if first and old else piece)
        tail, first = (tail + piece)[-400:], False
    if COMPLETE not in tail:
        raise DumpFailed("the dump ends before it is complete")
    stdin.write(b"\ncommit;\n")
    stdin.close()


@cache
def _programs(server: int) -> Path:
    """Where pg_dump and psql of at least the server's major version are: in the package of the embedded server, else on
    the path. Raises PostgresProgramsMissing.
    """
    ours = _ours()
    if ours and major_of(ours) >= server and all((ours / name).is_file() for name in ("pg_dump", "psql")):
        return ours
    found = shutil.which("pg_dump")
    if found is not None and shutil.which("psql", path=str(Path(found).parent)) and _version(found) >= server:
        return Path(found).parent
    raise PostgresProgramsMissing(version=server)


def _ours() -> Path | None:
    try:
        return binaries()
    except EmbeddedServerError:
        return None  # there is no such package for this platform


def _version(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[2].partition(".")[0])


def _environment(url: str) -> dict[str, str]:
    """The address in libpq's variables: arguments of a process can be read by everybody at the machine."""
    variables = {one.keyword.decode(): one.envvar.decode() for one in pq.Conninfo.get_defaults() if one.envvar}
    given = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items() if value is not None}
    said = {variables[key]: value for key, value in given.items() if key in variables}
    return {**os.environ, **said, "PGAPPNAME": "tidegate backup"}


def _told(said: IO[bytes], code: int) -> str:
    """The first lines of what a program wrote to stderr."""
    said.seek(0)
    lines = said.read(2_000).decode(errors="replace").strip().splitlines()
    return "; ".join(lines[:3]) or f"it ended with {code}"
