"""Files: events as JSON lines or Parquet in a folder, a file a day and another one where it grows large."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from pydantic import Field, field_validator

from tidegate.delivery.messages import DELIVERED, UPDATED, Message, Verdict
from tidegate.delivery.options import Options
from tidegate.delivery.shapes import instant, plain


class FileOptions(Options):
    """`path`: a folder, whole. `format`: JSON lines, appended to, or Parquet, a file for each batch. `megabytes`: from
    which on a file of a day is followed by another.
    """

    path: str
    format: Literal["jsonl", "parquet"] = "jsonl"
    megabytes: float = Field(default=100, gt=0)
    in_flight: int = 1

    @field_validator("path")
    @classmethod
    def _whole(cls, path: str) -> str:
        if not Path(path).is_absolute():
            raise ValueError("a path is whole: it is written by workers, wherever they were started")
        return path


class Files:
    """Up to 1,000 rows at a time: {id, type, at, contact, name, data, properties}. What is written is on the disk
    before it counts as delivered; after a crash a row may be there twice, with one id.
    """

    options = FileOptions
    batch = 1000
    properties: tuple[str, ...] = ()
    events = ("*",)

    def shown(self, options: FileOptions, messages: Sequence[Message], as_of: datetime) -> list[Mapping[str, Any]]:
        """The rows."""
        return [_row(options, one) for one in messages]

    def write(self, options: FileOptions, messages: Sequence[Message], as_of: datetime) -> list[Verdict]:
        """Appends the rows to the day's file, or writes one."""
        rows = self.shown(options, messages, as_of)
        try:
            folder = Path(options.path)
            folder.mkdir(parents=True, exist_ok=True)
            if options.format == "jsonl":
                _append(
                    _file(folder, as_of, options.megabytes), b"".join(msgspec.json.encode(one) + b"\n" for one in rows)
                )
            else:
                _parquet(folder / f"{as_of:%Y-%m-%d}.{messages[0].id}.{_digest(messages)}.parquet", rows)
        except OSError as error:
            return [Verdict("temporary", None, f"{error.strerror}: {error.filename or options.path}")] * len(messages)
        return [DELIVERED] * len(messages)


def _row(options: FileOptions, message: Message) -> dict[str, Any]:
    said = message.data if message.type != UPDATED else options.renamed(message.data)
    return {
        "id": message.id,
        "type": options.called(message.type),
        "at": instant(message.at),
        "contact": message.person.ref if message.person else None,
        "name": options.called(message.name),
        "data": {name: plain(value) for name, value in said.items()},
        "properties": {name: plain(value) for name, value in options.renamed(message.properties).items()},
    }


def _file(folder: Path, as_of: datetime, megabytes: float) -> Path:
    """The newest file of the day, or the next one where that is large enough."""
    number = 1
    while True:
        file = folder / f"{as_of:%Y-%m-%d}.{number:03}.jsonl"
        if not file.exists() or file.stat().st_size < megabytes * 1_000_000:
            return file
        number += 1


def _digest(messages: Sequence[Message]) -> str:
    """What names these messages and no others: the same that are written again take the place of those before."""
    return hashlib.sha256("\0".join(one.id for one in messages).encode()).hexdigest()[:12]


def _append(file: Path, lines: bytes) -> None:
    """Writes whole lines to the disk, or none: one process at a time, each of which takes away what another one that
    was killed, or had no space left, did not end, since that was not delivered and comes again.
    """
    import fcntl

    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = os.fstat(descriptor).st_size
        whole = _ended(descriptor, before)
        if whole < before:
            os.ftruncate(descriptor, whole)
        try:
            written = 0
            while written < len(lines):
                written += os.write(descriptor, lines[written:])
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, whole)
            raise
    finally:
        os.close(descriptor)
    _keep_name(file)


def _ended(descriptor: int, size: int) -> int:
    """The bytes of a file up to the end of its last whole line."""
    while size:
        begin = max(0, size - 65_536)
        found = os.pread(descriptor, size - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        size = begin
    return 0


def _keep_name(file: Path) -> None:
    """Lets the name of a new file be on the disk as well."""
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parquet(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a file whole or not at all; nested values stand as JSON."""
    import pyarrow
    from pyarrow import parquet

    text = ("data", "properties")
    columns = {
        name: [msgspec.json.encode(one[name]).decode() if name in text else one[name] for one in rows]
        for name in ("id", "type", "at", "contact", "name", *text)
    }
    draft = file.with_suffix(f".{os.getpid()}.draft")
    parquet.write_table(pyarrow.table({n: pyarrow.array(v, pyarrow.string()) for n, v in columns.items()}), draft)
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(draft, file)
    _keep_name(file)
