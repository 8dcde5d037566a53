"""The ledger on Spark: the same rows as DuckDB's, of random histories and of a simulated company."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import exports, ledgers, moves
from tests.support.command_line import Cli
from tests.support.exports import POLICIES, ZONE, by_chance
from tests.support.importing import imported
from tests.support.live import Live
from tests.support.moves import DAY, Row, span

from tidegate.errors import EngineFailed
from tidegate.revenue import elsewhere, expression
from tidegate.revenue.engines import opened
from tidegate.sandbox.clock import add_interval
from tidegate.wiring import Hub
from tidegate.workflows.operation.export import export
from tidegate.workflows.revenue.derive_ledger import derive

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # PySpark leaves its own to the collector
]

SPARK = (
    "pyspark://?spark.master=local[2]&spark.driver.memory=1g&spark.sql.shuffle.partitions=4"
    "&spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1"
)
MILLIONTHS = 10**18
"""Of a minor unit; nine of them are all that fits a bigint."""


@pytest.mark.parametrize(
    ("choices", "zone"), [*zip(POLICIES, [ZONE, "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"], strict=True)], ids=str
)
def test_random_histories_are_the_same_row_for_row(tmp_path: Path, choices: dict[str, str], zone: str) -> None:
    spans = by_chance(len(f"{choices}{zone}"), 120)
    exports.export(tmp_path / "out", spans, zone, **choices)
    found = exports.derived(SPARK, tmp_path / "out", tmp_path / "in")
    assert len(found) > 400
    assert found == moves.rows(spans, zone, **choices)


def test_a_company_of_two_years_is_the_same_as_what_the_hub_keeps(
    hub: Hub, make_sandbox: "Callable[..., Sandbox]", tmp_path: Path
) -> None:
    live = Live(hub, make_sandbox(customers=140, months=24, ahead=24))
    imported(hub, live.account)
    for month in (6, 12, 18, 24):
        ledgers.live_on(live, add_interval(live.sandbox.config.starts, "month", month))
    export(hub.engine, live.account, tmp_path / "out", "parquet")
    on_spark = derive(SPARK, tmp_path / "out", tmp_path / "spark")
    assert on_spark["compared"]["equal"]
    assert on_spark["compared"]["exported"] == on_spark["movements"] > 200
    on_duckdb = derive("duckdb://", tmp_path / "out", tmp_path / "duckdb")
    assert on_spark["sums"] == on_duckdb["sums"]
    rows = [exports.rows(tmp_path / where / "movements.parquet") for where in ("out", "spark", "duckdb")]
    assert rows[0] == rows[1] == rows[2]


def test_what_spark_wrote_is_what_an_export_may_hold(tmp_path: Path) -> None:
    exports.export(tmp_path / "out", by_chance(3, 20))
    exports.derived(SPARK, tmp_path / "out", tmp_path / "in")
    assert (tmp_path / "in/movements.parquet").is_dir()
    (tmp_path / "in/movements.parquet").rename(tmp_path / "out/movements.parquet")
    again = derive("duckdb://", tmp_path / "out", tmp_path / "again")
    assert again["compared"]["equal"]
    exports.export(tmp_path / "out", by_chance(4, 20))
    other = derive(SPARK, tmp_path / "out", tmp_path / "other")["compared"]
    assert other["only_derived"] > 0 < other["only_exported"]
    assert {one["of"] for one in other["rows"]} == {"derived", "exported"}


def huge(*amounts: int) -> list[Row]:
    """Items of one unit that begin one after the other, worth so many millionths of a minor unit."""
    return [
        span(place * DAY, None, 0, item=f"si_{place}", mrr=amount * MILLIONTHS) for place, amount in enumerate(amounts)
    ]


def test_an_amount_as_large_as_a_column_holds_is_exact(tmp_path: Path) -> None:
    spans = [*huge(4, 5), span(3 * DAY, None, 0, unit="v", item="si_v", mrr=9 * MILLIONTHS)]
    spans += [span(DAY, 2 * DAY, 0, unit="w", item="si_w", mrr=9 * MILLIONTHS + 1)]
    exports.export(tmp_path / "out", spans)
    found = exports.derived(SPARK, tmp_path / "out", tmp_path / "in")
    assert found == moves.rows(spans, ZONE)
    assert {one["closing"] for one in found} == {0, 4 * MILLIONTHS, 9 * MILLIONTHS, 9 * MILLIONTHS + 1}
    told = derive("duckdb://", tmp_path / "out", tmp_path / "sums")["sums"]
    assert [one["amount"] for one in told if one["kind"] == "new"] == [22 * MILLIONTHS + 1]


def test_a_sum_that_no_column_holds_is_an_error_and_no_other_number(tmp_path: Path) -> None:
    exports.export(tmp_path / "out", huge(5, 5))
    for engine in (SPARK, "duckdb://"):
        with pytest.raises(EngineFailed):
            derive(engine, tmp_path / "out", tmp_path / "in")
        assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize(
    ("engine", "environment", "said"),
    [
        ("pyspark://?spark.driver.memory=much", {}, "much"),
        ("pyspark://", {"PATH": "/nowhere", "JAVA_HOME": "/nowhere"}, "apt-get install default-jre-headless"),
    ],
    ids=["an option", "no Java"],
)
def test_a_spark_that_does_not_start_is_said(
    tmp_path: Path, engine: str, environment: dict[str, str], said: str
) -> None:
    exports.export(tmp_path / "out", [span(0, None, 5)])
    command = ["ledger", "--engine", engine, "--from", f"{tmp_path / 'out'}", "--to", f"{tmp_path / 'in'}"]
    running = Cli(tmp_path, "").start(*command, **environment, PYTHONWARNINGS="default")
    _, told = running.communicate()
    assert running.returncode == 2, told
    assert "The engine pyspark:// cannot be used: Spark did not start." in " ".join(told.split())
    assert said in told
    assert "Traceback" not in told


def test_spark_opens_no_port_to_others(tmp_path: Path) -> None:
    exports.export(tmp_path, [span(0, None, 5)])
    with opened("pyspark://") as db:
        assert elsewhere.count(db, elsewhere.read(db, tmp_path / "spans.parquet", expression.SPANS)) == 1
        session = sys.modules["pyspark.sql"].SparkSession.getActiveSession()
        assert session.conf.get("spark.driver.host") == "127.0.0.1"
        assert session.sparkContext.uiWebUrl is None
