"""Bad records among good ones: each is refused with its reason and kept whole, and costs its neighbours nothing."""

import base64
import hashlib
import json
import time
from typing import Any

import pytest

from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD_LETTERS, TOUCHPOINTS
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

NOW_MS = time.time_ns() // 1_000_000
KEY = b"customer_id:C-1"
GOOD = touchpoint("C-1", "e-0", NOW_MS, order_id="O-1", properties={"note": 1}).value or b""
MEGABYTES_10 = 10 * 1024 * 1024


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(GOOD), "event_id": "changed", **fields}).encode()


def without(name: str) -> bytes:
    return json.dumps({field: value for field, value in json.loads(GOOD).items() if field != name}).encode()


def with_note(literal: bytes) -> bytes:
    return GOOD.replace(b'{"note": 1}', b'{"note": ' + literal + b"}")


def identified(value: str, kind: str = "customer_id") -> bytes:
    return changed(identifiers={kind: value})


REFUSED: list[tuple[str, bytes | None, str]] = [
    ("tombstone", None, "empty_record"),
    ("no bytes", b"", "empty_record"),
    ("truncated", GOOD[:-20], "invalid_json"),
    ("two objects", GOOD + GOOD, "invalid_json"),
    ("text", b"hello", "invalid_json"),
    ("binary", bytes(range(256)), "invalid_utf8"),
    ("Latin-1", GOOD.replace(b"O-1", b"caf\xe9"), "invalid_utf8"),
    ("Latin-1 in a property", with_note(b'"caf\xe9"'), "invalid_utf8"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "invalid_utf8"),
    ("lone surrogate", changed(order_id="\ud800"), "invalid_json"),
    ("lone surrogate in a property", with_note(b'"\\ud800"'), "invalid_json"),
    ("surrogate as bytes", GOOD.replace(b"O-1", b"\xed\xa0\x80"), "invalid_utf8"),
    ("NaN", with_note(b"NaN"), "invalid_json"),
    ("Infinity", with_note(b"-Infinity"), "invalid_json"),
    ("more than a double holds", with_note(b"1e999"), "invalid_json"),
    ("5,000 digits", with_note(b"7" * 5_000), "invalid_json"),
    ("10,000 levels", with_note(b"[" * 10_000 + b"]" * 10_000), "invalid_json"),
    ("65 levels", with_note(b"[" * 65 + b"]" * 65), "invalid_json"),
    ("10 MB", with_note(b'"' + b"x" * MEGABYTES_10 + b'"'), "too_large"),
    ("array", b"[" + GOOD + b"]", "not_an_object"),
    ("number", b"17", "not_an_object"),
    ("no event_id", without("event_id"), "missing_field"),
    ("null source", changed(source=None), "missing_field"),
    ("no time", without("occurred_at"), "missing_field"),
    ("number as event_id", changed(event_id=7), "invalid_field"),
    ("number as source", changed(source=7), "invalid_field"),
    ("array of properties", changed(properties=[1]), "invalid_field"),
    ("text of identifiers", changed(identifiers="C-1"), "invalid_field"),
    ("epoch seconds", changed(occurred_at=NOW_MS // 1000), "invalid_field"),
    ("epoch milliseconds as text", changed(occurred_at=str(NOW_MS)), "invalid_field"),
    ("no such day", changed(occurred_at="2026-02-30T10:00:00Z"), "invalid_field"),
    ("NUL in event_id", changed(event_id="e\0"), "invalid_field"),
    ("direction mark in order_id", changed(order_id="\u202eO-1"), "invalid_field"),
    ("naive time", changed(occurred_at="2026-11-21T10:00:00"), "naive_time"),
    ("year 1", changed(occurred_at="0001-01-01T00:00:00Z"), "too_old"),
    ("year 1 east of Greenwich", changed(occurred_at="0001-01-01T00:00:00+14:00"), "too_old"),
    ("year 9999", changed(occurred_at="9999-12-31T23:59:59.999Z"), "too_far_ahead"),
    ("year 9999 west of Greenwich", changed(occurred_at="9999-12-31T23:59:59-14:00"), "too_far_ahead"),
    ("in two hours", changed(occurred_at=time.strftime("%FT%TZ", time.gmtime(NOW_MS / 1000 + 7200))), "too_far_ahead"),
    ("unknown source", changed(source="fax"), "unknown_source"),
    ("version 99", changed(schema_version=99), "unknown_version"),
    ("no identifiers", changed(identifiers={}), "no_identifier"),
    ("unknown kind", identified("C-1", "cookie"), "no_identifier"),
    ("empty identifier", identified(""), "placeholder_identifier"),
    ("null as text", identified("null"), "placeholder_identifier"),
    ("minus one", identified("-1"), "placeholder_identifier"),
    ("zeros", identified("00000000-0000-0000-0000-000000000000"), "placeholder_identifier"),
    ("number as identifier", changed(identifiers={"customer_id": 7}), "invalid_identifier"),
    ("direction mark in an identifier", identified("C-\u200f1"), "invalid_identifier"),
    ("NUL in an identifier", identified("C-\x001"), "invalid_identifier"),
    ("257 characters", identified("C" * 257), "invalid_identifier"),
    ("raw e-mail and no key to hide it", identified("dana@example.org", "email"), "invalid_identifier"),
    ("order without an amount", changed(type="order_placed", properties={"currency": "ILS"}), "invalid_property"),
    ("text for an amount", changed(type="order_placed", properties={"amount": "ten"}), "invalid_property"),
]


def test_each_bad_record_is_kept_with_its_reason_and_costs_no_neighbour(start_platform: StartPlatform) -> None:
    platform = start_platform()
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    with_mark = Feed(KEY, b"\xef\xbb\xbf" + changed(event_id="bom"))
    records = [with_mark]
    for number, (_, raw, _) in enumerate(REFUSED):
        records += [Feed(KEY, raw), touchpoint("C-1", f"good-{number}", NOW_MS + number)]
    places = platform.send(records)
    platform.wait_idle()

    refused = dict(zip(places[1::2], REFUSED, strict=True))
    rows = platform.query(
        "SELECT partition, offset, reason, raw_bytes, lower(hex(SHA256(raw))), key, detail, topic, step "
        "FROM journeys.dead_letters FINAL"
    )
    assert {(row[0], row[1]): (refused[row[0], row[1]][0], row[2]) for row in rows} == {
        place: (name, reason) for place, (name, _, reason) in refused.items()
    }
    for partition, offset, _, size, digest, key, detail, topic, step in rows:
        raw = refused[partition, offset][1] or b""
        assert (size, digest) == (len(raw), hashlib.sha256(raw).hexdigest())
        assert (key, topic, step) == (KEY.decode(), TOUCHPOINTS, "decode") and detail

    letters = [DeadLetter.model_validate_json(record.value) for record in platform.read_topic(DEAD_LETTERS)]
    assert sorted((letter.partition, letter.offset, letter.reason) for letter in letters) == sorted(
        (*place, reason) for place, (_, _, reason) in refused.items()
    )
    for letter in letters:
        raw = refused[letter.partition, letter.offset][1] or b""
        assert raw.startswith(base64.b64decode(letter.raw))
        assert letter.raw_truncated == (len(raw) > 512 * 1024) and letter.raw_bytes == len(raw)

    seen = {event_id for _, event_id in platform.members()}
    assert seen == {"bom"} | {f"good-{number}" for number in range(len(REFUSED))}
    assert worker.exit_code is None
    assert worker.metrics().total("dead_letters_total") == len(REFUSED)
    assert worker.metrics().total("lag_records") == 0
