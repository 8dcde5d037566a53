"""Opens a model's rows where its source is: in a warehouse, or in the hub's own tables with the reader's rights."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from tidegate.errors import SourceUnreachable
from tidegate.outbound.sources import reading
from tidegate.outbound.sources.location import scheme
from tidegate.outbound.specs import Model
from tidegate.secrets import Vault
from tidegate.store import reader
from tidegate.workflows.operation.read_store import HIDDEN

SCHEMAS = "stripe, tidegate, public"
"""Where a model over the hub's own tables looks for them, as `tidegate sql` does."""
BEGIN_SECONDS = 60
"""How long the log-in for one model may take to get in; the query itself may last."""


@contextmanager
def rows(engine: Engine, url: str, model: Model, progress: Callable[[int], None] | None = None) -> Generator[Any]:
    """The rows of a model (`reading.reading`). `tidegate://` is the hub: all that the role `tidegate_reader` may read,
    with the tables of `stripe` and `tidegate` on the search path.

    Raises SourceUnreachable, ModelInvalid, and ReaderRefused where the database lets no such role be made.
    """
    if scheme(url) != reading.OWN:
        with reading.reading(url, model, progress=progress) as found:
            yield found
        return
    reader.prepare(engine, HIDDEN)
    with reader.login(engine, BEGIN_SECONDS) as reading_engine:
        own = reading_engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with reading.reading(own, model, schemas=SCHEMAS, progress=progress) as found:
            yield found


def url_of(source: Any, vault: Callable[[], Vault], environment: Mapping[str, str]) -> str:
    """The URL of a stored source: of the environment, deciphered, or as it stands. Raises SourceUnreachable, and
    SecretKeyLost.
    """
    if source.env:
        if not (url := environment.get(source.env, "")):
            raise SourceUnreachable(source=source.key, problem=f"the environment has no {source.env}")
        return url
    if source.url is not None:
        return vault().open(bytes(source.url), f"source {source.key}")
    return str(source.shown)
