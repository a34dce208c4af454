#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What wakes attestd on a real kernel, and what it finds then: IMA's measurements by
each event source, a clone of the guest, its sleep, registers, the TDX module, SELinux and
lockdown. One VM; the last test locks its kernel down, which is for good.

The kernel has SELinux without a policy, which is enough to switch enforcing; a policy
that is loaded is tested over files, in tests/tee.
"""

import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system"), str(HERE.parent / "bench")]
import private_guest  # noqa: E402

private_guest.enter()

import events  # noqa: E402
import run_vm  # noqa: E402

VMGENID = "vmgenid,guid={}1111111-1111-1111-1111-111111111111"
LOCKDOWN = run_vm.SECURITY + "/lockdown"
SELINUX = "/sys/fs/selinux"
# Nothing that is told in the time of a test was told by this timer.
NEVER_MS, OFTEN_MS = 60000, 200


class Watch:
    """attestctl watch, as it goes on."""

    def __init__(self, vm):
        self._program = vm.start(["attestctl", "watch", "--json"])
        self.generation = self._next("here")["generation"]

    def _next(self, event):
        while (line := json.loads(self._program.line()))["event"] != event:
            pass
        return line

    def reasons(self):
        """Of the next change."""
        line = self._next("changed")
        self.generation = line["generation"]
        return line["reasons"]

    def stop(self):
        self._program.stop()


class Events(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.vm = cls.enterClassContext(run_vm.Vm(
            tee="tdx", ima=True, devices=["-device", VMGENID.format(1)],
            cmdline="integrity_audit=1 security=selinux selinux=1 enforcing=0"))
        cls.vm.run(["test", "-e", f"{SELINUX}/status"], check=True)  # systemd has mounted it

    counter, running = 0, None

    def begin(self, source="kprobe", interval_ms=NEVER_MS):
        """attestd like this, and what it says from now on."""
        self.vm.clock(self.id())
        self.addCleanup(lambda: self._outcome.success or self.vm.print_logs())
        if Events.running != (source, interval_ms):
            self.vm.put("/etc/attestd/attestd.conf", f"[Ima]\nInterval={interval_ms}\n")
            events.take_source(self.vm, source)
            Events.running = source, interval_ms
        self.vm.measure("/root/warm-up", self.unique())  # programs that a test runs for the first time are measured too
        watch = Watch(self.vm)
        self.addCleanup(watch.stop)
        return watch

    def unique(self):
        Events.counter += 1
        return f"{Events.counter}\n"

    def status(self):
        return json.loads(self.vm.run(["attestctl", "status", "--json"]).stdout)

    def settle(self, watch):
        """All that was measured so far is told."""
        while True:
            kernel, status = self.vm.ima_count(), self.status()
            while watch.generation < status["generation"]:
                watch.reasons()
            if status["ima_count"] >= kernel:
                return
            watch.reasons()

    def measure(self, watch):
        """Something new is measured, and told."""
        self.settle(watch)
        self.vm.measure("/root/measured", self.unique())
        self.assertEqual(watch.reasons(), ["ima"])

    def has_no_privileges(self):
        pid = self.vm.run(["systemctl", "show", "--value", "--property=MainPID", "attestd"]).stdout.strip()
        of = dict(line.split(":\t", 1) for line in self.vm.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        for field in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            self.assertEqual(int(of[field], 16), 0, field)
        networks = {self.vm.run(["readlink", f"/proc/{p}/ns/net"], check=True).stdout for p in (1, pid)}
        self.assertEqual(len(networks), 2)
        return self.vm.run(["ls", "-l", f"/proc/{pid}/fd"], check=True).stdout

    def gives_evidence(self):
        self.vm.run(["attestctl", "evidence", "--out", "/root/evidence"], check=True)

    # Measurements

    def test_a_probe_tells_at_once(self):
        watch = self.begin()
        status = self.status()
        self.assertEqual((status["event_source"], status["event_detail"]), ("kprobe", ""))
        for _ in range(3):
            self.measure(watch)
        self.assertIn("[perf_event]", self.has_no_privileges())

    def test_audit_tells_where_there_is_no_probe(self):
        watch = self.begin("audit")
        self.assertIn("the kernel allows no probe", self.status()["event_detail"])
        for _ in range(3):
            self.measure(watch)
        self.assertNotIn("[perf_event]", self.has_no_privileges())

    def test_the_timer_tells_where_there_is_neither(self):
        watch = self.begin("timer", OFTEN_MS)
        self.assertRegex(self.status()["event_detail"], "the kernel allows no probe.*; netlink family 9: ")
        for _ in range(3):
            self.measure(watch)
        self.assertNotIn("[perf_event]", self.has_no_privileges())

    def uptime_ms(self):
        return float(self.vm.run(["cat", "/proc/uptime"], check=True).stdout.split()[0]) * 1000

    def test_many_at_once_are_told_together(self):
        many = 1000
        watch = self.begin()
        self.settle(watch)
        self.vm.run(["mkdir", "-p", "/root/many"], check=True)
        self.settle(watch)
        watch.stop()  # it asks for the log at each change, and attestd looks at it before it answers
        before, count, start = self.status()["generation"], self.vm.ima_count(), self.uptime_ms()
        self.vm.run(["many-files", run_vm.MEASURED, many, "/root/many"], check=True)
        self.assertGreaterEqual(self.vm.ima_count(), count + many)
        while (status := self.status())["ima_count"] < self.vm.ima_count():
            pass  # nothing is left to the timer, or this test ends with its time
        took_ms = self.uptime_ms() - start
        moves = status["generation"] - before
        self.assertGreaterEqual(moves, 1)
        # Once in 50 ms at most, by the guest's own clock.
        self.assertLessEqual(moves, took_ms / 50 + 2)

    def test_a_violation_is_told_as_one(self):
        watch = self.begin()
        self.settle(watch)
        self.vm.violate("/root/violated")
        expected, reasons = {"ima", "ima-violation"}, set()
        while not reasons >= expected:  # the violation, and what the file held then
            reasons |= set(watch.reasons())
        self.assertEqual(reasons, expected)

    # The guest

    # Before the guest's sleep, as the names have it: after S3 QEMU's q35 raises no ACPI interrupt any more (status and
    # enable bits are set, the IO-APIC's pin 9 stays low), so that the kernel hears of no new generation id, nor attestd.
    def test_a_clone_is_another_instance(self):
        watch = self.begin()
        before = self.status()
        self.settle(watch)
        self.vm.clone(["-device", VMGENID.format(2)])
        self.assertIn("clone", watch.reasons())
        after = self.status()
        self.assertEqual(after["boot_id"], before["boot_id"])
        self.assertNotEqual(after["instance_id"], before["instance_id"])
        # A guest that only moved to another host is the one it was.
        self.vm.clone(["-device", VMGENID.format(2)])
        self.measure(watch)
        self.assertEqual(self.status()["instance_id"], after["instance_id"])

    def test_a_sleep_is_told_when_it_is_over(self):
        watch = self.begin()
        before = self.status()["instance_id"]
        self.settle(watch)
        self.vm.suspend()
        self.assertIn("resume", watch.reasons())
        self.assertNotEqual(self.status()["instance_id"], before)
        self.measure(watch)  # and it goes on as before

    # Its TEE and its kernel

    def test_what_the_td_says_of_itself(self):
        watch = self.begin(interval_ms=OFTEN_MS)
        self.settle(watch)
        self.vm.tell_module("extend_foreign", 2)
        self.assertEqual(watch.reasons(), ["register"])
        self.vm.tell_module("svn2", 7)
        self.assertEqual(watch.reasons(), ["tcb"])

    def test_selinux_that_begins_and_stops_to_enforce(self):
        watch = self.begin(interval_ms=OFTEN_MS)
        self.settle(watch)
        for enforce in 1, 0:
            self.vm.run(["sh", "-c", f"echo {enforce} >{SELINUX}/enforce"], check=True)
            self.assertEqual(watch.reasons(), ["selinux"])

    def test_when_the_kernel_is_locked_down_audit_tells(self):
        """The last one, by its name: there is no way back."""
        watch = self.begin(interval_ms=OFTEN_MS)
        self.settle(watch)
        for level in "integrity", "confidentiality":
            self.vm.run(["sh", "-c", f"echo {level} >{LOCKDOWN}"], check=True)
            self.assertEqual(watch.reasons(), ["lockdown"])
        self.measure(watch)  # a probe that is open stays so
        self.gives_evidence()
        watch.stop()

        self.vm.put("/etc/attestd/attestd.conf", f"[Ima]\nInterval={NEVER_MS}\n")
        self.vm.run(["systemctl", "restart", "attestd"], check=True)
        status = self.status()
        self.assertEqual(status["event_source"], "audit")
        self.assertIn("locked down", status["event_detail"])
        watch = Watch(self.vm)
        self.addCleanup(watch.stop)
        self.measure(watch)
        self.gives_evidence()


if __name__ == "__main__":
    unittest.main(verbosity=2)
