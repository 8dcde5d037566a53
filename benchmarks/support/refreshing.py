"""A refresh of all customers, or of those whose ids stand in JSON on stdin; prints seconds and peak memory as JSON."""

import json
import resource
import sys
import time

from tidegate.cli.hub import opened
from tidegate.workflows import refresh as refreshing


def main() -> None:
    customers = json.loads(sys.stdin.read())
    with opened() as hub:
        account = hub.account()
        began = time.monotonic()
        if customers is None:
            refreshing.refresh_all(hub.engine, account)
        else:
            for at in range(0, len(customers), refreshing.BATCH):
                with hub.engine.begin() as db:
                    refreshing.refresh(db, account, customers[at : at + refreshing.BATCH], hub.engine)
        seconds = time.monotonic() - began
    print(json.dumps({"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
