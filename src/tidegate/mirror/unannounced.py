"""Reads what comes to be at Stripe without an event: the newest objects of the lists that hold it."""

import threading
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from tidegate.connections import accounts
from tidegate.errors import TidegateError, refusal
from tidegate.mirror.apply import apply
from tidegate.mirror.pages import Page, read_objects
from tidegate.store.trouble import repeated
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource

UNANNOUNCED = tuple(one for one in RESOURCES.values() if one.unannounced)


def read_unannounced(engine: Engine, account: str, api: StripeApi, since: datetime, stop: threading.Event) -> bool:
    """Stores the objects that were made since then (UTC); false when `stop` was set before all were read.

    A list that Stripe refuses is left out, as it is by an import, which says so. Raises the other errors of StripeApi.
    """
    return all(_read(engine, account, api, resource, since, stop) for resource in UNANNOUNCED)


def _read(
    engine: Engine, account: str, api: StripeApi, resource: Resource, since: datetime, stop: threading.Event
) -> bool:
    made = {"created": {"gte": int(since.timestamp())}}
    passed = set[str]()
    after, more = "", True
    while more:
        if stop.is_set():
            return False
        try:
            page = read_objects(api, resource, str(resource.path), made, after=after, passed=passed)
        except TidegateError as error:
            if refusal(error):
                return True
            raise
        repeated(partial(_store, engine, account, resource, page), f"new {resource.name}")
        after, more = page.last, page.has_more
    return True


def _store(engine: Engine, account: str, resource: Resource, page: Page) -> None:
    with engine.begin() as db:
        accounts.require_connected(db, account)
        apply(db, account, resource, page.arrivals, page.lost)
