"""The papers' experiments on the reference: prints each seed's figures by phase, as JSON.

    python3 experiment.py --broadcast plumtree --failed 0.5
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from statistics import fmean
from typing import Any

from protocols import Broadcast, Flood, Network, Plumtree

CYCLES = 50  # before the experiment [H 5.1]
HEALING = 5  # cycles after the failure and the broadcasts that follow it


def overlay(network: Network) -> dict[str, float]:
    """The graph of the running nodes, linked where either view holds the other [H 5.4]."""
    graph: dict[int, set[int]] = {node: set() for node in network.running}
    one_sided = 0
    for node in network.running:
        for peer in network.nodes[node].active:
            if peer in graph:
                graph[node].add(peer)
                graph[peer].add(node)
                one_sided += node not in network.nodes[peer].active
    lengths = [length for node in graph for length in distances(graph, node).values() if length]
    pieces = components(graph)
    return {
        "mean_degree": fmean(map(len, graph.values())),
        "full_views": fmean(len(links) == 5 for links in graph.values()),
        "clustering": fmean(clustering(graph, node) for node in graph),
        "average_shortest_path": fmean(lengths),
        "asymmetric_links": one_sided,
        "components": len(pieces),
        "largest_share": max(pieces) / len(graph),
    }


def distances(graph: dict[int, set[int]], source: int) -> dict[int, int]:
    found = {source: 0}
    queue = [source]
    for node in queue:
        for peer in graph[node]:
            if peer not in found:
                found[peer] = found[node] + 1
                queue.append(peer)
    return found


def clustering(graph: dict[int, set[int]], node: int) -> float:
    """The share of the pairs of neighbours that are linked."""
    pairs = list(combinations(graph[node], 2))
    return fmean(b in graph[a] for a, b in pairs) if pairs else 0.0


def components(graph: dict[int, set[int]]) -> list[int]:
    seen: set[int] = set()
    sizes = []
    for node in graph:
        if node not in seen:
            piece = distances(graph, node)
            seen.update(piece)
            sizes.append(len(piece))
    return sizes


def rmr(broadcast: Broadcast) -> float:
    """Relative message redundancy: payloads received / (receivers - 1) - 1 [P 4]."""
    receivers = len(broadcast.hops)
    return broadcast.payloads / (receivers - 1) - 1 if receivers > 1 else 0.0


def phase(network: Network, name: str, senders: list[int]) -> dict[str, Any]:
    """One broadcast after the other, and the overlay after them."""
    before = len(network.broadcasts)
    for sender in senders:
        network.publish(sender)
    sent = network.broadcasts[before:]
    return {
        "phase": name,
        "broadcasts": len(sent),
        "reliability": fmean(len(each.hops) / each.running for each in sent),
        "rmr": fmean(map(rmr, sent)),
        "ldh": fmean(max(each.hops.values()) for each in sent),
        **overlay(network),
    }


def experiment(seed: int, nodes: int, broadcast: type[Flood], failed: float) -> list[dict[str, Any]]:
    network = Network(seed, broadcast)
    for _ in range(nodes):
        network.start()
    for _ in range(CYCLES):
        network.cycle()

    def some(count: int) -> list[int]:
        return [network.random.choice(network.running) for _ in range(count)]

    phases = [
        phase(network, "bootstrap", [0]),
        phase(network, "one sender", [0] * 20),
        phase(network, "many senders", some(20)),
    ]
    network.crash(round(nodes * failed))
    phases += [phase(network, name, some(1)) for name in ["failure", "second", "third"]]
    phases.append(phase(network, "repaired", some(20)))
    for _ in range(HEALING):
        network.cycle()
    phases.append(phase(network, "healed", some(20)))
    return phases


def main() -> None:
    parser = argparse.ArgumentParser(description="HyParView and Plumtree as in the papers")
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--broadcast", choices=["flood", "plumtree"], default="plumtree")
    parser.add_argument("--failed", type=float, default=0.5, help="share of the nodes that fail at once")
    options = parser.parse_args()
    broadcast = {"flood": Flood, "plumtree": Plumtree}[options.broadcast]
    seeds = range(1, options.seeds + 1)
    runs = [experiment(seed, options.nodes, broadcast, options.failed) for seed in seeds]
    print(json.dumps([{"seed": seed, "phases": phases} for seed, phases in zip(seeds, runs)]))


if __name__ == "__main__":
    main()
