"""GPUs, links and processors of the simulated fleet, busy with the jobs, ingests and office hours of its users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tsf.io.fleet.areas import areas_of, ingests
from tsf.io.fleet.people import (
    CLUSTERS,
    HOUR,
    Users,
    Window,
    between,
    day_of,
    draw,
    group_names,
    places_of,
    user_labels,
    users_in,
)
from tsf.io.fleet.work import Bursts, Jobs, busy, checkpoints, join_bursts, rates, samples_of, sessions, training_jobs
from tsf.params import DemoParams

__all__ = ["simulate_cpu", "simulate_gpu", "simulate_groups", "simulate_network"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = dict[str, NDArray[np.object_]]

GPUS_PER_USER = 2
USERS_PER_NODE = 4
GPU_BYTES = np.array([80, 141, 40]) * 2.0**30  # by cluster
LINK_BYTES_PER_SECOND = np.array([25.0, 50.0, 12.5]) * 1e9  # by cluster
MIB = 2.0**20
LARGEST_SHARE = 0.997  # the allocator leaves a little of a full GPU
DIRECTIONS = ("receive", "transmit")


def simulate_gpu(demo: DemoParams, window: Window) -> tuple[Labels, dict[str, Floats]]:
    """Labels (G,) and `gpu_memory_used`, `gpu_memory_total` (G, T), bytes; a user keeps the same two GPUs per cluster.

    A job takes what its model needs within minutes and holds it; some models creep up until the memory is full.
    By day people try things out on their first GPU. An idle GPU holds the driver's context.
    """
    users, seed = users_in(demo, window), demo.seed
    clusters = np.stack([users.home, users.second], axis=1)  # (U, 2)
    user, which = np.nonzero(clusters >= 0)
    cluster = clusters[user, which]
    first = np.full((len(users), len(CLUSTERS)), -1)
    first[user, cluster] = np.arange(len(user)) * GPUS_PER_USER
    place = _places(demo, users.slot[user], cluster)
    user, cluster, place = (np.repeat(column, GPUS_PER_USER) for column in (user, cluster, place))
    gpu = place % USERS_PER_NODE * GPUS_PER_USER + np.tile(np.arange(GPUS_PER_USER), len(user) // GPUS_PER_USER)
    driver = between(0.006, 0.01, draw(seed, "driver", cluster, place, gpu))
    used = np.repeat(driver[:, None], window.count, axis=1)
    _add_trials(used, seed, users, first, window)
    _add_jobs(used, seed, users, first, window)
    total = np.repeat(GPU_BYTES[cluster][:, None], window.count, axis=1)
    day = day_of(window.times)[None, :]
    absent = (day < users.start[user][:, None]) | (day >= users.stop[user][:, None])
    labels = {name: column[user] for name, column in user_labels(demo, users).items()}
    labels |= _node_labels(cluster, place // USERS_PER_NODE) | {"gpu": gpu.astype(str).astype(object)}
    return labels, {
        "gpu_memory_used": np.where(absent, np.nan, np.floor(used * total / MIB) * MIB),
        "gpu_memory_total": np.where(absent, np.nan, total),
    }


def simulate_network(demo: DemoParams, window: Window) -> tuple[Labels, dict[str, Floats]]:
    """Labels (2 x nodes,) and `network_throughput`, `network_capacity` in bytes per second (2 x nodes, T).

    Jobs exchange gradients both ways, read their data first, and send checkpoints; ingests come in; people work by day.
    """
    seed, users, jobs, cluster, node, first = _machines(demo, window)
    who, row = users.key[jobs.user], 2 * first[jobs.user, jobs.cluster]  # +0 receives, +1 transmits
    share = between(0.14, 0.32, draw(seed, "gradients", who)) * between(0.9, 1.1, draw(seed, "gradients", jobs.key))
    parts = [busy(row + way, jobs.start, jobs.stop, share) for way in (0, 1)]
    parts.append(busy(row, jobs.start, np.minimum(jobs.start + 2 * HOUR, jobs.stop), 0.6 * share))
    sent = checkpoints(seed, jobs, users, row + 1)
    parts.append(replace(sent, size=between(0.2, 0.5, draw(seed, "checkpoint rate", sent.row)) * sent.ramp))
    fetched, strength = _ingests(seed, users, first, window)
    parts.append(replace(fetched, row=2 * fetched.row, size=between(0.25, 0.6, strength) * fetched.ramp))
    user, day, begin, end = sessions(seed, users, window)
    talk = between(0.005, 0.04, draw(seed, "talk", users.key[user], day))
    parts += [busy(2 * first[user, users.home[user]] + way, begin, end, talk / (1 + way)) for way in (0, 1)]
    rows = 2 * len(node)
    keys = np.repeat(cluster * 4096 + node, 2) * 2 + np.tile([0, 1], len(node))
    noise = draw(seed, "traffic", keys[:, None], window.times[None, :])
    load = (0.004 + rates(join_bursts(parts), rows, window)) * between(0.92, 1.08, noise)
    capacity = np.repeat(LINK_BYTES_PER_SECOND[np.repeat(cluster, 2)][:, None], window.count, axis=1)
    labels = _node_labels(np.repeat(cluster, 2), np.repeat(node, 2))
    labels["direction"] = np.array(DIRECTIONS * len(node), object)
    throughput = np.floor(np.minimum(load, 1.0 - 0.015 * noise) * capacity)
    return labels, {"network_throughput": throughput, "network_capacity": capacity}


def simulate_cpu(demo: DemoParams, window: Window) -> tuple[Labels, dict[str, Floats]]:
    """Labels (nodes,) and `cpu_usage_percent` (nodes, T), 0 … 100: loading and decoding data, and people by day."""
    seed, users, jobs, cluster, node, first = _machines(demo, window)
    who = users.key[jobs.user]
    share = between(0.16, 0.42, draw(seed, "loaders", who)) * between(0.85, 1.15, draw(seed, "loaders", jobs.key))
    fetched, strength = _ingests(seed, users, first, window)
    user, day, begin, end = sessions(seed, users, window)
    compiling = between(0.02, 0.14, draw(seed, "compiling", users.key[user], day))
    parts = [
        busy(first[jobs.user, jobs.cluster], jobs.start, jobs.stop, share),
        replace(fetched, size=between(0.15, 0.4, strength) * fetched.ramp),
        busy(first[user, users.home[user]], begin, end, compiling),
    ]
    noise = draw(seed, "processor", (cluster * 4096 + node)[:, None], window.times[None, :])
    load = (0.02 + rates(join_bursts(parts), len(node), window)) * between(0.93, 1.07, noise)
    return _node_labels(cluster, node), {"cpu_usage_percent": np.round(100 * np.minimum(load, 1.0), 3)}


def simulate_groups(demo: DemoParams, window: Window) -> tuple[Labels, dict[str, Floats]]:
    """Labels (groups,) and, per group, `active_users` at the desk and `running_jobs` (groups, T)."""
    users = users_in(demo, window)
    user, _, begin, end = sessions(demo.seed, users, window)
    jobs = training_jobs(demo.seed, users, window)
    metrics = {}
    for name, owner, start, stop in (
        ("active_users", user, begin, end),
        ("running_jobs", jobs.user, jobs.start, jobs.stop),
    ):
        event, step = samples_of(start, stop, window)
        flat = users.group[owner][event] * window.count + step
        count = np.bincount(flat, minlength=demo.groups * window.count).reshape(demo.groups, window.count)
        metrics[name] = count.astype(np.float64)
    return {"group": group_names(np.arange(demo.groups))}, metrics


def _add_trials(used: Floats, seed: int, users: Users, first: Ints, window: Window) -> None:
    user, day, begin, end = sessions(seed, users, window)
    who = users.key[user]
    tries = draw(seed, "tries things out", who, day) < between(0.1, 0.8, draw(seed, "tries things out", who))
    event, step = samples_of(begin[tries], end[tries], window)
    share = between(0.05, 0.45, draw(seed, "trial", who, day))[tries]
    np.maximum.at(used, (first[user, users.home[user]][tries][event], step), share[event])


def _add_jobs(used: Floats, seed: int, users: Users, first: Ints, window: Window) -> None:
    jobs = training_jobs(seed, users, window)
    who = users.key[jobs.user]
    need = between(0.55, 0.9, draw(seed, "model memory", who)) + between(-0.04, 0.04, draw(seed, "batch", jobs.key))
    creeps = draw(seed, "creeps", who) < 0.35
    creep = np.where(creeps, between(0.006, 0.035, draw(seed, "creep", who)), 0.0)  # share per hour: fragmentation
    event, step = samples_of(jobs.start, jobs.stop, window)
    age = window.start + window.step * step - jobs.start[event]
    share = (need[event] + creep[event] * age / HOUR) * np.minimum(age / 600, 1.0)
    for gpu in range(GPUS_PER_USER):
        row = first[jobs.user, jobs.cluster][event] + gpu
        np.maximum.at(used, (row, step), np.minimum(share, LARGEST_SHARE))


def _machines(demo: DemoParams, window: Window) -> tuple[int, Users, Jobs, Ints, Ints, Ints]:
    """Seed, users, jobs; cluster and number of each node; and the row of the node of (user, cluster)."""
    users = users_in(demo, window)
    places = places_of(demo)
    nodes = sorted({(cluster, place // USERS_PER_NODE) for (_, cluster), place in places.items()})
    row_of = {node: row for row, node in enumerate(nodes)}
    first = np.full((len(users), len(CLUSTERS)), -1)
    for user, slot in enumerate(users.slot.tolist()):
        for cluster in {int(users.home[user]), int(users.second[user])} - {-1}:
            first[user, cluster] = row_of[cluster, places[slot, cluster] // USERS_PER_NODE]
    cluster, node = np.array(nodes).T
    return demo.seed, users, training_jobs(demo.seed, users, window), cluster, node, first


def _ingests(seed: int, users: Users, first: Ints, window: Window) -> tuple[Bursts, Floats]:
    """The ingests as bursts on node rows, and a draw per ingest's area that says how hard it works."""
    areas = areas_of(seed, users)
    days = np.arange(int(day_of(window.start)) - 2, int(day_of(window.stop)) + 1)
    fetched = ingests(seed, areas, days)
    day = day_of(fetched.start)
    present = (day >= areas.start[fetched.row]) & (day < areas.stop[fetched.row])
    fetched = Bursts(*(column[present] for column in vars(fetched).values()))
    area = fetched.row
    strength = draw(seed, "ingest rate", areas.key[area])
    node = first[areas.user[area], areas.cluster[area]]
    return replace(fetched, row=node), strength


def _places(demo: DemoParams, slot: Ints, cluster: Ints) -> Ints:
    places = places_of(demo)
    return np.array([places[key] for key in zip(slot.tolist(), cluster.tolist(), strict=True)])


def _node_labels(cluster: Ints, node: Ints) -> Labels:
    names = [f"{CLUSTERS[where]}-{number:03d}" for where, number in zip(cluster, node, strict=True)]
    return {"cluster": np.array(CLUSTERS, object)[cluster], "node": np.array(names, object)}
