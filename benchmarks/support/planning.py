"""Plans a sync once; prints the seconds of reading the source and of all else, the counts, and peak memory as JSON."""

import json
import resource
import sys
import time

from tidegate.cli.hub import opened
from tidegate.workflows import sync_plan


def main() -> None:
    read_at = 0.0

    def told(what: str, _done: int, total: int | None) -> None:
        nonlocal read_at
        if what == sync_plan.READ and total is not None:
            read_at = time.perf_counter()

    with opened() as hub:
        began = time.perf_counter()
        with sync_plan.planned(hub.engine, sys.argv[1], hub.source_url, progress=told) as made:
            ended = time.perf_counter()
            counts = made.plan.counts
            rows = made.plan.rows._asdict()
    figures = {"read": read_at - began, "seconds": ended - read_at, "counts": counts, "rows": rows}
    print(json.dumps(figures | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
