"""The error tree, named for what the caller does next.

JourneysError
├── Misconfigured   stop and tell the person: a setting, file or server is not what it must be
├── Undecodable     dead-letter the record: these bytes are no valid touchpoint
├── Transient       try again later with a new connection; nothing was confirmed
├── Terminal        trying again cannot help; stop
└── Fenced          another worker owns this partition now; drop the work, it will be redone there
"""

from __future__ import annotations


class JourneysError(Exception):
    """Base of every error that this platform raises on purpose; `str()` is one line for a person."""


class Misconfigured(JourneysError):
    """A setting, a file or a server is not what it must be; the message says what to do."""


class Undecodable(JourneysError):
    """Bytes that are no valid touchpoint.

    `reason` is a member of `schemas.dead_letter.Reason`; `detail` is one line for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Transient(JourneysError):
    """A server or connection failed in a way that passes; the work was not confirmed and may be tried again."""


class Terminal(JourneysError):
    """A server refused the work for good; trying again cannot help."""


class Fenced(JourneysError):
    """Another worker has claimed the partition; what this one still holds of it must not be written."""
