"""A pause of collection that only invoices tell of: those that ended as soon as they were finalised."""

from typing import Any

import pytest
from tests.support.histories import FIRST_SEEN, MONTHLY, bill, billed, day, lived, spans, told, version

from tidegate.revenue.history.evidence import Billed

SEEN = [version(FIRST_SEEN, lived(MONTHLY), "read")]
JAN = bill("in_1", "2025-01-01", billed("2025-01-01", "2025-02-01", 1000), reason="subscription_create")
MAR = bill("in_3", "2025-03-01", billed("2025-03-01", "2025-04-01", 1000))
FINALISED = day("2025-02-01T01:00")
NEVER_PAUSED = [("2025-01-01", "2025-12-10", 1000), ("2025-12-10", "", 1000)]


def february(status: str, ended: str, after: int = 0, **more: Any) -> list[Billed]:
    times = {"finalized_at": FINALISED, ended: FINALISED + after}
    told = {"status": status, "status_transitions": times, "attempt_count": 0} | more
    return bill("in_2", "2025-02-01", billed("2025-02-01", "2025-03-01", 1000), **told)


@pytest.mark.parametrize(
    ("status", "ended", "behavior"),
    [("void", "voided_at", "void"), ("uncollectible", "marked_uncollectible_at", "mark_uncollectible")],
)
def test_a_renewal_that_nobody_was_asked_to_pay_counts_for_nothing(status: str, ended: str, behavior: str) -> None:
    found = spans(SEEN, [JAN, february(status, ended), MAR])
    assert told(found)[:3] == [
        ("2025-01-01", "2025-02-01", 1000), ("2025-02-01", "2025-03-01", 0), ("2025-03-01", "2025-12-10", 1000),
    ]  # fmt: skip
    assert (found[1].why_not, found[1].source) == (f"collection is paused ({behavior})", "in_2")


@pytest.mark.parametrize(
    "more",
    [
        {"after": 3600},
        {"attempt_count": 1},
        {"billing_reason": "subscription_update"},
        {"status_transitions": {"voided_at": FINALISED}},
        {"status_transitions": None},
    ],
    ids=["somebody voided it later", "its payment was tried", "no renewal", "never finalised", "nothing is told"],
)
def test_any_other_void_invoice_tells_nothing(more: dict[str, Any]) -> None:
    assert told(spans(SEEN, [JAN, february("void", "voided_at", **more), MAR])) == NEVER_PAUSED


def test_a_bad_debt_is_evidence_as_any_bill() -> None:
    bad = february("uncollectible", "marked_uncollectible_at", after=40 * 86_400, attempt_count=4)
    assert told(spans(SEEN, [JAN, bad, MAR])) == NEVER_PAUSED
