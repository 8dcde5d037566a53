"""A command that tests fork (`support/forking.py`) is a process as a person starts one."""

import json
import os
from pathlib import Path

from tests.support import forking

ENVIRONMENT = {"PATH": os.environ["PATH"], **forking.FIXED}


def python(code: str, *arguments: str, given: str = "", **environment: str) -> tuple[int, str, str]:
    return forking.run(["-c", code, *arguments], ENVIRONMENT | environment, given=given)


def test_its_arguments_environment_folder_and_streams_are_its_own() -> None:
    code = """
import json, os, sys, threading
print(json.dumps([sys.argv, dict(os.environ), os.getcwd(), sys.stdin.read(), threading.active_count()]))"""
    ended, out, err = python(code, "one", given="said", OURS="1")
    assert (ended, err) == (0, "")
    assert json.loads(out) == [["-c", "one"], ENVIRONMENT | {"OURS": "1"}, str(Path.cwd()), "said", 1]


def test_it_ends_as_an_interpreter_ends() -> None:
    ended, out, _ = python("import atexit, sys; atexit.register(print, 'bye'); sys.exit(7)")
    assert (ended, out) == (7, "bye\n")
    ended, _, err = python("import warnings; warnings.warn('a warning')")
    assert ended == 1
    assert "UserWarning: a warning" in err
    ended, _, err = python("open('/dev/null')")
    assert "ResourceWarning" in err
    assert python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")[0] == -15


def test_python_finds_the_program_as_m_does() -> None:
    ended, out, err = forking.run(["-m", "tidegate", "status", "--nonsense"], ENVIRONMENT)
    assert (ended, out) == (2, "")
    assert err.startswith("Usage: python -m tidegate status")
