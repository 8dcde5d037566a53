"""Finds references to objects that Stripe has and the mirror does not, not even as a tombstone."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy import Engine

from tidegate.errors import ENDS_THE_WORK, TidegateError
from tidegate.mirror import references
from tidegate.mirror.compare import READERS, look_up
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.resources.resource import Resource


def dangling(
    engine: Engine,
    account: str,
    api: StripeApi,
    resource: Resource,
    *,
    targets: Collection[str],
    known: Mapping[str, Collection[str]],
) -> list[str]:
    """What rows of the resource and its children name and the mirror lacks, each as `customers/cus_1`.

    Only references to `targets`; what is `known` (ids by resource) to lack is not said again. Stripe is asked for each:
    what it has no more, the mirror cannot have. Raises `ENDS_THE_WORK`; what Stripe refuses to show counts as there.
    """
    found: set[str] = set()
    for holder in [resource, *(RESOURCES[nested.resource] for nested in resource.nested)]:
        for column in holder.columns:
            target = RESOURCES.get(column.refers_to)
            if target is None or target.name not in targets or not target.retrievable:
                continue
            with engine.connect() as db:
                unknown = references.unknown(db, account, holder, column, live=True)
            ids = [
                id_ for id_ in unknown if id_ not in known.get(target.name, ()) and f"{target.name}/{id_}" not in found
            ]
            found |= {f"{target.name}/{id_}" for id_ in _in_stripe(api, target, ids)}
    return sorted(found)


def _in_stripe(api: StripeApi, target: Resource, ids: list[str]) -> list[str]:
    with ThreadPoolExecutor(READERS, thread_name_prefix="audit") as pool:
        there = list(pool.map(partial(_is_there, api, target), ids))
    return [id_ for id_, is_there in zip(ids, there, strict=True) if is_there]


def _is_there(api: StripeApi, target: Resource, object_id: str) -> bool:
    try:
        return any(look_up(api, target, object_id))
    except ENDS_THE_WORK:
        raise
    except TidegateError:
        return True
