"""How fast and how lean an import is, against the floor that Stripe's limits set and against a bare COPY upsert.

    python benchmarks/backfill.py                      everything but the million (about three minutes)
    python benchmarks/backfill.py --only speed         one part: speed, rate, endpoint, memory

Each part starts a sandbox with exactly the given objects, an embedded database of its own and `tidegate import` as a
process. Floor of a part: Σ over resources of ⌈n/100⌉ pages, plus continuation pages of nested lists, over the rate;
with a limit per endpoint the largest endpoint's pages over that limit when it is longer.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tidegate.store.embedded import Embedded

PAGE = 100
RESOURCES = ("customers", "subscriptions", "invoices")
CATALOG = {"products": 1, "prices": 1}
"""What the sandbox has beside the given objects; items and lines name it, so it is imported with them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--invoices", type=int, default=20_000)
    parser.add_argument("--million", type=int, default=1_000_000, help="objects of the memory part")
    parser.add_argument("--only", choices=["speed", "rate", "endpoint", "memory"])
    args = parser.parse_args()
    size = {name: getattr(args, name) for name in RESOURCES}
    parts = {
        "speed": lambda: speed(size),
        "rate": lambda: limited(size, rate=100, endpoint_rate=100, target=1.25),
        "endpoint": lambda: limited(size, rate=100, endpoint_rate=25, target=1.15),
        "memory": lambda: memory(args.million),
    }
    missed = [name for name, part in parts.items() if args.only in {None, name} and not part()]
    print("\nall targets met" if not missed else f"\nmissed: {', '.join(missed)}")
    sys.exit(1 if missed else 0)


def speed(size: dict[str, int]) -> bool:
    """Without latency or limits: invoices a second, against the bare COPY upsert of the same rows."""
    with installation(size) as hub:
        done = hub.run_import("invoices")
        bare = hub.bare_upsert()
    rate, ratio = size["invoices"] / done["seconds"], bare / done["seconds"]
    print(f"\nspeed: {size['invoices']} invoices with two lines, no latency, no limits")
    print(f"  import            {done['seconds']:6.2f} s   {rate:8.0f} invoices/s   (target 8000)")
    print(f"  bare COPY upsert  {bare:6.2f} s   {size['invoices'] / bare:8.0f} invoices/s")
    print(f"  import is {ratio:.2f} × the bare upsert (target 0.40); peak {done['peak_mb']:.0f} MB")
    return rate >= 8000 and ratio >= 0.4


def limited(size: dict[str, int], *, rate: int, endpoint_rate: int, target: float) -> bool:
    """With 100 ms latency and limits: seconds over the floor, beside a reader that takes one page after another."""
    pages = {name: math.ceil(n / PAGE) for name, n in {**CATALOG, **size}.items()}
    floor = max(sum(pages.values()) / rate, max(pages.values()) / endpoint_rate)
    limits = ["--rate", str(rate), "--endpoint-rate", str(endpoint_rate)]
    with installation(size, "--latency", "0.1", *limits, connect=limits) as hub:
        alone = hub.read_sequentially()
        hub.reset_stats()
        done = hub.run_import(*CATALOG, *RESOURCES)
        stats = hub.stats()
    times = done["seconds"] / floor
    print(f"\nlimits: {rate}/s in all, {endpoint_rate}/s per endpoint, 100 ms latency, {sum(pages.values())} pages")
    print(f"  floor             {floor:6.2f} s")
    seconds = done["seconds"]
    print(f"  import            {seconds:6.2f} s   {times:.2f} × the floor (target {target}), {done['pages']} pages")
    print(f"  sequential reader {alone:6.2f} s   {alone / floor:.2f} × the floor, reading only")
    print(f"  refused with 429: {stats}")
    return times <= target


def memory(objects: int) -> bool:
    """Peak memory of the importing process at a million objects."""
    with installation({"customers": objects, "subscriptions": 0, "invoices": 0}) as hub:
        done = hub.run_import("customers")
    print(f"\nmemory: {objects} objects")
    seconds, peak = done["seconds"], done["peak_mb"]
    print(f"  import {seconds:.1f} s, {objects / seconds:.0f} objects/s, peak {peak:.0f} MB (target 300)")
    return peak < 300


class Installation:
    """A sandbox, a home with its embedded database, and the command line on them."""

    def __init__(self, url: str, key: str, home: Path, server: Embedded, size: dict[str, int]) -> None:
        self.url, self.key, self.server, self.size = url, key, server, size
        self.environment = {**os.environ, "TIDEGATE_HOME": str(home), "STRIPE_API_KEY": key}
        self.environment.pop("DATABASE_URL", None)

    def tidegate(self, *words: str) -> tuple[str, float]:
        """Runs a command; its standard output, and the peak memory of the process in MB."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegate", *words], env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"tidegate {' '.join(words)} ended with {process.returncode}: {output}")
        return output, usage.ru_maxrss / 1024

    def run_import(self, *resources: str) -> dict[str, Any]:
        """The summary of an import, with `peak_mb`."""
        output, peak = self.tidegate("import", "--json", *(word for name in resources for word in ("--resource", name)))
        summary: dict[str, Any] = json.loads(output)
        for name in resources:
            assert summary["resources"][name]["stored"] == {**CATALOG, **self.size}[name], summary
        return {**summary, "peak_mb": peak}

    def bare_upsert(self) -> float:
        """Seconds that a bare COPY and upsert of the mirrored invoices and lines take, on the same server."""
        keys = {"invoices": "connection, id", "invoice_lines": "connection, invoice, id"}
        with psycopg.connect(self.server.url()) as db:
            rows: dict[str, bytes] = {}
            for table in keys:
                with db.cursor().copy(f"copy stripe.{table} to stdout") as copy:  # type: ignore[arg-type]
                    rows[table] = b"".join(bytes(chunk) for chunk in copy)
                db.execute(f"create table bare_{table} (like stripe.{table} including all)")  # type: ignore[arg-type]
                db.execute(f"create temp table incoming_{table} (like stripe.{table})")  # type: ignore[arg-type]
            db.commit()
            began = time.monotonic()
            for table, key in keys.items():
                with db.cursor().copy(f"copy incoming_{table} from stdin") as copy:  # type: ignore[arg-type]
                    copy.write(rows[table])
                db.execute(
                    f"insert into bare_{table} select * from incoming_{table} on conflict ({key}) do update "
                    "set data = excluded.data, updated_at = excluded.updated_at"  # type: ignore[arg-type]
                )
            db.commit()
            return time.monotonic() - began

    def read_sequentially(self) -> float:
        """Seconds that one reader takes to read every page, one after another, storing nothing."""
        began = time.monotonic()
        for name in RESOURCES:
            after, more = "", True
            while more:
                query = f"limit={PAGE}&starting_after={after}" if after else f"limit={PAGE}"
                page = self.call(f"/v1/{name}?{query}" + ("&status=all" if name == "subscriptions" else ""))
                after, more = page["data"][-1]["id"], page["has_more"]
        return time.monotonic() - began

    def stats(self) -> str:
        return str(self.call("/__stats").get("refused", {}) or "never")

    def reset_stats(self) -> None:
        self.call("/__reset_stats", b"{}")

    def call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, body, {"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())


@contextmanager
def installation(size: dict[str, int], *sandbox: str, connect: list[str] | None = None) -> Generator[Installation]:
    """A fresh installation connected to a sandbox of that size."""
    counts = [word for name, n in size.items() for word in (f"--{name}", str(n))]
    command = [sys.executable, "-m", "tidegate.sandbox", "--profile", "bulk", "--port", "0", *counts, *sandbox]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o755)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        url, key = next(w for w in ready if w.startswith("http://")), next(w for w in ready if w.startswith("sk_test_"))
        home = Path(folder) / "home"
        server = Embedded(home).start()
        try:
            hub = Installation(url, key, home, server, size)
            hub.tidegate("migrate")
            hub.tidegate("connect", "--api-base", url, *(connect or ["--rate", "0", "--endpoint-rate", "0"]))
            yield hub
        finally:
            server.stop()
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
