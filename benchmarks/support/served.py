"""`tidegate serve` without a worker, with one more route: what a sync route that does nothing costs in this process.

python served.py        prints its port once it serves
"""

import sys

from tidegate.cli.hub import opened
from tidegate.cli.serve import POOL, bind, build
from tidegate.cli.web_server import run_server


def main() -> None:
    listener = bind("127.0.0.1", 0)
    with opened(pool_size=POOL) as hub:
        import tidegate.api.app as apps

        create = apps.create_app

        def with_bare(*args: object, **options: object) -> object:
            app = create(*args, **options)  # type: ignore[arg-type]

            @app.get("/api/bare")
            def bare() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
                return {"status": "alive"}

            return app

        apps.create_app = with_bare  # type: ignore[assignment]
        site = build(hub, "127.0.0.1")
        run_server(site, listener, lambda: print(listener.getsockname()[1], flush=True))


if __name__ == "__main__":
    sys.exit(main())
