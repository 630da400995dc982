"""How people name an identifier on the command line, and how one is shown to them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.errors import Misconfigured
from schemas.hints import did_you_mean
from schemas.identifiers import (
    KINDS,
    PERSONAL_KINDS,
    Pseudonymiser,
    customer_name,
    is_clean_text,
    is_placeholder,
    is_pseudonym,
    record_key,
)

HIDDEN = "hmac-sha256:"
MORE = "…"
SHOWN_DIGITS = 12
_HIDDEN_START = re.compile(r"hmac-sha256:[a-z0-9]{1,16}:[0-9a-f]{4,64}")
_LONG = re.compile(rf"(hmac-sha256:[a-z0-9]{{1,16}}:[0-9a-f]{{{SHOWN_DIGITS}}})[0-9a-f]{{{64 - SHOWN_DIGITS}}}")


@dataclass(frozen=True)
class Named:
    """A record key, or with `is_start` the beginning of one: of a hidden value that was written shortened.

    `former`: the same identifier as it was hidden under keys of before.
    """

    key: str
    is_start: bool = False
    former: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All that it may be stored as, the present one first."""
        return (self.key, *self.former)


def read_name(text: str, pseudonymiser: Pseudonymiser | None) -> Named:
    """What is meant by `C-1`, `customer_id:C-1`, `email:dana@example.org` or `email:hmac-sha256:k1:3fab…`.

    Raw e-mail addresses and phone numbers are normalised and hidden. Raises `Misconfigured`.
    """
    kind, separator, value = text.partition(":")
    if not separator or kind not in KINDS:
        kind, value = KINDS[0], text
    if not is_clean_text(value):
        raise Misconfigured(f"{text!r} is no identifier: write it as C-1, or as kind:value, as in email:dana@a.org")
    if is_placeholder(value):
        raise Misconfigured(f"{text!r} names nobody in particular, and so belongs to nobody")
    if kind not in PERSONAL_KINDS or is_pseudonym(value):
        return Named(record_key(kind, value))
    if value.startswith(HIDDEN):
        start = value.removesuffix(MORE)
        if not _HIDDEN_START.fullmatch(start):
            raise Misconfigured(f"{text!r} is no hidden {kind}: give its key id and at least four of its digits")
        return Named(record_key(kind, start), is_start=True)
    key, *former = (record_key(kind, hidden) for hidden in _hide(kind, value, pseudonymiser))
    return Named(key, former=tuple(former))


def _hide(kind: str, value: str, pseudonymiser: Pseudonymiser | None) -> tuple[str, ...]:
    if pseudonymiser is None:
        raise Misconfigured(
            f"a raw {kind} is looked for by its keyed hash, and there is no key: set JOURNEYS_IDENTIFIER_KEY to the "
            f"workers', or give the hidden form, {kind}:{HIDDEN}…"
        )
    try:
        return pseudonymiser.hide_all_keys(kind, value)
    except ValueError as error:
        raise Misconfigured(f"{kind}:{value} cannot be looked for: {error}") from error


def pick_key(start: str, found: Iterable[str]) -> str:
    """The only record key that begins so. Raises `Misconfigured` for none and for several."""
    keys = sorted(found)
    if not keys:
        raise Misconfigured(f"no identifier begins with {start}: `journeys identity list` shows them")
    if len(keys) > 1:
        shown = ", ".join(keys[:3]) + (f", {MORE}" if len(keys) > 3 else "")
        raise Misconfigured(f"{start} is the beginning of {len(keys)} identifiers ({shown}): give more of it")
    return keys[0]


def show_key(key: str) -> str:
    """An identifier for people: a customer by name, a hidden value by its first digits, which name it as well."""
    return _LONG.sub(rf"\1{MORE}", customer_name(key))


def unknown_key(text: str, key: str, namesakes: Sequence[str] = ()) -> Misconfigured:
    """The error that nothing is known of an identifier, with what may have been meant; best one of its `namesakes`."""
    hint = meant_instead(text, key, namesakes)
    told = f"nothing is known of {show_key(key)}: no link names it and no touchpoint came under it"
    return Misconfigured(f"{told}; {hint}" if hint else told)


def meant_instead(text: str, key: str, namesakes: Sequence[str] = ()) -> str:
    """`did you mean …?` of what was typed and looked up as `key` in vain, or an empty text."""
    kind, separator, _ = text.partition(":")
    if namesakes:
        return f"did you mean {namesakes[0]}?"
    hint = did_you_mean(kind, KINDS) if separator and kind not in KINDS else ""
    if not hint and "@" in text and key.startswith(KINDS[0]):
        return f"did you mean email:{text.removeprefix(f'{KINDS[0]}:')}?"
    return hint
