"""How the page says numbers, sizes, times and names. Pure."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tidegate.money import decimal, shown
from tidegate.revenue.rounding import whole


def count(number: int) -> str:
    """1234567 as `1,234,567`."""
    return f"{number:,}"


def size(octets: int) -> str:
    """Bytes as `12 MB`, by thousands."""
    amount = float(octets)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


SHORT = {"api", "fx", "http", "id", "mrr", "sql", "url"}
"""Words that are initials."""


def title(name: str) -> str:
    """A resource's or code's name in words: `subscription_items` as `Subscription items`, `url` as `URL`."""
    parts = name.removeprefix("test_helpers/").replace("invoiceitems", "invoice_items").replace("/", "_").split("_")
    words = [part.upper() if part.lower() in SHORT else part.lower() for part in parts]
    words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words)


SAID_OTHERWISE = {"oauth_revoked": "OAuth access revoked", "mode_wrong": "Live and test mode confused"}
"""Codes of problems whose words, just put apart, would say too little."""


def problem(code: str) -> str:
    """A problem's code in words: `webhook_silent` as `Webhook silent`."""
    return SAID_OTHERWISE.get(code) or title(code)


CALLED = {
    "churned_at": "its MRR falling to 0",
    "downgraded_at": "its last downgrade",
    "ends_at": "the end that was asked for",
    "last_active_at": "its last use",
    "renews_at": "its renewal",
    "trial_ends_at": "the end of its trial",
    "card.expires_at": "the end of its card",
}
"""Fields of conditions whose names read badly in a sentence."""
FIELD = re.compile(r"(^|[:;] )([a-z]+(?:[_.][a-z]+)+)(?=[ :])")
INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def plainly(reason: str) -> str:
    """The reason of a rule for who does not write rules: `renews_at comes within 7 days (2026-12-02T15:12:00+00:00)` as
    `its renewal comes within 7 days (2026-12-02 15:12 UTC)`.
    """
    timed = INSTANT.sub(lambda found: f"{moment(found[0]).astimezone(UTC):%Y-%m-%d %H:%M} UTC", reason)
    named = FIELD.sub(lambda found: found[1] + (CALLED.get(found[2]) or re.sub("[_.]", " ", found[2])), timed)
    return named.replace("past_due", "past due").replace(" is yes (yes)", ": yes")


def moment(text: str) -> datetime:
    """An ISO 8601 time with zone."""
    return datetime.fromisoformat(text)


def ago(text: str, as_of: datetime) -> str:
    """How long ago an ISO 8601 time was at `as_of`, in its largest unit: `3 min ago`."""
    return f"{span((as_of - moment(text)).total_seconds())} ago"


def ahead(text: str, as_of: datetime) -> str:
    """How long after `as_of` an ISO 8601 time is, in its largest unit: `in 3 min`; what is due, `now`."""
    seconds = (moment(text) - as_of).total_seconds()
    return f"in {span(seconds)}" if seconds >= 1 else "now"


def found(sweep: dict[str, Any]) -> str:
    """What a sweep came to: `Nothing had to be mended`, `Mended 2 missing and 1 changed: customers, prices`."""
    numbers = {what: sum(counts[what] for counts in sweep["mended"].values()) for what in ("missing", "changed")}
    numbers["deleted in Stripe"] = sum(counts["vanished"] for counts in sweep["mended"].values())
    told = [f"{count(number)} {what}" for what, number in numbers.items() if number]
    if not told:
        return "Nothing had to be mended" if sweep["state"] == "done" else "Did not come to its end"
    *first, last = told
    names = ", ".join(title(name) for name in sweep["mended"])
    return f"Mended {', '.join(first)}{' and ' if first else ''}{last}: {names.lower()}"


def span(seconds: float) -> str:
    """A duration in its largest unit: `42 s`, `3 min`, `5 h`, `2 days`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 2 * 86_400:
        return f"{whole // 3600} h"
    return f"{whole // 86_400} days"


def day(at: datetime | str | None) -> str:
    """A time with zone as its day, UTC: `2026-11-21`; a dash for what is unknown."""
    if at is None:
        return "–"
    return f"{(moment(at) if isinstance(at, str) else at).astimezone(UTC):%Y-%m-%d}"


def percent(ratio: float | None) -> str:
    """0.125 as `12.5 %`; a dash for what there is none of."""
    return "–" if ratio is None else f"{ratio * 100:,.1f} %"


def number(value: Any, places: int = 2) -> str:
    """A number with at most so many decimals: `1,234.5`; a dash for what is unknown."""
    if value is None:
        return "–"
    said = f"{value:,.{places}f}"
    return said.rstrip("0").rstrip(".") if "." in said else said


def mrr(amounts: Mapping[str, int | str]) -> str:
    """What a contact pays a month, by currency in millionths of a minor unit: `84.58 EUR, 295.00 USD`."""
    return ", ".join(shown(whole(int(amount)), currency) for currency, amount in sorted(amounts.items())) or "–"


def contact_page(ref: str, what: str = "contacts") -> str:
    """Where the page of a contact is, or of its `timelines` or `notes`."""
    return f"/{what}/{quote(ref, safe=':@')}"


def instant(seconds: int) -> str:
    """Epoch seconds as `2026-11-21 03:00:08 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def cut(text: str, characters: int = 120) -> str:
    """A text of at most so many characters; one that was longer ends with an ellipsis."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def sync_page(key: str) -> str:
    """Where the page of a sync is."""
    return f"/syncs/{quote(key, safe='')}"


def run_page(sync: str, run: int) -> str:
    """Where the page of a run is."""
    return f"{sync_page(sync)}/runs/{run}"


def destination_page(key: str) -> str:
    """Where the page of a destination is."""
    return f"/destinations/{quote(key, safe='')}"


def sent(counts: Mapping[str, int]) -> str:
    """What a run sent, by operation: `30 update, 10 create`."""
    return ", ".join(f"{count(number)} {operation}" for operation, number in counts.items())


def value(said: Any) -> str:
    """A value of a field as it is shown: text as it is, nothing as a dash, the rest as JSON."""
    if said is None or said == "":
        return "–"
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str)


def object_page(id_: str, table: str, connection: str) -> str:
    """Where the page of an object of the mirror is, which needs nobody's account at Stripe."""
    return f"/mirror/{quote(connection, safe='')}/{table}/{quote(id_, safe='')}"


SUBJECTS = {"action": "actions", "connection": "connections", "destination": "destinations", "sync": "syncs"}
"""What an alert of the hub itself may be about, and under which path the page of it is."""


def subject_page(subject: str) -> str:
    """Where the page is of what an alert of the hub is about, such as `sync:accounts`; empty where it has none."""
    kind, _, key = subject.partition(":")
    return f"/{SUBJECTS[kind]}/{quote(key, safe='')}" if key and kind in SUBJECTS else ""


def package_page(key: str) -> str:
    """Where the page of a package is."""
    return f"/packages/{quote(key, safe='')}"


def utc(text: str) -> str:
    """An ISO 8601 time as `2026-11-21 03:00:08 UTC`."""
    return f"{moment(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def amounts_said(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a file, its MRR by currency in words and whole units: `49.50 usd; 20 eur`; of no MRR, nothing."""
    return {
        "median_days": None,
        **row,
        "mrr": [f"{decimal(one['mrr'], one['currency'])} {one['currency']}" for one in row["mrr"]],
    }
