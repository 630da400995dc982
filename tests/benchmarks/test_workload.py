"""The workload is the same everywhere, and is what it says."""

import hashlib
import json
from collections import Counter
from functools import cache
from itertools import islice

from benchmarks import workload
from schemas.moments import check_moment, to_epoch_ms
from schemas.wire import parse_touchpoint

COUNT = 20_000
FIRST_THOUSAND = "eab96a44b2866f4ea57255e0a5f2e918bc80cc09ea6ee36af31ef6b3d89966b1"


@cache
def records() -> list[tuple[bytes, bytes]]:
    return list(workload.generate(COUNT, COUNT // 20))


def test_its_first_thousand_records_never_change() -> None:
    digest = hashlib.sha256()
    for key, value in islice(workload.generate(COUNT, COUNT // 20), 1_000):
        digest.update(key + b"\0" + value + b"\n")
    assert digest.hexdigest() == FIRST_THOUSAND


def test_another_seed_gives_another_workload() -> None:
    assert next(workload.generate(100, 5, seed=8)) != next(workload.generate(100, 5))


def test_there_are_as_many_records_as_asked_for_of_about_300_bytes() -> None:
    assert len(records()) == COUNT
    assert 295 <= sum(len(value) for _, value in records()) / COUNT <= 305


def test_one_in_a_hundred_is_repeated_byte_for_byte_and_not_before_the_first() -> None:
    values = Counter(value for _, value in records())
    assert len({json.loads(value)["event_id"] for value in values}) == len(values)
    assert COUNT - len(values) == COUNT * workload.DUPLICATE_SHARE


def test_two_in_a_hundred_arrive_more_than_a_minute_late() -> None:
    newest_ms, late, seen = 0, 0, set()
    for _, value in records():
        touchpoint = json.loads(value)
        occurred_ms = to_epoch_ms(check_moment(touchpoint["occurred_at"]))
        if touchpoint["event_id"] not in seen and newest_ms - occurred_ms > 59_000:
            late += 1
        seen.add(touchpoint["event_id"])
        newest_ms = max(newest_ms, occurred_ms)
    assert 0.017 <= late / COUNT <= 0.023


def test_every_record_keeps_the_contract_and_is_keyed_by_its_customer() -> None:
    for key, value in records()[:2_000]:
        assert key.decode() == f"customer_id:{parse_touchpoint(value).identifiers['customer_id']}"
