"""How an import spreads its readers: what is read first, and where a long range is cut."""

import math

from tidegate.mirror.plan import Load, Plan
from tidegate.mirror.ranges import Range
from tidegate.stripe_api.resources import RESOURCES

INVOICES, CUSTOMERS = RESOURCES["invoices"], RESOURCES["customers"]


def plan(*loads: Load, side_by_side: int = 4, readers: int = 8) -> Plan:
    return Plan(oldest=0, now=10_000, readers=readers, side_by_side=side_by_side, loads=list(loads))


def load(resource=INVOICES, *, density: float | None = 1.0, reading: bool = False, **range_: object) -> Load:
    return Load(Range(1, resource, **range_), density, reading)  # type: ignore[arg-type]


def test_an_unread_list_comes_before_one_whose_size_is_known() -> None:
    known, unknown = load(CUSTOMERS, reached=9_000), load(density=None)
    assert plan(known, unknown).next_unread() is unknown


def test_the_resource_with_most_left_comes_first() -> None:
    short, long = load(CUSTOMERS, since=9_000), load(since=1_000)
    assert plan(short, long).next_unread() is long


def test_a_resource_gets_no_more_readers_than_its_budget_feeds() -> None:
    waiting = load(since=0, until=5_000)
    assert plan(load(reading=True), waiting, side_by_side=1).next_unread() is None
    assert plan(load(reading=True), waiting, side_by_side=2).next_unread() is waiting


def test_the_longest_range_is_cut_in_the_middle_of_what_is_left() -> None:
    long = load(reading=True, reached=8_000, since=2_000)
    assert plan(long, load(reading=True, since=9_900)).longest_in_reading() is long
    assert long.middle(0, 10_000) == 5_000


def test_a_range_of_unknown_or_small_size_is_not_cut() -> None:
    assert plan(load(density=None, reading=True)).longest_in_reading() is None
    assert plan(load(reading=True, since=9_800)).longest_in_reading() is None


def test_a_list_without_created_filter_is_not_cut() -> None:
    assert plan(load(RESOURCES["payment_methods"], reading=True)).longest_in_reading() is None


def test_what_is_listed_per_parent_waits_for_the_parents() -> None:
    products, features = load(RESOURCES["products"], reading=True), load(RESOURCES["product_features"])
    assert plan(products, features).next_unread() is None
    products.range.done = True
    assert plan(products, features).next_unread() is None, "its last page is being stored"
    products.reading = False
    assert plan(products, features).next_unread() is features


def test_a_plan_is_finished_when_every_range_is_done_or_failed() -> None:
    done, failed, reading = load(done=True), load(error="no permission"), load(reading=True)
    assert plan(done, failed).finished()
    assert not plan(done, failed, reading).finished()
    assert not plan(done, load()).finished()


def test_density_is_learned_from_a_page() -> None:
    fresh = load(density=None, reached=9_000)
    assert fresh.remaining_pages(0, 10_000) == math.inf
    fresh.learn(newest=10_000, objects=100)
    assert fresh.density == 0.1
    assert fresh.remaining_pages(0, 10_000) == 9.0


def test_a_cut_spares_the_page_that_is_being_stored() -> None:
    long = load(reading=True, reached=8_000, since=2_000)
    long.ahead = 6_000
    assert long.middle(0, 10_000) == 4_000


def test_a_range_no_longer_than_every_readers_share_is_left_whole() -> None:
    side_by_side = [load(reading=True, since=since, reached=since + 1_000) for since in (0, 1_000, 2_000, 3_000)]
    assert plan(*side_by_side).longest_in_reading() is None
    side_by_side.append(load(CUSTOMERS, reading=True, since=0, reached=9_000))
    assert plan(*side_by_side).longest_in_reading() is side_by_side[-1]


def test_the_first_list_to_be_known_leaves_readers_for_those_that_are_not() -> None:
    known = load(reading=True, since=0, reached=3_000)
    unknown = [load(RESOURCES[name], density=None, reading=True) for name in ("customers", "charges")]
    assert plan(known, readers=3).longest_in_reading() is known
    assert plan(known, *unknown, readers=3).longest_in_reading() is None
