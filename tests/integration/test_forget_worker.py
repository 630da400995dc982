"""What workers do of an erased customer: let go of what is open, and drop what comes later, also after a restart."""

import json
import time
from typing import Any

import pytest

from schemas.identifiers import record_key, strongest
from tests.console.running import journeys
from tests.integration.canary import (
    ANONYMOUS,
    CUSTOMER,
    DEVICE,
    EMAIL,
    EMAIL_NEW,
    OTHER,
    SECRETS,
    store_plainly,
    tables_with_traces,
)
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed, Platform, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def seen(event_id: str, **identifiers: str) -> Feed:
    """A touchpoint of five minutes ago under these identifiers."""
    at_ms = time.time_ns() // 1_000_000 - 300_000
    made = touchpoint("", event_id, at_ms, "queue_joined", source="store", store_id="S-1", identifiers=identifiers,
                      properties={"queue": "tills"})  # fmt: skip
    return Feed(record_key(*strongest(identifiers)).encode(), made.value)


def forget(platform: Platform, *arguments: str) -> dict[str, Any]:
    where = platform.directory
    done = journeys("--data-dir", str(where), "forget", *arguments, "--json", cwd=where.parent, changed=SECRETS)
    if done.returncode:
        print(done.stdout)
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def linked(platform: Platform) -> int:
    return len(platform.query("SELECT identifier FROM journeys.identity_owners FINAL WHERE status = 'linked'"))


def test_workers_let_go_of_an_erased_customer_and_drop_what_comes_later(start_platform: StartPlatform) -> None:
    platform = start_platform()
    store_plainly(platform.query)
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    whole = {"customer_id": CUSTOMER, "email": EMAIL_NEW, "device_id": DEVICE, "anonymous_id": ANONYMOUS}
    lived = [seen("e1", anonymous_id=ANONYMOUS), seen("e2", **whole), seen("e3", customer_id=OTHER)]
    platform.send(lived)
    wait_until(lambda: linked(platform) == 3, "the links")
    platform.wait_idle()
    assert {"touchpoints", "identity_links", "customer_state"} <= tables_with_traces(platform)

    receipt = forget(platform, f"email:{EMAIL}", "--yes", "--wait", "30s")
    assert tables_with_traces(platform) == set(), "also what the worker packed itself"
    assert receipt["clean"] and "have confirmed" in receipt["workers"]
    assert len(receipt["erased"]) == 1 + len(whole), "with the e-mail under both keys"

    again = [
        *lived,
        seen("e4", **whole),
        seen("e5", email=EMAIL_NEW),
        seen("e6", anonymous_id=ANONYMOUS),
        seen("e7", customer_id=OTHER, device_id=DEVICE),
    ]
    for _ in range(2):
        platform.send(again)
        platform.wait_idle()
        wait_until(lambda: ("store", "e7") in platform.members(), "the other customer's")
        platform.restart(worker)
        worker = platform.workers[-1]
    platform.wait_idle()
    assert {customer for customer, _ in platform.members().values()} == {OTHER}
    assert platform.members().keys() == {("store", "e3"), ("store", "e7")}
    assert platform.query("SELECT identifiers FROM analytics.touchpoints WHERE event_id = 'e7'") == [
        ({"customer_id": OTHER},)
    ]
    assert platform.dead_letter_reasons() == {}
    assert forget(platform, f"email:{EMAIL}", "--dry-run")["found"] == 0


def test_what_an_erased_customer_shared_goes_on_with_the_others(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    email = {"email": EMAIL_NEW}
    platform.send([seen("s1", customer_id=CUSTOMER, **email)])
    platform.wait_idle()
    platform.send([seen("s2", customer_id=OTHER, **email), seen("s3", **email)])
    platform.wait_idle()
    assert platform.members()["store", "s3"][0] == CUSTOMER, "the first of two has it"

    receipt = forget(platform, f"customer_id:{CUSTOMER}", "--yes", "--wait", "30s")
    assert receipt["clean"], receipt
    platform.send([seen("s4", **email), seen("s5", customer_id=CUSTOMER)])
    platform.wait_idle()
    customers = {event: customer for (_, event), (customer, _) in platform.members().items()}
    assert customers == {"s2": OTHER, "s4": OTHER}


def test_what_was_unlinked_before_names_nobody_who_is_erased(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    platform.send([seen("u1", customer_id=CUSTOMER, email=EMAIL_NEW), seen("u2", email=EMAIL_NEW)])
    wait_until(lambda: linked(platform) == 1, "the link")
    platform.wait_idle()
    where, both = platform.directory, (f"email:{EMAIL}", f"customer_id:{CUSTOMER}")
    unlink = ("identity", "unlink", *both, "--reason", "a shared address")
    assert journeys("--data-dir", str(where), *unlink, cwd=where.parent, changed=SECRETS).returncode == 0
    platform.wait_idle()

    receipt = forget(platform, f"customer_id:{CUSTOMER}", "--yes", "--wait", "30s")
    assert receipt["clean"], receipt
    assert platform.query("SELECT count() > 0 FROM journeys.customer_state") == [(True,)], "of the e-mail"
