"""The assets' build: no network with a valid stamp, nothing private in the lock file, what the page serves."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tidegate.web.assets import BUILT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def assets(tmp_path: Path) -> ModuleType:
    """tools/assets.py on a tree of its own, where npm is not called."""
    found = importlib.util.spec_from_file_location("assets_build", ROOT / "tools/assets.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    module.BUILD = tmp_path / "static/build"
    module.TESTS = tmp_path / "tests/build"
    module.FRONTEND = tmp_path / "frontend"
    module.FRONTEND.mkdir()
    (module.FRONTEND / "package-lock.json").write_text("{}")
    module.installed = []

    def install(folder: Path, *options: str) -> None:
        module.installed.append(folder)
        tested = {} if "--omit=dev" in options else module.TESTED
        for source in {**module.SERVED, **module.LICENSES, **tested}.values():
            file = folder / "node_modules" / source
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"/* {source} */\n/*# sourceMappingURL=x.map */\n")

    module._install = install
    return module


def test_a_build_is_made_once(assets: ModuleType) -> None:
    assert assets.build()
    assert not assets.build()
    assert len(assets.installed) == 1
    assert assets.build(force=True)


@pytest.mark.parametrize("missing", ["htmx.min.js", "tabler.min.css.gz", "stamp.txt"])
def test_a_build_that_is_not_whole_is_made_again(assets: ModuleType, missing: str) -> None:
    assets.build()
    (assets.BUILD / missing).unlink()
    assert assets.build()
    assert (assets.BUILD / missing).exists()


def test_another_lock_file_asks_for_another_build(assets: ModuleType) -> None:
    assets.build()
    (assets.FRONTEND / "package-lock.json").write_text('{"changed": true}')
    assert assets.build()


def test_a_failed_build_leaves_the_old_one(assets: ModuleType) -> None:
    assets.build()
    before = {file.name: file.read_bytes() for file in assets.BUILD.iterdir()}
    (assets.FRONTEND / "package-lock.json").write_text('{"changed": true}')

    def fail(_folder: Path, *_options: str) -> None:
        raise SystemExit("npm could not install")

    assets._install = fail
    with pytest.raises(SystemExit):
        assets.build()
    assert {file.name: file.read_bytes() for file in assets.BUILD.iterdir()} == before


def test_source_maps_that_are_not_served_are_not_named(assets: ModuleType) -> None:
    assets.build()
    assert all(b"sourceMappingURL" not in file.read_bytes() for file in assets.BUILD.glob("*.min.*"))


def test_the_build_makes_what_the_page_serves(assets: ModuleType) -> None:
    assert set(assets.SERVED) == set(BUILT)


def test_what_only_tests_use_is_got_once_and_never_served(assets: ModuleType) -> None:
    assert assets.build_for_tests()
    assert not assets.build_for_tests()
    assert {file.name for file in assets.TESTS.iterdir()} == {*assets.TESTED, "stamp.txt"}
    assets.build()
    assert not {file.name for file in assets.BUILD.iterdir()} & set(assets.TESTED)


def test_the_lock_file_names_no_private_host_and_versions_are_exact() -> None:
    lock = json.loads((ROOT / "frontend/package-lock.json").read_text())
    said = json.loads((ROOT / "frontend/package.json").read_text())
    wanted = said["dependencies"] | said["devDependencies"]
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert all(
        one.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/")
        for one in packages.values()
    )
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
