import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identifiers import (
    KINDS,
    MAX_LENGTH,
    Pseudonymiser,
    customer_key,
    customer_name,
    is_clean_text,
    is_placeholder,
    is_pseudonym,
    normalise_email,
    normalise_phone,
    record_key,
    strongest,
)

HIDER = Pseudonymiser(b"a key of thirty-two bytes or more", "k1", "IL")


@pytest.mark.parametrize(
    "value", ["", " ", "null", "NULL", "-1", "0", "000-000", "0.0", "Unknown", "N/A", "guest", "NaN"]
)
def test_a_placeholder_names_nobody(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize("value", ["C-1", "10", "-2", "nullable", "u0", "guest-7"])
def test_an_id_that_only_resembles_a_placeholder_is_kept(value: str) -> None:
    assert not is_placeholder(value)


@pytest.mark.parametrize(
    "value", ["", " C-1", "C-1\n", "C\x001", "C\u200f1", "C\u202e1", "C\ufeff1", "\ud800", "x" * (MAX_LENGTH + 1)]
)
def test_text_that_people_cannot_see_is_no_id(value: str) -> None:
    assert not is_clean_text(value)


@pytest.mark.parametrize("value", ["C-1", "לקוח 7", "Zoë", "x" * MAX_LENGTH, "a:b"])
def test_printable_text_is_an_id(value: str) -> None:
    assert is_clean_text(value)


def test_the_strongest_known_kind_names_the_customer() -> None:
    assert strongest({"anonymous_id": "a", "zip": "1", "phone": "p", "email": "e"}) == ("phone", "p")
    with pytest.raises(KeyError):
        strongest({"zip": "1"})


@given(st.sampled_from(KINDS), st.text(min_size=1))
def test_a_customers_name_and_record_key_are_inverse(kind: str, value: str) -> None:
    key = record_key(kind, value)
    assert customer_key(customer_name(key)) == key


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.text(min_size=1)), unique=True))
def test_no_two_customers_share_a_name(customers: list[tuple[str, str]]) -> None:
    assert len({customer_name(record_key(*customer)) for customer in customers}) == len(customers)


def test_an_address_is_one_person_however_it_is_written() -> None:
    assert normalise_email(" Dana@Shop.Example ") == "dana@shop.example"
    assert HIDER.hide("email", "DANA@shop.example") == HIDER.hide("email", " dana@SHOP.example")


@pytest.mark.parametrize("value", ["050-123-4567", "+972 50 123 4567", "00972501234567", "(050) 1234567"])
def test_a_phone_number_is_one_however_it_is_written(value: str) -> None:
    assert normalise_phone(value, "IL") == "+972501234567"


def test_a_number_without_prefix_is_read_in_the_default_region() -> None:
    assert normalise_phone("030 1234567", "DE") == "+49301234567"


@pytest.mark.parametrize(
    ("kind", "value"), [("email", "dana"), ("email", "a@b"), ("phone", "call me"), ("phone", "12")]
)
def test_what_is_no_address_or_number_is_refused_by_kind(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"identifiers.{kind}"):
        HIDER.hide_all({kind: value})


def test_a_pseudonym_is_stable_keyed_and_bound_to_its_kind() -> None:
    hidden = HIDER.hide("email", "dana@shop.example")
    assert hidden == "hmac-sha256:k1:" + hidden[-64:]
    assert is_pseudonym(hidden) and HIDER.hide("email", hidden) == hidden
    assert hidden == Pseudonymiser(HIDER.key, "k1", "DE").hide("email", "dana@shop.example")
    assert hidden[-64:] != Pseudonymiser(b"another key", "k1", "IL").hide("email", "dana@shop.example")[-64:]


def test_the_pseudonym_of_a_known_input_never_changes() -> None:
    # Stored journeys hang on it: another digest would make every known customer a stranger.
    assert Pseudonymiser(b"key", "k1", "IL").hide("email", "dana@shop.example") == (
        "hmac-sha256:k1:744d84d4cc71b736b768b34f684dd009ec91cd209aabf800148ee079ec2fa74e"
    )


def test_a_value_has_a_pseudonym_under_each_key_that_was_ever_in_use() -> None:
    rotated = Pseudonymiser(b"key", "k3", "IL", (("k2", b"before"), ("k1", HIDER.key)))
    found = rotated.hide_all_keys("email", " Dana@Shop.example")
    assert [each.split(":")[1] for each in found] == ["k3", "k2", "k1"]
    assert found[0] == rotated.hide("email", "dana@shop.example")
    assert found[2] == HIDER.hide("email", "dana@shop.example")
    assert rotated.hide_all_keys("email", found[2]) == (found[2],)
    assert "before" not in repr(rotated)


def test_only_personal_kinds_are_hidden_and_the_key_is_never_shown() -> None:
    hidden = HIDER.hide_all({"customer_id": "C-1", "phone": "050-1234567"})
    assert hidden["customer_id"] == "C-1" and is_pseudonym(hidden["phone"])
    assert "thirty-two" not in repr(HIDER)
