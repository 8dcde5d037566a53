"""What conditions ask of Stripe's objects, case by case over one mirror; and being at risk, one rule everywhere."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, invoice, item, price, subscription
from tests.support.shop import Shop, opened

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACT_FIELDS, CONTACTS, STATUSES
from tidegate.conditions.parse import parse
from tidegate.lifecycle import due
from tidegate.lifecycle.rules import AT_RISK_BY, named
from tidegate.revenue import renewals, reports
from tidegate.revenue.risks import RISKS
from tidegate.workflows.lifecycle import lifecycle

NOW = datetime(2026, 3, 15, tzinfo=UTC)
AT = int(NOW.timestamp())
DAY = 86_400

Objects = Sequence[dict[str, Any]]


def sub(who: str, id_: str = "1", /, items: Objects | None = None, **fields: Any) -> dict[str, Any]:
    """A subscription of the customer; of one item where none are said."""
    name = f"sub_{who}_{id_}"
    held = [item(f"si_{name}", name)] if items is None else [one | {"subscription": name} for one in items]
    return subscription(name, held, customer=f"cus_{who}", **fields)


def card(who: str, name: str, year: int, month: int, kind: str = "pm") -> dict[str, Any]:
    told = {"brand": "visa", "last4": "4242", "exp_month": month, "exp_year": year}
    said = {"object": "payment_method", "id": f"{kind}_{who}_{name}", "created": 10, "customer": f"cus_{who}"}
    return said | {"type": "card", "card": told, "livemode": False}


def debit(who: str) -> dict[str, Any]:
    return {
        "object": "payment_method", "id": f"pm_{who}_debit", "created": 10, "customer": f"cus_{who}",
        "type": "sepa_debit", "livemode": False,
    }  # fmt: skip


def bill(who: str, id_: str, status: str, **fields: Any) -> dict[str, Any]:
    return invoice(f"in_{who}_{id_}", customer=f"cus_{who}", status=status, **fields)


AT_RISK: dict[str, tuple[Objects, list[str]]] = {
    "fine": ((sub("fine"),), []),
    "late": ((sub("late", status="past_due"),), ["past_due"]),
    "bust": ((sub("bust", status="unpaid"),), ["unpaid"]),
    "leaving": ((sub("leaving", cancel_at=AT + 20 * DAY),), ["scheduled_to_cancel"]),
    "soon": ((sub("soon", default_payment_method="pm_soon_a"), card("soon", "a", 2026, 3)), ["card_expiring"]),
    "over": ((sub("over", default_payment_method="pm_over_a"), card("over", "a", 2026, 2)), ["card_expiring"]),
    "far": (
        (sub("far", items=[item("si_far", current_period_end=AT + 300 * DAY)], default_payment_method="pm_far_a"),
         card("far", "a", 2026, 4)), [],
    ),
    "backed": (
        (sub("backed", default_payment_method="pm_backed_a"), card("backed", "a", 2026, 3),
         card("backed", "b", 2026, 4)), [],
    ),
    "debited": ((sub("debited", default_payment_method="pm_debited_a"), card("debited", "a", 2026, 3),
                 debit("debited")), []),
    "spent": (
        (sub("spent", default_payment_method="pm_spent_a"), card("spent", "a", 2025, 3), card("spent", "b", 2026, 2)),
        ["card_expiring"],
    ),
    "billed": (
        (sub("billed", default_payment_method="pm_billed_a", collection_method="send_invoice"),
         card("billed", "a", 2026, 3)), [],
    ),
    "sourced": (
        (customer("cus_sourced", default_source="card_sourced_a"), sub("sourced"),
         card("sourced", "a", 2026, 3, "card")), ["card_expiring"],
    ),
    "ownsource": (
        (customer("cus_ownsource", invoice_settings={"default_payment_method": "pm_ownsource_b"}),
         sub("ownsource", default_source="card_ownsource_a"), card("ownsource", "a", 2026, 3, "card"),
         card("ownsource", "b", 2026, 3)), ["card_expiring"],
    ),
    "own": (
        (customer("cus_own", default_source="card_own_a"), sub("own", default_payment_method="pm_own_b"),
         card("own", "a", 2026, 3, "card"), card("own", "b", 2030, 3)), [],
    ),
    "twice": (
        (sub("twice", cancel_at_period_end=True, current_period_end=AT + DAY, status="past_due"),),
        ["past_due", "scheduled_to_cancel"],
    ),
    "gone": (
        (sub("gone", status="canceled", default_payment_method="pm_gone_a"), card("gone", "a", 2026, 3)), [],
    ),
    "pair": (
        (sub("pair", default_payment_method="pm_pair_a"), card("pair", "a", 2026, 3), customer("cus_pair2"),
         sub("pair2", default_payment_method="pm_pair2_a"), card("pair2", "a", 2026, 2), card("pair2", "b", 2027, 2)),
        ["card_expiring"],
    ),
    "unwell": ((sub("unwell"),), ["unhealthy"]),
}  # fmt: skip
"""What the mirror has of a customer, or of two with one e-mail address, and the reasons for which it is at risk."""


@pytest.fixture(scope="module")
def shop(database_url: str) -> Iterator[Shop]:
    """A mirror with all these customers, each a contact."""
    with opened(database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(price())
        for who, objects in [*((who, case[0]) for who, case in AT_RISK.items()), *ASKED.items()]:
            told = {one["id"]: one for one in [customer(f"cus_{who}"), *objects] if one["object"] == "customer"}
            shop.has(*(one | {"email": f"{who}@example.com"} for one in told.values()))
            shop.has(*(one for one in objects if one["object"] != "customer"))
        shop.refresh()
        with shop.engine.begin() as db:
            db.execute(text("update stripe.subscriptions set deleted_at = now() where customer = 'cus_removed'"))
            due.note_all(db)
        lifecycle.keep(shop.engine, as_of=NOW)
        with shop.engine.begin() as db:
            db.execute(
                text("""
update tidegate.contact_lifecycle set unhealthy_since = case when contact = (
  select contact from tidegate.links where customer = 'cus_unwell') then now() end""")
            )
        yield shop


def whom(shop: Shop, said: Any) -> set[str]:
    """Of whom a condition holds."""
    node, wrong = parse(said, CONTACT_FIELDS, named())
    assert wrong == []
    made = compiled(node)
    statement = text(f"""
select substr(k.customer, 5) from tidegate.links k where k.contact in (select c.key {CONTACTS} and {made.sql})""")
    with shop.engine.connect() as db:
        return set(db.scalars(statement, made.values | {"as_of": NOW}))


def test_being_at_risk_is_one_rule_for_stages_segments_metrics_and_subscriptions(shop: Shop) -> None:
    assert set(AT_RISK_BY) == set(RISKS)
    wanted = {who: reasons for who, (_, reasons) in AT_RISK.items()}
    by_contact: dict[str, list[str]] = {who: [] for who in wanted}
    for reason in RISKS:
        for who in whom(shop, AT_RISK_BY[reason]) & {*wanted}:
            by_contact[who].append(reason)
    assert by_contact == wanted
    assert whom(shop, {"condition": "at_risk"}) & {*wanted} == {who for who, reasons in wanted.items() if reasons}
    with shop.engine.connect() as db:
        report = reports.opened(db, "acme", NOW, currency=reports.NATIVE)
        found = {one["customer"].removeprefix("cus_"): one["reasons"] for one in renewals.at_risk(db, report, NOW)}
    by_subscription = {who: reasons for who, reasons in found.items() if who in wanted}
    assert by_subscription == {who: reasons for who, reasons in wanted.items() if reasons}


def billed(who: str, *days: tuple[int, int | None], **fields: Any) -> dict[str, Any]:
    """A subscription with an item for each (days to the end of its period, days until which it is billed)."""
    items = [
        item(f"si_{who}_{place}", current_period_end=AT + ends * DAY)
        | ({} if until is None else {"billed_until": AT + until * DAY})
        for place, (ends, until) in enumerate(days)
    ]
    return sub(who, items=items, **fields)


def failed(who: str, code: str, at: int) -> dict[str, Any]:
    said = {"object": "charge", "id": f"ch_{who}_{at}", "created": at, "customer": f"cus_{who}", "status": "failed"}
    return said | {"livemode": False, "failure_code": "card_declined", "outcome": {"reason": code}}


SENT: dict[str, Any] = {"collection_method": "send_invoice", "currency": "usd"}
YEARLY = price("price_year", recurring={"interval": "year", "interval_count": 1, "usage_type": "licensed"})
YET: Objects = [item("si_drafted", current_period_end=AT + 77 * DAY)]
BEST = {
    f"best{place}": [sub(f"best{place}", one, status=one) for one in reversed(STATUSES[place:])]
    for place in range(len(STATUSES))
}
"""Customer n has a subscription in each state from the nth on, the best told last."""
ASKED: dict[str, Objects] = {
    **BEST,
    "owing": [
        sub("owing", **SENT),
        bill("owing", "paid", "paid", created=AT - 90 * DAY),
        bill("owing", "late", "open", created=AT - 60 * DAY, due_date=AT - DAY, amount_remaining=1900, **SENT),
        bill("owing", "due", "open", created=AT - 50 * DAY, due_date=AT + DAY, amount_remaining=100, **SENT),
        bill("owing", "void", "void", created=AT - 40 * DAY),
        bill("owing", "lost", "uncollectible", created=AT - 30 * DAY),
        bill("owing", "hopeless", "uncollectible", created=AT - 20 * DAY),
    ],
    "failing": [
        sub("failing", status="past_due", latest_invoice="in_failing_1"),
        bill("failing", "1", "open", created=AT - 4 * DAY, attempt_count=2, amount_remaining=500,
             subscription="sub_failing_1", next_payment_attempt=AT + 2 * DAY,
             status_transitions={"finalized_at": AT - 4 * DAY}),
        failed("failing", "generic_decline", AT - 4 * DAY), failed("failing", "insufficient_funds", AT - 2 * DAY),
    ],
    "new": [sub("new"), bill("new", "1", "open", created=AT - 3600, amount_remaining=700)],
    "drafted": [sub("drafted", items=YET), bill("drafted", "paid", "paid", created=AT - 90 * DAY),
                bill("drafted", "next", "draft", created=AT - DAY, amount_remaining=900)],
    "clocked": [sub("clocked", status="past_due", test_clock="clock_1"),
                bill("clocked", "1", "open", created=AT - DAY, amount_remaining=900, test_clock="clock_1")],
    "removed": [sub("removed", status="past_due")],
    "left": [sub("left", status="canceled", canceled_at=AT - DAY, ended_at=AT - DAY,
                 cancellation_details={"feedback": "too_expensive", "reason": "cancellation_requested"})],
    "lost": [sub("lost", status="canceled", canceled_at=AT - DAY, ended_at=AT - DAY,
                 cancellation_details={"feedback": None, "reason": "payment_failed"})],
    "yearly": [customer("cus_yearly", address={"country": "FR"}), YEARLY,
               sub("yearly", items=[item("si_yearly", quantity=7, price=YEARLY, current_period_end=AT + 99 * DAY)])],
    "renewing": [billed("renewing", (10, None))],
    "prepaid": [billed("prepaid", (10, 40))],
    "mixed": [billed("mixed", (10, 50), (30, None))],
    "lagging": [billed("lagging", (25, 5))],
    "ending": [billed("ending", (10, None), cancel_at=AT + 20 * DAY)],
    "stopping": [billed("stopping", (10, None), cancel_at_period_end=True, current_period_end=AT + 10 * DAY)],
    "prepaid_to_its_end": [billed("prepaid_to_its_end", (10, 40), cancel_at=AT + 30 * DAY)],
    "resting": [billed("resting", (10, None), pause_collection={"behavior": "void"})],
    "back_before": [billed("back_before", (10, None), pause_collection={"behavior": "void", "resumes_at": AT + DAY})],
    "back_after": [
        billed("back_after", (10, None), pause_collection={"behavior": "void", "resumes_at": AT + 11 * DAY})
    ],
}  # fmt: skip
"""What the mirror has of the customers that the fields below are asked of."""

WORST = {"field": "any_subscription.status", "has": STATUSES[-1]}
HELD: list[tuple[dict[str, Any], set[str]]] = [
    *(
        ({"all": [{"field": "subscription.status", "is": status}, WORST]}, {f"best{place}"})
        for place, status in enumerate(STATUSES)
    ),
    (WORST, {*BEST}),
    ({"field": "invoices.open", "is": 2}, {"owing"}),
    ({"field": "invoices.open", "at_least": 1}, {"owing", "failing", "new"}),
    ({"field": "invoices.overdue", "is": 1}, {"owing", "failing"}),
    ({"field": "invoices.void", "is": 1}, {"owing"}),
    ({"field": "invoices.uncollectible", "is": 2}, {"owing"}),
    ({"field": "invoices.uncollectible", "above": 2}, set()),
    ({"field": "latest_invoice.status", "is": "uncollectible"}, {"owing"}),
    ({"field": "latest_invoice.status", "is": "paid"}, {"drafted"}),
    ({"field": "subscription.status", "known": False}, {"clocked", "removed"}),
    ({"field": "latest_invoice.status", "is": "open"}, {"failing", "new"}),
    ({"field": "amount_open", "is": 20}, {"owing"}),
    ({"field": "amount_open", "is": 5}, {"failing"}),
    ({"field": "payments.failed", "is": 2}, {"failing"}),
    ({"field": "payments.decline_code", "is": "insufficient_funds"}, {"failing"}),
    ({"field": "payments.next_attempt_at", "in_next_days": 3}, {"failing"}),
    ({"field": "days_past_due", "at_least": 3, "below": 5}, {"failing"}),
    ({"field": "cancellation.reason", "is": "too_expensive"}, {"left"}),
    ({"field": "cancellation.reason", "is": "payment_failed"}, {"lost"}),
    ({"field": "country", "is": "FR"}, {"yearly"}),
    ({"field": "intervals", "has": "year"}, {"yearly"}),
    ({"field": "interval_months", "is": 12}, {"yearly"}),
    ({"field": "quantity", "is": 7}, {"yearly"}),
    ({"field": "currencies", "lacks": "usd"},
     {"left", "lost", "clocked", "removed", *(f"best{n}" for n in range(3, len(STATUSES)))}),
    ({"field": "days_to_renewal", "is": 10}, {"renewing", "ending", "back_before"}),
    ({"field": "days_to_renewal", "is": 40}, {"prepaid"}),
    ({"field": "days_to_renewal", "is": 30}, {"mixed"}),
    ({"field": "days_to_renewal", "is": 25}, {"lagging"}),
    ({"all": [{"field": "ends_at", "known": True}, {"field": "renews_at", "known": False}]},
     {"stopping", "prepaid_to_its_end"}),
    ({"all": [{"field": "subscription.status", "is": "active"}, {"field": "ends_at", "known": False},
              {"field": "renews_at", "known": False}]}, {"resting", "back_after"}),
    ({"all": [{"field": "ever_paid", "is": False}, {"field": "subscription.status", "is": "active"}]},
     {"resting"}),
    ({"all": [{"field": "tenure_days", "above": 10_000}, {"field": "days_to_renewal", "is": 10}]},
     {"renewing", "ending"}),
]  # fmt: skip
"""A condition, and the customers that it holds of."""


@pytest.mark.parametrize(("said", "held"), HELD, ids=lambda one: str(one) if isinstance(one, dict) else "")
def test_a_field_asks_for_what_stripe_says(shop: Shop, said: dict[str, Any], held: set[str]) -> None:
    assert whom(shop, said) & {*ASKED} == held
