"""What several processes counted is one table in the end."""

import json

from tests.faults.count_table import Counts, Damage, write_table


def counted(fault: str, in_flight: int, seconds: float, lost: int) -> Counts:
    counts = Counts()
    count = counts.of(fault)
    count.in_flight.append(in_flight)
    count.recovery_seconds.append(seconds)
    count.damage.add(Damage(lost=lost))
    return counts


def test_what_processes_hand_over_is_added_up() -> None:
    together = counted("worker killed", 1_000, 2.0, 1)
    for other in (counted("worker killed", 3_000, 4.0, 2), counted("broker killed", 5, 1.0, 0), Counts()):
        together.take_over(json.loads(json.dumps(other.hand_over())))
    assert write_table(together.by_fault.values()).splitlines()[2:] == [
        "| worker killed | 2 | 2,000, at most 3,000 | 3 | 0 | 0 | 0 | 3.0 s, at most 4.0 s |",
        "| broker killed | 1 | 5, at most 5 | 0 | 0 | 0 | 0 | 1.0 s, at most 1.0 s |",
    ]
