"""Rate limits as documented at docs.stripe.com/rate-limits, and a count of what was asked."""

from collections import Counter, deque
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from tidegate.sandbox.answers import Refusal


@dataclass
class Bucket:
    """A token bucket that holds one second's worth; `rate` is tokens a second, `at` is monotonic seconds."""

    rate: float
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = max(1.0, self.rate)

    def take(self, now: float) -> float:
        """0 when a token was taken, else the seconds until there is one."""
        self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate


class Limits:
    """The account's limit and one per endpoint (method and path template)."""

    def __init__(self, rate: float | None, endpoint_rate: float | None) -> None:
        self.endpoint_rate = endpoint_rate
        self._all = Bucket(rate) if rate else None
        self._endpoints: dict[str, Bucket] = {}
        self.stats = Stats()

    def pass_through(self, endpoint: str, now: float) -> None:
        """Counts a request at `now` (monotonic seconds). Raises Refusal (429) when it is one too many."""
        self.stats.count(endpoint, now)
        if self.endpoint_rate:
            bucket = self._endpoints.get(endpoint)
            if bucket is None:
                bucket = self._endpoints[endpoint] = Bucket(self.endpoint_rate, at=now)
            self._charge(bucket, now, b"endpoint-rate")
        if self._all:
            self._charge(self._all, now, b"global-rate")

    def _charge(self, bucket: Bucket, now: float, reason: bytes) -> None:
        wait = bucket.take(now)
        if wait:
            self.stats.limited[reason.decode()] += 1
            raise too_many(reason, wait)


def too_many(reason: bytes, wait: float) -> Refusal:
    """The answer to one request too many; `wait` is in seconds, `Retry-After` in whole ones."""
    headers = ((b"Retry-After", str(max(1, ceil(wait))).encode()), (b"Stripe-Rate-Limited-Reason", reason))
    return Refusal(
        429,
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        "rate_limit",
        headers=headers,
    )


@dataclass
class Stats:
    """What was asked since the last reset."""

    requests: Counter[str] = field(default_factory=Counter[str])
    limited: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[int] = field(default_factory=Counter[int])
    faults: Counter[str] = field(default_factory=Counter[str])
    busiest_second: int = 0
    _recent: deque[float] = field(default_factory=deque[float])

    def count(self, endpoint: str, now: float) -> None:
        """Notes a request; keeps the most within any one second."""
        self.requests[endpoint] += 1
        self._recent.append(now)
        while self._recent[0] <= now - 1:
            self._recent.popleft()
        self.busiest_second = max(self.busiest_second, len(self._recent))

    def report(self) -> dict[str, Any]:
        """The counts as /__stats shows them."""
        return {
            "requests": dict(sorted(self.requests.items())),
            "total": self.requests.total(),
            "limited": {reason: self.limited[reason] for reason in ("global-rate", "endpoint-rate")},
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "faults": dict(sorted(self.faults.items())),
            "busiest_second": self.busiest_second,
        }
