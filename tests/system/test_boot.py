#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The event log of the boot, from the kernel's file to a verifier's yes."""

import hashlib
import pathlib
import sys
import unittest

for folder in "system", "bus", "ctl":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import private_guest  # noqa: E402

private_guest.enter()

import attester1_client as client  # noqa: E402
from attester1_client import NAME, PATH  # noqa: E402
from event_log import IPL, SEPARATOR, event, extended, header  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402

COMMAND = b"/vmlinuz root=/dev/vda1"
LOG = header("sha384", register=1) + event(1, SEPARATOR, bytes(4), "sha384") + event(2, IPL, b"kernel", "sha384") + \
    event(3, IPL, b"kernel_cmdline: " + COMMAND + b"\0", "sha384", of=COMMAND)
RTMRS = extended("sha384", bytes(4)), extended("sha384", b"kernel"), extended("sha384", COMMAND)
UNUSED = b"\xff" * 5000


def digest_of(log):
    """As submod boot has it, with COSE's number of SHA-256."""
    return {"digest": [-16, hashlib.sha256(log).digest()]}


class WithLog(private_guest.GuestTest):
    """A guest whose firmware has left a log, before attestd is there."""

    def setUp(self):
        super().setUp()
        self.leave_log()

    def leave_log(self):
        self.guest.ccel(LOG + UNUSED)


class Boot(client.AttesterTest, WithLog):
    def setUp(self):
        super().setUp()
        self.session = self.root.open()

    def get_log(self, first=0):
        answer, fds = self.root.bus.call_with_unix_fd_list_sync(
            NAME, PATH, NAME, "GetLog", GLib.Variant("(st)", ("boot", first)), None, Gio.DBusCallFlags.NONE, 60000,
            None, None)
        handle, first, count = answer.unpack()
        with open(fds.get(handle), "rb") as f:
            content = f.read()
        self.assertEqual((first, count), (0, len(content)))
        return content

    def boot_of(self, evidence):
        return evidence.claims.get(266, {}).get("boot")

    def verify(self, evidence, log, *rules):
        """What attestctl says of it: None if it accepts, else the reason."""
        places = [self.guest.directory / name for name in ("evidence", "policy", "log")]
        places[0].write_bytes(evidence.bytes)
        places[1].write_text("attestd-policy 1\npeer any\nworkload any\ncollateral not-required\n" + self.guest.trust() +
                             "".join(f"{rule}\n" for rule in rules))
        words = ["--report-data", evidence.report_data.hex(), "--policy", places[1]]
        if log is not None:
            places[2].write_bytes(log)
            words += ["--boot-log", places[2]]
        got = self.guest.run([self.guest.program("attestctl"), "verify", *map(str, words), str(places[0])])
        last = got.stdout.splitlines()[-1] if got.stdout else got.stderr
        self.assertEqual(got.returncode, 0 if last == "accepted" else 1, got.stdout + got.stderr)
        return None if last == "accepted" else last.removeprefix("refused: ")


class Td(Boot):
    def setUp(self):
        super().setUp()
        for i, value in enumerate(RTMRS):
            self.tee.set(f"rtmr{i}", value)

    def test_the_log_goes_with_evidence_and_is_held_against_the_quote(self):
        evidence = self.root.attest(self.session)
        log = self.get_log()
        self.assertEqual(log, LOG)
        self.assertEqual(self.boot_of(evidence), digest_of(LOG))
        event_rule = f"boot-event 2 sha384:{hashlib.sha384(COMMAND).hexdigest()}"
        self.assertIsNone(self.verify(evidence, log, "boot-log required", event_rule))
        self.assertIsNone(self.verify(evidence, None))

    def test_sc27a_a_log_that_is_another_is_refused(self):
        evidence = self.root.attest(self.session)
        self.assertIsNone(self.verify(evidence, LOG, "boot-log required"))
        for other in (LOG + event(4, IPL, b"later", "sha384"), LOG[:-1] + b"\1", LOG + UNUSED,
                      LOG.replace(b"kernel_cmdline", b"kernel_cmdlinE")):
            self.assertRegex(self.verify(evidence, other, "boot-log required"), "^boot-log: not the log whose digest")
        self.tee.set("rtmr1", "11" * 48)
        moved = self.root.attest(self.session, context=b"another")
        self.assertRegex(self.verify(moved, LOG, "boot-log required"), "^boot-log: .*RTMR 1")

    def test_sc27b_a_log_that_is_wanted_and_not_there_is_a_refusal(self):
        evidence = self.root.attest(self.session)
        self.assertRegex(self.verify(evidence, None, "boot-log required"), "^boot-log: ")

    def test_the_log_is_given_whole(self):
        with self.refused("InvalidArgument", "from must be 0"):
            self.get_log(1)


class NotToBeSpokenOf(Boot):
    configuration = "[Ima]\nBoot=no\n"

    def test_evidence_is_silent(self):
        self.assertIsNone(self.boot_of(self.root.attest(self.session)))


class Garbled(Boot):
    def leave_log(self):
        self.guest.ccel(LOG[:-3])

    def test_evidence_goes_on_without_and_the_log_says_why(self):
        self.assertIsNone(self.boot_of(self.root.attest(self.session)))
        self.assertTrue(self.logged("boot's event log", "event 3", "cut short"))
        with self.refused("Failed", "cut short"):
            self.get_log()


class OfATpm(Boot):
    LOG = header("sha1", "sha256") + event(0, SEPARATOR, bytes(4), "sha1", "sha256")

    def leave_log(self):
        self.guest.bios_log(self.LOG)

    def test_it_is_taken_where_there_is_no_other(self):
        evidence = self.root.attest(self.session)
        self.assertEqual(self.get_log(), self.LOG)
        self.assertEqual(self.boot_of(evidence), digest_of(self.LOG))


class WithoutOne(Boot):
    def leave_log(self):
        pass

    def test_that_there_is_none_is_said(self):
        self.assertIsNone(self.boot_of(self.root.attest(self.session)))
        with self.refused("Failed", "no event log"):
            self.get_log()


del WithLog, Boot  # are no tests

if __name__ == "__main__":
    unittest.main()
