"""Plans a sync in a process that has planned before; prints its seconds, counts and peak memory as JSON."""

import json
import resource
import sys
import time

from tidegate.cli.hub import opened
from tidegate.workflows.outbound import sync_plan
from tidegate.workflows.outbound.sync_plan import Part


def main() -> None:
    read_at = 0.0

    def told(what: str, _done: int, total: int | None) -> None:
        nonlocal read_at
        if what == sync_plan.READ and total is not None:
            read_at = time.perf_counter()

    with opened() as hub:
        # What a worker has imported and made long ago: a command pays for it, the plan of a million rows is not about
        # it. The row is one that changed, so that deciding about it is warm as well.
        with sync_plan.planned(hub.engine, sys.argv[1], hub.source_url, Part(keys=("100",))):
            pass
        began = time.perf_counter()
        with sync_plan.planned(hub.engine, sys.argv[1], hub.source_url, progress=told) as made:
            ended = time.perf_counter()
            counts = made.plan.counts
            rows = made.plan.rows._asdict()
    figures = {"read": read_at - began, "seconds": ended - read_at, "counts": counts, "rows": rows}
    print(json.dumps(figures | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
