"""Tests that send no SQL that others do not send are left out; what nobody noted is run."""

from pathlib import Path

import pytest
from psycopg import sql
from tests.support import statements

LIST = Path(__file__).parents[2] / "integration/no_new_statements.txt"


def test_names_literals_and_numbers_make_no_other_statement() -> None:
    one, same = "select 1 from t where a = 'x'", b"select 22  from t\nwhere a = 'why'"
    assert statements.digest(one, None) == statements.digest(same, None)
    named = sql.SQL("drop database {}").format(sql.Identifier("tidegate_test_0af1"))
    assert statements.digest(named, None) == statements.digest('drop database "tidegate_test_9"', None)
    assert statements.digest(one, None) != statements.digest("select 1 from t where b = 'x'", None)


def test_what_others_send_in_less_time_need_not_run() -> None:
    sent = {"further": {"a"}, "slow": {"b", "c"}, "quick": {"b"}, "other": {"c"}, "same": {"a", "b"}}
    seconds = {"further": 9.0, "slow": 5.0, "quick": 0.1, "other": 0.2, "same": 0.3, "silent": 0.1}
    assert statements.spared(sent, seconds, ["further"]) == ["same", "silent", "slow"]
    assert statements.spared(sent, seconds | {"other": 9.0}, ["further"]) == ["other", "same", "silent"]


@pytest.mark.parametrize("line", LIST.read_text().splitlines()[::40])
def test_the_list_names_tests_of_files_that_there_are(line: str) -> None:
    file, _, name = line.partition("::")
    assert f"def {name.partition('[')[0]}(" in (LIST.parents[2] / file).read_text()
