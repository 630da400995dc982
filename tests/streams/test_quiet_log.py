"""Repeated complaints of a library are few, and none of ours is lost."""

import logging

from mode.utils.logging import ExtensionFormatter

from streams.quiet_log import RepeatFilter


def record(name: str, line: int, text: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, "client.py", line, text, ("broker-1",), None)


def test_what_a_library_repeats_is_said_once_in_a_while_with_how_much_was_left_out() -> None:
    seconds = 0.0
    quiet = RepeatFilter(10.0, lambda: seconds)
    told = []
    for step in range(25):
        seconds = float(step)
        lost = record("aiokafka.client", 7, "no answer of %s")
        if quiet.filter(lost):
            told.append((step, lost.getMessage()))
        assert quiet.filter(record("journeys.worker", 7, "ours %s"))
        assert quiet.filter(record("aiokafka.client", 7, "grave %s", logging.CRITICAL))
    assert told == [
        (0, "no answer of broker-1"),
        (10, "no answer of broker-1 (and 9 more like it)"),
        (20, "no answer of broker-1 (and 9 more like it)"),
    ]


def test_another_place_in_the_code_is_another_complaint() -> None:
    quiet = RepeatFilter(10.0, lambda: 0.0)
    assert quiet.filter(record("aiokafka.client", 7, "no answer of %s"))
    assert quiet.filter(record("aiokafka.client", 8, "closed by %s"))
    assert not quiet.filter(record("aiokafka.client", 7, "no answer of %s"))


def test_the_log_of_a_worker_can_write_what_stands_for_several() -> None:
    seconds = iter([0.0, 5.0, 11.0])
    quiet = RepeatFilter(10.0, lambda: next(seconds))
    first, left_out, last = (record("aiokafka.client", 7, "no answer of %s") for _ in range(3))
    assert [quiet.filter(each) for each in (first, left_out, last)] == [True, False, True]
    formatter = ExtensionFormatter(fmt="%(message)s")
    assert "no answer of broker-1 (and 1 more like it)" in formatter.format(last)
