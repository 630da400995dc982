"""Identifiers: by which (kind, value) a source knows a customer, and how personal ones are hidden.

Kinds from strongest to weakest; the strongest of a touchpoint names its customer and keys its Kafka record.
E-mail and phone are personal: they are normalised and replaced by a keyed HMAC at the door, never stored raw.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import phonenumbers

from schemas.errors import Undecodable

KINDS = ("customer_id", "loyalty_id", "phone", "email", "device_id", "anonymous_id")
PERSONAL_KINDS = frozenset({"phone", "email"})
MAX_LENGTH = 256

_PLACEHOLDERS = frozenset(
    {"", "null", "none", "nil", "undefined", "unknown", "anonymous", "guest", "n/a", "na", "nan", "-1", "true", "false"}
    | {"object object", "#n/a", "\\n"}
    | {f"not{gap}{word}" for gap in " _-" for word in ("set", "available", "provided", "applicable", "specified")}
)
_WRAPPING = " ()<>[]{}\"'"
_ZEROS = re.compile(r"(0x)?[0\s\-_.:/()+]+")
_REPEATED_END = re.compile(r"([0-9])\1{5}")
_MIN_REPEATED = 6
_PSEUDONYM = re.compile(r"hmac-sha256:[a-z0-9]{1,16}:[0-9a-f]{64}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def is_placeholder(value: str) -> bool:
    """Whether a value says "nobody in particular" (`null`, `-1`, zeros, `(not set)`): it must never name a customer.

    Zeros may be written with separators, words in brackets or quotes. An e-mail address is one when both its local part
    and the first label of its domain are: `none@none.com`, and not `guest@hotel.com`.
    """
    bare = value.strip().lower().strip(_WRAPPING)
    if bare in _PLACEHOLDERS or _ZEROS.fullmatch(bare) is not None:
        return True
    local, at, domain = bare.rpartition("@")
    return at != "" and "@" not in local and is_placeholder(local) and is_placeholder(domain.partition(".")[0])


def is_clean_text(value: str) -> bool:
    """Whether an id is 1 to 256 printable characters without outer blanks, control or direction marks."""
    return 0 < len(value) <= MAX_LENGTH and value.isprintable() and value.strip() == value


def is_pseudonym(value: str) -> bool:
    """Whether a personal identifier was already replaced at an earlier door."""
    return _PSEUDONYM.fullmatch(value) is not None


def strongest(identifiers: Mapping[str, str]) -> tuple[str, str]:
    """The (kind, value) that names the customer. Raises KeyError when no known kind is there."""
    for kind in KINDS:
        if kind in identifiers:
            return kind, identifiers[kind]
    raise KeyError("no identifier of a known kind")


def record_key(kind: str, value: str) -> str:
    """The Kafka record key of a customer: `customer_id:C-1`. One customer, one key, one partition."""
    return f"{kind}:{value}"


def certain_key(kind: str, value: str) -> str | None:
    """The record key of an identifier of a known kind that the contract certainly takes; None where it must judge."""
    if not is_clean_text(value) or is_placeholder(value) or (kind in PERSONAL_KINDS and not is_pseudonym(value)):
        return None
    return record_key(kind, value)


def is_customer(key: str) -> bool:
    """Whether a record key is a `customer_id`, and not a weaker identifier that may belong to one."""
    return key.startswith("customer_id:")


def customer_name(key: str) -> str:
    """What tables show for a record key: the bare value of a `customer_id`, otherwise the whole key.

    A customer_id that itself looks like `phone:…` keeps its prefix, so two customers never share a name.
    """
    kind, _, value = key.partition(":")
    if kind == "customer_id" and value.partition(":")[0] not in KINDS:
        return value
    return key


def customer_key(name: str) -> str:
    """The record key of a customer as tables show it; the inverse of `customer_name`."""
    return name if name.partition(":")[0] in KINDS else f"customer_id:{name}"


def own_identifiers_json(key: str) -> str:
    """The identifiers of who has none but a record key, as JSON; empty where the name in the tables says it all."""
    kind, _, value = key.partition(":")
    return "" if customer_name(key) == value else msgspec.json.encode({kind: value}).decode()


def normalise_email(value: str) -> str:
    """Lower case without outer blanks. Raises ValueError when it is no address."""
    email = value.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise ValueError("not an e-mail address")
    return email


def normalise_phone(value: str, default_region: str) -> str:
    """E.164 (`+972501234567`); a number without a prefix is read in `default_region`. Raises ValueError."""
    return phonenumbers.format_number(_parse_phone(value, default_region), phonenumbers.PhoneNumberFormat.E164)


def _parse_phone(value: str, default_region: str) -> phonenumbers.PhoneNumber:
    try:
        number = phonenumbers.parse(value, default_region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("not a possible phone number")
    return number


class _NamesNobody(ValueError):
    """A personal value that is a placeholder."""


@dataclass(frozen=True)
class Pseudonymiser:
    """Replaces personal identifiers by `hmac-sha256:<key id>:<64 hex digits>`; equal input gives equal output.

    `previous` are (key id, key) of keys that were in use before: nothing is hidden with them any more.
    """

    key: bytes
    key_id: str
    default_region: str
    previous: tuple[tuple[str, bytes], ...] = ()

    def __repr__(self) -> str:
        """Never print the key."""
        return f"Pseudonymiser(key_id={self.key_id!r})"

    def hide(self, kind: str, value: str) -> str:
        """The pseudonym of one personal identifier.

        Raises ValueError when the value is no e-mail or phone, or a placeholder: of a phone also when the national
        number is one digit repeated.
        """
        if is_pseudonym(value):
            return value
        if is_placeholder(value):
            raise _NamesNobody("names nobody in particular")
        plain = self.normalise(kind, value)
        if kind == "phone" and self._is_one_digit(value, plain):
            raise _NamesNobody("names nobody in particular: one digit repeated")
        return _hide(self.key_id, self.key, kind, plain)

    def hide_all_keys(self, kind: str, value: str) -> tuple[str, ...]:
        """The pseudonym under the key in use, then under each previous one. Raises ValueError as `normalise` does.

        What is a pseudonym already cannot be told under another key, and comes back alone. A placeholder is told as
        well, so that what it once linked can be found.
        """
        if is_pseudonym(value):
            return (value,)
        plain = self.normalise(kind, value)
        return tuple(_hide(*each, kind, plain) for each in ((self.key_id, self.key), *self.previous))

    def normalise(self, kind: str, value: str) -> str:
        """The one form of a personal value that is hidden. Raises ValueError when it is no e-mail or phone."""
        return normalise_email(value) if kind == "email" else normalise_phone(value, self.default_region)

    def hide_all(self, identifiers: Mapping[str, str]) -> dict[str, str]:
        """The same identifiers with every personal one replaced, and without those that name nobody.

        Raises ValueError naming the kind at fault, and `Undecodable` (`placeholder_identifier`) when none remains.
        """
        hidden = dict(identifiers)
        for kind in PERSONAL_KINDS & hidden.keys():
            try:
                hidden[kind] = self.hide(kind, hidden[kind])
            except _NamesNobody:
                del hidden[kind]
            except ValueError as error:
                raise ValueError(f"identifiers.{kind}: {error}") from error
        if identifiers and not hidden:
            detail = f"identifiers.{strongest(identifiers)[0]}: a placeholder, such as one digit repeated, names nobody"
            raise Undecodable("placeholder_identifier", detail)
        return hidden

    def _is_one_digit(self, value: str, plain: str) -> bool:
        # Most numbers do not end so, and are not parsed again.
        if not _REPEATED_END.fullmatch(plain[-_MIN_REPEATED:]):
            return False
        national = phonenumbers.national_significant_number(_parse_phone(value, self.default_region))
        return len(national) >= _MIN_REPEATED and len(set(national)) == 1


def _hide(key_id: str, key: bytes, kind: str, plain: str) -> str:
    return f"hmac-sha256:{key_id}:{hmac.new(key, f'{kind}:{plain}'.encode(), hashlib.sha256).hexdigest()}"
