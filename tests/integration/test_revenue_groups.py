"""Reports by group read sums that are kept: they say what the whole ledger says, whatever happened meanwhile."""

import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text
from tests.support import earning, grouped, ledgers
from tests.support.earning import Books, at
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.catalog import mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.pricing.policy import policy
from tidegate.revenue import checks, editions, source
from tidegate.revenue.editions import Ledger
from tidegate.sandbox.clock import add_interval
from tidegate.wiring import Hub
from tidegate.workflows.revenue import exclusions, ledger_policy
from tidegate.workflows.revenue.ledger_policy import write_movements

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

MONTHS = 14


@pytest.fixture
def live(hub: Hub, make_sandbox: "Callable[..., Sandbox]") -> Live:
    """A company that a hub is connected to for its first fourteen months."""
    live = Live(hub, make_sandbox(customers=60, months=MONTHS, ahead=MONTHS))
    imported(hub, live.account)
    for month in (3, 7, 10, MONTHS):
        ledgers.live_on(live, add_interval(live.sandbox.config.starts, "month", month))
    return live


def company(live: Live) -> tuple[list[str], int]:
    """What of its reports differs from its ledger, and how many sums do not; the invariants hold."""
    begins = datetime.fromtimestamp(live.sandbox.config.starts, UTC).date()
    with live.hub.engine.connect() as db:
        assert {name: broken for name, broken in checks.broken(db, live.name).items() if broken} == {}
        ledger = editions.begin(db, live.name)
        return grouped.differences(db, ledger, begins + timedelta(days=100), begins + timedelta(days=400))


def described(live: Live) -> None:
    """Packages for half of the products and one price, contacts of two customers each with a property."""
    with live.hub.engine.begin() as db:
        products = list(db.scalars(text("select id from stripe.products order by id")))
        prices = list(db.scalars(text("select id from stripe.prices order by id")))
        for n, key in enumerate(("basic", "pro")):
            packages.define(db, key)
            packages.draft(db, key, {})
            packages.publish(db, key)
            for product in products[n::4]:
                mappings.set_(db, Wanted(live.name, product=product, package=key))
        mappings.set_(db, Wanted(live.name, price=prices[0], package="pro"))
        db.execute(text(CONTACTS))
        db.execute(text(LINKS))
        customers = list(db.scalars(text("select id from stripe.customers order by id")))
    with live.hub.engine.begin() as db:
        ledgers.ledger.keep(db, editions.begin(db, live.name), customers, live.now)


CONTACTS = """
insert into tidegate.contacts (livemode, kind, external_id, made_by, properties)
select false, 'account', 'a' || n, 'api', jsonb_build_object('tier', (array['gold', 'silver'])[1 + n % 2])
from generate_series(1, 40) n"""
LINKS = """
insert into tidegate.links (connection, customer, contact, method, evidence)
select c.connection, c.id, k.key, 'manual', '{}'
from (select connection, id, row_number() over (order by id) / 2 as n from stripe.customers) c
join tidegate.contacts k on k.external_id = 'a' || c.n
on conflict (connection, customer) do update set contact = excluded.contact"""


@pytest.mark.wide
def test_of_a_company_every_group_says_what_its_ledger_says(live: Live) -> None:
    found, equal = company(live)
    assert found == []
    assert equal > 1500, "there is something to compare"

    described(live)
    assert company(live)[0] == []
    paying = live.one("select customer from tidegate.spans where mrr > 0 order by customer limit 1")
    for _ in range(2):
        exclusions.exclude(live.hub.engine, live.account, paying, "a test", "me")
        assert company(live)[0] == []
    ledgers.keep_all(live)
    assert company(live)[0] == []
    exclusions.include(live.hub.engine, live.account, paying, "me")
    assert company(live)[0] == []

    with live.hub.engine.connect() as db, db.begin() as trying:
        kept = grouped.standing(db)
        assert {str(row[6]) for row in kept} >= {"new", "contraction", "worth"}
        assert write_movements(db, editions.begin(db, live.name)) == (0, 0)
        assert grouped.standing(db) == kept, "a rebuild finds them as they are"
        db.execute(text("delete from tidegate.price_days where day > '2025-06-01' or kind = 'new'"))
        db.execute(text("update tidegate.price_days set amount = amount + 1 where kind = 'contraction'"))
        db.execute(text(STRAY))
        write_movements(db, editions.begin(db, live.name))
        assert grouped.standing(db) == kept, "or puts them right"
        trying.rollback()
    for choices in ({"discounts": "none"}, {"netting": "day", "unit": "customer"}):
        ledger_policy.adopt(live.hub.engine, live.account, {"choices": choices, "time_zone": "Asia/Tokyo"}, "me")
        assert company(live)[0] == []
    assert live.one("select count(distinct edition) from tidegate.price_days") == 1


STRAY = """
insert into tidegate.price_days (connection, edition, currency, day, price, product, kind, amount)
select connection, edition, 'chf', '2020-01-01', 'price_stray', 'prod_stray', 'new', 7 from tidegate.ledgers"""


@pytest.fixture
def books(fresh_database_url: str) -> Iterator[Books]:
    with earning.opened(fresh_database_url) as books:
        for n in range(0, 60, 3):
            books.link(f"acme{n}", f"cus_{n}", f"cus_{n + 1}", tier=f"tier {n % 4}")
        yield books


@pytest.mark.parametrize(
    "choices",
    [
        {},
        pytest.param({"zero": "contraction", "netting": "instant"}, marks=pytest.mark.wide),
        pytest.param({"netting": "day", "unit": "customer"}, marks=pytest.mark.wide),
        {"netting": "period"},
    ],
    ids=str,
)
def test_whatever_belongs_to_one_movement(books: Books, choices: dict[str, str]) -> None:
    """Changes around midnight, of prices and amounts, by hours and by days: what moves late counts where it moved."""
    dice = random.Random(f"{choices}")
    for n in range(60):
        begins = at("2026-01-28 22:30") + timedelta(minutes=dice.randint(0, 400))
        for _ in range(dice.randint(1, 7)):
            ends = begins + timedelta(minutes=dice.choice([10, 25, 40, 600, 3000, 40_000]))
            price = dice.randint(1, 4)
            books.span(
                f"cus_{n}", dice.choice([0, 500, 500, 700]), f"{begins:%Y-%m-%d %H:%M}", f"{ends:%Y-%m-%d %H:%M}",
                price=f"price_{price}", product=f"prod_{price % 2}", currency="eur" if n % 5 == 0 else "usd",
            )  # fmt: skip
            begins = ends + timedelta(minutes=dice.choice([0, 0, 0, 15, 5000]))
    books.ledger = Ledger("acme", 1, policy("default", choices), ZoneInfo("Europe/Berlin"), "")
    books.keep()
    with books.engine.connect() as db, db.begin() as trying:
        found, equal = grouped.differences(db, books.ledger, date(2026, 1, 29), date(2026, 2, 20))
        kept = grouped.standing(db)
        write_movements(db, books.ledger)
        assert grouped.standing(db) == kept
        trying.rollback()
    assert found == []
    assert equal > 300


def test_movements_are_looked_up_in_contacts_by_what_is_known_of_them(engine: Engine) -> None:
    """Else PostgreSQL takes all contacts for one, and looks a hundred thousand of them up in millions of movements."""
    with engine.begin() as db:
        ledger = Ledger("acme", 1, policy(), ZoneInfo("UTC"), "usd")
        source_of = source.moves(ledger, source.group("property:sector"))
        [told] = re.findall(r"select ('contact:' \|\| )t\.(key) as unit", source_of)
        db.execute(
            text("""
insert into tidegate.contacts (livemode, kind, external_id, made_by, properties)
select false, 'account', 'many' || n, 'stripe', '{}' from generate_series(1, 100) n""")
        )
        db.execute(text("analyze tidegate.contacts"))
        known = db.execute(text("select expr, n_distinct from pg_stats_ext_exprs where tablename = 'contacts'")).all()
        [(expression, distinct)] = known
        same = db.scalar(text(f"select bool_and({expression} = {''.join(told)}) from tidegate.contacts"))
        assert (same, distinct) == (True, -1), "each is another"
        db.rollback()
