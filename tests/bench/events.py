#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""events.py [--build DIR] [--count N] [--json]: how soon a session is told that it is stale.

In one VM (tests/vm): from the kernel's entry in IMA's log, as a probe of the client's
own notes the time, to the signal Stale at that client, with each of attestd's event
sources. Beside it a bare poll() wake-up between two processes; the wake-up by such a
probe, which is attestd's share in the waiting; and a call of Peer.Ping, which is two
messages through the bus's daemon. "direct" is the probe's, told to a session on the direct
socket. The processor is emulated: the ratios are what to quote.
"""

import argparse
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "vm"), str(HERE.parent / "system")]
import private_guest  # noqa: E402
import run_vm  # noqa: E402

INTERVAL_MS = 500  # of the timer, so that a hundred of its turns do not take ten minutes
FOLDER = "/root/read"
DIRECT = "unix:path=/run/attestd/bus"
DROP_IN = "/run/systemd/system/attestd.service.d/source.conf"
# What the unit has to go without, so that attestd takes the next best.
WITHOUT = {
    "kprobe": "",
    "audit": "SystemCallFilter=~perf_event_open\n",
    "timer": "SystemCallFilter=~perf_event_open\n"
             "CapabilityBoundingSet=\nCapabilityBoundingSet=CAP_SYS_ADMIN CAP_SETPCAP\n",
}


def property_of(vm, name):
    ran = vm.run(["dbus-send", "--system", "--print-reply=literal", "--dest=org.attestd.Attester1",
                  "/org/attestd/Attester1", "org.freedesktop.DBus.Properties.Get",
                  "string:org.attestd.Attester1", f"string:{name}"], check=True)
    return ran.stdout.replace("variant", "").strip()


def take_source(vm, source):
    """Has attestd start anew, with that source."""
    vm.put(DROP_IN, f"[Service]\n{WITHOUT[source]}")
    vm.run(["systemctl", "daemon-reload"], check=True)
    vm.run(["systemctl", "restart", "attestd"], check=True)
    found = property_of(vm, "EventSource")
    if found != source:
        raise run_vm.VmError(f"the event source is {found}, not {source}")


def client(vm, *arguments):
    return json.loads(vm.run(["bus-client", *map(str, arguments)], check=True, seconds=900).stdout)


def measure(build, count):
    result = {}
    with run_vm.Vm(build, ima=True, cmdline="integrity_audit=1", limit=1800) as vm:
        vm.put("/etc/attestd/attestd.conf", f"[Ima]\nInterval={INTERVAL_MS}\n")
        vm.run(["mkdir", FOLDER], check=True)
        for source in WITHOUT:
            take_source(vm, source)
            result[source] = client(vm, "stale", count, run_vm.MEASURED, FOLDER)
            # In turn with it, so that a drift of the machine meets both.
            result[f"wakeup beside {source}"] = client(vm, "wakeup", count * 5)
            if source == "kprobe":
                result["direct"] = client(vm, "stale", count, run_vm.MEASURED, FOLDER, DIRECT)
                result["wakeup beside direct"] = client(vm, "wakeup", count * 5)
        result["probe"] = client(vm, "probe", count, run_vm.MEASURED, FOLDER)
        result["wakeup beside probe"] = client(vm, "wakeup", count * 5)
        result["ping"] = client(vm, "ping", count)
        result["direct ping"] = client(vm, "ping", count, DIRECT)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/gcc")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    result = measure(arguments.build, arguments.count)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'':24}{'count':>8}{'p50 us':>12}{'p99 us':>12}{'/ wakeup p50':>14}{'p99':>8}")
    for name, figures in result.items():
        bare = result.get(f"wakeup beside {name}")
        ratios = f"{figures['p50_us'] / bare['p50_us']:>14.1f}{figures['p99_us'] / bare['p99_us']:>8.1f}" if bare else ""
        print(f"{name:24}{figures['count']:>8}{figures['p50_us']:>12.1f}{figures['p99_us']:>12.1f}{ratios}")


if __name__ == "__main__":
    private_guest.enter()
    main()
