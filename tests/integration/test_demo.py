"""The demo as a whole: real processes, real HTTP, an embedded database of its own, and the verdict."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support import databases
from tests.support.waiting import until

from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import Sandbox
from tidegate.workflows.demo.demo import Simulated, began

SMALL = ("--customers", "60", "--months", "2")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the account which runs the server for root can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-", dir=databases.memory()))
    folder.chmod(0o755)
    yield folder / "demo"
    shutil.rmtree(folder)


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    # A database and a key of another installation, which a demo must not touch.
    others = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "TIDEGATE_SECRET_KEY": "none"}
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", "demo", "--home", str(home), *SMALL, *arguments],
        env={"PATH": os.environ["PATH"]} | others,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    with start(home, *arguments) as demo:
        out, err = demo.communicate(timeout=150)
    assert demo.returncode == code, err + out
    return out, err


def alive(home: Path) -> list[str]:
    """Processes whose command line or environment names the folder."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:  # it has ended, or is another account's
            continue
        if str(home).encode() in told and folder.name != str(os.getpid()):
            found.append(told.replace(b"\0", b" ").decode(errors="replace")[:100])
    return found


@pytest.mark.further
def test_the_demo_proves_the_copy_equal_and_leaves_nothing_running(home: Path) -> None:
    out, _ = run(home, "--no-serve", "--json")
    result = json.loads(out)
    assert result["equal"] is True
    assert [one["step"] for one in result["steps"]] == [
        "database", "sandbox", "connect", "import", "contacts", "catalog", "lifecycle", "serve", "webhooks", "drain",
        "sweep", "compare", "refresh", "revenue", "sync", "stages", "month", "deliver",
    ]  # fmt: skip
    known = result["contacts"]
    assert known["contacts"] > 0
    assert 0 < known["in_review"] < known["linked"]
    assert 0 < known["unmapped"] <= 2 < known["accepted"]
    given = [one for one in known["answer"]["features"].values() if one["granted"]]
    assert given
    assert all(one["sources"][0]["reason"] for one in given)
    assert result["revenue"]["wrong"] == []
    assert result["revenue"]["customers"] > 10
    assert set(result["revenue"]["mrr"]) <= {"usd", "eur", "jpy"}
    assert len(result["revenue"]["months"]) >= 2
    assert result["revenue"]["recovered"] > 0.95
    written = result["sync"]
    assert written["sent"]["create"] == 10
    assert written["sent"]["update"] > 10
    assert (written["failed"], written["again"]) == (0, {})
    problems = {one["key"]: [(p["field"], p["problem"]) for p in one["problems"]] for one in written["left"]}
    assert problems["w1"] == [("email", "it is no e-mail address")]
    assert problems["w2"] == [("metadata.notes", "it has 501 characters, and Stripe takes 500")]
    assert problems.keys() == {"w1", "w2", "w3"}
    assert str(written["left"][2]).count("cus_") == 2  # both customers of one address are named
    sent = result["delivery"]
    assert sent["received"] == sent["delivered"] > 10
    assert (sent["waiting"], sent["dead"], sent["twice"]) == (0, 0, 0)
    assert {"Subscription Billed", "contact.updated", "stage.changed", "alert.opened"} <= sent["by_type"].keys()
    _moved_in_a_month(result["lifecycle"], sent["by_type"])
    assert result["events"] > 0
    assert result["webhooks"]["failed"] == 0
    assert sum(result["inbox"].values()) >= result["events"]  # a tick may have read earlier ones from /v1/events
    assert {one["table"] for one in result["counts"]} >= {
        "customers",
        "invoices",
        "invoice_lines",
        "subscription_items",
    }
    assert all(one["stored"] == one["in_stripe"] for one in result["counts"])
    if Path("/proc").exists():
        assert alive(home) == []


@pytest.mark.wide
@pytest.mark.timeout(300)
def test_a_second_demo_begins_afresh_in_the_same_folder_and_tells_people(home: Path) -> None:
    assert json.loads(run(home, "--no-serve", "--json")[0])["equal"] is True
    again, _ = run(home, "--no-serve")
    assert "The copy is EQUAL to the original" in again
    assert "tidegate entitlements" in again
    assert "MRR is EQUAL to the sandbox's truth for all" in again
    assert "3 of " in again
    assert " rows of the warehouse could not be written" in again
    assert "it has 501 characters, and Stripe takes 500" in again
    assert "Lifecycle on 2026-09-11, and 30 days later:" in again
    assert re.search(r"^[1-9]\d* contacts moved: \d+ \w.* → \w.*; \d+ are new\.$", again, re.MULTILINE)
    assert re.search(r"^[1-9]\d* alerts opened, \d+ resolved\. Portfolio health: ", again, re.MULTILINE)
    assert re.search(r"^Actions fired ([1-9]\d*) times; the receiver has \1 of them: \d", again, re.MULTILINE)
    if Path("/proc").exists():
        assert alive(home) == []


def _moved_in_a_month(found: dict[str, Any], sent: dict[str, int]) -> None:
    before, after = found["before"], found["after"]
    assert (before["at"][:10], after["at"][:10]) == ("2026-09-11", "2026-10-11")
    counts = [{one["name"]: one["contacts"] for one in when["stages"]} for when in (before, after)]
    for stage in counts[0]:  # what moved, and who is new, is the whole difference
        came = sum(one["contacts"] for one in found["moves"] if one["to"] == stage)
        left = sum(one["contacts"] for one in found["moves"] if one["from"] == stage)
        assert counts[1][stage] - counts[0][stage] - came + left >= 0, stage
    assert sum(counts[1].values()) - sum(counts[0].values()) == found["new"]
    assert found["moved"] == sum(one["contacts"] for one in found["moves"]) > 0
    alerts = [sum(one["alerts"] for one in when["alerts"]) for when in (before, after)]
    assert alerts[1] - alerts[0] == found["opened"] - found["resolved"]
    assert min(found["opened"], found["resolved"]) > 0
    assert {one["band"] for one in after["bands"]} <= {"good", "fair", "poor", "unknown"}
    assert len(after["health"]) > 1, "what is paid in several currencies is no sum"
    assert all(0 < one["health"] <= 100 for one in after["health"])
    assert sum(found["received"].values()) == found["fired"] > 0  # nobody is told twice, and none is lost
    assert sum(after["actions"].values()) == sent["action.fired"]
    assert sum(after["actions"].values()) - sum(before["actions"].values()) == found["fired"]


@pytest.mark.wide
@pytest.mark.timeout(300)
def test_the_page_stays_until_ctrl_c_and_no_second_demo_starts_meanwhile(home: Path) -> None:
    with start(home, "--json") as demo:
        assert demo.stderr is not None
        simulated = ""
        for line in demo.stderr:
            if "a simulated Stripe at" in line:
                simulated = re.findall(r"http://[\d.:]+\d", line)[0]
            if "until you press Ctrl-C" in line:
                break
        address = line.split()[4]
        _goes_by_the_clock(home, simulated)
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
            assert answer.status == 200
        _, refused = run(home, "--no-serve", code=2)
        assert "A demo" in refused
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert json.loads(out)["equal"] is True


def _goes_by_the_clock(home: Path, simulated: str) -> None:
    """The company lives on by this machine's clock, by which the worker looks at contacts: none waits for a month that
    has not come, and no renewal is past.
    """

    def stands() -> int:
        with urllib.request.urlopen(f"{simulated}/__clock", timeout=10) as answer:
            return json.load(answer)["now"]

    def asked(query: str) -> int:
        command = [sys.executable, "-m", "tidegate", "sql", query, "--json"]
        environment = {"PATH": os.environ["PATH"], "TIDEGATE_HOME": str(home)}
        [[value]] = json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)["rows"]
        return value

    began = time.time()
    until(lambda: stands() > began, "the company lives on")
    assert abs(stands() - time.time()) < 30
    looked = "select extract(epoch from kept_at)::bigint as at from tidegate.lifecycle_state"
    until(lambda: asked(looked) > began, "a look at the lifecycle", seconds=90)
    late = """
select count(*) as n from stripe.subscription_items i join stripe.subscriptions s on s.id = i.subscription
where s.status = 'active' and s.test_clock is null and i.current_period_end < now() - interval '1 minute'"""
    assert asked(late) == 0


def test_the_company_s_clock_is_moved_to_an_instant_and_never_back() -> None:
    with Sandbox.start(SandboxConfig(customers=3, months=1)) as sandbox, Simulated(sandbox.url) as simulated:
        at = simulated.now()
        assert simulated.live_to(at + 40 * 86_400) > 0
        assert simulated.live_to(at) == 0
        assert simulated.now() == at + 40 * 86_400


def test_a_demo_whose_page_stays_ends_with_the_last_midnight() -> None:
    noon = datetime(2026, 3, 15, 12, 30, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(began(noon, 40), UTC) == datetime(2026, 2, 3, tzinfo=UTC)


def test_a_folder_that_is_no_demos_is_left_alone(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "precious").write_text("kept")
    _, refused = run(home, "--no-serve", code=2)
    assert "not a demo's folder" in refused
    assert [one.name for one in home.iterdir()] == ["precious"]


@pytest.mark.wide
def test_a_killed_demo_leaves_nothing_running_and_the_next_one_begins(home: Path) -> None:
    with start(home) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("serve "):
                break
        demo.kill()
    out, err = run(home, "--no-serve")
    assert "The copy is EQUAL to the original" in out, err
    if Path("/proc").exists():
        assert alive(home) == []
