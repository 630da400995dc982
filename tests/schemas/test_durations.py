from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.durations import Duration, to_milliseconds

ADAPTER: TypeAdapter[timedelta] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43_200), ("14d", 1_209_600), ("2w", 1_209_600), ("1h30m", 5400),
     ("250ms", 0.25), ("1.5h", 5400), ("P14D", 1_209_600), ("PT30S", 30)],
)  # fmt: skip
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert ADAPTER.validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "30 minutes", "m30", "1h, 5m", "--5m", "5x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(text)


@given(
    st.integers(0, 10**6), st.sampled_from([("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("ms", 1)])
)
def test_whole_numbers_keep_every_millisecond(count: int, unit: tuple[str, int]) -> None:
    assert to_milliseconds(ADAPTER.validate_python(f"{count}{unit[0]}")) == count * unit[1]
