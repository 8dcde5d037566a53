"""The next rows are read while those before them are decided about: in their order, and no failure is lost."""

import threading
from collections.abc import Iterator

import pytest

from tidegate.outbound.looking_ahead import Batch, Looked, ahead


def batches(count: int) -> Iterator[Batch]:
    return iter([[{"_key": str(number)}] for number in range(count)])


def looked(batch: Batch) -> Looked:
    return Looked({}, {str(batch[0]["_key"]): None})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_each_batch_comes_once_in_its_order_with_what_was_read_of_it(count: int) -> None:
    found = [(batch[0]["_key"], [*read.bodies]) for batch, read in ahead(batches(count), looked)]
    assert found == [(str(number), [str(number)]) for number in range(count)]


def test_the_next_is_read_while_the_caller_has_this_one() -> None:
    begun = threading.Semaphore(0)

    def look(batch: Batch) -> Looked:
        begun.release()
        return looked(batch)

    coming = ahead(batches(2), look)
    next(coming)
    assert begun.acquire(timeout=20)
    assert begun.acquire(timeout=20), "the second batch was not read before it was asked for"
    coming.close()


def test_what_fails_is_raised_with_its_batch_and_those_before_it_come() -> None:
    def look(batch: Batch) -> Looked:
        if batch[0]["_key"] == "1":
            raise RuntimeError("the database is away")
        return looked(batch)

    coming = ahead(batches(3), look)
    assert next(coming)[0] == [{"_key": "0"}]
    with pytest.raises(RuntimeError, match="the database is away"):
        next(coming)
