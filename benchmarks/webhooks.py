"""How many signed webhooks a second one web process stores durably, while one worker keeps up with applying them.

    python benchmarks/webhooks.py                     1,000 a second for 60 s (about two minutes)
    python benchmarks/webhooks.py --rate 500 --seconds 10

Web process, worker, database and sender are processes of their own on this machine; the database is the embedded one,
which writes through to the disk. The events are signed before the clock starts and tell of thousands of customers,
subscriptions and invoices that the mirror holds. Beside the figures stand what bounds them: an fdatasync of this disk,
and what the same HTTP stack answers without doing anything.
"""

import argparse
import hashlib
import hmac
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import stripe
from backfill import Installation, installation
from support.sender import write

API_VERSION = stripe.api_version
SECRET = "whsec_benchmark"
COMPANY = {"customers": 5_000, "subscriptions": 5_000, "invoices": 10_000}
MIX = [
    ("customers", "customer.updated", 30),
    ("subscriptions", "customer.subscription.updated", 25),
    ("invoices", "invoice.created", 10),
    ("invoices", "invoice.finalized", 10),
    ("invoices", "invoice.paid", 15),
    ("invoices", "invoice.updated", 10),
]
"""What the events tell of, in percent."""
SUPPORT = Path(__file__).parent / "support"
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--connections", type=int, default=50, help="of the sender")
    args = parser.parse_args()
    with installation(COMPANY) as hub:
        hub.tidegate("connect", "--api-base", hub.url, "--webhook-secret", SECRET, "--rate", "0")
        hub.run_import(*COMPANY)
        folder = Path(hub.environment["TIDEGATE_HOME"]).parent
        sync, (bare, _) = fdatasync(folder), bare_stack(hub, folder, args.connections)
        requests = folder / "requests"
        write(requests, signed(hub, args.rate * args.seconds))
        sent, used, wall = load(hub, requests, args)
        lag = lags(hub, args.rate * args.seconds)
    print(f"\nwebhooks: {args.rate} a second for {args.seconds} s, load average {os.getloadavg()[0]:.1f}")
    print(f"  one fdatasync        {sync:8.2f} ms")
    print(f"  the bare HTTP stack  {bare:8.0f} answers/s")
    print(f"  offered              {sent['offered_per_second']:8.0f} events/s")
    print(f"  acknowledged         {sent['answered_per_second']:8.0f} events/s   {sent['statuses']}")
    print(f"    {sent['answered_per_second'] / bare:.2f} × the bare stack")
    print(f"  p50 {sent['p50_ms']:.1f} ms   p99 {sent['p99_ms']:.1f} ms (target 60)   max {sent['max_ms']:.1f} ms")
    print(f"    p50 is {sent['p50_ms'] / sync:.1f} × an fdatasync")
    print(f"  applied with a lag of {lag['p50']:.2f} s (median), {lag['max']:.2f} s at most (target 5)")
    events = args.rate * args.seconds
    print("  processor: " + ", ".join(f"{name} {100 * s / wall:.0f} %" for name, s in used.items()))
    print("    µs for each event: " + ", ".join(f"{name} {1e6 * s / events:.0f}" for name, s in used.items()))
    met = {
        "every event acknowledged": sent["statuses"] == {"200": args.rate * args.seconds},
        "the rate": sent["answered_per_second"] >= 0.98 * args.rate,
        "p99": sent["p99_ms"] < 60,
        "the lag": lag["max"] < 5,
        "every event applied": lag["unhandled"] == 0,
    }
    missed = [name for name, held in met.items() if not held]
    print("\nall targets met" if not missed else f"\nmissed: {', '.join(missed)}")
    sys.exit(1 if missed else 0)


def fdatasync(folder: Path) -> float:
    """The median in ms of writing 8 kB through to the disk."""
    times: list[float] = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(8192))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def bare_stack(hub: Installation, folder: Path, connections: int) -> tuple[float, dict[str, Any]]:
    """Answers a second of the HTTP stack alone, for the same requests as fast as it answers."""
    requests = folder / "bare"
    write(requests, signed(hub, 20_000))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running([sys.executable, str(SUPPORT / "bare.py"), str(port)]):
        wait_for_port(port)
        told = send(port, 0, connections, requests)
    return told["answered_per_second"], told


def load(hub: Installation, requests: Path, args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, float], float]:
    """What the sender saw, the processor seconds of each process and how long it all took, the backlog included."""
    tidegate = [sys.executable, "-m", "tidegate"]
    serve = [*tidegate, "serve", "--port", "0", "--no-worker"]
    with (
        running([*tidegate, "worker"], hub.environment) as worker,
        running(serve, hub.environment, stderr=subprocess.PIPE) as web,
    ):
        assert web.stderr is not None
        port = int(next(line for line in web.stderr if "serves" in line).split("://")[1].split()[0].rpartition(":")[2])
        wait_until(hub, "select count(*) >= 2 from tidegate.procrastinate_workers")
        database = hub.server.status().pid or 0
        before = {name: cpu(pid) for name, pid in {"web": web.pid, "worker": worker.pid}.items()}
        backends, began = cpu_of_children(database), time.monotonic()
        sent = send(port, args.rate, args.connections, requests)
        wait_until(hub, "select not exists (select from tidegate.inbox where state = 'waiting')")
        wall = time.monotonic() - began
        used = {name: cpu(pid) - before[name] for name, pid in {"web": web.pid, "worker": worker.pid}.items()}
        used |= {"database": cpu_of_children(database) - backends, "sender": sent["cpu_seconds"]}
    return sent, used, wall


def signed(hub: Installation, count: int) -> Iterator[bytes]:
    """Requests as Stripe would send them: each event tells of an object that changed a little since the last one."""
    chance = random.Random(1)
    objects = {name: mirrored(hub, name) for name in COMPANY}
    kinds, weights = [(name, type_) for name, type_, _ in MIX], [weight for *_, weight in MIX]
    now = int(time.time())
    for number in range(count):
        name, type_ = chance.choices(kinds, weights)[0]
        told = {**chance.choice(objects[name]), "metadata": {"change": str(number)}}
        event = {
            "id": f"evt_{now}_{number:08}", "object": "event", "api_version": API_VERSION, "created": now + number,
            "type": type_, "livemode": False, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None},
            "data": {"object": told, "previous_attributes": {"metadata": {"change": None}}},
        }  # fmt: skip
        yield request(json.dumps(event, indent=2).encode(), now)


def request(body: bytes, now: int) -> bytes:
    digest = hmac.new(SECRET.encode(), b"%d.%s" % (now, body), hashlib.sha256).hexdigest()
    head = (
        "POST /api/webhooks/stripe/test HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0\r\nAccept: */*\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nStripe-Signature: t={now},v1={digest}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def mirrored(hub: Installation, name: str) -> list[dict[str, Any]]:
    """The objects as the mirror has them: what an event tells of stays whose it is."""
    with psycopg.connect(hub.server.url()) as db:
        return [data for (data,) in db.execute(f"select data from stripe.{name} order by id")]  # type: ignore[arg-type]


def lags(hub: Installation, count: int) -> dict[str, float]:
    """Seconds from an event's being stored to its being applied; how many were not."""
    with psycopg.connect(hub.server.url()) as db:
        row = db.execute("""
select percentile_cont(0.5) within group (order by extract(epoch from handled_at - received_at)),
  max(extract(epoch from handled_at - received_at)), count(*) filter (where state = 'handled')
from tidegate.inbox where source = 'webhook'""").fetchone()
    assert row is not None
    return {"p50": float(row[0]), "max": float(row[1]), "unhandled": count - row[2]}


def send(port: int, rate: int, connections: int, requests: Path) -> dict[str, Any]:
    command = [sys.executable, str(SUPPORT / "sender.py"), "127.0.0.1", str(port), str(rate), str(connections)]
    done = subprocess.run([*command, str(requests)], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


@contextmanager
def running(
    command: list[str], environment: dict[str, str] | None = None, stderr: int | None = None
) -> Generator[subprocess.Popen[str]]:
    """A process that is ended with the block."""
    process = subprocess.Popen(command, env=environment, stderr=stderr, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def wait_until(hub: Installation, question: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    with psycopg.connect(hub.server.url(), autocommit=True) as db:
        while not (row := db.execute(question).fetchone()) or not row[0]:  # type: ignore[arg-type]
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {seconds:.0f} s: {question}")
            time.sleep(0.2)


def wait_for_port(port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def cpu(pid: int) -> float:
    """Processor seconds of a process and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[place]) for place in (11, 12, 13, 14)) / TICKS


def cpu_of_children(parent: int) -> float:
    """Processor seconds of a process with its children, those that run and those that ended."""
    used = cpu(parent)
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                used += cpu(int(status.parent.name))
        except FileNotFoundError:
            continue  # it ended just now, and counts among its parent's
    return used


if __name__ == "__main__":
    main()
