#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""FT-16: attestd is killed at each step that it takes on the device, and starts again.

Also what a clone or a reboot looks like from outside: other ids, and no session of
before.
"""

import hashlib
import os
import signal
import sys
import unittest

import private_guest

private_guest.enter()

try:
    import cbor2
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from gi.repository import Gio, GLib
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

NAME = "org.attestd.Attester1"
PATH = "/org/attestd/Attester1"
SESSION = NAME + ".Session"
PROFILE = "tag:attestd.org,2026:evidence/1"
SPKI = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
# What attestd does on the device in its life, a report included.
CALLS = (
    "mkdir", "chmod", "open:generation", "read:generation", "close:generation", "open:provider", "read:provider",
    "open:inblob", "write:inblob", "close:inblob", "open:outblob", "read:outblob", "close:outblob",
)


class Caller:
    """A connection to the bus, with one session."""

    def __init__(self, guest):
        self.bus = guest.connect()
        parameters = {"role": GLib.Variant("s", "server"), "hash": GLib.Variant("s", "sha256")}
        (self.session,) = self.call(PATH, NAME, "OpenSession", GLib.Variant("(a{sv})", (parameters,)))

    def call(self, path, interface, method, arguments=None):
        return self.bus.call_sync(
            NAME, path, interface, method, arguments, None, Gio.DBusCallFlags.NO_AUTO_START,
            private_guest.DEADLINE * 1000, None,
        ).unpack()

    def attest(self, done=None):
        """(evidence, info); with `done` it is called with them or the error, later."""
        arguments = GLib.Variant("(ayayaya{sv})", (os.urandom(32), os.urandom(32), SPKI, {}))
        if not done:
            evidence, info = self.call(self.session, SESSION, "Attest", arguments)
            return bytes(evidence), info

        def finish(bus, result):
            try:
                done(bus.call_finish(result).unpack())
            except GLib.Error as e:
                done(e)

        return self.bus.call(
            NAME, self.session, SESSION, "Attest", arguments, None, Gio.DBusCallFlags.NO_AUTO_START,
            private_guest.DEADLINE * 1000, None, finish,
        )

    def properties(self):
        arguments = GLib.Variant("(s)", (NAME,))
        return self.call(PATH, "org.freedesktop.DBus.Properties", "GetAll", arguments)[0]

    def leave(self):
        self.bus.close_sync(None)


class Restart(private_guest.GuestTest):
    def start(self):
        service = self.guest.start_attestd()
        self.caller = Caller(self.guest)
        return service

    def is_good(self):
        """The next request is served, over what it asked for, with one entry."""
        evidence, info = self.caller.attest()
        claims = cbor2.loads(evidence)["claims"][1]
        report_data = hashlib.sha512(b"attestd evidence/1\0" + claims).digest()
        self.assertEqual(bytes(info["report_data"]), report_data)
        self.assertEqual(self.tee.reports()[-1], report_data)
        own = [name for name in self.guest.entries() if name != "theirs"]
        self.assertEqual(len(own), 1, own)

    def kill_at(self, call):
        """A report in which attestd is killed; what its caller is told."""
        answers = []
        service = self.start()
        self.is_good()
        number = self.tee.fault("kill", call, times=1)
        self.caller.attest(answers.append)
        self.assertEqual(service.wait(), -signal.SIGKILL)
        self.assertTrue(private_guest.wait_until(lambda: answers))
        self.tee.clear(number)
        self.caller.leave()
        return answers[0]

    def test_ft16_killed_in_a_report(self):
        self.tee.command("entry theirs")
        self.guest.foreign_entries = ["theirs"]
        for call in CALLS[2:5] + CALLS[7:]:
            with self.subTest(call):
                self.assertIsInstance(self.kill_at(call), GLib.Error)
                service = self.start()
                self.is_good()
                self.caller.leave()
                service.stop()
        self.assertIn("theirs", self.guest.entries())

    def test_ft16_killed_while_it_starts(self):
        for call in CALLS[:2] + CALLS[5:7]:
            with self.subTest(call):
                number = self.tee.fault("kill", call, times=1)
                service = self.guest.start_attestd(wait=False)
                self.assertEqual(service.wait(), -signal.SIGKILL)
                self.tee.clear(number)
                service = self.start()
                self.is_good()
                self.caller.leave()
                service.stop()
                self.assertEqual(self.guest.entries(), [])

    def test_ft16_killed_while_it_stops(self):
        service = self.start()
        self.is_good()
        self.caller.leave()
        self.tee.fault("kill", "rmdir", times=1)
        service.stop(expect=-signal.SIGKILL)
        self.start().stop()

    def test_ft16_killed_with_a_report_in_flight(self):
        answers = []
        service = self.start()
        before = self.caller.properties()
        self.tee.hold()
        self.caller.attest(answers.append)
        self.tee.wait("held")
        service.kill()
        self.assertTrue(private_guest.wait_until(lambda: answers))
        self.assertIsInstance(answers[0], GLib.Error)
        old = self.caller
        self.tee.wait("idle")
        self.assertEqual(self.tee.stats()["in-flight"], 1)

        # The device is still busy with it when the next one asks.
        self.start()
        answers.clear()
        self.caller.attest(answers.append)
        self.tee.wait("failed", 2)
        self.assertEqual(self.tee.witness("report")[-1].result, "EBUSY")
        self.tee.release()
        self.assertTrue(private_guest.wait_until(lambda: answers))
        self.assertIsInstance(answers[0], tuple, answers)
        self.is_good()
        after = self.caller.properties()
        self.assertEqual(after["BootId"], before["BootId"])
        self.assertNotEqual(after["InstanceId"], before["InstanceId"])
        with self.assertRaises(GLib.Error) as caught:
            old.attest()
        self.assertEqual(Gio.DBusError.get_remote_error(caught.exception), "org.attestd.Error.NoSuchSession")

    def test_ft16_another_boot(self):
        self.guest.set_boot_id()
        service = self.start()
        before = self.caller.properties()
        self.is_good()
        service.kill()
        self.guest.set_boot_id()
        self.start()
        after = self.caller.properties()
        self.assertNotEqual(after["BootId"], before["BootId"])
        self.assertNotEqual(after["InstanceId"], before["InstanceId"])
        self.is_good()


if __name__ == "__main__":
    unittest.main(verbosity=2)
