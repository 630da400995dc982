"""Which identifiers are one customer's alone."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from console.forgetting_aliases import (
    LINKS_SQL,
    OWNERS_SQL,
    WAY_UP_SQL,
    Known,
    Owner,
    Tie,
    close,
    find_aliases,
)
from sinks.writer import ClickHouseWriter

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
    both = Known(owners={**owners, MAIL: Owner(C1, "linked")}, ties=ties((C1, C2), (MAIL, C1), (MAIL, C2)))
    assert set(close([MAIL], both).keys) == {C1, C2, C3, MAIL}, "whoever is in one circle is one customer"


FAMILY = ties((DEVICE, C1), (DEVICE, C2), (DEVICE, C3))
TABLET = {DEVICE: Owner(C1, "linked")}


def test_a_device_that_is_linked_to_the_first_of_a_family_is_everybodys() -> None:
    known = Known(owners=dict(TABLET), ties=set(FAMILY), carriers={DEVICE: {C1}})
    for asked in (C1, C2, C3):
        found = close([asked], known)
        assert found.keys == (asked,) and found.cut == ((DEVICE, asked),)
        assert found.shared == {DEVICE: "it belongs to another customer as well"}
    alone = close([DEVICE], known)
    assert alone.keys == (DEVICE,) and not alone.shared


def test_what_is_below_a_shared_device_is_not_reached_and_reaches_nothing() -> None:
    below = {**TABLET, ANON: Owner(DEVICE, "linked")}
    known = Known(owners=below, ties=FAMILY | ties((ANON, DEVICE)), carriers={DEVICE: {C1}, ANON: {C1}})
    found = close([C1], known)
    assert found.keys == (C1,) and set(found.shared) == {DEVICE, ANON} and found.cut == ((DEVICE, C1),)
    assert close([ANON], known).keys == (ANON,) and close([DEVICE], known).keys == (DEVICE,)
    unjudged = Known(owners=dict(TABLET), ties=FAMILY | ties((ANON, DEVICE)))
    for asked in (C1, DEVICE, ANON):
        assert close([asked], unjudged).keys == (asked,)
    assert close([DEVICE], Known(owners=dict(TABLET), ties=FAMILY, carriers={ANON: {DEVICE}})).keys == (DEVICE,)


def test_what_is_seen_with_the_customer_as_well_is_reached_beside_the_shared_device() -> None:
    own = {**TABLET, ANON: Owner(C1, "linked")}
    found = close([C1], Known(owners=own, ties=FAMILY | ties((ANON, DEVICE), (ANON, C1))))
    assert found.keys == (C1, ANON) and set(found.shared) == {DEVICE}


@pytest.mark.parametrize("status", ["flagged", "conflict"])
def test_what_nobody_has_alone_is_not_erased_for_what_is_below_it(status: str) -> None:
    owners = {MAIL: Owner(C1 if status == "conflict" else "", status), DEVICE: Owner(MAIL, "linked")}
    known = Known(owners=owners, ties=ties((MAIL, C1), (MAIL, C2), (DEVICE, MAIL)))
    assert close([DEVICE], known).keys == (DEVICE,)
    merged = Known(owners={C1: Owner(C2, "conflict"), MAIL: Owner(C1, "linked")}, ties=ties((MAIL, C1)))
    assert close([MAIL], merged).keys == (MAIL, C1)


def test_owners_who_are_one_customer_in_the_end_do_not_share() -> None:
    owners = {**TABLET, MAIL: Owner(C3, "linked"), C3: Owner(C1, "linked")}
    evidence = ties((DEVICE, C1), (DEVICE, MAIL), (DEVICE, C3), (MAIL, C3), (C3, C1))
    for asked in (C1, DEVICE):
        found = close([asked], Known(owners=owners, ties=evidence))
        assert set(found.keys) == {C1, C3, MAIL, DEVICE} and not found.shared


def test_what_a_person_undid_or_ordered_settles_whose_it_is() -> None:
    undone = ties((DEVICE, C2), (DEVICE, C3), rule="unlinked", at=2)
    assert close([C1], Known(owners=dict(TABLET), ties=FAMILY | undone)).keys == (C1, DEVICE)
    ordered = Known(owners=dict(TABLET), ties=FAMILY | ties((DEVICE, C1), rule="relinked", at=2))
    assert close([C1], ordered).keys == (C1, DEVICE)
    other = close([C2], ordered)
    assert other.keys == (C2,) and DEVICE in other.shared and other.cut == ((DEVICE, C2),)


class Tables:
    """Answers from decisions and evidence as ClickHouse would; no touchpoints."""

    def __init__(self, owners: Mapping[str, Owner], evidence: set[Tie]) -> None:
        self.owners = [(key, *owner) for key, owner in owners.items()]
        self.ties = list(evidence)

    def query_beside(self, sql: str, _: object, __: object, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
        wanted = {row["text"] for row in rows}
        if sql == WAY_UP_SQL:
            return [row for row in self.owners if row[0] in wanted]
        stored: Mapping[str, Sequence[tuple[Any, ...]]] = {OWNERS_SQL: self.owners, LINKS_SQL: self.ties}
        return [row for row in stored.get(sql, ()) if wanted & set(row[:2])]

    def found(self, asked: str) -> set[str]:
        return set(find_aliases(cast(ClickHouseWriter, self), [asked]).keys)


def test_all_is_read_that_tells_whether_owners_are_one() -> None:
    phone, card = "phone:p", "loyalty_id:L"
    owners = {**TABLET, MAIL: Owner(phone, "linked"), phone: Owner(card, "linked"), card: Owner(C1, "linked")}
    evidence = ties((DEVICE, C1), (DEVICE, MAIL), (MAIL, phone), (phone, card), (card, C1))
    own = Tables(owners, evidence)
    for asked in (DEVICE, C1, MAIL):
        assert own.found(asked) == {C1, DEVICE, MAIL, phone, card}
    shared = Tables({**owners, C3: Owner(C2, "linked")}, evidence | ties((DEVICE, C3), (C3, C2)))
    assert shared.found(C1) == {C1, MAIL, phone, card} and shared.found(DEVICE) == {DEVICE}
