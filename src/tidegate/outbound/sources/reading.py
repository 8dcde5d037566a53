"""Reads a query from a source, whatever it is: batches of rows, never the whole, and nothing is written there."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow leaves its functions without types.

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tidegate.errors import ModelInvalid, SourceUnreachable
from tidegate.outbound.sources import duck, postgres, sqlite
from tidegate.outbound.specs import Model

POSTGRES = frozenset({"postgres", "postgresql"})
FILES = frozenset({"file", ""})


@contextmanager
def reading(url: str, model: Model) -> Generator[Any]:
    """The rows of a model, as a pyarrow.RecordBatchReader.

    Raises SourceUnreachable, and ModelInvalid for a query that the source refuses.
    """
    scheme = urlsplit(url).scheme.lower()
    query = model.sql.strip().rstrip(";") if model.sql else f"select * from {_table(scheme, model.table)}"
    if scheme in POSTGRES:
        opened = postgres.reading(url, model, query)
    elif scheme == "duckdb" or scheme in FILES:
        opened = duck.reading(url, model, query)
    elif scheme == "sqlite":
        opened = sqlite.reading(url, model, query)
    else:
        opened = _by_ibis(url, model, query)
    with opened as rows:
        yield rows


def _table(scheme: str, name: str) -> str:
    quote = "`" if scheme in {"mysql", "bigquery", "databricks"} else '"'
    return ".".join(f"{quote}{part.replace(quote, 2 * quote)}{quote}" for part in name.split("."))


@contextmanager
def _by_ibis(url: str, model: Model, query: str) -> Generator[Any]:
    import ibis

    scheme = urlsplit(url).scheme
    try:
        backend: Any = ibis.connect(url)
    except (ImportError, AttributeError) as lacking:
        problem = f"the driver for {scheme} is not installed; `pip install 'tidegate[{scheme}]'` brings it ({lacking})"
        raise SourceUnreachable(source=model.source, problem=problem) from lacking
    except Exception as wrong:  # each back end has errors of its own
        raise SourceUnreachable(source=model.source, problem=str(wrong).splitlines()[0]) from wrong
    try:
        with backend.sql(query).to_pyarrow_batches(chunk_size=10_000) as rows:
            yield rows
    except Exception as wrong:
        raise ModelInvalid(model=model.key, problem=str(wrong).splitlines()[0]) from wrong
    finally:
        backend.disconnect()
