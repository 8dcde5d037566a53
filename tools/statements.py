"""Works out which integration tests send no SQL that others do not send as well, for `make statements`.

    .venv/bin/python tools/statements.py [FOLDER]

Runs the tests of `make statements` on the embedded server, which takes as long as they do, or reads what was noted in
FOLDER (`--note-statements`), and writes tests/integration/no_new_statements.txt. To be made anew when the tests have
become others; what the list does not name is run, so an old one costs time and nothing else.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests/integration/no_new_statements.txt"

sys.path.insert(0, str(ROOT))


def main() -> int:
    from tests.support.statements import spared

    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made)
        if len(sys.argv) < 2:
            asked = f"--note-statements {folder}"
            subprocess.run(["make", "statements", f"ARGS={asked}", "LEAVE_OUT="], cwd=ROOT, check=True)
        noted = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    if not noted:
        print(f"nothing was noted in {folder}", file=sys.stderr)
        return 2
    sent: dict[str, set[str]] = {}
    seconds: dict[str, float] = {}
    further: set[str] = set()
    for one in noted:
        for test, statements in one["sent"].items():
            sent.setdefault(test, set()).update(statements)
        for test, spent in one["seconds"].items():
            seconds[test] = max(seconds.get(test, 0), spent)
        further.update(one["further"])
    tests = spared(sent, seconds, sorted(further))
    LIST.write_text("".join(f"{test}\n" for test in tests))
    print(f"{len(tests)} of {len(seconds)} tests need not run; {LIST.relative_to(ROOT)} names them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
