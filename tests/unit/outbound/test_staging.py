"""Which rows of a model differ from what was sent of them: new, changed, gone, to be tried again, or the same."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest

from tidegate.errors import ModelInvalid, ModelRowsInvalid
from tidegate.outbound import staging
from tidegate.outbound.staging import Counts, Staging
from tidegate.outbound.standing import Known

COLUMNS = ("name",)


def model(rows: dict[str, str]) -> Any:
    table = pyarrow.table({"id": list(rows), "name": list(rows.values())})
    return pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches())


def hashes(rows: dict[str, str], version: str = "1") -> dict[str, int]:
    """What a model's rows are remembered by, once they were sent."""
    with staging.opened() as staged:
        staged.read("m", model(rows), ("id",), COLUMNS, version)
        return dict(staged.db.execute('select "_key", "_hash" from model').fetchall())


def stand(staged: Staging, now: dict[str, str], sent: dict[str, int], again: Sequence[str] = ()) -> None:
    """Holds rows against what is remembered; of hashes that are asked about, more rows are named than were meant."""
    state = pyarrow.table({"key": list(sent), "hash": pyarrow.array(sent.values(), pyarrow.int64())})
    staged.read("m", model(now), ("id",), COLUMNS, "1")
    staged.stand(Known(state, pyarrow.table({"key": pyarrow.array(again, pyarrow.string())}), lambda _: state))


def found(staged: Staging) -> dict[str, str]:
    return dict(staged.db.execute("select key, what from differing").fetchall())


def test_rows_are_told_by_their_hashes_and_keys_are_read_of_those_that_differ() -> None:
    sent = hashes({"1": "a", "2": "b", "3": "c", "4": "d"})
    with staging.opened() as staged:
        stand(staged, {"1": "a", "2": "other", "4": "d", "5": "d"}, sent)
        assert found(staged) == {"2": "changed", "3": "gone", "5": "new"}
        assert staged.counts() == Counts(rows=4, known=4, new=1, changed=1, again=0, gone=1, unchanged=2)
        assert staged.gone() == ["3"]


def test_two_rows_that_say_the_same_are_two() -> None:
    sent = hashes({"1": "a", "2": "a"})
    assert sent["1"] != sent["2"]
    with staging.opened() as staged:
        stand(staged, {"2": "a", "3": "a"}, sent)
        assert found(staged) == {"1": "gone", "3": "new"}


def test_what_was_not_sent_is_tried_again_once() -> None:
    sent = hashes({"1": "a", "2": "b", "5": "e"})
    with staging.opened() as staged:
        stand(staged, {"1": "a", "2": "b", "3": "c", "5": "other"}, sent, again=["1", "5"])
        assert found(staged) == {"1": "again", "3": "new", "5": "changed"}
        assert staged.counts().known == 3


@pytest.mark.parametrize("keys", [["1"], ["1", "1", "9"]])
def test_rows_that_were_touched_are_looked_at_once(keys: list[str]) -> None:
    with staging.opened() as staged:
        stand(staged, {"1": "a", "2": "other"}, hashes({"1": "a", "2": "b"}))
        staged.touch(keys)
        assert found(staged) == {"1": "again", "2": "changed"}
        staged.touch_all()
        assert found(staged) == {"1": "again", "2": "changed"}


def test_another_way_of_sending_makes_every_row_differ() -> None:
    with staging.opened() as staged:
        stand(staged, {"1": "a", "2": "b"}, hashes({"1": "a", "2": "b"}, version="0"))
        assert found(staged) == {"1": "changed", "2": "changed"}


ABROAD = """
import json, sys, pyarrow
from tidegate.outbound import specs, staging
from tidegate.outbound.sources import reading
from tidegate.outbound.standing import Known
sql = "select 1 as id, timestamptz '2026-01-31 23:30:00+00' as at, "
sql += "strftime(timestamptz '2026-01-31 23:30:00+00', '%d') as day"
model = specs.model({"key": "m", "source": "s", "sql": sql, "primary_key": ["id", "at"]})
columns = ("at", "day")
fields = [("key", pyarrow.string()), ("hash", pyarrow.int64()), ("again", pyarrow.bool_()), ("gone", pyarrow.bool_())]
nobody = pyarrow.schema(fields).empty_table()
with staging.opened() as staged, reading.reading(sys.argv[1], model) as rows:
    staged.read("m", rows, model.primary_key, columns, "1")
    staged.stand(Known(nobody, nobody, lambda _: nobody))
    staged.pair("day", folds=False)
    print(json.dumps([row for batch in staged.batches() for row in staging.told(batch)], default=str))
"""


def test_rows_are_the_same_whatever_the_time_zone_of_the_machine(tmp_path: Path) -> None:
    duckdb.connect(tmp_path / "w.duckdb").close()

    for url, zone in (
        (f"duckdb://{tmp_path}/w.duckdb", "Pacific/Auckland"),
        (f"file://{tmp_path}", "America/New_York"),
    ):
        asked = [sys.executable, "-c", ABROAD, url]
        done = subprocess.run(asked, env=os.environ | {"TZ": zone}, check=True, capture_output=True)
        [row] = json.loads(done.stdout)
        assert (row["day"], row["at"]) == ("31", "2026-01-31 23:30:00+00:00")


def test_values_that_cannot_be_told_are_wrong_in_their_row_alone() -> None:
    rows = duckdb.sql("""
select * from (values ('1', timestamp 'infinity', date '12000-01-01', 'a' || chr(0)),
  ('2', timestamp '2026-01-01', date '2026-01-02', 'b')) t(id, moment, day, name)""").to_arrow_reader(10)
    nobody = pyarrow.schema([("key", pyarrow.string()), ("hash", pyarrow.int64())]).empty_table()
    with staging.opened() as staged:
        staged.read("m", rows, ("id",), ("moment", "day", "name"), "1")
        staged.stand(Known(nobody, nobody, lambda _: nobody))
        staged.pair("name", folds=False)
        staged.touch_naming("moment", lambda value: value is None)
        [[wrong, right]] = map(staging.told, staged.batches())
    assert {name: wrong[name] for name in ("moment", "day", "name")} == {"moment": None, "day": None, "name": None}
    far = "it is infinite, or beyond the years 1 to 9999"
    nul = "it has the character NUL, which no text in Stripe can have"
    assert wrong["_wrong"] == {"moment": far, "day": far, "name": nul}
    assert (str(right["moment"]), str(right["day"]), right["name"]) == ("2026-01-01 00:00:00", "2026-01-02", "b")
    assert not right["_wrong"]


def test_a_key_that_cannot_be_kept_is_told() -> None:
    with staging.opened() as staged, pytest.raises(ModelRowsInvalid, match="1 have the character NUL in their id"):
        staged.read("m", model({"1": "a", "2\0": "b"}), ("id",), COLUMNS, "1")


@pytest.mark.parametrize(
    ("names", "wanted", "problem"),
    [
        (["id", "_hash"], ["_hash"], "the column _hash has a name that is kept for the sync itself"),
        (["id", "_Key"], ["_Key"], "the column _Key has a name"),
        (["id", "Name", "name"], ["name"], "differ in nothing but their case, Name and name"),
        (["id", "a", "a"], ["a"], "a and a"),
    ],
)
def test_columns_that_could_be_taken_for_others_are_refused(names: list[str], wanted: list[str], problem: str) -> None:
    rows = pyarrow.table([["1"]] * len(names), names=names).to_reader()
    with staging.opened() as staged, pytest.raises(ModelInvalid, match=problem):
        staged.read("m", rows, ("id",), wanted, "1")


def test_columns_that_are_not_used_may_be_called_anything() -> None:
    names = ["id", "name", "_hash", "A", "a"]
    rows = pyarrow.table([["1"]] * len(names), names=names).to_reader()
    with staging.opened() as staged:
        staged.read("m", rows, ("id",), ["name"], "1")
        assert staged.counted() == 1
