"""Which identifiers are one customer's alone."""

import pytest

from console.forgetting_aliases import Known, Owner, Tie, close

C1, C2, C3 = "customer_id:C-1", "customer_id:C-2", "customer_id:C-3"
MAIL, DEVICE, ANON = "email:m", "device_id:d", "anonymous_id:a"


def ties(*pairs: tuple[str, str], rule: str = "seen_together", at: int = 1) -> set[Tie]:
    return {Tie(weaker, stronger, rule, at) for weaker, stronger in pairs}


CHAIN = {ANON: Owner(MAIL, "linked"), MAIL: Owner(C1, "linked"), C3: Owner(C1, "linked")}


@pytest.mark.parametrize("asked", [ANON, MAIL, C1, C3])
def test_whatever_is_asked_for_the_whole_chain_is_the_customer(asked: str) -> None:
    found = close([asked], Known(owners=dict(CHAIN), ties=ties((ANON, MAIL), (MAIL, C1), (C3, C1))))
    assert found.keys[0] == asked and set(found.keys) == {ANON, MAIL, C1, C3} and not found.shared


@pytest.mark.parametrize("status", ["flagged", "conflict", "unlinked", "loop"])
def test_nothing_is_reached_through_what_is_shared_and_it_is_untied(status: str) -> None:
    owner = C1 if status == "conflict" else ""
    known = Known(owners={DEVICE: Owner(owner, status)}, ties=ties((DEVICE, C1), (DEVICE, C2)))
    found = close([C1], known)
    assert found.keys == (C1,) and found.shared == {DEVICE: status} and found.cut == ((DEVICE, C1),)
    alone = close([DEVICE], known)
    assert alone.keys == (DEVICE,)


def test_what_was_decided_for_another_customer_is_the_others() -> None:
    known = Known(owners={DEVICE: Owner(C2, "linked")}, ties=ties((DEVICE, C1), (DEVICE, C2)))
    found = close([C1], known)
    assert found.keys == (C1,) and "another customer" in found.shared[DEVICE] and found.cut == ((DEVICE, C1),)


def test_evidence_that_nobody_has_judged_counts_while_it_is_of_one_mind() -> None:
    assert set(close([DEVICE], Known(ties=ties((DEVICE, C1), (ANON, C1)))).keys) == {DEVICE, C1, ANON}
    two = Known(ties=ties((DEVICE, C1), (DEVICE, C2)))
    assert close([DEVICE], two).keys == (DEVICE,)
    assert close([C1], two).keys == (C1,) and DEVICE in close([C1], two).shared
    by_chain = Known(owners={MAIL: Owner(C1, "linked")}, ties=ties((ANON, MAIL), (ANON, C1), (MAIL, C1)))
    assert set(close([ANON], by_chain).keys) == {ANON, MAIL, C1}


def test_what_a_person_unlinked_is_not_the_customers_until_relinked() -> None:
    apart = ties((DEVICE, C1)) | ties((DEVICE, C1), rule="unlinked", at=2)
    found = close([C1], Known(ties=apart))
    assert found.keys == (C1,) and found.shared == {DEVICE: "a person unlinked it"}
    again = apart | ties((DEVICE, C1), rule="relinked", at=3)
    assert set(close([C1], Known(ties=again)).keys) == {C1, DEVICE}


def test_what_only_touchpoints_tell_counts_where_nobody_else_carries_it() -> None:
    known = Known(carriers={MAIL: {C1}, DEVICE: {C1, C2}, ANON: {C2}})
    found = close([C1], known)
    assert found.keys == (C1, MAIL)
    assert found.shared == {DEVICE: "touchpoints of other customers carry it"}
    assert close([C1], Known(carriers={ANON: {C1, ANON}}, ties=ties((ANON, C1)))).keys == (C1, ANON)


def test_a_circle_of_merges_ends() -> None:
    owners = {C1: Owner(C2, "linked"), C2: Owner(C3, "linked"), C3: Owner(C1, "linked")}
    assert set(close([C1], Known(owners=owners, ties=ties((C1, C2)))).keys) == {C1, C2, C3}
