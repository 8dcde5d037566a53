"""Opens the engine that an Ibis URL names, and says in our words what goes wrong with it."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# ibis and pyspark leave most of their functions without types.

import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from tidegate.errors import EngineFailed, EngineInvalid, TidegateError, Unreachable

if TYPE_CHECKING:
    from ibis.backends import BaseBackend

DEFAULT = "duckdb://"
MEMORY = "1GB"
"""What DuckDB may take before it goes on on disk."""

ON_THIS_MACHINE = {
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR", "spark.sql.shuffle.partitions": "16",
}  # fmt: skip
"""Options of a Spark that is no cluster: it listens to nobody else, and does not cut the work into 200 parts."""

NO_JAVA = (
    "Spark did not start. It needs Java 17 or newer (on Debian: apt-get install default-jre-headless). If it is "
    "there, an option is wrong, and Spark said which."
)


@contextmanager
def opened(url: str) -> Generator["BaseBackend"]:
    """The engine of a URL such as `duckdb://` or `pyspark://?spark.master=local[4]`, closed afterwards.

    Raises EngineInvalid for what is no engine, lacks a package or cannot do what is asked of it, Unreachable where it
    does not answer, EngineFailed for what it reports while it is used.
    """
    from ibis.common.exceptions import IbisError

    with tempfile.TemporaryDirectory(prefix="tidegate-ledger-") as directory, warnings.catch_warnings():
        # Ibis and PySpark call others in ways that newer versions deprecate: nothing that who runs this could mend.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(ibis|pyspark)\.")
        db = _connected(urlsplit(url), Path(directory))
        try:
            yield db
        except TidegateError:
            raise
        except (IbisError, NotImplementedError) as error:
            problem = f"it cannot run the ledger ({_first_line(error)})."
            raise EngineInvalid(engine=named(url), problem=problem) from error
        except Exception as error:
            if type(error).__module__ == "builtins":  # what Python itself raises is no engine's
                raise
            raise EngineFailed(engine=named(url), problem=_first_line(error)) from error
        finally:
            db.disconnect()


def named(url: str) -> str:
    """An engine's URL without what may be secret in it."""
    given = urlsplit(url)
    return f"{given.scheme}://{given.hostname or ''}{given.path}"


def _connected(given: SplitResult, directory: Path) -> "BaseBackend":
    import ibis

    engine = named(given.geturl())
    try:
        match given.scheme:
            case "pyspark":
                return _spark(given)
            case "duckdb":
                mine: dict[str, Any] = {"memory_limit": MEMORY, "temp_directory": str(directory)}
                theirs = dict(parse_qsl(given.query))
                ours = {name: value for name, value in mine.items() if name not in theirs}
                return ibis.connect(given.geturl(), **ours)
            case _:
                return ibis.connect(given.geturl())
    except ImportError as error:
        raise EngineInvalid(engine=engine, problem=_lacks(given.scheme)) from error
    except (ValueError, AttributeError) as error:
        problem = "Ibis knows no such engine. There are duckdb://, pyspark:// and others."
        raise EngineInvalid(engine=engine, problem=problem) from error
    except TidegateError:
        raise
    except Exception as error:
        if "JAVA_GATEWAY_EXITED" in f"{error}":
            raise EngineInvalid(engine=engine, problem=NO_JAVA) from error
        raise Unreachable(what=engine, problem=_first_line(error)) from error


def _spark(given: SplitResult) -> "BaseBackend":
    """Spark with the options of the URL's query. Ibis would set them on the running session, which refuses most."""
    from importlib import import_module

    import ibis

    if given.netloc or given.path.strip("/"):
        problem = "name the cluster as an option: pyspark://?spark.master=spark://host:7077."
        raise EngineInvalid(engine=named(given.geturl()), problem=problem)
    pyspark: Any = import_module("pyspark.sql")  # of the extra `spark`
    options = dict(parse_qsl(given.query))
    if "spark.remote" not in options:
        options = {"spark.master": "local[*]"} | options
    if options.get("spark.master", "").startswith("local"):
        options = ON_THIS_MACHINE | options
    session = pyspark.SparkSession.builder.config(map=options).getOrCreate()
    session.conf.set("spark.sql.ansi.enabled", "true")  # a sum that is too large is an error, not another number
    return ibis.pyspark.connect(session)


def _lacks(scheme: str) -> str:
    if scheme == "pyspark":
        return "PySpark is not installed. It comes with the extra spark: pip install 'tidegate[spark]'."
    return f"a package for it is not installed: pip install 'ibis-framework[{scheme}]'."


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in f"{error}".splitlines() if line.strip()), type(error).__name__)
