"""What a person says of a link, that it is undone or ordered: sent to the worker that decides, which is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError

from console.alert_store import Ask
from console.identity_family import Decision, Statement, climb, standing_acts
from console.identity_names import show_key
from console.identity_store import is_linked, is_stored, read_decisions, read_statements
from producers.emitters import explain
from producers.topics import check_topics
from schemas.errors import JourneysError, Misconfigured, Transient
from schemas.identifiers import KINDS
from schemas.links import Link, LinkRule, encode_link, strength
from schemas.moments import to_epoch_ms
from schemas.partitioning import partition_of
from schemas.topics import IDENTITY_LINKS

SOURCE = "console"
SEND_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.2
SETTLING_SECONDS = 3.0
"""How long after a link is stored a new decision may follow; where none does, the one that stands holds."""
LONGEST_REASON = 1_000
LONGEST_NAME = 256


@dataclass(frozen=True)
class Ground:
    """What stands before an act: the decision on the identifier, and the act on the pair that counts."""

    decision: Decision | None
    act: Statement | None


def make_act(rule: LinkRule, pair: tuple[str, str], by: str, reason: str, at: datetime) -> Link:
    """The link that says so, with an id of its own. Raises `Misconfigured` for what no link can say."""
    identifier, owner = pair
    check_pair(rule, identifier, owner)
    for option, text, longest in (("--reason", reason, LONGEST_REASON), ("--by", by, LONGEST_NAME)):
        if not text.strip():
            raise Misconfigured(f"{option} must not be empty")
        if len(text) > longest:
            raise Misconfigured(f"{option} must not be longer than {longest:,} characters")
    return Link(identifier, owner, rule, to_epoch_ms(at), SOURCE, str(uuid4()), by.strip(), reason.strip())


def check_pair(rule: LinkRule, identifier: str, owner: str) -> None:
    """Raises `Misconfigured` where no link can go from the one to the other."""
    command = "unlink" if rule == "unlinked" else "relink"
    weaker, stronger = show_key(identifier), show_key(owner)
    if identifier == owner:
        raise Misconfigured(f"{weaker} is given twice: an identifier cannot belong to itself")
    if strength(identifier) < strength(owner):
        raise Misconfigured(
            f"{weaker} is the stronger one, so it cannot belong to {stronger}: write it the other way round, "
            f"{command} {stronger} {weaker}"
        )
    if strength(identifier) == strength(owner) != 0:
        kind = KINDS[strength(owner)]
        raise Misconfigured(f"{weaker} and {stronger} are both of kind {kind}, of which none belongs to another")


def read_ground(ask: Ask, link: Link) -> Ground:
    """What stands now."""
    acts = standing_acts(each for each in read_statements(ask, link.identifier) if each.owner == link.owner)
    return Ground(read_decisions(ask, [link.identifier]).get(link.identifier), acts[0] if acts else None)


def find_objection(ask: Ask, link: Link, ground: Ground) -> str:
    """Why undoing makes no sense as things stand, with what to do instead; empty when it does."""
    weaker, stronger = show_key(link.identifier), show_key(link.owner)
    owner = ground.decision.owner if ground.decision is not None else ""
    if link.rule == "relinked" or owner == link.owner or is_linked(ask, link.identifier, link.owner):
        return ""
    way = _way_up(ask, link.identifier)
    if link.owner in way:
        way = way[: way.index(link.owner) + 1]
        hops = (f"`unlink {show_key(one)} {show_key(other)}`" for one, other in zip(way, way[1:], strict=False))
        return f"no link joins {weaker} and {stronger} directly: undo one of the hops between them, {' or '.join(hops)}"
    if is_linked(ask, link.owner, link.identifier):
        return f"it is {stronger} that belongs to {weaker}: write it the other way round"
    return f"no link joins {weaker} and {stronger}: `journeys identity show {weaker}` says what does"


def refuse_circle(ask: Ask, link: Link) -> None:
    """Raises `Misconfigured` when ordering a link would have two customers belong to each other."""
    if link.rule == "relinked" and link.identifier in _way_up(ask, link.owner):
        weaker, stronger = show_key(link.identifier), show_key(link.owner)
        raise Misconfigured(
            f"{stronger} belongs to {weaker}, so this would make a circle: unlink {stronger} from its owner first"
        )


def stands_already(link: Link, ground: Ground) -> bool:
    """Whether a person has said just this of the pair before, and nobody the opposite since."""
    if ground.act is None or ground.act.rule != link.rule:
        return False
    owner = ground.decision.owner if ground.decision is not None else ""
    return (owner == link.owner) == (link.rule == "relinked")


def _way_up(ask: Ask, key: str) -> list[str]:
    def owner_of(each: str) -> str:
        found = read_decisions(ask, [each]).get(each)
        return found.owner if found is not None else ""

    return list(climb(key, owner_of))


def send_link(options: Mapping[str, Any], link: Link) -> None:
    """Send a link to the partition of its identifier; on return all replicas have it. `options` are kafka-python's.

    Sending one again does no harm. Raises `Transient` when that is not certain, `Misconfigured` for missing topics.
    """
    place = partition_of(link.identifier.encode(), check_topics(options))
    tuned = {"max_block_ms": 10_000, "metrics_enabled": False}
    fixed = {"acks": "all", "enable_idempotence": True, "allow_auto_create_topics": False}
    try:
        producer = KafkaProducer(**{**tuned, **options, **fixed})
        try:
            sent = producer.send(IDENTITY_LINKS, encode_link(link), link.record_key, partition=place)
            sent.get(timeout=SEND_SECONDS)
        finally:
            producer.close(SEND_SECONDS)
    except (KafkaError, OSError) as error:
        raise Transient(
            f"topic {IDENTITY_LINKS} has not acknowledged it: {explain(error)}: run the command again, it does no harm"
        ) from error


def await_decision(
    ask: Ask,
    link: Link,
    former: Decision | None,
    seconds: float,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Decision | None:
    """The decision of the worker that owns the identifier, made with the link known; None: not within `seconds`.

    `former` is the decision of before the act. Raises `Transient` or `Terminal`, saying that the link is recorded all
    the same.
    """
    deadline = now() + seconds
    stored_at: float | None = None
    while True:
        try:
            if stored_at is None and is_stored(ask, link.identifier, link.owner, link.event_id):
                stored_at = now()
            decision = None if stored_at is None else read_decisions(ask, [link.identifier]).get(link.identifier)
        except JourneysError as error:
            raise type(error)(f"it is recorded in Kafka, but what a worker decides cannot be read: {error}") from error
        if stored_at is not None and (decision != former or now() - stored_at >= SETTLING_SECONDS):
            return decision
        if now() >= deadline:
            return None
        sleep(LOOK_EVERY_SECONDS)


def result_line(link: Link, decision: Decision | None) -> str:
    """What an act came to, for a person."""
    key, owner = show_key(link.identifier), show_key(link.owner)
    if decision is None:
        return f"{key}: recorded in Kafka; no worker has decided yet (`journeys identity show {key}` says when one has)"
    whose = show_key(decision.owner) if decision.owner else "nobody"
    did = decision.owner == link.owner
    if link.rule == "unlinked":
        said = f"still belongs to {owner}" if did else f"no longer belongs to {owner}, but to {whose}"
    else:
        said = f"belongs to {owner}" if did else f"does not belong to {owner}, but to {whose}"
    return f"{key}: {said} ({decision.status})"


def is_fulfilled(link: Link, decision: Decision) -> bool:
    """Whether the decision is what the person wanted."""
    return (decision.owner == link.owner) == (link.rule == "relinked")
