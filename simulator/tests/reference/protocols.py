"""HyParView and Plumtree, written from the papers alone.

[H] Leitão, Pereira, Rodrigues: HyParView: a membership protocol for reliable gossip-based broadcast, DSN 2007.
[P] Leitão, Pereira, Rodrigues: Epidemic broadcast trees, SRDS 2007.

Rules are cited by the papers' headings; the numbers of sections differ in the technical reports. Every
message takes one step, so the hops of a broadcast are steps. Where a paper leaves something open, a comment
says what is done here.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# [H, Experimental setting]
ACTIVE = 5  # places in the active view
PASSIVE = 30  # places in the passive view
ARWL = 6  # active random walk length
PRWL = 3  # passive random walk length
SHUFFLE_ACTIVE = 3  # active peers in a shuffle
SHUFFLE_PASSIVE = 4  # passive peers in a shuffle
SHUFFLE_TTL = 6  # the paper does not give it
# [P, Fault tolerance and tree repair] gives no times: in steps, long against a broadcast, and long against a
# round trip.
GRAFT_TIMEOUT = 100
GRAFT_RETRY = 20


@dataclass
class Broadcast:
    """What became of a broadcast."""

    running: int
    payloads: int = 0
    hops: dict[int, int] = field(default_factory=dict)


class Network:
    """Carries messages, one step each, and timers. Its nodes are numbered from 0."""

    def __init__(self, seed: int, node: type[HyParView]) -> None:
        self.random = random.Random(seed)
        self.make = node
        self.nodes: list[HyParView] = []
        self.running: list[int] = []
        self.broadcasts: list[Broadcast] = []
        self.messages: Counter[str] = Counter()
        self.now = 0
        self.agenda: defaultdict[int, list[tuple[int, int | None, str, Any]]] = defaultdict(list)

    def send(self, sender: int, to: int, message: str, *content: Any) -> None:
        """The receiver's method `on_message` handles it, and is told the sender."""
        self.messages[message] += 1
        self.agenda[self.now + 1].append((to, sender, "on_" + message, content))

    def arm(self, node: int, steps: int, timer: str, *content: Any) -> None:
        self.agenda[self.now + steps].append((node, None, "on_" + timer, content))

    def run(self) -> None:
        """Until nothing is under way."""
        while self.agenda:
            self.now = min(self.agenda)
            for to, sender, handler, content in self.agenda.pop(self.now):
                if self.nodes[to].running:
                    about = content if sender is None else (sender, *content)
                    getattr(self.nodes[to], handler)(*about)
                elif sender is not None and handler != "on_failure":
                    # TCP detects failures, where somebody sends [H, Overview].
                    self.agenda[self.now + 1].append((sender, to, "on_failure", ()))

    def start(self) -> None:
        """A node joins through a random contact [H, Join mechanism]."""
        node = self.make(len(self.nodes), self)
        contact = self.random.choice(self.running) if self.running else None
        self.nodes.append(node)
        self.running.append(node.me)
        if contact is not None:
            node.join(contact)
        self.run()

    def cycle(self) -> None:
        """Every node shuffles once."""
        for node in self.random.sample(self.running, len(self.running)):
            self.nodes[node].shuffle()
            self.run()

    def crash(self, count: int) -> None:
        for node in self.random.sample(self.running, count):
            self.nodes[node].running = False
            self.running.remove(node)

    def publish(self, node: int) -> None:
        self.broadcasts.append(Broadcast(len(self.running)))
        self.nodes[node].deliver(len(self.broadcasts) - 1, 0, None)
        self.run()


class HyParView:
    """A node's views [H]."""

    def __init__(self, me: int, network: Network) -> None:
        self.me = me
        self.network = network
        self.running = True
        self.active: list[int] = []
        self.passive: list[int] = []
        self.asked: set[int] = set()
        self.refused: set[int] = set()
        self.shuffled: list[int] = []

    # The broadcast on top of it.

    def neighbor_up(self, peer: int) -> None: ...
    def neighbor_down(self, peer: int) -> None: ...
    def deliver(self, broadcast: int, hops: int, sender: int | None) -> None: ...

    def send(self, to: int, message: str, *content: Any) -> None:
        self.network.send(self.me, to, message, *content)

    def choose(self, peers: list[int]) -> int:
        return self.network.random.choice(peers)

    def sample(self, peers: list[int], count: int) -> list[int]:
        return self.network.random.sample(peers, max(0, min(count, len(peers))))

    # [H, Join mechanism and Algorithm 1]

    def join(self, contact: int) -> None:
        self.add_active(contact)
        self.send(contact, "join")

    def on_join(self, joiner: int) -> None:
        self.add_active(joiner)
        for peer in self.active:
            if peer != joiner:
                self.send(peer, "forward_join", joiner, ARWL)

    def on_forward_join(self, sender: int, joiner: int, ttl: int) -> None:
        if ttl == 0 or len(self.active) <= 1:
            if joiner != self.me and joiner not in self.active:
                self.add_active(joiner)
                # The paper leaves the joiner's end of the link to TCP.
                self.send(joiner, "neighbor", True)
            return
        if ttl == PRWL:
            self.add_passive(joiner)
        onwards = self.choose([peer for peer in self.active if peer != sender])
        self.send(onwards, "forward_join", joiner, ttl - 1)

    def add_active(self, peer: int) -> None:
        if peer == self.me or peer in self.active:
            return
        if len(self.active) == ACTIVE:
            dropped = self.choose(self.active)
            self.send(dropped, "disconnect")
            self.remove_active(dropped)
            self.add_passive(dropped)
        if peer in self.passive:
            self.passive.remove(peer)
        self.active.append(peer)
        self.neighbor_up(peer)

    def remove_active(self, peer: int) -> None:
        self.active.remove(peer)
        self.neighbor_down(peer)

    def add_passive(self, peer: int, sent: Sequence[int] = ()) -> None:
        """Makes room with what was `sent` to the other side first, then at random."""
        if peer == self.me or peer in self.active or peer in self.passive:
            return
        if len(self.passive) == PASSIVE:
            known = next((peer for peer in sent if peer in self.passive), None)
            self.passive.remove(self.choose(self.passive) if known is None else known)
        self.passive.append(peer)

    def on_disconnect(self, peer: int) -> None:
        if peer in self.active:
            self.remove_active(peer)
            self.add_passive(peer)
            self.repair()

    # [H, Active view management]

    def on_failure(self, peer: int) -> None:
        if peer in self.passive:
            self.passive.remove(peer)
        if peer in self.active:
            self.remove_active(peer)
        self.asked.discard(peer)
        self.repair()

    def repair(self) -> None:
        """Asks passive peers, one for each free place, until the view is full or all have refused."""
        tried = self.asked | self.refused
        candidates = [peer for peer in self.passive if peer not in tried]
        for peer in self.sample(candidates, ACTIVE - len(self.active) - len(self.asked)):
            self.asked.add(peer)
            has_priority = not self.active
            self.send(peer, "neighbor", has_priority)

    def on_neighbor(self, peer: int, has_priority: bool) -> None:
        # Nobody is refused for the sake of the dead: their connections are looked at first.
        for member in self.active[:]:
            if not self.network.nodes[member].running:
                self.on_failure(member)
        if has_priority or peer in self.active or len(self.active) < ACTIVE:
            self.add_active(peer)
            self.send(peer, "accept")
            self.asked.discard(peer)
        else:
            self.send(peer, "refuse")

    def on_accept(self, peer: int) -> None:
        if peer in self.asked:
            self.asked.remove(peer)
            self.add_active(peer)
            self.repair()

    def on_refuse(self, peer: int) -> None:
        if peer in self.asked:
            self.asked.remove(peer)
            self.refused.add(peer)
            self.repair()

    # [H, Passive view management]

    def shuffle(self) -> None:
        self.refused.clear()
        self.repair()
        if self.active:
            active = self.sample(self.active, SHUFFLE_ACTIVE)
            passive = self.sample(self.passive, SHUFFLE_PASSIVE)
            self.shuffled = [self.me, *active, *passive]
            self.send(self.choose(self.active), "shuffle", self.me, self.shuffled, SHUFFLE_TTL)

    def on_shuffle(self, sender: int, origin: int, peers: list[int], ttl: int) -> None:
        if ttl > 1 and len(self.active) > 1:
            onwards = self.choose([peer for peer in self.active if peer != sender])
            self.send(onwards, "shuffle", origin, peers, ttl - 1)
        elif origin != self.me:
            reply = self.sample(self.passive, len(peers))
            self.send(origin, "shuffle_reply", reply)
            self.integrate(peers, reply)

    def on_shuffle_reply(self, _sender: int, peers: list[int]) -> None:
        self.integrate(peers, self.shuffled)

    def integrate(self, peers: list[int], sent: list[int]) -> None:
        for peer in peers:
            self.add_passive(peer, sent)


class Flood(HyParView):
    """Sends every payload over every link but the one it came from [H, Overview]."""

    def __init__(self, me: int, network: Network) -> None:
        super().__init__(me, network)
        self.delivered: dict[int, int] = {}

    def on_gossip(self, sender: int, broadcast: int, hops: int) -> None:
        self.network.broadcasts[broadcast].payloads += 1
        if broadcast not in self.delivered:
            self.deliver(broadcast, hops, sender)

    def deliver(self, broadcast: int, hops: int, sender: int | None) -> None:
        self.delivered[broadcast] = hops
        self.network.broadcasts[broadcast].hops[self.me] = hops
        for peer in self.active:
            if peer != sender:
                self.push(peer, broadcast, hops + 1)

    def push(self, peer: int, broadcast: int, hops: int) -> None:
        self.send(peer, "gossip", broadcast, hops)


class Plumtree(Flood):
    """Payloads over eager links, announcements over lazy ones [P]."""

    def __init__(self, me: int, network: Network) -> None:
        super().__init__(me, network)
        self.eager: set[int] = set()
        self.missing: dict[int, list[int]] = {}

    def neighbor_up(self, peer: int) -> None:
        """[P, Dynamic membership]: eager as in Algorithm 3, not lazy as in the text."""
        self.eager.add(peer)

    def neighbor_down(self, peer: int) -> None:
        self.eager.discard(peer)
        for announcers in self.missing.values():
            if peer in announcers:
                announcers.remove(peer)

    def push(self, peer: int, broadcast: int, hops: int) -> None:
        """[P, Gossip and tree construction, Algorithm 1]: announcements leave at once."""
        self.send(peer, "gossip" if peer in self.eager else "ihave", broadcast, hops)

    def set_eager(self, peer: int) -> None:
        """Links are those of the membership; a message may come from one that is gone."""
        if peer in self.active:
            self.eager.add(peer)

    def on_gossip(self, sender: int, broadcast: int, hops: int) -> None:
        """[P, Algorithm 1]; as printed, it would echo the payload to whom it came from."""
        if broadcast in self.delivered:
            self.eager.discard(sender)
            self.send(sender, "prune")
        else:
            self.missing.pop(broadcast, None)
            self.set_eager(sender)
        super().on_gossip(sender, broadcast, hops)

    def on_prune(self, sender: int) -> None:
        self.eager.discard(sender)

    def on_ihave(self, sender: int, broadcast: int, _hops: int) -> None:
        """[P, Fault tolerance and tree repair, Algorithm 2]"""
        if broadcast not in self.delivered:
            if broadcast not in self.missing:
                self.missing[broadcast] = []
                self.network.arm(self.me, GRAFT_TIMEOUT, "timer", broadcast)
            self.missing[broadcast].append(sender)

    def on_timer(self, broadcast: int) -> None:
        """[P, Algorithm 2]; as printed, it would also ask when nobody is left to be asked."""
        if announcers := self.missing.get(broadcast):
            announcer = announcers.pop(0)
            self.set_eager(announcer)
            self.send(announcer, "graft", broadcast)
            self.network.arm(self.me, GRAFT_RETRY, "timer", broadcast)
        else:
            # The next announcement sets a timer of its own.
            self.missing.pop(broadcast, None)

    def on_graft(self, sender: int, broadcast: int) -> None:
        """[P, Algorithm 2]"""
        self.set_eager(sender)
        if broadcast in self.delivered:
            self.send(sender, "gossip", broadcast, self.delivered[broadcast] + 1)
