"""Actions set off by movements, billing events and entitlements; what they would have done; whether they helped."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.acting import Acting
from tests.support.earning import Books
from tests.support.placed import NOW

from tidegate.delivery.outbox import Told, as_history, tell
from tidegate.errors import UsageError
from tidegate.lifecycle.actions import report as reporting
from tidegate.lifecycle.actions import stored
from tidegate.revenue import editions
from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle_actions


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


class Earning(Acting):
    """Contacts with customers, whose money a test moves. Stripe's past ended a hundred days before NOW."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.books = Books(hub.engine)
        self.run(
            "insert into tidegate.billing_tellings (connection, since) values ('acme', :since)",
            since=NOW - timedelta(days=100),
        )

    def customer(self, ref: str, **facts: Any) -> int:
        """A contact, whose customer is called as it is."""
        key = self.add(ref, None, **facts)
        self.run(
            "insert into tidegate.links (connection, customer, contact, method) values ('acme', :c, :k, 'manual')",
            c=ref,
            k=key,
        )
        return key

    def worth(self, customer: str, minor: int, begins: float, ends: float | None = None, **more: Any) -> None:
        """From one day after NOW to another an item is worth so much a month; the ledger follows."""
        days = [None if one is None else f"{day(one):%Y-%m-%d %H:%M}" for one in (begins, ends)]
        self.books.span(customer, minor, days[0] or "", days[1], **more)
        self.books.keep()

    def end(self, customer: str, at: float, item: str | None = None) -> None:
        """What it was worth ends."""
        self.run(
            "update tidegate.spans set ends_at = :at where customer = :c and ends_at is null and item = :item",
            at=day(at),
            c=customer,
            item=item or f"si_{customer}",
        )
        self.books.keep()

    def event(self, customer: str, id_: str, at: float, name: str = "Payment Failed", **said: Any) -> None:
        """A billing event."""
        row = {
            "id": id_, "name": name, "at": day(at), "customer": customer, "identity": customer, "invoice": "in_1",
            "subscription": f"sub_{customer}", "currency": "usd", "amount": 4900, "told": True, "reverses": None,
            "data": json.dumps({"attempt": 1, "decline_reason": "insufficient_funds", "recurring": 4900}),
        } | said  # fmt: skip
        names = ", ".join(row)
        self.run(
            f"insert into tidegate.billing_events (connection, {names}) "
            f"values ('acme', {', '.join(f':{name}' for name in row)})",
            **row,
        )

    def preview(self, period: str | None = None, key: str = "mine") -> Any:
        with self.hub.engine.connect() as db:
            return lifecycle_actions.preview_of(db, key, period)

    def goals(self) -> dict[str, str]:
        found = self.rows("""
select c.external_id, o.goal from tidegate.action_occurrences o join tidegate.contacts c on c.key = o.contact
where o.state in ('fired', 'held_out') order by 1""")
        return {row[0]: row[1] for row in found}


def day(number: float) -> datetime:
    return NOW + timedelta(days=number)


@pytest.fixture
def people(hub: Hub) -> Earning:
    return Earning(hub)


@pytest.mark.wide
def test_a_movement_fires_once_for_its_kind_however_often_it_is_derived(people: Earning) -> None:
    for ref in ("a", "b"):
        people.customer(ref)
    people.worth("a", 1000, -200)
    people.pass_()
    for kind in ("new", "expansion", "contraction", "churn", "reactivation"):
        people.act({"movement": kind}, kind)
    people.worth("a", 500, 1, item="si_more")
    people.worth("b", 2000, 1)
    assert people.pass_(2).fired == 2
    people.books.keep()
    assert people.pass_(0.1).fired == 0
    told = {one["action"]: one for one in people.sent()}
    assert {name: one["trigger"]["amount"] for name, one in told.items()} == {"expansion": 500, "new": 2000}
    assert told["expansion"]["text"] == "a: its MRR moved: expansion"
    people.end("a", 3, "si_more")
    people.end("b", 3)
    assert people.pass_(2).fired == 2
    people.worth("b", 700, 5, item="si_back", subscription="sub_back")
    assert people.pass_(2).fired == 1
    assert [one["action"] for one in people.sent()[2:]] == ["churn", "contraction", "reactivation"]


def test_two_items_of_one_change_are_one_occurrence(people: Earning) -> None:
    people.customer("a")
    people.pass_()
    people.act(
        {"movement": "new"}, do=[{"destination": "log", "template": "{{ trigger.amount }} {{ trigger.currency }}"}]
    )
    people.worth("a", 1000, 1)
    people.worth("a", 500, 1, item="si_seats")
    assert people.pass_(2).fired == 1
    assert [one["text"] for one in people.sent()] == ["15.00 usd"]


def test_what_is_told_late_is_found_and_what_is_history_is_not(people: Earning) -> None:
    for ref in ("a", "b", "c"):
        people.customer(ref)
    people.pass_()
    people.act({"movement": "new"}, "moved")
    people.act("payment_failed", "failed")
    people.pass_(20)
    people.worth("a", 1000, 18)  # two days before the last look
    people.event("a", "failed:a", 18)
    people.worth("b", 1000, 5)  # a fortnight before it
    people.event("b", "failed:b", 5)
    people.worth("c", 1000, -3)  # before it was switched on
    people.event("c", "failed:c", -3)
    people.event("c", "failed:d", 20.5, told=False)
    people.event("c", "failed:e", 20.5, reverses="failed:c")
    assert people.pass_(1).fired == 2
    assert [(one["action"], one["trigger"]["kind"]) for one in people.sent()] == [
        ("failed", "payment_failed"),
        ("moved", "movement"),
    ]


def test_after_ten_days_without_a_worker_what_happened_meanwhile_is_found(people: Earning) -> None:
    people.customer("a")
    people.pass_()
    people.act({"movement": "new"}, "moved")
    people.act("payment_failed", "failed")
    people.worth("a", 1000, 1)
    people.event("a", "failed:a", 2)
    assert [people.pass_(11).fired, people.pass_(0.1).fired] == [2, 0]


def test_a_ledger_by_another_policy_fires_nothing(people: Earning) -> None:
    people.customer("a")
    people.pass_()
    people.act({"movement": "expansion"})
    people.worth("a", 1000, 1)
    people.pass_(2)
    people.run("update tidegate.movements set superseded_at = now() where superseded_at is null")
    people.run("update tidegate.spans set mrr = 2 * mrr, starts_at = :at", at=day(1.5))
    with people.hub.engine.begin() as db:
        assert editions.current(db, "acme") is not None
    people.books.keep()
    people.run("update tidegate.movements set kind = 'expansion' where superseded_at is null")
    people.run("update tidegate.ledgers set adopted_at = now()")
    assert people.pass_(1).fired == 0


def test_each_attempt_that_fails_is_an_occurrence_with_its_invoice(people: Earning) -> None:
    people.customer("a")
    people.pass_()
    people.act(
        "payment_failed", do=[{"destination": "log", "template": "{{ trigger.amount }} {{ trigger.decline_reason }}"}]
    )
    people.act({"billing_event": ["Subscription Canceled", "Trial Started"]}, "other")
    people.event("a", "failed:1", 1)
    people.event("a", "failed:2", 2)
    people.event("a", "canceled", 2, "Subscription Canceled", invoice=None, amount=None)
    assert people.pass_(3).fired == 3
    assert [one["text"] for one in people.sent()][:2] == ["49.00 insufficient_funds"] * 2
    assert people.sent()[0]["reasons"] == ["Payment Failed on invoice in_1"]
    assert people.sent()[2]["reasons"] == ["Subscription Canceled"]


def test_a_changed_entitlement_fires_but_not_of_an_import(people: Earning) -> None:
    key = people.customer("a")
    people.pass_()
    people.act("entitlement_changed", "any")
    with people.hub.engine.begin() as db:
        db.execute(text("insert into tidegate.features (key, type) values ('seats', 'metered')"))
    people.act({"entitlement_changed": "seats"}, "seats")
    change = {"feature": "sso", "before": None, "now": True}
    with people.hub.engine.begin() as db:
        tell(
            db,
            [Told("entitlement.granted", change, key), Told("entitlement.changed", change | {"feature": "seats"}, key)],
        )
    with people.hub.engine.begin() as db:
        as_history(db)
        tell(db, [Told("entitlement.revoked", change, key)])
    assert people.pass_(1).fired == 3
    assert {(one["action"], one["trigger"]["change"]) for one in people.sent()} == {
        ("any", "granted"),
        ("any", "changed"),
        ("seats", "changed"),
    }
    assert people.pass_(1).fired == 0


# ── what would have been ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dry_run_tells_what_would_have_happened_and_does_nothing(people: Earning) -> None:
    for ref, mrr in (("a", 100), ("b", 5)):
        people.customer(ref, mrr_total=mrr)
        for number, at in enumerate((-40, -13, -12, -3)):  # NOW is 15 March
            people.event(ref, f"failed:{ref}{number}", at, told=False)
    people.pass_()
    people.act("payment_failed", when={"field": "mrr", "above": 10}, cooldown_days=5)
    before = people.rows("select count(*) from tidegate.action_occurrences")
    told = people.preview("2026-03")
    assert (told["would_have_fired"], told["held_out"], told["contacts"]) == (2, 0, 1)
    assert told["passed"] == {"condition": 3, "cooldown": 1}
    assert [(one["contact"], one["at"]) for one in told["occurrences"]] == [
        ("account:a", day(-13)),
        ("account:a", day(-3)),
    ]
    assert told["occurrences"][0]["reasons"] == ["Payment Failed on invoice in_1", "mrr is above 10 (100)"]
    assert "as they are now" in told["notes"][0]
    assert people.preview("2026-02-04..2026-02-28")["would_have_fired"] == 0
    assert people.preview("2026-02")["would_have_fired"] == 1
    assert people.preview("2026-02")["from"] == datetime.fromisoformat("2026-02-01T00:00:00+00:00")
    assert people.rows("select count(*) from tidegate.action_occurrences") == before
    assert people.pass_(1).fired == 0


def test_a_dry_run_finds_renewals_moves_and_movements_of_the_past(people: Earning) -> None:
    key = people.customer("a", status="trialing", renews_at=day(20))
    people.run(
        """
insert into stripe.invoices (connection, id, customer, billing_reason, status, created, updated_at, certainty, data)
select 'acme', 'in_' || n, 'a', case n when 3 then 'manual' else 'subscription_cycle' end, 'paid',
  cast(:now as timestamptz) + make_interval(days => n * 10), now(), 1, '{}' from generate_series(-3, 3) n""",
        now=NOW,
    )
    people.worth("a", 1000, -60)
    people.pass_()
    people.set(key, status="active")
    people.pass_(1)
    for name, on in {
        "renewal": {"renewal_in_days": 30},
        "stage": {"enters_stage": "customer"},
        "new": {"movement": "new"},
    }.items():
        people.act(on, name)
    period = f"{day(-30):%Y-%m-%d}..{day(1):%Y-%m-%d}"
    told = people.preview(period, "renewal")
    assert [one["trigger"]["renews_at"] for one in told["occurrences"]] == [
        "2026-03-15T12:00:00Z",
        "2026-03-25T12:00:00Z",
        "2026-04-04T12:00:00Z",
    ]
    assert told["occurrences"][0]["at"] == day(-30)
    stage = people.preview(period, "stage")
    assert stage["would_have_fired"] == 1
    assert "known since 2026-03-15" in stage["notes"][0]
    assert people.preview("2026-01", "new")["would_have_fired"] == 1
    assert people.preview(period, "new")["would_have_fired"] == 0


@pytest.mark.parametrize("period", ["2026-13", "May", "2026-05-01", "2026-05-02..2026-05-01", "2026-02-30..2026-03-01"])
def test_a_period_that_is_none_is_refused(people: Earning, period: str) -> None:
    with pytest.raises(UsageError):
        lifecycle_actions.period_of(period, NOW)


# ── whether it helped ────────────────────────────────────────────────────────────────────────────────────────────────


def everybody(people: Earning, refs: Sequence[str], goal: dict[str, Any], **said: Any) -> None:
    """An action fires for all of them, a day after NOW."""
    people.pass_()
    people.act({"alert_opened": "trial_ending"}, goal=goal, **said)
    for ref in refs:
        [(key,)] = people.rows("select key from tidegate.contacts where external_id = :ref", ref=ref)
        people.set(key, trial_ends_at=day(3))
    people.pass_(1)


def test_renewed_is_billed_anew_within_the_days(people: Earning) -> None:
    for ref in ("renews", "late", "first", "reversed", "moot"):
        key = people.customer(ref)
        if ref != "moot":
            people.run("update tidegate.contact_facts set mrr = '{\"usd\": 1}' where contact = :key", key=key)
        if ref not in ("first", "moot"):
            people.event(ref, f"billed:{ref}0", -20, "Subscription Billed")
    everybody(people, ("renews", "late", "first", "reversed", "moot"), {"reach": "renewed", "within_days": 10})
    people.event("renews", "billed:1", 8, "Subscription Billed")
    people.event("late", "billed:2", 12, "Subscription Billed")
    people.event("first", "billed:3", 8, "Subscription Billed")
    people.event("reversed", "billed:4", 8, "Subscription Billed", reverses="x")
    people.fire(8)
    assert people.goals() == {
        "renews": "reached", "late": "open", "first": "open", "reversed": "open", "moot": "moot",
    }  # fmt: skip
    people.fire(4)
    assert sorted(people.goals().values()) == ["missed", "missed", "missed", "moot", "reached"]
    people.fire(30)
    assert people.goals()["late"] == "missed"


def test_expanded_and_not_churned_follow_the_ledger(people: Earning) -> None:
    refs = ("grows", "shrinks", "leaves", "returns", "stays")
    for ref in refs:
        people.customer(ref)
        people.worth(ref, 1000, -50)
    people.run("update tidegate.contact_facts set mrr = '{\"usd\": 1000}'")
    everybody(people, refs, {"reach": "expanded", "within_days": 10})
    people.act({"alert_opened": "trial_ending"}, "stay", goal={"reach": "not_churned", "within_days": 10})
    people.run("update tidegate.alerts set opened_at = :at", at=people.now + timedelta(seconds=1))
    people.fire(0.1)
    people.worth("grows", 500, 4, item="si_more")
    people.end("leaves", 5)
    people.end("returns", 5)
    people.worth("returns", 1500, 8, item="si_again", subscription="sub_again")
    people.fire(12)
    found = people.rows("""
select o.action, c.external_id, o.goal
from tidegate.action_occurrences o join tidegate.contacts c on c.key = o.contact""")
    by_action: dict[str, dict[str, str]] = {}
    for action, ref, goal in found:
        by_action.setdefault(action, {})[ref] = goal
    assert by_action["mine"] == {ref: "reached" if ref == "grows" else "missed" for ref in refs}
    lost = ("leaves", "returns")
    assert by_action["stay"] == {ref: "missed" if ref in lost else "reached" for ref in refs}


def bill(people: Earning, id_: str, of: str, status: str, paid: float | None = None) -> None:
    """An invoice, or what became of it."""
    people.run(
        "insert into stripe.invoices (connection, id, customer, status, created, paid_at, updated_at, certainty, "
        "data) values ('acme', :id, :of, :status, now(), :paid, now(), 1, '{}') on conflict (connection, id) do "
        "update set status = excluded.status, paid_at = excluded.paid_at",
        id=id_,
        of=of,
        status=status,
        paid=None if paid is None else day(paid),
    )


def test_a_payment_is_recovered_when_its_invoice_is_paid(people: Earning) -> None:
    for ref in ("pays", "owes", "late"):
        people.customer(ref)
        bill(people, f"in_{ref}", ref, "open")
    people.pass_()
    people.act("payment_failed", goal={"reach": "payment_recovered", "within_days": 7})
    for ref in ("pays", "owes", "late"):
        people.event(ref, f"failed:{ref}", 1, invoice=f"in_{ref}")
    people.pass_(1)
    bill(people, "in_other", "owes", "paid", 3)
    bill(people, "in_pays", "pays", "paid", 5)
    bill(people, "in_late", "late", "paid", 9)
    people.fire(12)
    assert people.goals() == {"pays": "reached", "owes": "missed", "late": "missed"}


def test_of_who_it_fired_for_twice_the_report_counts_the_first_time(people: Earning) -> None:
    people.customer("acme")
    people.pass_()
    people.act("payment_failed", goal={"reach": "payment_recovered", "within_days": 7})
    for number, paid in ((1, None), (2, 6)):
        bill(people, f"in_{number}", "acme", "open" if paid is None else "paid", paid)
        people.event("acme", f"failed:{number}", number, invoice=f"in_{number}")
        people.pass_(1)
    people.fire(20)
    assert sorted(goal for (goal,) in people.rows("select goal from tidegate.action_occurrences")) == [
        "missed",
        "reached",
    ]
    with people.hub.engine.connect() as db:
        told = reporting.report(db, stored.one(db, "mine"), people.now)["groups"]["fired"]
    assert (told["contacts"], told["measured"], told["reached"]) == (1, 1, 0)


def test_a_property_is_set_with_the_value_that_was_said(people: Earning) -> None:
    for ref, properties in (("does", "{}"), ("other", "{}"), ("had", '{"onboarding": {"done": true}}')):
        key = people.customer(ref)
        people.run("update tidegate.contacts set properties = cast(:p as jsonb) where key = :k", p=properties, k=key)
    goal = {"reach": "property_set", "property": "onboarding.done", "value": True, "within_days": 10}
    everybody(people, ("does", "other", "had"), goal)
    for ref, value in (("does", "true"), ("other", "false")):
        people.run(
            "update tidegate.contacts set properties = cast(:p as jsonb) where external_id = :ref",
            p=f'{{"onboarding": {{"done": {value}}}}}',
            ref=ref,
        )
    people.fire(1)
    assert people.goals() == {"does": "reached", "other": "open", "had": "moot"}
    people.fire(12)
    assert people.goals() == {"does": "reached", "other": "missed", "had": "moot"}


def test_the_report_compares_with_the_held_out_and_sums_what_was_kept(people: Earning) -> None:
    refs = [f"c{number}" for number in range(80)]
    for ref in refs:
        people.customer(ref)
        people.books.span(ref, 1000, "2026-01-01")
    people.books.keep()
    people.run("update tidegate.contact_facts set mrr = '{\"usd\": 1000}'")
    goal = {"reach": "expanded", "within_days": 10}
    everybody(people, refs, goal, hold_out=0.5)
    held = {ref for (ref,) in people.rows("""
select c.external_id from tidegate.action_occurrences o join tidegate.contacts c on c.key = o.contact
where o.state = 'held_out'""")}  # fmt: skip
    acted = [ref for ref in refs if ref not in held]
    assert len(held) >= 25
    for ref in acted[:20]:
        people.books.span(ref, 500, "2026-03-20", item=f"si_{ref}_more")
    for ref in sorted(held)[:5]:
        people.run("update tidegate.spans set ends_at = :at where customer = :c", at=day(5), c=ref)
    people.books.keep()

    def report(as_of: float) -> dict[str, Any]:
        people.now = day(as_of)
        people.fire()
        with people.hub.engine.connect() as db:
            return reporting.report(db, stored.one(db, "mine"), people.now)

    early = report(8)
    assert (early["groups"]["fired"]["measured"], early["groups"]["fired"]["running"]) == (0, len(acted))
    assert "Too small a sample" in early["verdict"]
    waiting = report(11.5)  # the time of the goal is over, and what happened in it may still become known
    assert (waiting["groups"]["fired"]["measured"], waiting["groups"]["fired"]["running"]) == (0, len(acted))
    told = report(13)
    assert (told["fired"], told["held_out"]) == (len(acted), len(held))
    assert told["groups"]["fired"] == {
        "contacts": len(acted), "measured": len(acted), "reached": 20, "running": 0, "moot": 0,
        "share": 20 / len(acted),
    }  # fmt: skip
    assert told["groups"]["held_out"]["reached"] == 0
    assert told["difference"]["value"] == pytest.approx(20 / len(acted))
    assert told["difference"]["low"] > 0.2
    assert "Newcombe" in told["difference"]["method"]
    expected = "more often" if min(len(held), len(acted)) >= 30 else "Too small a sample"
    assert expected in told["verdict"]
    assert told["mrr"] == [
        {
            "group": "fired", "currency": "usd", "before": 1000 * len(acted), "kept": 1000 * len(acted),
            "expanded": 500 * 20,
        },
        {
            "group": "held_out", "currency": "usd", "before": 1000 * len(held), "kept": 1000 * (len(held) - 5),
            "expanded": 0,
        },
    ]  # fmt: skip
