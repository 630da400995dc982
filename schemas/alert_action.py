"""What somebody did about an alert: acknowledged it, gave it to a colleague, silenced its like."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, field_serializer, model_validator

from schemas.moments import Moment, format_epoch_ms, to_epoch_ms

ActionName = Literal["ack", "unack", "assign", "note", "resolve", "reopen", "silence", "unsilence"]
ACTIONS: tuple[ActionName, ...] = get_args(ActionName)
SILENCING: tuple[ActionName, ...] = ("silence", "unsilence")
MATCHERS = ("rule", "customer_id", "store_id", "subject")
"""What a silence may name; it holds for every alert that has the same in all that it names."""

Text = Annotated[str, StringConstraints(max_length=256, strip_whitespace=True)]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class AlertAction(BaseModel):
    """One action, as published on topic `alert-actions` under its id and kept in ClickHouse.

    A silence and its end are about one episode or about all that match; every other action is about one episode.
    `until` is when a silence ends by itself. Times are RFC 3339 and count by the millisecond.
    """

    model_config = ConfigDict(frozen=True)

    action_id: Uuid
    episode_id: Uuid | None = None
    action: ActionName
    by: Annotated[Text, StringConstraints(min_length=1)]
    note: Annotated[str, StringConstraints(max_length=4096, strip_whitespace=True)] = ""
    assignee: Text = ""
    rule: Text = ""
    customer_id: Text = ""
    store_id: Text = ""
    subject: Text = ""
    until: Moment | None = None
    acted_at: Moment

    @model_validator(mode="after")
    def _check_target(self) -> AlertAction:
        if self.action not in SILENCING:
            if self.episode_id is None or any(self.matchers):
                raise ValueError(f"{self.action} is about one episode and matches no others")
        elif self.episode_id is None and not any(self.matchers):
            raise ValueError(f"{self.action} must name an episode or something that alerts have in common")
        if self.action == "note" and not self.note:
            raise ValueError("a note has a text")
        if (self.action == "silence") != (self.until is not None):
            raise ValueError("a silence has an end, and nothing else has")
        if self.until is not None and self.until <= self.acted_at:
            raise ValueError("a silence ends after it began")
        return self

    @property
    def matchers(self) -> tuple[str, str, str, str]:
        """What it matches, in the order of `MATCHERS`; empty for any."""
        return self.rule, self.customer_id, self.store_id, self.subject

    @field_serializer("acted_at", "until")
    def _format(self, moment: datetime | None) -> str | None:
        return None if moment is None else format_epoch_ms(to_epoch_ms(moment))
