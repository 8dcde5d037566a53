"""Decoders can be made by many threads at once; each try runs in a process of its own, since a failure kills it."""

import subprocess
import sys

PROGRAM = """
import sys, threading, typing
import msgspec
from tidegate.stripe_api.shapes.decoders import decoder

sys.setswitchinterval(1e-6)
parts = [(f"f{n}", typing.Optional[dict[str, typing.Any]], None) for n in range(40)]
body = msgspec.json.encode({f"a{n}": {f"f{m}": {} for m in range(40)} for n in range(30)})
for turn in range(150):
    part = msgspec.defstruct("Part", parts)
    fields = [(f"a{m}", typing.Optional[part], None) for m in range(30)]
    whole = [msgspec.defstruct(f"Whole{n}", fields) for n in (0, 1)]
    start = threading.Barrier(6)

    def read(kind):
        start.wait()
        decoder(kind).decode(body)

    threads = [threading.Thread(target=read, args=(whole[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("fine")
"""


def test_threads_may_make_decoders_of_structs_that_share_one() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stdout) == (0, "fine\n"), ended.stderr
