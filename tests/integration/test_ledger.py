"""The ledger in PostgreSQL: kept by the refresh, the same as DuckDB's, whoever a customer belongs to by then."""

import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, TextClause, text
from tests.support.books import BEGUN, Books
from tests.support.builders import customer, invoice, item, line, price, subscription
from tests.support.histories import MILLION, day
from tests.support.shop import opened

from tidegate.contacts import directory
from tidegate.contacts.directory import Making, make_many
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import Arrival, arrive
from tidegate.mirror.decide import Certainty
from tidegate.pricing.policy import policy
from tidegate.revenue import checks, conversions, editions, load, movements, partitions, reports
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import periods
from tidegate.store import driver
from tidegate.stripe_api.resources.discounts import DISCOUNTS
from tidegate.workflows import previewing
from tidegate.workflows.contacts import contacts, contacts_merge
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.operation import retention
from tidegate.workflows.revenue import revenue as keeping
from tidegate.workflows.revenue.ledger_policy import write_movements


@pytest.fixture(scope="module")
def books(database_url: str) -> Iterator[Books]:
    with opened(database_url) as shop:
        yield Books(shop)


def test_a_refresh_keeps_spans_movements_sums_and_facts_and_a_second_writes_nothing(books: Books) -> None:
    [who] = books.who("ada")
    of = books.pays(who, 1000)
    books.pays(who, 1000, day("2026-03-01"), of, quantity=3)
    assert books.refresh() == (2, 2)
    assert books.moves(who) == [("0", "new", 1000, "2026-01-09"), ("0", "expansion", 2000, "2026-02-28")]
    assert books.shop.rows("select edition, preset, time_zone from tidegate.ledgers") == [
        (1, "default", "America/New_York")
    ]
    facts = books.facts(who)
    assert (facts["mrr"], facts["statuses"], facts["subscriptions"]) == ({"usd": 3000 * MILLION}, ["active"], 1)
    assert facts["customer_since"].timestamp() == BEGUN
    assert (facts["churned_at"], facts["last_moved_at"].timestamp()) == (None, day("2026-03-01"))
    books.shop.has(customer(who, 10, email="ada1@example.com", name="Ada"), at=200)
    assert books.refresh() == (0, 0)
    unchanged = books.facts(who)
    assert unchanged["updated_at"] == facts["updated_at"]


def test_what_is_said_otherwise_supersedes_and_the_sums_by_day_follow(books: Books) -> None:
    [who] = books.who("eve")
    of = books.pays(who, 500, currency="sek")
    books.refresh()
    books.pays(who, 700, day("2026-02-01"), of, currency="sek")
    books.refresh()
    books.pays(who, 600, day("2026-01-20"), of, currency="sek")  # an event that comes late
    assert books.refresh() == (2, 3)
    assert [one[1:3] for one in books.moves(who)] == [("new", 500), ("expansion", 100), ("expansion", 100)]
    kept = (
        f"select kind, amount / 1000000 from tidegate.movements where customer = '{who}' and superseded_at is not null"
    )
    assert books.shop.rows(kept) == [("expansion", 200)]
    sums = (
        "select day, kind, amount / 1000000, movements from tidegate.mrr_days where currency = 'sek' and movements <> 0"
    )
    assert sorted(books.shop.rows(sums)) == [
        (date(2026, 1, 9), "new", 500, 1),
        (date(2026, 1, 19), "expansion", 100, 1),
        (date(2026, 1, 31), "expansion", 100, 1),
    ]


def test_an_invoice_that_comes_while_a_refresh_reads_is_of_the_next_refresh(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    [who] = books.who("ines")
    of = books.pays(who, 1000)
    late = invoice("in_late", [line("il_late", subscription=of)], customer=who, subscription=of, status="paid")

    def comes(db: Connection, statement: TextClause, values: Mapping[str, Any]) -> list[Any]:
        found = driver.rows(db, statement, values)
        if "billing_reason" in (sql := str(statement)) and "from stripe.invoices" in sql and not came:
            came.append(sql)
            books.shop.has(late)
        return found

    came: list[str] = []
    monkeypatch.setattr(load, "rows", comes)
    books.refresh()
    assert len(came) == 1
    assert books.shop.scalar("select count(*) from stripe.invoice_lines where invoice = 'in_late'") == 1
    assert books.moves(who) == [("0", "new", 1000, "2026-01-09")]
    assert books.shop.scalar("select count(*) from tidegate.changed_customers") == 0


def test_a_customer_moved_to_a_second_customer_of_the_same_contact(books: Books) -> None:
    first, second = books.who("bob", "bob")
    of = books.pays(first, 1000)
    books.pays(first, 1000, day("2026-04-01") + 30, of, status="canceled", ended_at=day("2026-04-01"))
    at = day("2026-04-01") + 900
    books.pays(second, 1000, at, created=at, start_date=at)
    books.refresh()
    assert books.moves(first, second) == [
        ("0", "new", 1000, "2026-01-09"),
        ("0", "transfer", -1000, "2026-03-31"),
        ("1", "transfer", 1000, "2026-03-31"),
    ]
    facts = books.facts(first)
    assert (facts["mrr"], facts["churned_at"], facts["last_moved_at"].timestamp()) == (
        {"usd": 1000 * MILLION},
        None,
        BEGUN,
    )


def test_canceled_and_created_again_within_the_hour_is_no_churn(books: Books) -> None:
    [who] = books.who("cyd")
    of, end = books.pays(who, 1000), day("2026-04-01")
    books.pays(who, 1000, end, of, status="canceled", ended_at=end)
    books.refresh()
    assert [one[1] for one in books.moves(who)] == ["new", "churn"]
    assert books.facts(who)["churned_at"].timestamp() == end
    books.pays(who, 1500, end + 3600, f"{of}_2", created=end + 3600, start_date=end + 3600)
    books.refresh()
    assert [one[1:3] for one in books.moves(who)] == [("new", 1000), ("expansion", -1000), ("expansion", 1500)]


def contact_of(books: Books, who: str) -> str:
    with books.shop.engine.connect() as db:
        sql = "select c.external_id from tidegate.contacts c join tidegate.links l on l.contact = c.key"
        return directory.find(db, False, db.scalars(text(f"{sql} where l.customer = :c"), {"c": who}).one()).ref


def test_linking_and_unlinking_derives_the_movements_of_both(books: Books) -> None:
    first, second = books.who("dan", "dora")
    books.pays(first, 1000)
    at = day("2026-02-10")
    books.pays(second, 300, at, created=at, start_date=at)
    books.refresh()
    apart = [("0", "new", 1000, "2026-01-09"), ("1", "new", 300, "2026-02-09")]
    assert books.moves(first, second) == apart
    theirs = contact_of(books, first)
    previewing.commit(books.shop.engine, contacts.linked(books.shop.account, second, theirs, "me"), None)
    assert books.moves(first, second) == [apart[0], ("1", "expansion", 300, "2026-02-09")]
    assert books.facts(first)["mrr"] == {"usd": 1300 * MILLION}
    previewing.commit(books.shop.engine, contacts.unlinked(books.shop.account, second, "me"), None)
    assert books.moves(first, second) == apart
    assert books.facts(first)["mrr"] == {"usd": 1000 * MILLION}
    assert books.refresh() == (0, 0)


def test_who_is_merged_parted_and_forgotten_takes_no_mrr_along(books: Books) -> None:
    """The sums stay what they were at the end of every day, and every customer's rows; only kinds become others."""
    one, other = books.who("mia", "max")
    of = books.pays(one, 1000)
    at = day("2026-02-10")
    books.pays(other, 300, at, created=at, start_date=at)
    books.pays(one, 1000, day("2026-03-01"), of, status="canceled", ended_at=day("2026-03-01"))
    books.refresh()
    engine = books.shop.engine
    before, kept, given_up = books.moves(one, other), contact_of(books, one), contact_of(books, other)
    assert [kind for _, kind, *_ in before] == ["new", "new", "churn"]
    sums, rows = stood(books), customers_rows(books, one, other)

    def same() -> None:
        assert (stood(books), customers_rows(books, one, other)) == (sums, rows)
        with engine.connect() as db:
            assert {name: broken for name, broken in checks.broken(db, "acme").items() if broken} == {}
        assert books.refresh() == (0, 0)

    merged = previewing.commit(engine, contacts_merge.merged(False, kept, given_up, "ada"), None)
    assert [kind for _, kind, *_ in books.moves(one, other)] == ["new", "expansion", "contraction"]
    assert books.facts(one)["mrr"] == {"usd": 300 * MILLION}
    same()
    previewing.commit(engine, contacts_merge.unmerged(merged.result["merge"], "ada"), None)
    assert books.moves(one, other) == before
    same()
    previewing.commit(engine, contacts.unlinked(books.shop.account, other, "ada"), None)
    assert books.moves(one, other) == before
    same()
    forget(engine, False, kept, "ada", only_preview=False)
    assert books.moves(one, other) == before
    same()


def stood(books: Books) -> list[tuple[Any, ...]]:
    """MRR at the end of each day on which it moved, by currency."""
    return books.shop.rows("""
select currency, day, sum(sum(amount)) over (partition by currency order by day) from tidegate.mrr_days
where amount <> 0 group by currency, day having sum(amount) <> 0 order by 1, 2""")


def customers_rows(books: Books, *who: str) -> list[tuple[Any, ...]]:
    """What each customer's MRR was changed by, whatever that is called."""
    return [(place, amount, on) for place, _, amount, on in books.moves(*who)]


def test_how_it_stood_before_the_first_event_is_what_that_says(books: Books) -> None:
    """It was incomplete until then; that it is active says nothing of the days before."""
    [who] = books.who("lea")
    at = BEGUN + 5 * 86_400
    body = subscription(f"sub_{who}", [item(f"si_{who}", f"sub_{who}", price=price())], customer=who)
    books.shop.told(body | {"created": BEGUN, "start_date": BEGUN}, at=at, previous={"status": "incomplete"})
    books.refresh()
    [[starts]] = books.shop.rows(f"select extract(epoch from min(starts_at)) from spans where customer = '{who}'")
    assert starts == at


def test_what_is_on_a_test_clock_is_in_no_ledger(books: Books) -> None:
    [who] = books.who("ted")
    books.pays(who, 1000, test_clock="clock_1")
    books.refresh()
    assert books.shop.rows(f"select * from spans where customer = '{who}'") == []


def test_a_trial_is_restarted_by_what_its_contact_paid_before_in_report_and_events_alike(books: Books) -> None:
    payer, trier = books.who("tess", "timo")
    books.pays(payer, 1000)
    at, then = day("2026-02-10"), day("2026-02-20")
    trial = {"created": at, "start_date": at, "trial_start": at, "trial_end": then}
    books.pays(trier, 300, at, status="trialing", **trial)
    books.pays(trier, 300, then, **trial)
    books.refresh()
    engine, account = books.shop.engine, books.shop.account

    def told() -> tuple[list[tuple[str, bool]], tuple[int, int, int]]:
        found = books.shop.rows(f"""
select name, coalesce((data ->> 'restarted')::boolean, false) from tidegate.billing_events
where customer = '{trier}' and name like 'Trial %' order by at""")
        with engine.connect() as db:
            report = reports.opened(db, "acme", datetime(2026, 3, 15, tzinfo=UTC))
            [february] = periods("month", date(2026, 2, 1), date(2026, 2, 28))
            [row] = conversions.trials(db, report, february, february)
        return [(name, restarted) for name, restarted in found], (row["trials"], row["converted"], row["restarted"])

    alone = [("Trial Started", False), ("Trial Converted", False)], (1, 1, 0)
    assert told() == alone
    previewing.commit(engine, contacts.linked(account, trier, contact_of(books, payer), "me"), None)
    books.refresh()
    assert told() == ([("Trial Started", True)], (0, 0, 1))
    previewing.commit(engine, contacts.unlinked(account, trier, "me"), None)
    books.refresh()
    assert told() == alone


def reduced(id_: str, percent: float, start: int, **more: Any) -> dict[str, Any]:
    of = {"id": f"c_{percent}", "object": "coupon", "percent_off": percent, "duration": "forever"}
    return {"id": id_, "object": "discount", "start": start, "end": None, "coupon": of, **more}


def deletion(id_: str, who: str, start: int) -> Arrival:
    [arrived], _ = arrive(DISCOUNTS, [json.dumps(reduced(id_, 20.0, start, customer=who)).encode()], 0, Certainty.TOLD)
    arrived.at, arrived.event, arrived.deleted = day("2026-06-01"), f"evt_{id_}", True
    return arrived


@pytest.mark.parametrize("told", ["the customer", "the discount", "both"])
def test_a_customers_discount_that_is_taken_away_leaves_its_past(books: Books, told: str) -> None:
    """Told by the customer, which has it no more, or by the end of the discount."""
    [who] = books.who("dina")
    id_, june = f"di_{who}", day("2026-06-01")
    theirs = reduced(id_, 20.0, BEGUN, customer=who)
    books.shop.has(customer(who, discount=theirs), at=BEGUN)
    books.pays(who, 10_000)
    books.refresh()
    assert books.moves(who) == [("0", "new", 8000, "2026-01-09")]
    if told != "the customer":
        with books.shop.engine.begin() as db:
            apply(db, "acme", DISCOUNTS, [deletion(id_, who, BEGUN)])
    if told != "the discount":
        books.shop.told(customer(who, discount=None), at=june)
    books.refresh()
    assert books.moves(who) == [("0", "new", 8000, "2026-01-09"), ("0", "expansion", 2000, "2026-05-31")]
    assert books.refresh() == (0, 0)
    books.shop.told(customer(who, name="Dina", discount=None), at=day("2026-07-01"))
    books.refresh()
    assert books.moves(who) == [("0", "new", 8000, "2026-01-09"), ("0", "expansion", 2000, "2026-05-31")]


def test_a_discount_whose_end_is_read_before_it_is_told_ends_as_it_is_told(books: Books) -> None:
    [who] = books.who("dora")
    id_ = f"di_{who}"
    books.shop.has(customer(who, discount=reduced(id_, 20.0, BEGUN, customer=who)), at=BEGUN)
    books.pays(who, 10_000)
    books.shop.has(customer(who, discount=None), at=day("2026-07-01"))
    books.refresh()
    assert books.moves(who)[1:] == [("0", "expansion", 2000, "2026-06-30")]
    with books.shop.engine.begin() as db:
        apply(db, "acme", DISCOUNTS, [deletion(id_, who, BEGUN)])
    books.refresh()
    assert books.moves(who) == [("0", "new", 8000, "2026-01-09"), ("0", "expansion", 2000, "2026-05-31")]


def test_a_customers_discount_in_the_place_of_another(books: Books) -> None:
    [who] = books.who("dirk")
    later = day("2026-04-01")
    books.shop.has(customer(who, discount=reduced(f"di_1{who}", 20.0, BEGUN, customer=who)), at=BEGUN)
    books.pays(who, 10_000)
    books.shop.told(customer(who, discount=reduced(f"di_2{who}", 50.0, later, customer=who)), at=later)
    books.refresh()
    assert books.moves(who) == [("0", "new", 8000, "2026-01-09"), ("0", "contraction", -3000, "2026-03-31")]


def test_month_ends_around_daylight_saving_a_leap_day_and_a_currency_without_minor_units(books: Books) -> None:
    winter, summer, leap = books.who("kim", "lea", "max")
    at = day("2026-03-01T04:59")  # February in New York, an hour before it would be in summer
    books.pays(winter, 100, at, created=at, start_date=at)
    at = day("2026-04-01T04:00")  # April there, by daylight saving time
    books.pays(summer, 500, at, created=at, start_date=at, currency="jpy")
    at = day("2024-02-29T12:00")
    books.pays(leap, 12_000, at, every="year", created=at, start_date=at)
    books.refresh()
    assert books.moves(winter, summer, leap) == [
        ("2", "new", 1000, "2024-02-29"),
        ("0", "new", 100, "2026-02-28"),
        ("1", "new", 500, "2026-04-01"),
    ]
    assert books.facts(summer)["mrr"] == {"jpy": 500 * MILLION}


def test_what_changes_by_itself_is_told_when_it_is_due(books: Books) -> None:
    [who] = books.who("nan")
    resumes = day("2100-01-01")
    books.pays(who, 1000, pause_collection={"behavior": "void", "resumes_at": resumes})
    books.refresh()
    assert books.moves(who) == []
    assert (
        books.shop.scalar(f"select changes_at from tidegate.revenue_due where customer = '{who}'").timestamp()
        == resumes
    )
    past = day("2026-05-01")
    books.pays(who, 1000, pause_collection={"behavior": "void", "resumes_at": past})  # of the same second: it wins
    with books.shop.engine.begin() as db:
        db.execute(
            text("update tidegate.revenue_due set changes_at = now() - interval '1 minute' where customer = :c"),
            {"c": who},
        )
        db.execute(text("delete from tidegate.lifecycle_due"))
    assert keeping.keep_due(books.shop.engine) == 1
    assert books.shop.scalar("select count(*) from tidegate.lifecycle_due") == 1, "its stage may be another"
    assert keeping.keep_due(books.shop.engine) == 0


def random_spans(db: Connection, seed: int) -> list[str]:
    """Spans of 40 customers of 25 contacts, many changes of them within minutes."""
    dice = random.Random(seed)
    names = [f"cus_r{seed}_{n}" for n in range(40)]
    keys = make_many(db, False, [Making("account", f"r{seed}_{n}", made_by="api") for n in range(3)])
    rows: list[dict[str, Any]] = []
    for name in names:
        for place in range(dice.randint(1, 3)):
            at = BEGUN + dice.randint(0, 10) * 600
            for _ in range(dice.randint(1, 6)):
                start = at + dice.choice([0, 0, 900, 5000])
                at = start + dice.choice([600, 1800, 3600, 86_400 * 9])
                worth = dice.choice([0, 0, 5, 7, 10**7])
                rows.append(
                    {"c": name, "i": f"si_{name}_{place}", "s": start, "e": at if dice.random() < 0.9 else None,
                     "m": worth * MILLION, "w": "" if worth or dice.random() < 0.5 else "it is paused",
                     "u": dice.choice(["usd", "eur"]) if place else "usd", "p": f"price_{worth}"}
                )  # fmt: skip
                if rows[-1]["e"] is None:
                    break
        if dice.random() < 0.7:
            db.execute(
                text(
                    "insert into tidegate.links (connection, customer, contact, method, evidence) "
                    "values ('acme', :c, :k, 'manual', '{}')"
                ),
                {"c": name, "k": dice.choice(keys)},
            )
    first = {one["i"]: one["u"] for one in reversed(rows)}
    db.execute(
        text("""
insert into tidegate.spans (connection, subscription, item, starts_at, ends_at, customer, currency, mrr, listed,
  why_not, price, product, quantity, "interval", interval_count, metered, provenance, source)
values ('acme', :i, :i, to_timestamp(:s), to_timestamp(:e), :c, :u, :m, :m, :w, :p, 'prod_1', 1, 'month', 1, false,
  'observed', '')"""),
        [one | {"u": first[one["i"]]} for one in rows],
    )
    return names


@pytest.mark.parametrize(
    "choices",
    [{}, {"zero": "contraction", "netting": "instant"}, {"netting": "day", "unit": "customer"}, {"netting": "period"}],
    ids=str,
)
def test_postgresql_and_duckdb_say_the_same_row_for_row(books: Books, choices: dict[str, str]) -> None:
    import duckdb

    from tidegate.revenue import duck

    chosen = policy("default", choices)
    with books.shop.engine.connect() as db, db.begin() as trying:
        begun = editions.begin(db, "acme")
        of_test = Ledger("acme", 900, chosen, begun.zone, "")
        partitions.make(db, "acme", 900)
        names = random_spans(db, len(f"{choices}"))
        added = movements.keep_movements(db, of_test, names).added
        columns = ("unit", "customer", "subscription", "item", "currency", "at", "moved_at", "day", "kind", "amount",
                   "opening", "closing", "price", "product")  # fmt: skip
        stored = db.execute(
            text(f"""
select {", ".join(f"extract(epoch from {c})::bigint" if c in ("at", "moved_at") else c for c in columns)}
from tidegate.movements where edition = 900 and superseded_at is null""")
        )
        ours = sorted(tuple(row) for row in stored)
        whole = movements.together(db, of_test, names)
        spans = db.execute(text(movements.spans_sql(chosen)), {"connection": "acme", "customers": whole}).all()
        trying.rollback()
    with duckdb.connect() as duck_db:
        duck_db.execute(
            "create table ledger_spans (unit text, connection text, customer text, subscription text, "
            "item text, currency text, starts_at bigint, ends_at bigint, mrr bigint, counts boolean, "
            "price text, product text)"
        )
        duck_db.executemany(f"insert into ledger_spans values ({', '.join('?' * 12)})", [tuple(row) for row in spans])
        duck.derive(duck_db, chosen, begun.zone)
        listed = ", ".join(f'"{c}"' for c in columns)
        theirs = sorted(duck_db.execute(f"select {listed} from ledger_movements").fetchall())
    assert len(ours) == added > 150
    assert ours == theirs


def test_a_rebuild_writes_what_differs_and_says_the_same_as_a_refresh(books: Books) -> None:
    with books.shop.engine.connect() as db, db.begin() as trying:
        of_test = Ledger("acme", 901, policy("default"), editions.begin(db, "acme").zone, "")
        names = random_spans(db, 7)
        where = {"names": names}
        first = write_movements(db, of_test)
        assert first.added > 150
        assert first.superseded == 0
        assert write_movements(db, of_test) == (0, 0)
        db.execute(
            text("update tidegate.spans set mrr = mrr + 1000000 where customer = any(:names) and mrr > 0"), where
        )
        db.execute(text("delete from tidegate.spans where customer = :name"), {"name": names[0]})
        again = write_movements(db, of_test)
        assert again.added > 50
        assert again.superseded >= again.added
        assert movements.keep_movements(db, of_test, names) == (0, 0)
        stands = db.execute(
            text("""
select d.amount, d.movements, sum(m.amount), count(*) from tidegate.mrr_days d
left join tidegate.movements m on m.connection = d.connection and m.edition = d.edition and m.currency = d.currency
  and m.day = d.day and m.kind = d.kind and m.superseded_at is null
where d.connection = 'acme' and d.edition = 901 group by d.connection, d.edition, d.currency, d.day, d.kind""")
        ).all()
        trying.rollback()
    assert stands
    assert all((row[0], row[1]) == (row[2], row[3]) for row in stands)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (None, {}),
        (
            "update tidegate.spans set ends_at = '2027-01-01' where item = 'si_sub_{who}' and ends_at is not null",
            {
                "spans": ["sub_{who}/si_sub_{who} 2026-03-01T00:00:00Z"],
                "ledger": ["{who} usd 2026-03"],
                "price_days": ["2026-02-28 usd price_1000 worth", "2026-12-31 usd price_1000 worth"],
            },
        ),
        (
            "update tidegate.movements set amount = amount + 1 where customer = '{who}' and kind = 'new'",
            {
                "ledger": ["{who} usd 2026-01", "{who} usd 2026-03"],
                "movements": ["{unit} usd 2026-01-10T00:00:00Z"],
                "mrr_days": ["2026-01-09 usd new"],
                "price_days": ["2026-01-09 usd price_1000 new"],
            },
        ),
        (
            "update tidegate.movements set opening = opening + 1 where customer = '{who}' and kind = 'expansion'",
            {"movements": ["{unit} usd 2026-03-01T00:00:00Z"]},
        ),
        (
            "update tidegate.movements set opening = opening + 1, closing = closing + 1 "
            "where customer = '{who}' and kind = 'expansion'",
            {"movements": ["{unit} usd 2026-03-01T00:00:00Z"]},
        ),
        (
            "delete from tidegate.mrr_days where day = '2026-02-28' and currency = 'usd' and kind = 'expansion'",
            {"mrr_days": ["2026-02-28 usd expansion"]},
        ),
        (
            "update tidegate.price_days set amount = amount + 1 where day = '2026-02-28' and kind = 'expansion'",
            {"price_days": ["2026-02-28 usd price_1000 expansion"]},
        ),
    ],
    ids=["nothing", "overlap", "amount", "opening", "both ends", "day", "price"],
)
def test_the_audit_finds_what_does_not_add_up(books: Books, wrong: str | None, found: dict[str, Any]) -> None:
    [who] = books.who("zoe")
    of = books.pays(who, 1000)
    books.pays(who, 1000, day("2026-03-01"), of, quantity=3)
    books.refresh()
    with books.shop.engine.connect() as db, db.begin() as trying:
        unit = db.scalar(text("select unit from tidegate.movements where customer = :c limit 1"), {"c": who})
        if wrong is not None:
            db.execute(text(wrong.format(who=who)))
        told = {name: broken for name, broken in checks.broken(db, "acme").items() if broken}
        trying.rollback()
    wanted = {name: [one.format(who=who, unit=unit) for one in those] for name, those in found.items()}
    assert told == wanted


def test_superseded_rows_and_old_ledgers_are_kept_for_a_while(books: Books) -> None:
    [who] = books.who("old")
    of = books.pays(who, 500)
    books.refresh()
    books.pays(who, 900, day("2026-01-08"), of)
    books.refresh()
    run = "insert into tidegate.ledgers (connection, edition, preset, time_zone, adopted_at, retired_at) values {}"
    old = ", ".join(f"('gone', {edition}, 'default', 'UTC', now(), now())" for edition in range(1, 6))
    move = """
insert into tidegate.movements (edition, connection, unit, customer, subscription, item, currency, at, moved_at, day,
  kind, amount, opening, closing, price, product)
select e, 'gone', 'c', 'c', 's', 'i', 'usd', now(), now(), current_date, 'new', 1, 0, 1, 'p', 'p'
from generate_series(1, 5) e"""
    with books.shop.engine.begin() as db:
        db.execute(text(run.format(old)))
        for edition in range(1, 6):
            partitions.make(db, "gone", edition)
        db.execute(text(move))
        db.execute(
            text(
                "update tidegate.movements set superseded_at = superseded_at - interval '90 days' where customer = :c"
            ),
            {"c": who},
        )
    superseded = books.shop.scalar(
        f"select count(*) from tidegate.movements where customer = '{who}' and superseded_at is not null"
    )
    deleted = retention.forget_old(books.shop.engine)
    assert (deleted["movements"], deleted["ledgers"]) == (superseded, 2)
    assert superseded > 0
    assert books.shop.rows("select edition from tidegate.movements where connection = 'gone' order by 1") == [
        (3,),
        (4,),
        (5,),
    ]
    assert len(books.moves(who)) == 2


def test_of_several_subscriptions_the_one_that_changes_first_says_when_its_customer_is_due(books: Books) -> None:
    [who] = books.who("due")
    for name, resumes in (("a", "2030-03-01"), ("b", "2030-06-01")):
        paused = {"behavior": "void", "resumes_at": day(resumes)}
        books.pays(who, 1000, of=f"sub_{who}_{name}", pause_collection=paused)
    books.refresh()
    [[at]] = books.shop.rows(f"select changes_at from tidegate.revenue_due where customer = '{who}'")
    assert int(at.timestamp()) == day("2030-03-01")
