from dataclasses import replace

import pytest

from console.identity_names import Named, pick_key, read_name, show_key, unknown_key
from console.identity_store import divide
from schemas.errors import Misconfigured
from schemas.identifiers import Pseudonymiser
from tests.console.identity_samples import EMAIL, HASH, OTHER_EMAIL

HIDER = Pseudonymiser(b"secret", "k1", "IL")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("C-1", "customer_id:C-1"),
        ("customer_id:C-1", "customer_id:C-1"),
        ("shop:12", "customer_id:shop:12"),
        ("customer_id:email:x", "customer_id:email:x"),
        ("anonymous_id:a-9", "anonymous_id:a-9"),
        (EMAIL, EMAIL),
    ],
)
def test_a_name_is_a_record_key_and_a_bare_one_a_customer(text: str, key: str) -> None:
    assert read_name(text, None) == Named(key)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (("email:dana@example.org", "email: Dana@Example.ORG".replace(" ", "")), "email"),
        (("phone:050-1234567", "phone:+972501234567", "phone:0501234567"), "phone"),
    ],
)
def test_raw_personal_ones_are_normalised_and_hidden(texts: tuple[str, ...], kind: str) -> None:
    plain = texts[0].partition(":")[2]
    assert {read_name(text, HIDER).key for text in texts} == {f"{kind}:{HIDER.hide(kind, plain)}"}


def test_a_raw_one_may_have_been_hidden_under_a_key_of_before() -> None:
    before = Pseudonymiser(b"old", "k0", "IL")
    found = read_name("email:dana@example.org", replace(HIDER, previous=(("k0", b"old"),)))
    assert found.keys == tuple(f"email:{each.hide('email', 'dana@example.org')}" for each in (HIDER, before))


@pytest.mark.parametrize("text", ["email:dana@example.org", "phone:0501234567"])
def test_without_the_key_a_raw_one_cannot_be_looked_for(text: str) -> None:
    with pytest.raises(Misconfigured, match="JOURNEYS_IDENTIFIER_KEY"):
        read_name(text, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no identifier"),
        (" C-1", "is no identifier"),
        ("email:", "is no identifier"),
        ("anonymous_id:unknown", "names nobody"),
        ("0000", "names nobody"),
        ("email:dana", "not an e-mail address"),
        ("phone:12", "not a possible phone number"),
        ("email:hmac-sha256:k1:3fa", "at least four of its digits"),
        ("email:hmac-sha256:k1:WXYZ", "at least four of its digits"),
    ],
)
def test_what_names_nobody_is_refused(text: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        read_name(text, HIDER)


def test_a_hidden_one_is_shown_by_its_first_digits_and_may_be_named_by_them() -> None:
    shown = show_key(EMAIL)
    assert shown == f"email:hmac-sha256:k1:{HASH[:12]}…"
    assert read_name(shown, None) == Named(f"email:hmac-sha256:k1:{HASH[:12]}", is_start=True)
    assert (show_key("customer_id:C-1"), show_key("customer_id:email:x")) == ("C-1", "customer_id:email:x")


def test_the_beginning_of_one_is_that_of_just_one() -> None:
    assert pick_key("email:h", [EMAIL]) == EMAIL
    with pytest.raises(Misconfigured, match="beginning of 2 identifiers"):
        pick_key("email:h", [OTHER_EMAIL, EMAIL])
    with pytest.raises(Misconfigured, match="no identifier begins with"):
        pick_key("email:h", [])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("emial:x", "did you mean email?"),
        ("dana@example.org", "did you mean email:dana@example.org?"),
        ("C-1", "no touchpoint came under it"),
    ],
)
def test_of_an_unknown_one_it_is_said_what_may_have_been_meant(text: str, hint: str) -> None:
    assert str(unknown_key(text, read_name(text, None).key)).endswith(hint)


def test_a_question_names_no_more_than_fits_into_it() -> None:
    keys = ["a" * 6, "b" * 6, "c" * 50, "d"]
    assert list(divide(keys, 20)) == [("a" * 6, "b" * 6), ("c" * 50,), ("d",)]
    assert list(divide([])) == []
