"""The customers of one partition: `hot` ones unpacked, and the packed form of all that were written. Pure."""

from __future__ import annotations

from streams.customer import Customer
from streams.forgotten import BlockList
from streams.gathering import Cold
from streams.identity.state import IdentityState
from streams.policy import Policy
from streams.states import unpack_head, unpack_touches


class CustomerStore:
    """`dirty`: customers who have changed since they were written.

    `merged`: customers of whom links say something, that they belong to others or that a person took something from
    them; a `customer_id` of whom nothing is said has no identity.
    """

    def __init__(self, number: int, partitions: int, policy: Policy, hot_customers: int) -> None:
        self.number = number
        self.partitions = partitions
        self.policy = policy
        self.hot: dict[str, Customer] = {}
        self.cold: dict[str, Cold] = {}
        self.dirty: dict[str, Customer] = {}
        self.block_list = BlockList()
        self.merged: set[str] = set()
        self._hot_customers = hot_customers

    @property
    def open_customers(self) -> int:
        """How many customers have something open, as of the last flush."""
        return len(self.cold)

    def find(self, key: str) -> Customer | None:
        """The customer of a key, unpacked or new; None when it belongs to another partition, or was erased."""
        return self.hot.get(key) or self._open(key)

    def known(self, key: str) -> Customer | None:
        """The customer of a key, if there is one already."""
        return self.hot.get(key) or (self._open(key) if key in self.cold else None)

    def mentioning(self, key: str) -> list[Customer]:
        """Customers whose stored state, or whose identity as it is now, may name a key."""
        needle = key.partition(":")[2].encode()
        stored = [name for name, cold in self.cold.items() if needle in cold.head]
        unpacked = [name for name, customer in self.hot.items() if customer.identity is not None]
        return [customer for name in {*stored, *unpacked} if (customer := self.known(name)) is not None]

    def _open(self, key: str) -> Customer | None:
        cold = self.cold.get(key)
        if cold is not None:
            customer = unpack(key, self.policy, cold)
        else:
            customer = Customer(key, self.policy)
            if customer.key_hash % self.partitions != self.number or self.block_list.holds(key):
                return None
        if customer.identity is None and key in self.merged:
            customer.identity = IdentityState()
        self.hot[key] = customer
        return customer

    def drop_if_empty(self, customer: Customer) -> None:
        """Let go of a customer of whom there is nothing to keep."""
        key = customer.key
        # One that is dirty has orphaned rows to retract.
        if not customer.log and not customer.is_dirty and key not in self.cold and key not in self.dirty:
            del self.hot[key]

    def _evict(self) -> None:
        surplus = len(self.hot) - self._hot_customers
        if surplus > 0:
            # Of some that wait for their first touchpoint nothing is stored.
            idle = [key for key in self.hot if key not in self.dirty and key in self.cold]
            # First those whose touches have all gone to somebody else.
            idle.sort(key=lambda key: bool(self.hot[key].log))
            for key in idle[:surplus]:
                self.cold[key].scheduled_ms = self.hot.pop(key).scheduled_ms


def unpack(key: str, policy: Policy, cold: Cold) -> Customer:
    """A customer from its packed form. Raises msgspec.DecodeError when that is of another release's format."""
    customer = Customer.restored(key, policy, unpack_head(cold.head), map(unpack_touches, cold.sealed))
    customer.due_ms, customer.scheduled_ms = cold.due_ms, cold.scheduled_ms
    return customer
