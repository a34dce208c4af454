#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py [--build DIR] [--count N] [--ingest ENTRIES] [--json]: what attestd costs, in one run.

On a device that takes no time: a client of the bare configfs protocol, Peer.Ping
and Attest on the same bus, each p50 and p99, and Attest as a ratio to its two
floors. Then the service's memory, idle and with 1,000 sessions. Then 128 callers
at once on a device that takes 40 ms, and a property that is read meanwhile.
Machines are noisy: the ratios are what to quote.

Everything runs on one processor: a message from one to another costs an interrupt, on
a virtual machine 50 us to 100 us, which each call of the simulator (FUSE) would pay or
not as the scheduler likes, and which no kernel's configfs knows.

bench.py --ingest ENTRIES measures something else, on all processors: lists of IMA, see ingest.py.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import ingest  # noqa: E402
import private_guest  # noqa: E402

ROUNDS = 3
CALLERS = 128
DEVICE_MS = 40


def latency(guest, program, *arguments):
    ran = guest.run([guest.program(program), *arguments], check=True, timeout=600)
    return json.loads(ran.stdout)


def median(figures):
    best = sorted(figures, key=lambda f: f["p50_us"])
    return best[len(best) // 2]


def measure(build, count):
    with private_guest.Guest(build=build) as guest:
        attestd = guest.start_attestd()
        idle = attestd.rss_kib()

        rounds = {"bare-configfs": [], "ping": [], "attest": []}
        for _ in range(ROUNDS):  # in turn, so that a drift of the machine meets all three
            rounds["ping"].append(latency(guest, "bus-client", "ping", str(count * 5)))
            rounds["attest"].append(latency(guest, "bus-client", "attest", str(count)))
            guest.stop_services()
            rounds["bare-configfs"].append(latency(guest, "bare-configfs", str(count)))
            attestd = guest.start_attestd()
        result = {name: median(figures) for name, figures in rounds.items()}

        before = attestd.rss_kib()
        client = subprocess.Popen([guest.program("bus-client"), "sessions", "1000"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        if client.stdout.readline() != "open\n":
            sys.exit("bus-client could not open 1000 sessions")
        with_sessions = attestd.rss_kib()
        client.communicate()

    with private_guest.Guest(build=build, delay_ms=DEVICE_MS) as guest:
        guest.start_attestd()
        ran = guest.run([guest.program("bus-client"), "callers", str(CALLERS)], check=True, timeout=600)
        for line in ran.stdout.splitlines():
            figures = json.loads(line)
            result[figures["scenario"]] = figures
        reports = guest.tee.stats()["reports"]

    floor = result["bare-configfs"]["p50_us"] + result["ping"]["p50_us"]
    result["ratio"] = {
        "attest p50 / bare-configfs p50": result["attest"]["p50_us"] / result["bare-configfs"]["p50_us"],
        "attest p50 / (bare-configfs p50 + ping p50)": result["attest"]["p50_us"] / floor,
        "reports / requests, 128 callers": reports / result["callers"]["count"],
        "callers p99 / (128 reports of 40 ms)": result["callers"]["p99_us"] / (CALLERS * DEVICE_MS * 1000),
        "attest p99 / bare-configfs p99": result["attest"]["p99_us"] / result["bare-configfs"]["p99_us"],
    }
    result["memory"] = {
        "idle KiB": idle,
        "before sessions KiB": before,
        "with 1000 sessions KiB": with_sessions,
        "per session bytes": (with_sessions - before) * 1024 / 1000,
    }
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/gcc")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--ingest", type=int, metavar="ENTRIES")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    if arguments.ingest is not None:
        result = ingest.measure(arguments.build, arguments.ingest)
        print(json.dumps(result, indent=2)) if arguments.json else ingest.show(result)
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    result = measure(arguments.build, arguments.count)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'':16}{'count':>8}{'p50 us':>12}{'p99 us':>12}")
    for name in "bare-configfs", "ping", "attest", "callers", "property":
        figures = result[name]
        print(f"{name:16}{figures['count']:>8}{figures['p50_us']:>12.1f}{figures['p99_us']:>12.1f}")
    for name, ratio in result["ratio"].items():
        print(f"{name} = {ratio:.2f}")
    for name, figure in result["memory"].items():
        print(f"{name} = {figure:.0f}")


if __name__ == "__main__":
    private_guest.enter()
    main()
