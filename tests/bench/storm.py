#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""storm.py [--build DIR] [--sessions N[,N...]] [--delay MS] [--rounds N] [--transport direct|bus] [--json]

Many live attested TLS connections over loopback, between two processes of libattestd. The kernel measures a file, the
evidence of all of them is stale at once, and all are renewed: how long that takes, how many reports it costs, and how
much memory each process has. A row for each number of sessions, so that it shows how cost grows.

A connection has two descriptors at each end. Where the limit of a process cannot be raised so far, there are more
processes than one at each end, and a figure for each.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

for folder in "system", "lib":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import private_guest  # noqa: E402

NAME = "server.test"
# What a guest that serves so many, and a relying party that asks so many, configure: one user gets half of all.
LIMITS = """[Limits]
Sessions=131072
SessionsPerUser=65536
SessionsPerConnection=65536
Requests=262144
RequestsPerUser=131072
[Ima]
Interval=100
"""
DESCRIPTORS = 65536
POLICY = "attestd-policy 1\n{trust}workload any\ncollateral not-required\n"


def sessions_of_a_process():
    """As many as there are descriptors for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, DESCRIPTORS)))
    except ValueError:
        pass  # not for us
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100) // 2


def shares(sessions):
    """Of each pair of processes."""
    n = -(-sessions // sessions_of_a_process())
    return [sessions // n + (i < sessions % n) for i in range(n)]


class End:
    """One of the two processes."""

    def __init__(self, guest, *arguments):
        self.process = guest.spawn([guest.program("storm"), *arguments], name="storm", stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)

    def until(self, word):
        """What follows on the line that begins so."""
        line = self.process.popen.stdout.readline().decode()
        if not line.startswith(word + " "):
            raise private_guest.GuestError(f"storm says {line!r}, not {word}:\n{self.process.log()}")
        return line[len(word):].strip()

    def say(self, line):
        self.process.popen.stdin.write(line.encode() + b"\n")
        self.process.popen.stdin.flush()

    def close(self):
        self.process.popen.stdin.close()
        self.process.wait()


# Of several clients: when the first was, and the last; the medians are those of equal parts.
WHEN = {"first_closed": min, "first": min, "median": statistics.mean, "last": max}


def figures(process):
    return {"rss_kib": process.rss_kib(), "peak_rss_kib": process.peak_rss_kib(),
            "fds": len(os.listdir(f"/proc/{process.pid}/fd")), "cpu_seconds": process.cpu_seconds()}


def spent(before, after):
    return {name: {**after[name], "cpu_seconds": after[name]["cpu_seconds"] - before[name]["cpu_seconds"]}
            for name in after}


def storm(build, sessions, delay_ms=39, rounds=1, transport="direct"):
    """@rounds: events, one after the other; of the last one are the figures."""
    from test_exchange import Pki

    with private_guest.Guest(build=build, delay_ms=delay_ms, ima=True, direct=transport == "direct") as guest:
        (guest.configuration / "attestd.conf").write_text(LIMITS)
        guest.tee.command("witness keep 0")
        pki = Pki(guest.directory)
        leaf = pki.leaf(NAME)
        policy = guest.directory / "storm.policy"
        policy.write_text(POLICY.format(trust=guest.trust()))
        processes = {"attestd": guest.start_attestd(), "attestd-verifier": guest.start_verifier()}

        clients, ends = [], []
        for i, share in enumerate(shares(sessions), 1):
            server = End(guest, "server", *leaf)
            client = End(guest, "client", "--connect", server.until("port"), "--sessions", str(share),
                         "--ca", str(pki.ca_file), "--name", NAME, "--policy", str(policy))
            clients.append(client)
            ends += [client, server]
            processes |= {f"server {i}": server.process, f"client {i}": client.process}
        opened = max(float(client.until("open")) for client in clients)
        at_open = {name: figures(p) for name, p in processes.items()}
        for n in range(rounds):
            before = {name: figures(p) for name, p in processes.items()}
            reports = guest.tee.stats()["reports"]
            for client in clients:
                client.say("round")
            measured_us = time.monotonic_ns() // 1000
            guest.ima.measure(f"/usr/bin/program-{n}", content=str(n).encode())
            told = [json.loads(client.until("renewed")) for client in clients]
        after = {name: figures(p) for name, p in processes.items()}
        result = {
            "sessions": sessions,
            "renewed": sum(t["sessions"] for t in told),
            "failed": sum(t["failed"] for t in told),
            "not_newer": sum(t["not_newer"] for t in told),
            "open_seconds": opened,
            "reports": guest.tee.stats()["reports"] - reports,
            "at_open": at_open,
            "processes": spent(before, after),
        }
        for name, which in WHEN.items():
            times = [t[f"{name}_us"] for t in told if f"{name}_us" in t]
            if times:
                result[f"{name}_seconds"] = (which(times) - measured_us) / 1e6
        for end in ends:
            end.close()
        return result


def show(rows, delay_ms, transport):
    print(f"All sessions renewed after one event; a report takes {delay_ms} ms, {transport}")
    print(f"  {'sessions':>8}{'failed':>8}{'reports':>8}{'told s':>8}{'first s':>8}{'median':>8}{'last s':>8}"
          "   RSS MiB (CPU s): attestd, attestd-verifier, each server and client")
    for row in rows:
        memory = "  ".join(f"{p['rss_kib'] / 1024:.0f} ({p['cpu_seconds']:.2f})" for p in row["processes"].values())
        seconds = "".join(f"{row.get(name + '_seconds', float('nan')):>8.2f}"
                          for name in ("first_closed", "first", "median", "last"))
        print(f"  {row['sessions']:>8}{row['failed']:>8}{row['reports']:>8}{seconds}   {memory}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/gcc")
    parser.add_argument("--sessions", default="10,100,1000,10000")
    parser.add_argument("--delay", type=int, default=39, metavar="MS")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--transport", choices=("direct", "bus"), default="direct")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    rows = [storm(arguments.build, int(n), arguments.delay, arguments.rounds, arguments.transport)
            for n in arguments.sessions.split(",")]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows, arguments.delay, arguments.transport)
    wrong = [row["sessions"] for row in rows if row["renewed"] != row["sessions"] or row["not_newer"]]
    if wrong:
        sys.exit(f"not all were renewed: {wrong}")


if __name__ == "__main__":
    private_guest.enter()
    main()
