"""What the outbox tells reaches destinations at least once, in order per contact, whatever they answer."""

import re
import socket
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.post import SECRET, Post
from tests.support.receiver import Receiver, Reply

from tidegate.delivery import backlog, queue, stored
from tidegate.delivery.outbox import Told, as_history, tell
from tidegate.errors import DestinationInvalid
from tidegate.store.planning import BY_INDEX, planned
from tidegate.workflows.contacts import contacts_merge
from tidegate.workflows.previewing import commit

HOUR = 3600.0


def numbers(receiver: Receiver, contact: int) -> list[int]:
    return [one["data"]["number"] for one in receiver.events() if one["data"].get("of") == contact]


def test_what_is_told_reaches_a_webhook_signed_and_in_order_of_each_contact(post: Post, receiver: Receiver) -> None:
    post.webhook(f"{receiver.url}/hooks?from=tidegate", events=["entitlement.*"])
    acme, zen = post.contact("acme"), post.contact("zen")
    for number in range(20):
        post.tell(acme, [number])
        post.tell(zen, [number])
    post.tell(acme, [99], "contact.linked")
    done = post.deliver()
    assert (done.delivered, post.waiting()) == (40, 0)
    assert numbers(receiver, acme) == numbers(receiver, zen) == list(range(20))
    first = receiver.received[0]
    assert (first.method, first.path, first.query) == ("POST", "/hooks", {"from": "tidegate"})
    assert first.headers["content-type"] == "application/json"
    assert {one["type"] for one in receiver.events(SECRET)} == {"entitlement.changed"}
    event = receiver.events(SECRET)[0]
    assert event["data"]["contact"] in {"account:acme", "account:zen"}
    assert abs((datetime.fromisoformat(event["timestamp"]) - datetime.now(UTC)).total_seconds()) < 60
    ids = [f"evt_{id_}" for (id_,) in post.rows("select id from tidegate.outbox where type like 'ent%'")]
    assert sorted(one.id for one in receiver.received) == sorted(ids)
    assert post.shown()["delivered"] == 40
    assert post.deliver().delivered == 0


def test_what_a_first_import_tells_is_due_to_nobody(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    acme = post.contact("acme")
    with post.engine.begin() as db:
        as_history(db)
        tell(db, [Told("contact.created", {}, acme), Told("billing_event.recorded", {"name": "x"}, acme, "acme")])
    post.tell(acme, [1])
    assert post.rows("select type, history from tidegate.outbox order by id") == [
        ("contact.created", True),
        ("billing_event.recorded", True),
        ("entitlement.changed", False),
    ]
    post.deliver()
    assert [one["type"] for one in receiver.events()] == ["billing_event.recorded", "entitlement.changed"]


def test_down_for_two_days_it_is_sent_everything_in_order(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    contacts = [post.contact(f"c{number}") for number in range(5)]
    receiver.says(503)
    told, tried = 0, 0
    for hour in range(48):
        if hour % 4 == 0:
            for contact in contacts:
                post.tell(contact, [hour])
                told += 1
        post.ahead = hour * HOUR
        post.deliver()
        tried = len(receiver.received)
    assert tried < 200, "a destination that is down is left alone"
    assert post.waiting() == told
    standing = post.shown()
    assert (standing["paused_at"], standing["error"]) == (None, "HTTP 503: {}")
    receiver.received.clear()
    receiver.says(200)
    for hour in range(48, 54):
        post.ahead = hour * HOUR
        post.deliver()
    assert post.waiting() == 0
    for contact in contacts:
        assert numbers(receiver, contact) == list(range(0, 48, 4))
    assert len(receiver.received) == len(receiver.events()) == told
    assert post.shown()["failing_since"] is None


def test_what_fails_for_days_is_paused_and_sent_when_it_is_resumed(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, pause_days=2)
    acme = post.contact("acme")
    post.tell(acme, [1, 2])
    receiver.says(500, b"out of memory")
    for hour in range(0, 52, 2):
        post.ahead = hour * HOUR
        post.deliver()
    standing = post.shown()
    assert standing["paused_at"] is not None
    assert standing["error"] == "every try has failed for 2 days; the last: HTTP 500: out of memory"
    before = len(receiver.received)
    receiver.says(200)
    post.ahead += 10 * HOUR
    assert post.deliver().delivered == 0
    assert len(receiver.received) == before
    with post.engine.begin() as db:
        stored.resume(db, "app")
    post.deliver()
    assert numbers(receiver, acme) == [1, 2]


def test_refused_for_good_it_is_a_dead_letter_and_what_follows_goes_on(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    acme = post.contact("acme")
    post.tell(acme, [1, 2, 3])
    receiver.answer = lambda one: Reply(422, b'{"error":"no\x1b[31m"}') if b'"number":2' in one.body else Reply()
    assert post.deliver().by_destination["app"].dead == 1
    assert [one["data"]["number"] for one in receiver.events()] == [1, 2, 3]
    with post.engine.connect() as db:
        (dead,) = backlog.dead(db, "app")
    assert (dead["status"], dead["error"], dead["contact"]) == (422, 'HTTP 422: {"error":"no[31m"}', "account:acme")
    receiver.says(200)
    assert post.deliver().delivered == 0
    with post.engine.begin() as db:
        assert queue.replay(db, "app", [dead["delivery"]]) == 1
    assert post.deliver().delivered == 1
    assert [one.id for one in receiver.received].count(f"evt_{dead['outbox']}") == 2
    assert post.rows("select attempts from tidegate.deliveries where id = :id", id=dead["delivery"]) == [(1,)], (
        "it begins anew"
    )


def test_one_message_that_fails_holds_up_its_contact_alone(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, retry_days=1)
    acme, zen = post.contact("acme"), post.contact("zen")
    receiver.answer = lambda one: Reply(
        500 if (one.json["data"]["of"], one.json["data"]["number"]) == (acme, 1) else 200
    )
    post.tell(acme, [1, 2, 3])
    for hour in range(36):
        post.tell(zen, [hour])
        post.ahead = hour * HOUR
        post.deliver()
        if hour < 24:
            assert numbers(receiver, acme) == [1], "what comes after it waits for it"
    assert numbers(receiver, zen) == list(range(36))
    assert numbers(receiver, acme) == [1, 2, 3]
    assert post.rows("select state, count(*) from tidegate.deliveries group by 1 order by 1") == [
        ("dead", 1),
        ("delivered", 38),
    ]


@pytest.mark.wide
@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (401, {}, "the destination does not accept the credentials: HTTP 401: {}"),
        (410, {}, "the destination says that it is gone for good: HTTP 410: {}"),
        (302, {"location": "https://evil.example/"}, "it redirects to https://evil.example/, which is not followed"),
    ],
)
@pytest.mark.wide
def test_what_will_take_nothing_is_paused_at_once(
    post: Post, receiver: Receiver, status: int, headers: dict[str, str], told: str
) -> None:
    post.webhook(receiver.url, in_flight=1)
    acme = post.contact("acme")
    post.tell(acme, [1, 2])
    receiver.says(status, **headers)
    post.deliver()
    standing = post.shown()
    assert standing["paused_at"] is not None
    assert told in standing["error"]
    assert (len(receiver.received), post.waiting()) == (1, 2)
    receiver.says(200)
    with post.engine.begin() as db:
        stored.resume(db, "app")
    post.deliver()
    assert numbers(receiver, acme) == [1, 2]


@pytest.mark.wide
def test_it_is_left_alone_for_as_long_as_it_asks(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, in_flight=1)
    for number in range(4):
        post.tell(post.contact(f"c{number}"), [number])
    receiver.says(429, retry_after="120")
    outcome = post.deliver().by_destination["app"]
    assert (len(receiver.received), outcome.wait) == (1, 120.0)
    receiver.says(200)
    post.ahead = 100
    assert post.deliver().delivered == 0
    post.ahead = 121
    assert post.deliver().delivered == 4
    assert post.rows("select max(attempts) from tidegate.deliveries") == [(1,)]


@pytest.mark.wide
def test_a_slow_answer_ends_with_the_time_out_and_is_asked_again(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, timeout=0.2)
    acme = post.contact("acme")
    post.tell(acme, [1])
    slow = [Reply(delay=0.5)]
    receiver.answer = lambda _: slow.pop() if slow else Reply()
    post.deliver()
    assert post.rows("select attempts, error from tidegate.deliveries") == [(1, "no whole answer within 0.2 s")]
    post.ahead = 60
    assert post.deliver().delivered == 1
    assert len({one.id for one in receiver.received}) == 1


@pytest.mark.wide
def test_a_private_address_is_refused_unless_it_is_allowed(post: Post, receiver: Receiver) -> None:
    post.webhook(f"http://localhost:{receiver.port}", allow_private=False)
    post.tell(post.contact("acme"), [1])
    post.deliver()
    assert receiver.received == []
    assert "localhost is at 127.0.0.1" in post.shown()["error"] or "localhost is at ::1" in post.shown()["error"]
    assert "allow_private: true" in post.shown()["error"]
    post.webhook(f"http://localhost:{receiver.port}")
    assert post.deliver().delivered == 1


def test_it_connects_to_the_address_that_was_looked_at(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, asked = socket.getaddrinfo, list[str]()

    def resolved(host: Any, *said: Any, **more: Any) -> Any:
        if host == "hooks.example.com":
            asked.append(host)
            return resolve("127.0.0.1" if len(asked) == 1 else "192.0.2.1", *said, **more)
        return resolve(host, *said, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    post.webhook(f"http://hooks.example.com:{receiver.port}", timeout=2)
    post.tell(post.contact("acme"), [1])
    assert post.deliver().delivered == 1
    assert asked == ["hooks.example.com"], "a name that leads elsewhere a moment later gains nothing"


@pytest.mark.wide
def test_connections_are_kept_and_one_that_was_closed_is_opened_anew(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, in_flight=2)
    for number in range(40):
        post.tell(post.contact(f"c{number}"), [number])
    count = iter(range(1000))
    receiver.answer = lambda _: Reply(headers={"connection": "close"} if next(count) % 10 == 9 else {})
    assert post.deliver().delivered == 40
    assert 4 <= len({one.connection for one in receiver.received}) <= 8


@pytest.mark.wide
def test_many_workers_at_once_keep_the_order_of_each_contact(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, in_flight=4)
    contacts = [post.contact(f"c{number}") for number in range(6)]
    with post.engine.begin() as db:
        tell(db, [Told("entitlement.changed", {"number": n, "of": c}, c) for n in range(60) for c in contacts])
    done: list[int] = []
    workers = [threading.Thread(target=lambda: done.append(post.deliver().delivered)) for _ in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    while post.waiting():
        done.append(post.deliver().delivered)
    assert sum(done) == 360
    assert len(receiver.received) == 360
    for contact in contacts:
        assert numbers(receiver, contact) == list(range(60))


def test_who_becomes_part_of_another_keeps_the_order(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    kept, other = post.contact("acme"), post.contact("zen")
    receiver.says(500)
    post.tell(other, [1])
    post.deliver()
    post.tell(kept, [2])
    merging = contacts_merge.merged(False, "account:acme", "account:zen", "ada")
    number = commit(post.engine, merging, None).result["merge"]
    post.tell(kept, [3])
    receiver.says(200)
    receiver.received.clear()
    post.deliver()
    assert receiver.received == [], "what failed is not due yet, and all else of both comes after it"
    post.tell(other, [4])
    commit(post.engine, contacts_merge.unmerged(number, "ada"), None)
    assert post.rows("select contact from deliveries where attempts > 0") == [(other,)], "it is its own again"
    post.ahead = 60
    post.deliver()
    assert numbers(receiver, kept) == [2, 3]
    assert numbers(receiver, other) == [1, 4]


@pytest.mark.wide
def test_it_sends_no_faster_than_its_limit(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, rate=20)
    for number in range(10):
        post.tell(post.contact(f"c{number}"), [number])
    began = time.monotonic()
    assert post.deliver().delivered == 10
    assert 0.4 < time.monotonic() - began < 3


@pytest.mark.wide
def test_what_it_renames_and_adds(post: Post, receiver: Receiver) -> None:
    post.webhook(
        receiver.url,
        events=["entitlement.*"],
        properties=["mrr", "name"],
        rename={"entitlement.changed": "access", "name": "who"},
    )
    post.tell(post.contact("acme", name="Acme"), [1])
    post.deliver()
    told = next(one for one in receiver.events() if one["type"] == "access")
    assert told["data"]["properties"] == {"mrr": None, "who": "Acme"}


@pytest.mark.wide
def test_live_and_test_data_do_not_mix(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url, livemode=True)
    post.webhook(receiver.url, "both", livemode=None)
    post.tell(post.contact("acme"), [1])
    assert post.rows("select destination from tidegate.deliveries") == [("both",)]


@pytest.mark.wide
@pytest.mark.parametrize(
    ("kind", "said", "problem"),
    [
        ("webhok", {}, "there is no kind 'webhok'. Is it webhook?"),
        ("webhook", {"url": "ftp://x", "secrets": [SECRET]}, "url: a URL begins with https://"),
        ("webhook", {"url": "https://a:b@x.com", "secrets": [SECRET]}, "holds no user or password"),
        ("webhook", {"url": "https://x.com", "secrets": ["abc"]}, "a signing secret begins with whsec_"),
        ("webhook", {"url": "https://x.com"}, "it needs secrets"),
        ("webhook", {"url": "https://x.com", "secrets": [SECRET], "event": "x"}, "no option event; is it events?"),
        ("http", {"url": "https://x.com", "body": "{{ contact.id"}, "body is no Liquid template"),
        ("hubspot", {"token": "x", "events": ["*"]}, "takes properties of contacts, no events"),
        ("files", {"path": "here"}, "a path is whole"),
    ],
)
@pytest.mark.wide
def test_what_cannot_be_a_destination_is_told_with_the_reason(
    post: Post, kind: str, said: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DestinationInvalid) as told:
        post.destination("app", kind, **said)
    assert problem in str(told.value)


def test_settling_looks_up_what_is_settled_however_much_waits(post: Post, receiver: Receiver) -> None:
    post.webhook(receiver.url)
    acme = post.contact("acme")
    with post.engine.begin() as db:
        tell(db, [Told("entitlement.changed", {"number": n}, acme) for n in range(3_000)])
        claimed = queue.claim(db, "app", "me", 20)
        values = {
            "ids": [one.id for one in claimed.rows], "states": ["delivered"] * 20, "statuses": [200] * 20,
            "errors": [""] * 20, "afters": [0.0] * 20, "me": "me", "now": claimed.now,
        }  # fmt: skip
        with planned(db, BY_INDEX):
            explain = text(f"explain (analyze, buffers, costs off) {queue._SETTLE.text}")  # pyright: ignore[reportPrivateUsage]
            plan = list(db.scalars(explain, values))
    assert [line for line in plan if "deliveries_pkey" in line]
    counts = [re.search(r"actual time=.* rows=(\d+)", line) for line in plan if "Scan" in line]
    assert sum(int(one[1]) for one in counts if one) < 200, plan
