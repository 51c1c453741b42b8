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

CYCLES = 50  # before the experiment [H, Experimental setting]
HEALING = 5  # cycles after the failure and the broadcasts that follow it


def overlay(network: Network) -> dict[str, Any]:
    """The graph of the running nodes, linked where either view holds the other."""
    graph: dict[int, set[int]] = {node: set() for node in network.running}
    one_sided = 0
    for node in network.running:
        for peer in network.nodes[node].active:
            if peer in graph:
                graph[node].add(peer)
                graph[peer].add(node)
                one_sided += node not in network.nodes[peer].active
    degrees = [len(links) for links in graph.values()]
    lengths = [length for node in graph for length in distances(graph, node).values() if length]
    pieces = components(graph)
    return {
        "mean_degree": fmean(degrees),
        "degrees": [degrees.count(degree) for degree in range(max(degrees) + 1)],
        "clustering": fmean(clustering(graph, node) for node in graph),
        "average_shortest_path": fmean(lengths),
        "asymmetric_links": one_sided,
        "components": len(pieces),
        "largest_component": max(pieces),
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
    """Relative message redundancy: payloads received / (receivers - 1) - 1 [P, Metrics]."""
    receivers = len(broadcast.hops)
    return broadcast.payloads / (receivers - 1) - 1 if receivers > 1 else 0.0


def broadcasts(network: Network, phase: str, senders: list[int]) -> dict[str, Any]:
    """One after the other."""
    before = len(network.broadcasts)
    for sender in senders:
        network.publish(sender)
    sent = network.broadcasts[before:]
    return {
        "phase": phase,
        "reliability": fmean(len(each.hops) / each.running for each in sent),
        "rmr": fmean(map(rmr, sent)),
        "ldh": fmean(max(each.hops.values()) for each in sent),
    }


def experiment(seed: int, nodes: int, broadcast: type[Flood], failed: float) -> dict[str, Any]:
    network = Network(seed, broadcast)
    for _ in range(nodes):
        network.start()
    for _ in range(CYCLES):
        network.cycle()

    def some(count: int) -> list[int]:
        return [network.random.choice(network.running) for _ in range(count)]

    phases = [
        broadcasts(network, "first", [0]),
        broadcasts(network, "one sender", [0] * 20),
        broadcasts(network, "many senders", some(20)) | overlay(network),
    ]
    network.crash(round(nodes * failed))
    phases += [
        broadcasts(network, "failure", some(3)),
        broadcasts(network, "repaired", some(20)) | overlay(network),
    ]
    for _ in range(HEALING):
        network.cycle()
    phases.append(broadcasts(network, "healed", some(20)) | overlay(network))
    messages = [{"kind": kind, "count": count} for kind, count in network.messages.items()]
    return {"seed": seed, "phases": phases, "messages": messages}


def main() -> None:
    parser = argparse.ArgumentParser(description="HyParView and Plumtree as in the papers")
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--broadcast", choices=["flood", "plumtree"], default="plumtree")
    parser.add_argument("--failed", type=float, default=0.5, help="share of the nodes that fail at once")
    options = parser.parse_args()
    broadcast = {"flood": Flood, "plumtree": Plumtree}[options.broadcast]
    seeds = range(1, options.seeds + 1)
    print(json.dumps([experiment(seed, options.nodes, broadcast, options.failed) for seed in seeds]))


if __name__ == "__main__":
    main()
