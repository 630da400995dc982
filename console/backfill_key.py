"""Under which identifier key a backfill hides e-mail addresses and phone numbers, so that another one is noticed."""

from __future__ import annotations

import hashlib
import hmac

from schemas.errors import Misconfigured
from schemas.settings import Settings

NO_KEY = ""
MARK_DIGITS = 16
TWICE = "(whom the files know by e-mail address or phone number alone is then there twice, once under each key)"


def key_mark(settings: Settings) -> str:
    """What tells the key from others, and does not give it away: `k1:` and hex digits. `NO_KEY` where none is set."""
    if settings.identifier_key is None:
        return NO_KEY
    secret = settings.identifier_key.get_secret_value().encode()
    digest = hmac.new(secret, b"the key of a backfill", hashlib.sha256).hexdigest()
    return f"{settings.identifier_key_id}:{digest[:MARK_DIGITS]}"


def check_key(then: str | None, now: str) -> None:
    """Raise `Misconfigured` where a run that is to go on began with another key."""
    if then is None or then == now:
        # One that noted none is believed to have had the same.
        return
    began = f"this backfill began {_describe(then)}, and now {_describe_now(then, now)}"
    if then == NO_KEY:
        raise Misconfigured(f"{began}: --from-start loads all of it with the key")
    raise Misconfigured(
        f"{began}: set the key of then, and the same command goes on; --from-start begins anew without it {TWICE}"
    )


def tell_other_key(then: str | None, now: str, rejected: int) -> str:
    """What there is to know of files that were loaded with another key than is set now; an empty text for the same."""
    if then is None or then == now:
        return ""
    told = f"they were loaded {_describe(then)}, and now {_describe_now(then, now)}"
    if then != NO_KEY:
        return f"{told}: --from-start would load them under what is set now {TWICE}"
    if rejected:
        return f"{told}: --from-start loads them again with it, also rows that were rejected for want of a key"
    return told


def _describe(mark: str) -> str:
    return "without an identifier key" if mark == NO_KEY else f"with identifier key {_name(mark)}"


def _describe_now(then: str, now: str) -> str:
    if now == NO_KEY:
        return "none is set"
    return f"{_name(now)} is set" if _name(then) != _name(now) else f"another key is set under the name {_name(now)}"


def _name(mark: str) -> str:
    return mark.partition(":")[0]
