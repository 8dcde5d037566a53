"""Plain progress: what a pipe gets, and how often."""

from tidegate.cli.progress import LINE_SECONDS, Lines, Speed, Step
from tidegate.cli.steps import Steps


class Clock:
    """Seconds that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def lines() -> tuple[Lines, Clock, list[str]]:
    clock, said = Clock(), []
    return Lines(clock, said.append), clock, said


def test_steps_between_two_lines_are_not_said() -> None:
    progress, clock, said = lines()
    clock.now += LINE_SECONDS / 2
    progress.tell(Step("customers", 100, 1000))
    assert said == []


def test_every_few_seconds_a_line_says_count_rate_and_what_is_left() -> None:
    progress, clock, said = lines()
    progress.tell(Step("customers", 50, 1000))
    clock.now += 4
    progress.tell(Step("invoices", 150, 1050))
    assert said == [
        "200 objects in 4.00 s; 50/s; about 37.0 s left; "
        "reading customers 50 of about 1,000, invoices 150 of about 1,050"
    ]


def test_the_end_of_a_resource_is_said_once() -> None:
    progress, _, said = lines()
    for _ in range(2):
        progress.tell(Step("customers", 1234, 1234, done=True))
        progress.tell(Step("prices", 3, error="refused"))
    assert said == ["customers: 1,234 done", "prices: refused"]


def test_the_last_line_sums_up() -> None:
    progress, clock, said = lines()
    progress.tell(Step("customers", 30, done=True))
    clock.now += 2
    progress.close()
    assert said[-1] == "30 objects in 2.00 s; 15/s"


def test_nothing_is_said_of_nothing() -> None:
    progress, _, said = lines()
    progress.close()
    assert said == []


def test_each_step_takes_its_time_from_the_end_of_the_one_before() -> None:
    clock, said = Clock(), []
    steps = Steps(said.append, clock)
    clock.now += 1.5
    steps.done("import", "much")
    clock.now += 2
    steps.done("compare", "equal")
    assert [one["seconds"] for one in steps.ended] == [1.5, 2.0]
    assert steps.seconds == 3.5
    assert said[0].split() == ["import", "1.50", "s", "much"]


def test_the_speed_tells_what_is_left_also_when_the_total_is_corrected() -> None:
    speed = Speed(began=100.0, first=100)
    assert speed.take(Step("invoices", 100, 5000), 100.0) == ""
    assert speed.take(Step("invoices", 300, 1300), 102.0) == "100/s, 10.0 s left"
    assert speed.take(Step("invoices", 500, 1500), 104.0) == "100/s, 10.0 s left"
    assert speed.take(Step("invoices", 500, None), 104.0) == "100/s"
    assert speed.take(Step("invoices", 900, 1500, done=True), 108.0) == "100/s"
