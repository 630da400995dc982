"""How the identity benchmark compares what ran in turns."""

import pytest

from benchmarks.identity import Cost, compare


def test_each_hidden_run_is_compared_with_its_neighbours_on_an_uneven_machine() -> None:
    # The machine is half as fast in the last round; hiding costs a quarter in each but one.
    plain = [Cost(20_000, 30), Cost(20_000, 30), Cost(20_000, 30), Cost(10_000, 60)]
    hidden = [Cost(15_000, 40), Cost(12_000, 40), Cost(11_250, 40)]
    whole, reference, *rounds, cpu = compare(plain, hidden)
    assert (whole.name, whole.value, whole.ratio) == ("identity", 12_000, 0.75)
    assert (reference.name, reference.value) == ("identity_plain", 20_000)
    assert [each.ratio for each in rounds] == [0.75, 0.6, 0.75]
    assert cpu.value == 40
    assert cpu.ratio == pytest.approx(4 / 3)
