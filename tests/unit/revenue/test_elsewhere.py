"""The ledger of an export, derived on an engine that a URL names, and what goes wrong there."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from tests.support import exports, moves
from tests.support.exports import POLICIES, ZONE, by_chance
from tests.support.moves import DAY, HOUR, span

from tidegate.errors import EngineFailed, EngineInvalid, ExportUnreadable, Unreachable, UsageError
from tidegate.revenue.engines import named, opened
from tidegate.workflows.revenue.derive_ledger import derive


@pytest.mark.parametrize("choices", POLICIES, ids=str)
def test_an_engine_derives_what_the_hub_derives(tmp_path: Path, choices: dict[str, str]) -> None:
    spans = by_chance(7, 150)
    exports.export(tmp_path / "out", spans, **choices)
    found = exports.derived("duckdb://", tmp_path / "out", tmp_path / "in")
    assert len(found) > 500
    assert found == moves.rows(spans, ZONE, **choices)


def test_what_is_exported_already_is_compared_row_for_row(tmp_path: Path) -> None:
    spans = [span(0, 9 * DAY, 5), span(9 * DAY, None, 7), span(HOUR, None, 3, item="si_2")]
    exports.export(tmp_path / "out", spans)
    first = derive("duckdb://", tmp_path / "out", tmp_path / "first")
    assert (first["spans"], first["movements"], first["compared"]) == (3, 3, None)
    assert first["sums"] == [
        {"currency": "usd", "kind": "expansion", "amount": 200_000_000, "rows": 1},
        {"currency": "usd", "kind": "new", "amount": 800_000_000, "rows": 2},
    ]
    kept = tmp_path / "out/movements.parquet"
    (tmp_path / "first/movements.parquet").rename(kept)
    same = derive("duckdb://", tmp_path / "out", tmp_path / "same")
    assert same["compared"] == {"exported": 3, "equal": True, "only_derived": 0, "only_exported": 0, "rows": []}

    table = pyarrow.parquet.read_table(kept).to_pylist()
    table[0]["amount"] += 1
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*table, table[1]]), kept)
    other = derive("duckdb://", tmp_path / "out", tmp_path / "other", shown=2)["compared"]
    assert (other["equal"], other["exported"], other["only_derived"], other["only_exported"]) == (False, 4, 1, 2)
    assert len(other["rows"]) == 2
    assert {one["of"] for one in other["rows"]} <= {"derived", "exported"}
    assert other["rows"][0]["day"] == "2025-12-31"


def test_a_ledger_without_spans_has_no_movements(tmp_path: Path) -> None:
    exports.export(tmp_path / "out", [])
    assert exports.derived("duckdb://", tmp_path / "out", tmp_path / "in") == []


def wrong_terms(source: Path) -> None:
    (source / "ledger.json").write_text('{"connection": "acme", "policy": "default"}')


def no_policy(source: Path) -> None:
    told = json.loads((source / "ledger.json").read_text())
    (source / "ledger.json").write_text(json.dumps(told | {"policy": "nobody"}))


def no_terms(source: Path) -> None:
    (source / "ledger.json").unlink()


def no_spans(source: Path) -> None:
    (source / "spans.parquet").unlink()


def wrong_columns(source: Path) -> None:
    told = pyarrow.parquet.read_table(source / "spans.parquet").drop_columns(["unit"])
    place = told.schema.get_field_index("mrr")
    told = told.set_column(place, "mrr", told.column("mrr").cast(pyarrow.string()))
    pyarrow.parquet.write_table(told, source / "spans.parquet")


def no_parquet(source: Path) -> None:
    (source / "spans.parquet").write_text("unit,connection\n")


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (wrong_terms, ExportUnreadable, "how the ledger is kept"),
        (no_policy, ExportUnreadable, "nobody"),
        (no_terms, ExportUnreadable, "ledger.json cannot be read .* no such file"),
        (no_spans, ExportUnreadable, "spans.parquet cannot be read .* no such file"),
        (wrong_columns, ExportUnreadable, "it has no column unit; mrr is string and not int64"),
        (no_parquet, EngineFailed, "duckdb:// failed"),
    ],
)
def test_what_is_no_exported_ledger_is_said(tmp_path: Path, spoil: Any, error: type[Exception], words: str) -> None:
    exports.export(tmp_path / "out", [span(0, None, 5)])
    spoil(tmp_path / "out")
    with pytest.raises(error, match=words):
        derive("duckdb://", tmp_path / "out", tmp_path / "in")
    assert not list((tmp_path / "in").iterdir() if (tmp_path / "in").exists() else ())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    exports.export(tmp_path / "out", [span(0, None, 5)])
    with pytest.raises(UsageError, match="is not empty"):
        derive("duckdb://", tmp_path / "out", tmp_path / "out")
    with pytest.raises(UsageError, match="cannot be written"):
        derive("duckdb://", tmp_path / "out", tmp_path / "out/spans.parquet")


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("nothing", EngineInvalid, "knows no such engine"),
        ("nosuch://here", EngineInvalid, "knows no such engine"),
        ("cases://", EngineInvalid, "knows no such engine"),
        ("polars://", EngineInvalid, r"pip install 'ibis-framework\[polars\]'"),
        ("duckdb:///no/where/at/all.db", Unreachable, "duckdb:///no/where/at/all.db could not be reached"),
        ("postgres://ada:secret@127.0.0.1:9/x", Unreachable, "postgres://127.0.0.1/x could not be reached"),
        ("pyspark://host:7077", EngineInvalid, "spark.master=spark://host:7077"),
    ],
)
def test_an_engine_that_is_none_or_does_not_answer_is_said(url: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as raised, opened(url):
        pass
    assert "secret" not in f"{raised.value}"


def test_spark_without_its_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)
    with pytest.raises(EngineInvalid, match=r"pip install 'tidegate\[spark\]'"), opened("pyspark://"):
        pass


def test_the_name_of_an_engine_holds_no_secret() -> None:
    assert named("postgres://ada:secret@db.example.com:5432/books?sslkey=k") == "postgres://db.example.com/books"
    assert named("pyspark://?spark.master=local[2]") == "pyspark://"


def test_what_is_a_mistake_of_ours_is_no_engines_failure() -> None:
    with pytest.raises(ZeroDivisionError), opened("duckdb://"):
        _ = 1 / 0
