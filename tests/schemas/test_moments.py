from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from schemas.moments import check_moment, format_epoch_ms, from_epoch_ms, to_epoch_ms

EPOCHS_MS = st.integers(to_epoch_ms(datetime(1, 1, 1, tzinfo=UTC)), to_epoch_ms(datetime(9999, 12, 31, 23, tzinfo=UTC)))
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(EPOCHS_MS)
def test_milliseconds_survive_text_and_back(epoch_ms: int) -> None:
    assert to_epoch_ms(check_moment(format_epoch_ms(epoch_ms))) == epoch_ms


@given(st.datetimes(timezones=ZONES))
def test_a_zone_changes_the_writing_and_not_the_moment(moment: datetime) -> None:
    assert check_moment(moment.isoformat(timespec="microseconds")) == moment


@given(EPOCHS_MS, EPOCHS_MS)
def test_text_sorts_as_time_does(one: int, other: int) -> None:
    assert (format_epoch_ms(one) < format_epoch_ms(other)) == (one < other)


def test_microseconds_are_rounded_down_also_before_1970() -> None:
    assert to_epoch_ms(datetime(1970, 1, 1, 0, 0, 0, 1999, tzinfo=UTC)) == 1
    assert to_epoch_ms(datetime(1969, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC)) == -1


@pytest.mark.parametrize("text", ["2026-11-21T10:00:00", "2026-11-21 10:00", "2026-11-21T10:00:00.5"])
def test_a_time_without_a_zone_says_so(text: str) -> None:
    with pytest.raises(PydanticCustomError, match="no zone"):
        check_moment(text)
    with pytest.raises(PydanticCustomError, match="no zone"):
        check_moment(datetime(2026, 11, 21, 10))


@pytest.mark.parametrize(
    "value",
    ["", "now", "2026-11-21", "2026-11-21T10:00:00z", "2026-02-30T10:00:00Z", "2026-11-21T10:00:60Z",
     "21/11/2026 10:00", "2026-11-21T10:00:00+25:00", "٢٠٢٦-11-21T10:00:00Z", " 2026-11-21T10:00:00Z", 1_790_000_000,
     1.5, None, True, []],
)  # fmt: skip
def test_what_is_no_rfc_3339_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        check_moment(value)


def test_milliseconds_outside_the_calendar_overflow() -> None:
    with pytest.raises(OverflowError):
        from_epoch_ms(10**18)
