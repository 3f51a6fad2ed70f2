"""When a process that has died is started again."""

from postback.bootstrap.processes import AGAIN_AFTER_S, wait_s


def test_the_first_death_costs_no_wait_and_many_in_a_row_a_few_seconds() -> None:
    waits = [wait_s(deaths) for deaths in range(1, 20)]

    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] == AGAIN_AFTER_S[-1] <= 10
