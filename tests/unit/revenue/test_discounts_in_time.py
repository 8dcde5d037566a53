"""Discounts over time: those whose time is over, those that only invoices tell of, those given in between."""

import pytest
from tests.support.histories import AS_OF, BORN, FIRST_SEEN, bill, billed, day, lived, prorated, spans, told, version
from tests.support.priced import Json, coupon, discount, item, price

JAN = ("2025-01-01", "2025-02-01")
FEB = ("2025-02-01", "2025-03-01")
YEAR = {"current_period_start": BORN, "current_period_end": day("2026-01-01")}
YEARLY = item(price(12_000, "year", id="price_1"), **YEAR)
QUARTER = discount(coupon(50, duration="repeating"), start=BORN, end=day("2025-04-01"))
OVER = day("2025-04-01")


def off(*taken: tuple[str, int], own: tuple[str, ...] = ()) -> Json:
    """What discounts took off a line, in order; `own`: those of its item."""
    return {"discount_amounts": [{"discount": id_, "amount": amount} for id_, amount in taken], "discounts": list(own)}


def test_stripe_takes_an_ended_discount_away_but_what_was_billed_before_keeps_it_to_its_end() -> None:
    versions = [version(BORN, lived(YEARLY, discounts=[QUARTER])), version(OVER, lived(YEARLY))]
    assert told(spans(versions, at=day("2026-02-01"))) == [("2025-01-01", "2026-01-01", 500), ("2026-01-01", "", 1000)]


def test_of_an_item_likewise_and_an_item_added_later_never_had_it() -> None:
    item_own = YEARLY | {"discounts": [QUARTER]}
    versions = [version(BORN, lived(item_own)), version(OVER, lived(YEARLY))]
    assert told(spans(versions)) == [("2025-01-01", "2026-01-01", 500), ("2026-01-01", "", 1000)]
    late = item(price(900), current_period_start=day("2025-05-01"), current_period_end=day("2025-06-01"))
    versions = [version(BORN, lived(YEARLY, discounts=[QUARTER])), version(OVER, lived(YEARLY, late))]
    assert [span.mrr for span in spans(versions) if span.item == "si_2"] == [900_000_000]


def test_it_outlasts_what_else_changes_and_not_the_next_period() -> None:
    more = item(price(12_000, "year", id="price_1"), 2, **YEAR)
    renewed = item(price(12_000, "year", id="price_1"), current_period_start=AS_OF, current_period_end=AS_OF + 1)
    versions = [
        version(BORN, lived(YEARLY, discounts=[QUARTER])),
        version(OVER, lived(YEARLY)),
        version(day("2025-06-01"), lived(more)),
        version(AS_OF, lived(renewed)),
    ]
    assert told(spans(versions)) == [
        ("2025-01-01", "2025-06-01", 500), ("2025-06-01", "2026-01-01", 1000), ("2026-01-01", "", 1000),
    ]  # fmt: skip


def test_one_that_was_taken_away_before_its_end_is_gone_at_once() -> None:
    versions = [version(BORN, lived(YEARLY, discounts=[QUARTER])), version(OVER - 1, lived(YEARLY))]
    assert told(spans(versions))[1:] == [("2025-03-31T23:59", "", 1000)]


def test_while_it_lasts_the_customers_own_does_not_come_in_its_place() -> None:
    theirs = discount(coupon(10, id="c_2"), id="di_2", start=BORN)
    versions = [
        version(BORN, lived(YEARLY, discounts=[QUARTER]), customer_discounts=[theirs]),
        version(OVER, lived(YEARLY), customer_discounts=[theirs]),
        version(AS_OF, lived(YEARLY | {"current_period_start": AS_OF}), customer_discounts=[theirs]),
    ]
    assert told(spans(versions)) == [("2025-01-01", "2026-01-01", 500), ("2026-01-01", "", 900)]


def test_an_import_finds_it_on_the_invoice_of_the_period() -> None:
    first = bill("in_1", "2025-01-01", billed("2025-01-01", "2026-01-01", 12_000, **off(("di_1", 6000))))
    seen = [version(FIRST_SEEN, lived(YEARLY), "read", discounts=[QUARTER])]
    assert told(spans(seen, [first])) == [
        ("2025-01-01", "2025-12-10", 500), ("2025-12-10", "2026-01-01", 500), ("2026-01-01", "", 1000),
    ]  # fmt: skip


def test_an_amount_off_the_whole_is_shared_as_pricing_shares_it_and_not_as_lines_were_rounded() -> None:
    """1,000 off 8,160 and 300: the lines say 965 and 35, the whole is 7,460 either way, each item to the millionth."""
    small = item(price(300, id="price_2"))
    team = item(price(1200, id="price_1"), 8, discounts=[])
    known = [
        discount(coupon(None, 1000, id="c_1"), id="di_1", start=BORN),
        discount(coupon(15, id="c_2"), id="di_2", start=BORN, subscription_item="si_1"),
    ]
    first = bill(
        "in_1",
        "2025-01-01",
        billed(*JAN, 9600, 8, **off(("di_2", 1440), ("di_1", 965), own=("di_2",))),
        billed(*JAN, 300, of="si_2", price="price_2", **off(("di_1", 35))),
    )
    seen = [version(FIRST_SEEN, lived(team, small), "read", discounts=known)]
    past = [span for span in spans(seen, [first]) if span.provenance == "inferred"]
    assert [span.mrr for span in past] == [7_195_460_993, 264_539_007]


@pytest.mark.parametrize(
    ("lines", "worth"),
    [
        ([billed(*JAN, 4900, **off(("di_1", 1470)))], 3430),
        ([billed(*JAN, 4990, **off(("di_1", 1272)))], 4990 * 0.745),
        ([billed(*JAN, 4900, **off(("di_1", 999)))], 3901),
        ([billed(*JAN, 4900, **off(("di_2", 980), ("di_1", 1176), own=("di_2",)))], 2744),
    ],
    ids=["per cent", "a tenth of one", "an amount", "of what others left"],
)
def test_a_coupon_that_was_deleted_is_told_by_what_it_took_off(lines: list[Json], worth: float) -> None:
    amount = lines[0]["amount"]
    second = [one | {"period": {"start": day(FEB[0]), "end": day(FEB[1])}} for one in lines]
    gone = discount("gone", id="di_1", start=BORN)
    other = discount(coupon(20, id="c_2"), id="di_2", start=BORN)
    own = [other] if "di_2" in str(lines) else []
    now = item(price(amount, id="price_1"), discounts=own)
    seen = [version(FIRST_SEEN, lived(now, discounts=[gone]), "read", discounts=[gone, other])]
    found = told(spans(seen, [bill("in_1", JAN[0], *lines), bill("in_2", FEB[0], *second)]))
    assert found == [("2025-01-01", "2025-12-10", worth), ("2025-12-10", "", worth)]


def test_what_stood_on_one_invoice_alone_and_is_gone_was_for_that_one() -> None:
    first = bill("in_1", JAN[0], billed(*JAN, 1000, **off(("di_x", 100))))
    second = bill("in_2", FEB[0], billed(*FEB, 1000))
    seen = [version(FIRST_SEEN, lived(item(price(1000, id="price_1"))), "read")]
    assert told(spans(seen, [first, second]))[0] == ("2025-01-01", "2025-12-10", 1000)
    second = bill("in_2", FEB[0], billed(*FEB, 1000, **off(("di_x", 100))))
    third = bill("in_3", "2025-03-01", billed("2025-03-01", "2025-04-01", 1000))
    assert told(spans(seen, [first, second, third]))[:2] == [
        ("2025-01-01", "2025-03-01", 900), ("2025-03-01", "2025-12-10", 1000),
    ]  # fmt: skip


def test_a_discount_counts_from_when_it_was_given_not_from_the_invoice_that_bears_it_first() -> None:
    given = discount(coupon(50), start=day("2025-01-20"))
    bills = [
        bill("in_1", JAN[0], billed(*JAN, 1000)),
        bill("in_2", FEB[0], billed(*FEB, 1000, **off(("di_1", 500)))),
    ]
    seen = [version(FIRST_SEEN, lived(item(price(1000, id="price_1")), discounts=[given]), "read", discounts=[given])]
    assert told(spans(seen, bills))[:2] == [("2025-01-01", "2025-01-20", 1000), ("2025-01-20", "2025-12-10", 500)]


def test_a_change_in_between_keeps_the_discounts_of_its_period_also_past_their_end() -> None:
    """The proration is net of the discount and does not name it."""
    short = discount(coupon(50, duration="repeating"), start=BORN, end=day("2025-01-15"))
    bills = [
        bill("in_1", JAN[0], billed(*JAN, 1000, **off(("di_1", 500)))),
        bill("in_2", "2025-01-20", prorated("2025-01-20", "2025-02-01", 387, 2, unit=1000)),
        bill("in_3", FEB[0], billed(*FEB, 2000, 2)),
    ]
    seen = [version(FIRST_SEEN, lived(item(price(1000, id="price_1"), 2)), "read", discounts=[short])]
    assert told(spans(seen, bills))[:3] == [
        ("2025-01-01", "2025-01-20", 500), ("2025-01-20", "2025-02-01", 1000), ("2025-02-01", "2025-12-10", 2000),
    ]  # fmt: skip


def test_a_period_that_began_with_a_change_bears_the_discounts_of_the_one_before() -> None:
    """From months to a year before its end, and up after it: the year was billed while it held."""
    short = discount(coupon(50, duration="repeating"), start=BORN, end=day("2025-02-01"))
    year = {"of": "si_1", "price": "price_y"}
    bills = [
        bill("in_1", JAN[0], billed(*JAN, 1000, **off(("di_1", 500)))),
        bill("in_2", "2025-01-11", prorated("2025-01-11", "2026-01-11", 6000, unit=12_000, **year)),
        bill("in_3", "2025-05-11", prorated("2025-05-11", "2026-01-11", 8000, 2, unit=12_000, **year)),
    ]
    yearly = price(12_000, "year", id="price_y")
    now = item(yearly, 2, current_period_start=day("2025-01-11"), current_period_end=day("2026-01-11"))
    seen = [version(FIRST_SEEN, lived(now), "read", discounts=[short], prices=[yearly, price(1000, id="price_1")])]
    assert told(spans(seen, bills)) == [
        ("2025-01-01", "2025-01-11", 500), ("2025-01-11", "2025-05-11", 500),
        ("2025-05-11", "2025-12-10", 1000), ("2025-12-10", "", 1000),
    ]  # fmt: skip


def test_one_of_the_second_that_a_period_began_is_of_the_period_whose_invoice_bears_it() -> None:
    given = discount(coupon(50), start=BORN)
    bills = [
        bill("in_1", JAN[0], billed(*JAN, 1000)),
        bill("in_2", FEB[0], billed(*FEB, 1000, **off(("di_1", 500)))),
    ]
    seen = [version(FIRST_SEEN, lived(item(price(1000, id="price_1")), discounts=[given]), "read", discounts=[given])]
    assert told(spans(seen, bills))[:2] == [("2025-01-01", "2025-02-01", 1000), ("2025-02-01", "2025-12-10", 500)]


def test_a_deleted_coupon_that_stood_on_one_invoice_and_is_still_held_goes_on() -> None:
    gone = discount("gone", id="di_1", start=BORN)
    now = lived(item(price(1000, id="price_1")), discounts=[gone])
    first = bill("in_1", JAN[0], billed(*JAN, 1000, **off(("di_1", 100))))
    assert told(spans([version(FIRST_SEEN, now, "read", discounts=[gone])], [first]))[-1] == ("2025-12-10", "", 900)


def test_one_whose_time_is_over_and_that_is_still_told_counts_once() -> None:
    versions = [
        version(BORN, lived(YEARLY, discounts=[QUARTER])),
        version(OVER + 9, lived(YEARLY, discounts=[QUARTER])),
    ]
    assert told(spans(versions)) == [("2025-01-01", "2026-01-01", 500), ("2026-01-01", "", 1000)]


def test_what_lasts_of_an_items_own_discount_goes_by_the_period_of_that_item() -> None:
    month = {"current_period_start": OVER, "current_period_end": day("2025-05-01")}
    monthly = item(price(1000, id="price_2"), **month)
    before = lived(monthly | {"discounts": [QUARTER]}, YEARLY)
    found = spans([version(OVER - 9, before), version(OVER, lived(monthly, YEARLY))], at=OVER)
    assert [one.mrr for one in found if one.item == "si_1" and one.ends_at is None] == [1_000_000_000]
