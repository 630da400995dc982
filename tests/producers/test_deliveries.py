import threading

import pytest

from producers.deliveries import Deliveries, Report, Undelivered
from producers.emitters import Spooled
from schemas.errors import Transient


def test_each_record_stands_in_exactly_one_report() -> None:
    deliveries = Deliveries(1000, 0.01)
    tickets = [deliveries.reserve(f"e-{i}", 10) for i in range(3)]
    deliveries.answer(tickets[0], None)
    deliveries.answer(tickets[1], "refused")
    first = deliveries.report("no answer")
    assert first == Report(1, [Undelivered("e-1", "refused"), Undelivered("e-2", "no answer")])
    deliveries.answer(tickets[2], None)
    assert deliveries.report("no answer") == Report(0, [])


def test_without_a_reason_what_has_no_answer_stands_in_a_later_report() -> None:
    deliveries = Deliveries(1000, 0.01)
    tickets = [deliveries.reserve(f"e-{i}", 10) for i in range(3)]
    deliveries.answer(tickets[0], None)
    deliveries.answer(tickets[1], "refused")
    assert deliveries.report(None) == Report(1, [Undelivered("e-1", "refused")])
    deliveries.answer(tickets[2], Spooled("kept"))
    assert deliveries.report(None) == Report(0, [], 1)
    assert deliveries.report(None) == Report(0, [])


def test_a_second_answer_counts_nothing() -> None:
    deliveries = Deliveries(1000, 0.01)
    ticket = deliveries.reserve("e", 10)
    deliveries.answer(ticket, None)
    deliveries.answer(ticket, None)
    assert deliveries.report("") == Report(1, [])


def test_what_waits_is_bounded_and_the_error_says_by_whom() -> None:
    deliveries = Deliveries(100, 0.01)
    ticket = deliveries.reserve("a", 100)
    with pytest.raises(Transient, match="100 bytes wait for a broker"):
        deliveries.reserve("b", 1)
    deliveries.answer(ticket, None)
    deliveries.cancel(deliveries.reserve("larger than the whole bound", 500))
    assert deliveries.report("") == Report(1, [])


def test_an_answer_lets_a_blocked_sender_go_on() -> None:
    deliveries = Deliveries(100, 30)
    ticket = deliveries.reserve("a", 100)
    timer = threading.Timer(0.05, deliveries.answer, (ticket, None))
    timer.start()
    deliveries.reserve("b", 100)
    timer.join()
