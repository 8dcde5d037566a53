"""How fast 100,000 events reach a local receiver, against a bare sender of the same requests; and in how much memory.

    python benchmarks/delivery.py
    python benchmarks/delivery.py --events 10000

Receiver, sender and database are processes of their own on this machine; the database is the embedded one, which
writes through to the disk. The bare sender uses the same HTTP client, with as many requests under way, and knows no
database: what it manages, before the delivery and after it, is what receiver and client allow together.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, text

from tidegate.delivery.destinations.webhook import Webhook, WebhookOptions
from tidegate.delivery.http import Client
from tidegate.delivery.messages import Message, Person
from tidegate.delivery.outbox import Told, tell
from tidegate.settings import Settings
from tidegate.wiring import Hub, open_hub
from tidegate.workflows.delivery import destinations
from tidegate.workflows.delivery.deliver import deliver

CONTACTS = 2_000
IN_FLIGHT = 32
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DATA = {
    "id": "billed:in_1:sub_1:month", "name": "Subscription Billed", "customer": "cus_1", "identity": "ada@example.com",
    "subscription": "sub_1", "invoice": "in_1", "at": "2026-03-01T12:00:00Z", "currency": "usd", "amount": 4900,
    "data": {"properties": {"Subscription Billing Amount": 49.0, "Subscription Plan Level": "pro"}},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    args = parser.parse_args()
    with receiver() as url, tempfile.TemporaryDirectory() as folder, hub_in(Path(folder)) as hub:
        options = {"url": url, "secrets": [SECRET], "allow_private": True, "in_flight": IN_FLIGHT}
        some = min(args.events, 20_000)
        before = asyncio.run(sent(WebhookOptions(**options), some))
        contacts = made(hub.engine)
        plain = told(hub.engine, contacts, 10_000)
        with hub.engine.begin() as db:
            destinations.define(
                db, "app", "webhook", options | {"mode": "both"}, "bench", variables={}, vault=lambda: hub.vault
            )
        write = told(hub.engine, contacts, args.events)
        began, early, done = time.monotonic(), 0, 0
        while done < args.events:
            done += deliver(hub.engine, hub.destination, seconds=5).delivered
            early = early or peak()
        rate = args.events / (time.monotonic() - began)
        late = peak()
        bare = 2 * some / (before + asyncio.run(sent(WebhookOptions(**options), some)))
        with hub.engine.connect() as db:
            left = db.scalar(text("select count(*) from tidegate.deliveries where state <> 'delivered'"))
    print(f"\ndelivery of {args.events:,} signed webhooks, load average {os.getloadavg()[0]:.1f}")
    print(f"  told                 {1e6 * plain:8.1f} µs an event; {1e6 * write:.1f} µs with a destination")
    print(f"  the bare sender      {bare:8.0f} a second, {IN_FLIGHT} requests under way")
    print(f"  delivered            {rate:8.0f} a second: {rate / bare:.2f} × the bare sender")
    print(f"  memory at its peak   {early / 1e6:8.0f} MB after 5 s, {late / 1e6:.0f} MB at the end")
    met = {"nothing left": left == 0, "half of the bare sender": rate > 0.5 * bare, "flat memory": late < early + 30e6}
    for name, well in met.items():
        print(f"  {'ok' if well else 'MISSED'}: {name}")
    sys.exit(0 if all(met.values()) else 1)


@contextmanager
def receiver() -> Iterator[str]:
    """The URL of a receiver in a process of its own."""
    program = Path(__file__).parent / "support" / "drain.py"
    process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/hooks"
    finally:
        process.kill()
        process.wait()


@contextmanager
def hub_in(folder: Path) -> Iterator[Hub]:
    """A hub on an embedded database of its own."""
    folder.chmod(0o755)
    with open_hub(Settings(home=folder / "home")) as hub:
        yield hub


def made(engine: Engine) -> list[int]:
    """Contacts, by internal key."""
    statement = """
insert into tidegate.contacts (livemode, kind, external_id, name, made_by)
select false, 'account', 'c' || n, 'Company ' || n, 'api' from generate_series(1, :n) n returning key"""
    with engine.begin() as db:
        return list(db.scalars(text(statement), {"n": CONTACTS}))


def told(engine: Engine, contacts: list[int], events: int) -> float:
    """Seconds that telling one event takes, a hundred in a transaction."""
    began = time.monotonic()
    for start in range(0, events, 100):
        with engine.begin() as db:
            some = range(start, min(events, start + 100))
            data = [DATA | {"id": f"billed:in_{n}:sub_1:month"} for n in some]
            tell(
                db, [Told("billing_event.recorded", d, contacts[n % CONTACTS]) for n, d in zip(some, data, strict=True)]
            )
    return (time.monotonic() - began) / events


async def sent(options: WebhookOptions, events: int) -> float:
    """Seconds that the same requests take without a database."""
    client, kind, left = Client(timeout=15, allow_private=True), Webhook(), iter(range(events))
    at = datetime.now(UTC)

    async def work() -> None:
        for number in left:
            message = Message(number, f"evt_{number}", "billing_event.recorded", at, DATA, Person("account", "c1"))
            for exchange in kind.exchanges(options, [message], at):
                answer = await client.send(exchange.requests[0])
                assert answer.status == 200

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    client.close()
    return time.monotonic() - began


def peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
