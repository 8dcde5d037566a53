"""How the page says numbers, sizes, times and names."""

from datetime import UTC, datetime

import pytest

from tidegate.web import wording
from tidegate.web.templating import code

AS_OF = datetime(2026, 11, 21, 3, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("problem", "said"),
    [("webhook_silent", "Webhook silent"), ("oauth_revoked", "OAuth access revoked"), ("disk_low", "Disk low")],
)
def test_a_problem_is_said_in_words(problem: str, said: str) -> None:
    assert wording.problem(problem) == said


@pytest.mark.parametrize(
    ("subject", "page"),
    [
        ("sync:accounts", "/syncs/accounts"),
        ("connection:a/b", "/connections/a%2Fb"),
        ("destination:ops", "/destinations/ops"),
        ("action:renewal-30", "/actions/renewal-30"),
        ("owner:ada", ""),
        ("hub", ""),
    ],
)
def test_what_an_alert_is_about_has_a_page(subject: str, page: str) -> None:
    assert wording.subject_page(subject) == page


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-11-21T03:00:00Z", "0 s ago"),
        ("2026-11-21T02:59:18Z", "42 s ago"),
        ("2026-11-21T02:59:00Z", "1 min ago"),
        ("2026-11-21T00:59:00Z", "2 h ago"),
        ("2026-11-19T02:00:00Z", "2 days ago"),
        ("2026-11-21T04:00:00+01:00", "0 s ago"),
        ("2026-11-21T03:00:09Z", "0 s ago"),
    ],
)
def test_times_are_said_in_their_largest_unit(at: str, said: str) -> None:
    assert wording.ago(at, AS_OF) == said


@pytest.mark.parametrize(
    ("octets", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (12_345_678, "12 MB"), (4_200_000_000_000, "4.2 TB")],
)
def test_sizes(octets: int, said: str) -> None:
    assert wording.size(octets) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("subscription_items", "Subscription items"),
        ("entitlements/features", "Entitlements features"),
        ("invoiceitems", "Invoice items"),
        ("test_helpers/test_clocks", "Test clocks"),
        ("key_invalid", "Key invalid"),
        ("mrr_trend", "MRR trend"),
        ("url", "URL"),
    ],
)
def test_names_are_said_in_words(name: str, said: str) -> None:
    assert wording.title(name) == said


@pytest.mark.parametrize(
    ("at", "said"),
    [("2026-11-21T05:00:00Z", "in 2 h"), ("2026-11-21T03:00:42Z", "in 42 s"), ("2026-11-21T02:00:00Z", "now")],
)
def test_what_is_to_come_is_said_in_its_largest_unit(at: str, said: str) -> None:
    assert wording.ahead(at, AS_OF) == said


@pytest.mark.parametrize(
    ("state", "mended", "said"),
    [
        ("done", {}, "Nothing had to be mended"),
        ("interrupted", {}, "Did not come to its end"),
        ("done", {"customers": (1, 0, 0)}, "Mended 1 missing: customers"),
        (
            "incomplete",
            {"customers": (1000, 2, 0), "invoiceitems": (0, 1, 4)},
            "Mended 1,000 missing, 3 changed and 4 deleted in Stripe: customers, invoice items",
        ),
    ],
)
def test_what_a_sweep_found_is_said_in_words(state: str, mended: dict[str, tuple[int, int, int]], said: str) -> None:
    found = {
        name: dict(zip(("missing", "changed", "vanished"), numbers, strict=True)) for name, numbers in mended.items()
    }
    assert wording.found({"state": state, "mended": found}) == said


def test_utc_and_count() -> None:
    assert wording.utc("2026-11-21T04:00:00+01:00") == "2026-11-21 03:00:00 UTC"
    assert wording.count(1_234_567) == "1,234,567"


def test_backquotes_become_code_and_the_rest_is_escaped() -> None:
    assert code("run `a<b>` & <i>") == "run <code>a&lt;b&gt;</code> &amp; &lt;i&gt;"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "renews_at comes within 30 days (2026-12-02T15:12:00+00:00)",
            "its renewal comes within 30 days (2026-12-02 15:12 UTC)",
        ),
        (
            "trial_ending: trial_ends_at comes within 7 days (2026-12-02T16:12:00+01:00)",
            "trial ending: the end of its trial comes within 7 days (2026-12-02 15:12 UTC)",
        ),
        ("subscription.status is active or past_due (active)", "subscription status is active or past due (active)"),
        ("unhealthy is yes (yes)", "unhealthy: yes"),
        ("email ends with @acme.example (ada@acme.example)", "email ends with @acme.example (ada@acme.example)"),
    ],
)
def test_reasons_are_said_to_who_writes_no_rules(reason: str, said: str) -> None:
    assert wording.plainly(reason) == said
