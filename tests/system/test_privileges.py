#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What attestd has of privileges once it serves, however it was started: by hand, with
all that root has, or by the bus. As a unit: tests/vm/test_vm.py."""

import os
import pathlib
import unittest

import private_guest

private_guest.enter()

SETS = "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"
SYS_PTRACE = 1 << 19


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def network(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


class Privileges(private_guest.GuestTest):
    guest_options = {"activatable": True}

    def has_only(self, pid, kept=0):
        of = status(pid)
        self.assertEqual(of["Uid"].split(), ["0"] * 4)
        self.assertEqual({name: int(of[name], 16) for name in SETS},
                         dict.fromkeys(SETS, 0) | {"CapPrm": kept, "CapEff": kept})
        self.assertEqual(of["NoNewPrivs"], "1")
        # Each thread has sets of its own; none was there before.
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            self.assertEqual(int(status(task.name)["CapPrm"], 16), kept)
        self.assertNotEqual(network(pid), network("self"))
        self.assertEqual(pathlib.Path(f"/proc/{pid}/net/dev").read_text().count(":"), 1)  # lo, which is down

    def test_started_by_hand(self):
        self.assertNotEqual(int(status("self")["CapEff"], 16), 0)  # so there was something to drop
        self.has_only(self.guest.start_attestd().pid)

    def test_started_by_the_bus(self):
        self.has_only(self.guest.activated("attestd").pid)

    def test_observed_keeps_the_one_capability_that_it_needs(self):
        (self.guest.configuration / "attestd.conf").write_text("[Caller]\nObserved=yes\n")
        self.has_only(self.guest.start_attestd().pid, SYS_PTRACE)

    def test_observed_without_the_capability_has_none(self):
        (self.guest.configuration / "attestd.conf").write_text("[Caller]\nObserved=yes\n")
        program = self.guest.program("attestd")
        process = self.guest.spawn(["setpriv", "--bounding-set=-sys_ptrace", program])
        self.guest.wait_for_name("org.attestd.Attester1")
        self.has_only(process.pid)

    def test_without_any_it_starts_too(self):
        process = self.guest.spawn(["setpriv", "--bounding-set=-all", self.guest.program("attestd")])
        self.guest.wait_for_name("org.attestd.Attester1")
        of = status(process.pid)
        self.assertEqual({int(of[name], 16) for name in SETS}, {0})
        self.assertIn("measurements are told of by timer", process.log())

    def test_what_cannot_be_dropped_ends_it(self):
        # A user namespace has limits of its own.
        script = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$0"'
        process = self.guest.spawn(["unshare", "--user", "--map-root-user", "sh", "-c", script,
                                    self.guest.program("attestd")])
        self.assertEqual(process.wait(), 1)
        self.assertIn("cannot drop privileges: cannot leave the network namespace", process.log())


if __name__ == "__main__":
    unittest.main()
