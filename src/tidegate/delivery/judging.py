"""What an HTTP answer says of a delivery, where the destination's documents say nothing else; and how long to wait."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tidegate.delivery.messages import DELIVERED, Answer, Verdict

FIRST, LONGEST = 5.0, 3600.0
"""Seconds before the second try, and before the last of many."""
SHOWN = 300
"""Characters of an answer that are kept."""
PASSING = frozenset({403, 404, 405, 408, 409, 423, 425})
"""Answers below 500 that a deploy, a lock or a race brings about, or that a permission ends which a person gives: 403
may be of everything that is sent or of one message, and by being tried again each comes to its end.
"""
REFUSALS = {
    401: "the destination does not accept the credentials",
    407: "a proxy in between wants credentials",
    410: "the destination says that it is gone for good",
}


def judged(answer: Answer, as_of: datetime) -> Verdict:
    """The verdict of a status. 2xx: delivered. A redirect is not followed: it would carry the signature and the data
    to where nobody asked for them.
    """
    status = answer.status
    if 200 <= status < 300:
        return Verdict("delivered", status)
    if 300 <= status < 400:
        where = answer.headers.get("location", "nowhere")[:SHOWN]
        return Verdict(
            "refused", status, f"it redirects to {where}, which is not followed; say that URL if it is right"
        )
    if status in REFUSALS:
        return Verdict("refused", status, f"{REFUSALS[status]}: {said(answer)}")
    if status in (429, 503):
        return Verdict("limited" if status == 429 else "temporary", status, said(answer), retry_after(answer, as_of))
    if status >= 500 or status in PASSING or status < 200:
        return Verdict("temporary", status, said(answer), retry_after(answer, as_of))
    return Verdict("permanent", status, said(answer))


def said(answer: Answer) -> str:
    """The answer in a line, without what could garble a terminal."""
    text = " ".join(answer.body.decode(errors="replace").split())
    clean = "".join(one for one in text if one.isprintable())
    return f"HTTP {answer.status}{': ' + clean[:SHOWN] if clean else ''}"


def retry_after(answer: Answer, as_of: datetime) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3); None without one."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given), 86_400.0)
    try:
        at = parsedate_to_datetime(given)
    except ValueError:
        return None
    until = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (until - as_of).total_seconds()), 86_400.0)


def backoff(failures: int, chance: random.Random) -> float:
    """Seconds to wait after so many failures in a row: doubled each time up to an hour, and up to a fifth more or less,
    so that many do not come back at once.
    """
    return min(LONGEST, FIRST * 2 ** min(failures - 1, 20)) * chance.uniform(0.8, 1.2)


def all_delivered(status: int, count: int) -> list[Verdict]:
    """So many times delivered."""
    return [DELIVERED._replace(status=status)] * count
