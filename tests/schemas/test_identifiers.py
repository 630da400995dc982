import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Undecodable
from schemas.identifiers import (
    KINDS,
    MAX_LENGTH,
    Pseudonymiser,
    certain_key,
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


WORDS = ["null", "NULL", "None", "nil", "undefined", "Unknown", "N/A", "na", "NaN", "#N/A", "\\N", "anonymous", "guest",
         "not set", "Not Available", "not_provided", "not-applicable", "-1", "true", "[object Object]"]  # fmt: skip
ZEROS = ["0", "000-000", "0.0", "(000) 000-0000", "000 000 0000", "+00 00/000", "00:00:00:00:00:00", "0x0",
         "0x" + "0" * 40, "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}"]  # fmt: skip
ADDRESSES = ["none@none.com", "Null@null.null", "unknown@UNKNOWN.co.uk", "0@0.com", " <none@none.com> "]


@pytest.mark.parametrize("value", ["", " ", "()", '""', *WORDS, *ZEROS, *ADDRESSES])
def test_a_placeholder_names_nobody(value: str) -> None:
    assert is_placeholder(value)


@given(st.sampled_from(WORDS), st.sampled_from(["()", "<>", "[]", "{}", '""', "''"]), st.sampled_from(["", " "]))
def test_a_word_names_nobody_in_brackets_either(word: str, brackets: str, blank: str) -> None:
    assert is_placeholder(f"{brackets[0]}{blank}{word}{blank}{brackets[1]}")


@given(st.text("0 -_.:/()+", max_size=MAX_LENGTH))
def test_zeros_name_nobody_however_they_are_separated(value: str) -> None:
    assert is_placeholder(value)


@given(st.text("0 -_.:/()+", max_size=20), st.sampled_from("123456789"), st.text("0123456789-:", max_size=20))
def test_zeros_with_another_digit_may_be_an_id(before: str, digit: str, after: str) -> None:
    value = f"{before}{digit}{after}"
    assert is_placeholder(value) == (value.strip(" ()") == "-1")


@pytest.mark.parametrize(
    "value",
    ["C-1", "10", "-2", "(1)", "nullable", "u0", "0x1", "guest-7", "not", "notset-1", "00:00:00:00:00:01", "nobody",
     "na@example.org", "guest@hotel.com", "dana@none.com", "none@dana.none", "none@none@none.com"],
)  # fmt: skip
def test_an_id_that_only_resembles_a_placeholder_is_kept(value: str) -> None:
    assert not is_placeholder(value)


@given(st.sampled_from(KINDS), st.sampled_from([*WORDS, *ZEROS, *ADDRESSES]) | st.text(max_size=12))
def test_no_placeholder_is_certain_to_be_taken_or_is_hidden(kind: str, value: str) -> None:
    if is_placeholder(value):
        assert certain_key(kind, value) is None
        with pytest.raises(ValueError, match="names nobody"):
            HIDER.hide("phone", value)


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


REPEATED = ["1111111111", "0111111111", "(555) 555-5555", "+972 00-000-0000", "+972 55-555-5555", "00972 555555555",
            "+1 777 777 7777", "٧٧٧٧٧٧٧٧٧"]  # fmt: skip


@pytest.mark.parametrize("phone", REPEATED)
def test_a_phone_number_of_one_digit_is_dropped_like_a_placeholder(phone: str) -> None:
    assert HIDER.hide_all({"customer_id": "C-1", "phone": phone}) == {"customer_id": "C-1"}
    with pytest.raises(Undecodable, match=r"^placeholder_identifier: identifiers\.phone: a placeholder"):
        HIDER.hide_all({"phone": phone})
    with pytest.raises(ValueError, match="names nobody"):
        HIDER.hide("phone", phone)


@given(st.sampled_from("0123456789"), st.integers(7, 9), st.sampled_from([("IL", "+972"), ("DE", "+49"), ("US", "+1")]))
def test_one_digit_repeated_is_refused_in_every_region(digit: str, count: int, region: tuple[str, str]) -> None:
    hider = Pseudonymiser(HIDER.key, "k1", region[0])
    with pytest.raises((ValueError, Undecodable)):
        hider.hide_all({"phone": f"{region[1]}{digit * count}"})


@pytest.mark.parametrize("phone", ["+7 972 222-22-22", "050-1111111", "03-6666667", "+1 212 222 2222"])
def test_a_phone_number_that_only_ends_in_one_digit_is_kept(phone: str) -> None:
    assert is_pseudonym(HIDER.hide_all({"phone": phone})["phone"])


def test_what_a_repeated_digit_once_linked_can_still_be_looked_for() -> None:
    assert is_pseudonym(HIDER.hide_all_keys("phone", "1111111111")[0])


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
