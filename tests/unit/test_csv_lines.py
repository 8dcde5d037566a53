"""What pages write into CSV."""

import csv
import io

from tidegate.web import csv_lines


def test_csv_comes_in_pieces_and_holds_no_formula() -> None:
    rows = [["=cmd()", -1, None, "x" * 100]] * 2_000
    pieces = list(csv_lines.lines(["a", "b", "c", "d"], rows))
    assert len(pieces) > 1
    found = list(csv.reader(io.StringIO("".join(pieces))))
    assert found[0] == ["a", "b", "c", "d"]
    assert found[1][:3] == ["'=cmd()", "-1", ""]
    assert len(found) == 2_001
