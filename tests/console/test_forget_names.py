"""Who is meant, and by what an identifier is known in a text."""

import pytest

from console.forgetting_names import BATCH_KEYS, Needles, read_identifier, read_identifiers, stands_alone
from schemas.errors import Misconfigured
from schemas.identifiers import Pseudonymiser

HIDER = Pseudonymiser(b"new", "k2", "IL", (("k1", b"old"),))


def test_what_people_type_is_a_record_key() -> None:
    for typed, key in (
        ("C-1", "customer_id:C-1"),
        ("customer_id:C-1", "customer_id:C-1"),
        ("device_id:d:1", "device_id:d:1"),
        ("order:7", "customer_id:order:7"),
    ):
        assert read_identifier(typed, None).keys == (key,)


def test_a_personal_value_is_each_of_its_pseudonyms_and_the_forms_in_which_it_may_stand_raw() -> None:
    found = read_identifier("email:Dana@Example.com ", HIDER)
    assert [key.split(":")[:3] for key in found.keys] == [
        ["email", "hmac-sha256", "k2"],
        ["email", "hmac-sha256", "k1"],
    ]
    assert found.plain == ("Dana@Example.com", "dana@example.com")
    phone = read_identifier("phone:050-123 4567", HIDER)
    assert {"050-123 4567", "+972501234567", "0501234567", "050-123-4567"} <= set(phone.plain)
    hidden = found.keys[1]
    assert read_identifier(hidden, None).keys == (hidden,)


def test_several_are_taken_together() -> None:
    found = read_identifiers(["C-1", "email:dana@example.com", "customer_id:C-1"], HIDER)
    assert len(found.keys) == 3 and found.plain == ("dana@example.com",)
    assert found.typed == "C-1, email:dana@example.com, customer_id:C-1"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("dana@example.com", "write email:dana@example.com"),
        ("customer_id:", "is no identifier"),
        ("unknown", "nobody in particular"),
        ("email:dana", "not an e-mail address"),
        ("phone:12", "not a possible phone number"),
        ("email:hmac-sha256:k1:abcd", "give the whole of it"),
    ],
)
def test_what_is_no_identifier_is_refused_with_what_to_write(typed: str, hint: str) -> None:
    with pytest.raises(Misconfigured, match=hint):
        read_identifier(typed, HIDER)


def test_without_the_key_a_raw_personal_value_cannot_be_looked_for() -> None:
    with pytest.raises(Misconfigured, match="JOURNEYS_IDENTIFIER_KEY"):
        read_identifier("email:dana@example.com", None)


SHORT, LONG = Needles(("customer_id:C-1",)), Needles(("customer_id:CUST-0001", "email:hmac-sha256:k1:" + "ab" * 32))


@pytest.mark.parametrize(
    ("needles", "text", "is_in"),
    [
        (SHORT, "customer_id:C-1", True),
        (SHORT, '{"customer_id": "C-1"}', True),
        (SHORT, r"{\"customer_id\":\"C-1\",", True),
        (SHORT, "{'customer_id':'C-1'}", True),
        (SHORT, "customer_id:C-1\x1fdevice_id:d", True),
        (SHORT, '"customer_id":"C-10"', False),
        (SHORT, '"customer_id":"C-1-b"', False),
        (SHORT, '"customer_id":"C-1.5"', False),
        (SHORT, '"order_id":"C-1"', False),
        (SHORT, "please call C-1", False),
        (LONG, "please call CUST-0001.", True),
        (LONG, "please call CUST-0001.b", False),
        (LONG, "please call XCUST-0001", False),
        (LONG, "hmac-sha256:k1:" + "ab" * 32, True),
        (Needles((), ("dana@example.com",)), "Mail to Dana@Example.COM!", True),
        (Needles((), ("dana@example.com",)), "not.dana@example.com", False),
        (Needles(("anonymous_id:a\u05d0b/c",)), '{"anonymous_id":"a\\u05d0b/c"}', True),
        (Needles(("customer_id:a.c(1)",)), "customer_id:abc(1)", False),
        (Needles(()), "anything", False),
    ],
)
def test_an_identifier_is_known_beside_its_kind_or_by_itself_if_it_is_long(
    needles: Needles, text: str, is_in: bool
) -> None:
    assert needles.are_in(text) == needles.are_in(text.encode()) == is_in


def test_how_long_a_value_must_be() -> None:
    assert [stands_alone(each) for each in ("C-1", "1234567", "12345678", "1234567890", "abcdefgh", "+972-50-12")] == [
        False, False, False, True, True, True
    ]  # fmt: skip


def test_batches_are_small_enough_for_one_query_and_leave_nothing_out() -> None:
    needles = Needles(
        tuple(f"anonymous_id:\u05d0-{number}" for number in range(3 * BATCH_KEYS)), ("+972501234567",) * 6
    )
    batches = list(needles.batches())
    assert {key for each in batches for key in each.keys} == set(needles.keys)
    assert [bool(each.plain) for each in batches] == [True, False, False]
    assert max(len(each.texts) + len(each.names) for each in batches) <= 255
