"""The demo's ledger held against what the simulated company itself says of its revenue."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.pricing.value import whole
from tidegate.revenue import editions

MILLION = 1_000_000
ROUNDED = Fraction(1, 1000)
"""Minor units that a customer's worth may differ by: the ledger rounds each item to millionths."""

Worth = dict[tuple[str, str], Fraction]
"""What customers are worth a month, by customer and currency, minor units."""


@dataclass(frozen=True, slots=True)
class Month:
    """What the ledger says of the end of a month, and what is true."""

    name: str
    kept: Worth
    true: Worth

    @property
    def customers(self) -> set[str]:
        """Those who are worth something, by the one or the other."""
        return {customer for customer, _ in self.kept.keys() | self.true.keys()}

    @property
    def wrong(self) -> set[str]:
        """The customers of whom the ledger says something else."""
        nothing = Fraction(0)
        lines = self.kept.keys() | self.true.keys()
        return {line[0] for line in lines if abs(self.kept.get(line, nothing) - self.true.get(line, nothing)) > ROUNDED}

    def mrr(self) -> dict[str, int]:
        """By currency, in whole minor units, as the ledger says."""
        found: dict[str, Fraction] = {}
        for (_, currency), amount in self.kept.items():
            found[currency] = found.get(currency, Fraction(0)) + amount
        return {currency: whole(amount) for currency, amount in sorted(found.items())}


def compared(engine: Engine, account: Account, truth: Mapping[str, Any]) -> list[Month]:
    """Every month of the company's life, the last one up to its present. `truth`: as /__truth/revenue answers."""
    told = truth["months"]
    with engine.connect() as db:
        kept = _kept(db, account.name, [month["ends"] for month in told])
    return [
        Month(
            month["month"],
            kept[month["ends"]],
            {(one["customer"], one["currency"]): Fraction(one["mrr"]) for one in month["customers"]},
        )
        for month in told
    ]


def zone(engine: Engine, account: Account) -> str:
    """The time zone in which the ledger's months end."""
    with engine.connect() as db:
        return editions.terms(db, account.name).zone.key


def as_json(months: list[Month]) -> dict[str, Any]:
    """What the comparison says: the present by customer; of the past, how many of customers' months are exact."""
    now, past = months[-1], months[:-1]
    all_ = sum(len(month.customers) for month in past)
    return {
        "mrr": now.mrr(),
        "customers": len(now.customers),
        "wrong": sorted(now.wrong),
        "recovered": 1 - sum(len(month.wrong) for month in past) / all_ if all_ else 1.0,
        "months": [{"month": month.name, "mrr": month.mrr()} for month in months],
    }


def _kept(db: Connection, connection: str, ends: list[int]) -> dict[int, Worth]:
    found: dict[int, Worth] = {one: {} for one in ends}
    for row in db.execute(_STANDING, {"connection": connection, "ends": ends}):
        found[row.ends][row.customer, row.currency] = Fraction(row.mrr, MILLION)
    return found


_STANDING = text("""
select e.ends, s.customer, s.currency, sum(s.mrr)::bigint as mrr
from unnest(cast(:ends as bigint[])) e(ends)
join tidegate.spans s on s.connection = :connection and s.starts_at < to_timestamp(e.ends)
  and (s.ends_at is null or s.ends_at >= to_timestamp(e.ends))
group by 1, 2, 3 having sum(s.mrr) <> 0""")
