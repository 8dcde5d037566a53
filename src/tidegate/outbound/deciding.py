"""Decides about a model's rows by batches, and makes of what is decided the tables that a plan keeps."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import gc
import json
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import msgspec

from tidegate.outbound.asking import Asking
from tidegate.outbound.associations import Found
from tidegate.outbound.describing import Describing
from tidegate.outbound.looking_ahead import Batch, Looked, ahead
from tidegate.outbound.metering.telling import Telling
from tidegate.outbound.plan.decide import Decision, Terms
from tidegate.outbound.staging import told

Asker = Asking | Telling | Describing
"""Decides about rows: of objects, of usage, of contacts."""
Departed = Callable[[Collection[str]], set[str]]
"""Those of some keys that the model has no more."""


class Decided(NamedTuple):
    """What was decided about a batch: how many rows, a pyarrow.Table of the decisions (`table`), and what the rows
    name with the ids that it stands for.
    """

    rows: int
    decisions: Any
    named: Sequence[Found]


TOGETHER = 20
"""Batches between which Python does not search for cycles."""
Deciding = Callable[[Terms, Iterator[Any]], Generator[Decided]]
"""Decides about each of the batches (`staging.Staging.batches`), in their order."""


def here(asking: Asker, departed: Departed) -> Deciding:
    """Decides in this process, and reads in a thread what is remembered of the next batch meanwhile."""

    def deciding(terms: Terms, batches: Iterator[Any]) -> Generator[Decided]:
        with closing(ahead((told(batch) for batch in batches), asking.look)) as looked:
            while True:
                with _unsearched():
                    for _ in range(TOGETHER):
                        if (following := next(looked, None)) is None:
                            return
                        yield decided(asking, terms, *following, departed)

    return deciding


def at_once(asking: Asker, terms: Terms, batch: Any, departed: Departed) -> Decided:
    """What is decided about one batch (a pyarrow.RecordBatch), for a process that has no other to read ahead for."""
    with _unsearched():
        rows = told(batch)
        return decided(asking, terms, rows, asking.look(rows), departed)


def decided(asking: Asker, terms: Terms, rows: Batch, looked: Looked, departed: Departed) -> Decided:
    """What is decided about some rows."""
    found = asking.decided(terms, rows, departed, looked)
    return Decided(len(rows), table([(one, row["_hash"]) for one, row in zip(found, rows, strict=True)]), asking.named)


@contextmanager
def _unsearched() -> Generator[None]:
    """Without Python's search for cycles, of which deciding makes none: it looked at every object of the process again
    and again, which took a third of the time. Of the whole process, so only for a batch.
    """
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def table(planned: Sequence[tuple[Decision, int | None]]) -> Any:
    """Decisions, each with the hash of what its row says now, as a pyarrow.Table: lists and objects are JSON."""
    import pyarrow

    told = zip(Decision._fields, zip(*(decision for decision, _ in planned), strict=True), strict=True)
    columns: dict[str, Any] = {"hash": pyarrow.array([hash_ for _, hash_ in planned], pyarrow.int64())}
    for name, values in told:
        kept = map(_encode, values) if name in _JSON else values
        columns[name] = pyarrow.array(kept, pyarrow.string())
    return pyarrow.table(columns)


_JSON = frozenset({"payload", "changes", "kept", "problems", "wanted"})
_encoder = msgspec.json.Encoder(enc_hook=str, order="deterministic")


def _encode(value: Any) -> str:
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:  # half a character in what is told of a wrong value
        told = msgspec.to_builtins(value, enc_hook=str)
        return json.dumps(told, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace").decode()
