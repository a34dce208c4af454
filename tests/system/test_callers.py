#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many callers at once on a slow device. How fast is for tests/bench; here: who is answered, and how often
the device is asked."""

import json
import sys
import unittest

import private_guest

private_guest.enter()

CALLERS = 128


class Callers(private_guest.GuestTest):
    guest_options = {"delay_ms": 40}

    def setUp(self):
        super().setUp()
        self.attestd = self.guest.start_attestd()
        self.client = self.guest.program("bus-client")

    def test_sc38b_128_callers_are_all_answered(self):
        ran = self.guest.run([self.client, "callers", str(CALLERS), "2"], timeout=120)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        answered = {f["scenario"]: f["count"] for f in map(json.loads, ran.stdout.splitlines())}
        self.assertEqual(answered["callers"], 2 * CALLERS)
        self.assertGreater(answered["property"], CALLERS)  # which no report held up

        # A report for each request, and none for two of them.
        asked = self.guest.tee.reports()
        self.assertEqual(len(asked), 2 * CALLERS)
        self.assertEqual(len(set(asked)), 2 * CALLERS)

    def test_sc38a_callers_that_vanish_cost_the_others_nothing(self):
        self.guest.bus.signal_subscribe("org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", None, None, 0,
                                        lambda *_: None)  # what wait_until() is woken by
        self.guest.tee.hold()
        gone = self.guest.spawn([self.client, "callers", str(CALLERS), "1"])
        self.guest.tee.wait("held")
        gone.kill()
        self.assertTrue(private_guest.wait_until(self.has_no_sessions))
        # An answer of attestd's comes after it has read that they are gone: messages keep their order.
        self.guest.bus.call_sync("org.attestd.Attester1", "/org/attestd/Attester1", "org.freedesktop.DBus.Peer", "Ping",
                                 None, None, 0, -1, None)
        self.guest.tee.release()

        ran = self.guest.run([self.client, "callers", "16", "1"], timeout=60)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        # One report was under way for those that left; none was made for those of them that waited.
        self.assertEqual(self.guest.tee.stats()["reports"], 1 + 16)

    def has_no_sessions(self):
        """Are attestd and we the only ones left on the bus?"""
        names = self.guest.bus.call_sync(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListNames", None, None, 0, -1, None).unpack()[0]
        return sum(name.startswith(":") for name in names) <= 3  # attestd, polkit, this one


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
