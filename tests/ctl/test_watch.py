# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl watch: a line for each change, live; attestd that goes and comes back; how it ends."""
import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(os.environ["SOURCE_ROOT"])
ATTESTCTL = os.environ["ATTESTCTL"]
sys.path.insert(0, str(ROOT / "tests" / "system"))
import private_guest  # noqa: E402

private_guest.enter()

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class WatchTest(private_guest.GuestTest):
    def watch(self, *arguments):
        process = self.guest.spawn([ATTESTCTL, "watch", *arguments], stdout=subprocess.PIPE)
        self.addCleanup(process.popen.stdout.close)
        return process

    def line(self, process):
        line = process.popen.stdout.readline().decode()
        self.assertTrue(line.endswith("\n"), line + process.log())
        return line[:-1]

    def event(self, process):
        line = json.loads(self.line(process))
        self.assertEqual(list(line)[:2], ["time", "event"])
        self.assertRegex(line["time"], f"^{TIME}$")
        return line

    def end(self, process, number=signal.SIGTERM, status=0):
        process.send(number)
        self.assertEqual(process.wait(), status)
        self.assertEqual(process.popen.stdout.read(), b"")
        self.assertEqual(process.log(), "")

    def share_the_device(self):
        """Others have an entry: attestd sees it when it makes a report."""
        self.tee.command("entry theirs")
        self.guest.foreign_entries = ["theirs"]
        out = str(self.guest.directory / "evidence.cbor")
        self.assertEqual(self.guest.run([ATTESTCTL, "evidence", "--out", out]).returncode, 0)


class Log(WatchTest):
    guest_options = {"ima": True}

    def setUp(self):
        super().setUp()
        folder = self.guest.configuration / "attestd.conf.d"
        folder.mkdir(exist_ok=True)
        (folder / "50-test.conf").write_text("[Ima]\nInterval=100\n")

    def entries_of(self, watch, n):
        """The reasons of moves until there are n lines of entries, and those."""
        reasons, entries = [], []
        while len(entries) < n:
            event = self.event(watch)
            if event["event"] == "changed":
                reasons += event["reasons"]
            else:
                self.assertEqual(event["event"], "entry")
                entries.append(event)
        return reasons, entries

    def test_says_what_was_measured(self):
        self.guest.ima.measure("/usr/bin/before")
        self.guest.start_attestd()
        watch = self.watch("--json")
        here = self.event(watch)
        self.assertEqual((here["ima_state"], here["ima_root"]), ("ok", "claimed"))
        self.guest.ima.measure("/usr/bin/new")
        self.guest.ima.violation("/etc/passwd")
        reasons, entries = self.entries_of(watch, 2)
        self.assertEqual(set(reasons), {"ima", "ima-violation"})
        self.assertEqual([(e["index"], e["pcr"], e["path"], e["violation"]) for e in entries],
                         [(2, 10, "/usr/bin/new", False), (3, 10, "/etc/passwd", True)])
        self.assertRegex(entries[0]["digest"], "^sha256:[0-9a-f]{64}$")
        self.guest.ima.trim(1)
        events = [self.event(watch), self.event(watch)]
        self.assertEqual({e["event"] for e in events}, {"changed", "state"})
        state, = [e for e in events if e["event"] == "state"]
        self.assertEqual((state["ima_state"], state["ima_root"]), ("history-lost", "none"))
        self.end(watch)

    def test_people_get_a_line_for_each_entry(self):
        self.guest.start_attestd()
        watch = self.watch()
        self.assertIn("log ok, root claimed", self.line(watch))
        self.guest.ima.measure("/usr/bin/a\nb")
        self.assertRegex(self.line(watch), "changed  generation 2, ima$")
        self.assertRegex(self.line(watch), rf"^{TIME}  entry    10 ima-sig sha256:[0-9a-f]{{64}} /usr/bin/a\\u000ab$")
        self.end(watch)

    def test_who_may_not_read_the_log_sees_that_it_changed(self):
        self.guest.polkit.verdict = "deny"
        self.guest.start_attestd()
        process = self.guest.spawn([ATTESTCTL, "watch", "--json"], user=1000, stdout=subprocess.PIPE)
        self.addCleanup(process.popen.stdout.close)
        self.event(process)
        for n in range(2):
            self.guest.ima.measure(f"/usr/bin/{n}")
            self.assertEqual(self.event(process)["reasons"], ["ima"])
        self.end(process)


class Live(WatchTest):
    def test_says_what_is_there_and_each_change(self):
        self.guest.start_attestd()
        watch = self.watch("--json")
        here = self.event(watch)
        status = json.loads(self.guest.run([ATTESTCTL, "status", "--json"]).stdout)
        self.assertEqual({k: v for k, v in here.items() if k not in ("time", "event")},
                         {k: status[k] for k in here if k not in ("time", "event")})
        self.assertEqual((here["event"], here["state"], here["generation"]), ("here", "ready", 1))

        self.share_the_device()
        events = [self.event(watch), self.event(watch)]
        changed, = [e for e in events if e["event"] == "changed"]
        self.assertEqual((changed["generation"], changed["reasons"]), (2, ["shared-device"]))
        state, = [e for e in events if e["event"] == "state"]
        self.assertEqual(state["state"], "shared-device")
        self.assertIn("theirs", state["state_detail"])
        self.end(watch)

    def test_people_get_a_line_each(self):
        self.guest.start_attestd()
        watch = self.watch()
        self.assertRegex(self.line(watch), rf"^{TIME}  here     ready, tdx, tdx_guest, log absent, .*, root none, "
                                           r"events by timer, generation 1, boot [0-9a-f]{32}, instance [0-9a-f]{32}$")
        self.share_the_device()
        lines = sorted((self.line(watch), self.line(watch)), key=lambda x: x.split()[1])
        self.assertRegex(lines[0], rf"^{TIME}  changed  generation 2, shared-device$")
        self.assertRegex(lines[1], rf"^{TIME}  state    shared-device, .*theirs")
        self.end(watch, signal.SIGINT)

    def test_attestd_goes_and_returns(self):
        first = self.guest.start_attestd()
        watch = self.watch("--json")
        before = self.event(watch)
        first.stop()
        self.assertEqual(self.event(watch)["event"], "gone")
        second = self.guest.start_attestd()
        after = self.event(watch)
        self.assertEqual((after["event"], after["boot_id"]), ("here", before["boot_id"]))
        self.assertNotEqual(after["instance_id"], before["instance_id"])
        self.assertGreater(after["generation"], before["generation"])
        second.kill()
        self.assertEqual(self.event(watch)["event"], "gone")
        self.guest.start_attestd()
        self.assertEqual(self.event(watch)["event"], "here")
        self.end(watch)

    def test_waits_for_an_attestd_that_is_not_there(self):
        watch = self.watch()
        self.assertRegex(self.line(watch), rf"^{TIME}  gone   *$")
        self.guest.start_attestd()
        self.assertRegex(self.line(watch), rf"^{TIME}  here     ready, ")
        self.end(watch)

    def test_nobody_else_can_speak_for_attestd(self):
        from gi.repository import GLib

        self.guest.start_attestd()
        watch = self.watch("--json")
        self.event(watch)
        everybody = [None] + [name for name in self.guest.bus.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ListNames", None, None, 0, -1,
            None).unpack()[0] if name.startswith(":")]
        forger = self.guest.connect()
        for name in everybody:
            forger.emit_signal(name, "/org/attestd/Attester1", "org.attestd.Attester1", "StateChanged",
                               GLib.Variant("(tas)", (99, ["forged"])))
        forger.flush_sync(None)
        forger.close_sync(None)
        self.share_the_device()
        self.assertNotIn(99, {self.event(watch).get("generation"), self.event(watch).get("generation")})
        self.end(watch)

    def test_ends_when_nobody_reads(self):
        self.guest.start_attestd()
        reader, writer = os.pipe()
        watch = self.guest.spawn([ATTESTCTL, "watch"], stdout=writer)
        os.close(writer)
        self.assertIn(b"here", os.read(reader, 4096))
        os.close(reader)
        self.share_the_device()
        self.assertEqual(watch.wait(), 2)
        self.assertRegex(watch.log(), "^attestctl: cannot write to stdout\n$")


class NoBus(WatchTest):
    guest_options = {"polkit": False}

    def test_ends_when_the_bus_does(self):
        service = self.guest.start_attestd()
        watch = self.watch()
        self.line(watch)
        bus = next(p for p in self.guest.processes if p.name == "dbus-daemon")
        self.guest.bus.set_exit_on_close(False)
        self.guest.bus = None
        bus.kill()
        self.assertEqual(watch.wait(), 1)
        self.assertRegex(watch.log(), "^attestctl: the bus is gone.*\n$")
        self.assertEqual(service.wait(), 1)

    def test_needs_a_bus(self):
        got = self.guest.run([ATTESTCTL, "watch"], env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"})
        self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertRegex(got.stderr, "^attestctl: cannot reach the system bus")


if __name__ == "__main__":
    unittest.main()
