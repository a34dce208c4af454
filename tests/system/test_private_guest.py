#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is a private guest private, and does it notice what is left behind?"""

import contextlib
import itertools
import os
import pathlib
import pwd
import subprocess
import sys
import unittest

import private_guest

OUTSIDE = "ATTESTD_TEST_OUTSIDE"  # what the world looked like before entering it
if OUTSIDE not in os.environ:
    os.environ[OUTSIDE] = " ".join(os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "pid", "cgroup"))

private_guest.enter()

from gi.repository import Gio, GLib  # noqa: E402

REPORT = pathlib.Path("/sys/kernel/config/tsm/report")
SLEEP = ["sleep", "1000"]


# polkit knows a question by it and its caller.
CANCELLATION_IDS = itertools.count(1)


def check_authorization(bus, action="org.attestd.test", timeout=private_guest.DEADLINE * 1000, done=None):
    """(is_authorized, is_challenge); with `done` it is called with them, later."""
    subject = ("system-bus-name", {"name": GLib.Variant("s", bus.get_unique_name())})
    arguments = GLib.Variant("((sa{sv})sa{ss}us)", (subject, action, {}, 0, str(next(CANCELLATION_IDS))))
    head = (private_guest.Polkit.NAME, private_guest.Polkit.PATH, "org.freedesktop.PolicyKit1.Authority",
            "CheckAuthorization", arguments, None, Gio.DBusCallFlags.NONE, timeout, None)
    if done:
        return bus.call(*head, lambda b, result: done(b.call_finish(result).unpack()[0][:2]))
    return bus.call_sync(*head).unpack()[0][:2]


class World(unittest.TestCase):
    def test_namespaces_are_new_and_this_is_process_1(self):
        here = [os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "pid", "cgroup")]
        for outside, inside in zip(os.environ[OUTSIDE].split(), here):
            self.assertNotEqual(outside, inside)
        self.assertEqual(os.getpid(), 1)

    def test_what_is_written_to_etc_stays_inside(self):
        with open("/proc/self/mountinfo") as f:
            kinds = {line.split()[4]: line.split(" - ")[1].split()[0] for line in f}
        self.assertIn(kinds["/etc"], ("overlay", "tmpfs"))
        self.assertEqual(kinds["/run"], "tmpfs")
        pathlib.Path("/etc/attestd-test-of-private-guest").write_text("x")

    def test_a_program_below_is_inside_too(self):
        program = "import private_guest; print(private_guest.inside())"
        path = str(pathlib.Path(private_guest.__file__).parent)
        result = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path},
                                capture_output=True, text=True)
        self.assertEqual(result.stdout, "True\n", result.stderr)


class Bus(private_guest.GuestTest):
    def test_polkit_says_what_it_is_told(self):
        polkit = self.guest.polkit
        for verdict, answer in (("allow", (True, False)), ("deny", (False, False)), ("challenge", (False, True))):
            polkit.verdict = verdict
            self.assertEqual(check_authorization(self.guest.bus), answer)
        polkit.verdicts["org.attestd.one"] = "allow"
        polkit.verdict = "error"
        self.assertEqual(check_authorization(self.guest.bus, "org.attestd.one"), (True, False))
        with self.assertRaisesRegex(GLib.Error, "PolicyKit1.Error.Failed"):
            check_authorization(self.guest.bus)
        self.assertEqual(len(polkit.checks), 5)
        self.assertEqual(polkit.checks[0]["subject"], ("system-bus-name", {"name": self.guest.bus.get_unique_name()}))

    def test_polkit_can_be_slow(self):
        answers = []
        self.guest.polkit.verdict = "hold"
        for _ in range(2):
            check_authorization(self.guest.bus, done=answers.append)
        self.guest.polkit.wait_held(2)
        self.assertEqual(answers, [])
        self.guest.polkit.release("deny")
        self.assertTrue(private_guest.wait_until(lambda: len(answers) == 2))
        self.assertEqual(answers, [(False, False)] * 2)

    def test_polkit_can_be_absent_and_come_back(self):
        self.guest.polkit.absent()
        self.guest.wait_for_no_name(private_guest.Polkit.NAME)
        with self.assertRaisesRegex(GLib.Error, "ServiceUnknown"):
            check_authorization(self.guest.bus)
        self.guest.polkit.present()
        self.assertEqual(check_authorization(self.guest.bus), (True, False))

    def test_waiting_for_a_name_ends_with_the_program(self):
        process = self.guest.spawn(["sh", "-c", "echo no bus today; exit 3"])
        with self.assertRaisesRegex(private_guest.GuestError, "(?s)ended with 3 .*no bus today"):
            self.guest.wait_for_name("org.attestd.Nobody", process)

    def test_waiting_for_a_name_sees_it_come(self):
        owner = self.guest.connect()
        Gio.bus_own_name_on_connection(owner, private_guest.Polkit.NAME, Gio.BusNameOwnerFlags.NONE, None, None)
        self.guest.polkit.absent()  # the one in the queue follows
        self.assertEqual(self.guest.wait_for_name(private_guest.Polkit.NAME), owner.get_unique_name())
        owner.close_sync(None)

    def test_the_bus_lets_nobody_own_what_no_policy_names(self):
        with self.assertRaisesRegex(GLib.Error, "AccessDenied"):
            self.guest.bus.call_sync(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                GLib.Variant("(su)", ("org.example.Mine", 0)), None, Gio.DBusCallFlags.NONE, -1, None)


class Processes(private_guest.GuestTest):
    guest_options = {"bus": False}

    def test_other_users(self):
        verifier = pwd.getpwnam(private_guest.VERIFIER_USER)
        self.assertEqual(self.guest.run(["id", "-u"], user=verifier.pw_name).stdout, f"{verifier.pw_uid}\n")
        self.assertEqual(self.guest.run(["id", "-G"], user=12345).stdout, "12345\n")

    def test_other_namespaces(self):
        for name, link in (("pid", "pid"), ("mount", "mnt"), ("user", "user"), ("network", "net")):
            inside = self.guest.run(["readlink", f"/proc/self/ns/{link}"], namespaces=[name], check=True).stdout.strip()
            self.assertNotEqual(inside, os.readlink(f"/proc/self/ns/{link}"))
        plain = self.guest.run(["readlink", "/proc/self/ns/pid", "/proc/self/ns/mnt"], user=12345).stdout.split()
        self.assertEqual(plain, [os.readlink(f"/proc/self/ns/{n}") for n in ("pid", "mnt")])

    def test_units(self):
        try:
            unit = self.guest.unit("payroll.service")
        except private_guest.GuestError as e:
            self.skipTest(str(e))
        result = self.guest.run(["cat", "/proc/self/cgroup"], unit=unit, user=12345)
        self.assertIn("0::/system.slice/payroll.service\n", result.stdout)
        self.assertEqual(os.readlink("/run/systemd/units/invocation:payroll.service"), unit.invocation)

    def test_boot_id(self):
        with open("/proc/sys/kernel/random/boot_id") as f:
            before = f.read().strip()
        for _ in range(2):
            new = self.guest.set_boot_id()
            with open("/proc/sys/kernel/random/boot_id") as f:
                self.assertEqual(f.read().strip(), new)
            self.assertNotEqual(new, before)

    def test_a_process_can_be_watched_and_stopped(self):
        process = self.guest.spawn(["sh", "-c", "echo started; trap 'exit 0' TERM; while :; do read x; done"],
                                   stdin=subprocess.PIPE)
        self.assertTrue(process.is_running())
        self.assertGreater(process.rss_kib(), 0)
        self.assertGreaterEqual(len(process.fds()), 3)
        self.assertEqual(process.threads(), [process.pid])
        process.popen.stdin.close()
        process.kill()
        self.assertIn(process.wait(), (-9, 2))


class LeftBehind(unittest.TestCase):
    def fails(self, reason):
        return self.assertRaisesRegex(private_guest.GuestError, reason)

    def guest(self, **options):
        guest = private_guest.Guest(bus=False, **options)
        guest.print_logs = lambda: None
        return guest

    def test_nothing_is_fine(self):
        for _ in range(3):
            with self.guest():
                self.assertEqual(os.listdir(REPORT), [])
        self.assertEqual(os.listdir("/sys/kernel/config"), [])

    def test_an_entry(self):
        with self.fails("entries left behind: left"), self.guest():
            (REPORT / "left").mkdir()
        with self.guest() as guest:
            (REPORT / "theirs").mkdir()
            guest.foreign_entries = ["theirs"]

    def test_a_process(self):
        with self.fails("sleep. left behind"), self.guest() as guest:
            guest.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! >/run/left"])
        pid = int(pathlib.Path("/run/left").read_text())
        os.kill(pid, 9)
        os.waitpid(pid, 0)  # ours since its parent has ended

    def test_a_service_that_does_not_end_well(self):
        with self.fails("ended with -15, not 0"), self.guest() as guest:
            guest.spawn(SLEEP)

    def test_an_open_file(self):
        with self.assertRaises(TimeoutError), self.guest() as guest:
            guest.patience = 0.2
            (REPORT / "a").mkdir()
            fd = os.open(REPORT / "a/outblob", os.O_RDONLY)
            guest.foreign_entries = ["a"]
        with contextlib.suppress(OSError):  # the file system has gone meanwhile
            os.close(fd)

    def test_a_test_that_fails_is_not_hidden_by_what_it_left(self):
        with self.assertRaises(ZeroDivisionError), self.guest() as guest:
            guest.spawn(SLEEP)
            (REPORT / "left").mkdir()
            1 / 0


if __name__ == "__main__":
    unittest.main(verbosity=2)
