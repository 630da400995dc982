"""One contract, kept by memory, by the real broker, and by a spool in front of either."""

import gc
import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from producers.emitters import Emitter, KafkaEmitter, MemoryEmitter, Refused
from producers.spool import KafkaReach, Spool
from producers.topics import create_topics
from schemas.errors import Misconfigured, Transient
from schemas.topics import TOUCHPOINTS
from tests.producers.broker_double import BrokerDouble

Make = Callable[[], Emitter]


REAL = ("kafka", "spooled kafka")


@pytest.fixture(
    params=["memory", "spooled memory", *(pytest.param(name, marks=pytest.mark.integration) for name in REAL)]
)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        return MemoryEmitter
    if request.param == "spooled memory":
        return lambda: Spool(tmp_path, BrokerDouble().reach).to(TOUCHPOINTS)
    options = {"bootstrap_servers": request.getfixturevalue("stack").kafka}
    create_topics(options, 4)
    if request.param == "kafka":
        return lambda: KafkaEmitter(options)
    return lambda: Spool(tmp_path, KafkaReach(lambda: options)).to(TOUCHPOINTS)


def test_every_record_is_answered_exactly_once(make: Make) -> None:
    emitter, answers, lock = make(), [0] * 500, threading.Lock()

    def answered(index: int, reason: str | None) -> None:
        assert reason is None
        with lock:
            answers[index] += 1

    for index in range(500):
        emitter.send(b"customer_id:C-%d" % (index % 7), b"{}", (("h", b"1"),), partial(answered, index))
    emitter.flush(30)
    emitter.close(5)
    assert answers == [1] * 500


def test_after_close_nothing_is_taken_and_closing_again_is_harmless(make: Make) -> None:
    emitter = make()
    emitter.close(1)
    emitter.close(1)
    with pytest.raises(Transient, match="takes no records"):
        emitter.send(b"k", b"v", (), lambda _: pytest.fail("answered a record that was not taken"))


@pytest.mark.integration
def test_closing_answers_what_the_broker_did_not(tmp_path: Path) -> None:
    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        options = {"bootstrap_servers": stack.kafka}
        create_topics(options, 2)
        emitter, answers = KafkaEmitter(options), list[str | None]()
        emitter.send(b"k", b"v", (), answers.append)
        emitter.flush(20)
        stack.process("kafka").suspend()
        emitter.send(b"k", b"v", (), answers.append)
        emitter.close(0.0)
        stack.process("kafka").resume()
    assert answers[0] is None and len(answers) == 2 and "closed" in (answers[1] or "")


@pytest.mark.parametrize("make", [pytest.param(name, marks=pytest.mark.integration) for name in REAL], indirect=True)
def test_what_is_larger_than_any_request_is_refused_for_good(make: Make) -> None:
    emitter, answers = make(), list[str | None]()
    emitter.send(b"k", b"x" * 2_000_000, (), answers.append)
    emitter.flush(20)
    emitter.close(5)
    assert [type(answer) for answer in answers] == [Refused]


@pytest.mark.integration
def test_two_emitters_of_one_connection_end_together(stack: LocalStack) -> None:
    options = {"bootstrap_servers": stack.kafka}
    create_topics(options, 4)
    emitter = KafkaEmitter(options)
    other = emitter.to("facts")
    other.close(5)
    emitter.close(5)
    with pytest.raises(Transient, match="topic touchpoints takes no records"):
        emitter.send(b"k", b"v", (), lambda _: pytest.fail("answered a record that was not taken"))


def test_flushing_nothing_returns(make: Make) -> None:
    emitter = make()
    emitter.flush(5)
    emitter.close(1)


# kafka-python leaves the socket of a failed start to the garbage collector, which must find it here and not later.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_server_and_impossible_options_are_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    # Captured log records would hold on to it.
    caplog.set_level(logging.CRITICAL, "kafka")
    nowhere = {"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 300}
    with pytest.raises(Transient, match=r"no Kafka server answers at 127\.0\.0\.1:1"):
        KafkaEmitter(nowhere)
    with pytest.raises(Misconfigured, match="cannot use Kafka"):
        KafkaEmitter({**nowhere, "no_such_option": 1})
    gc.collect()
