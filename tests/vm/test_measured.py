#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What runs in the guest, on a real kernel: its IMA, a TPM, a locked-down kernel.

Two VMs, in which the kernel measures programs: TPM has a swtpm, LOCKDOWN none, and the
kernel's highest level of lockdown. ATTESTD_TEST_LONG=yes does more of the same.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import test_vm  # noqa: E402, which enters a private guest

import private_guest  # noqa: E402
import run_vm  # noqa: E402

IS_LONG = bool(os.environ.get("ATTESTD_TEST_LONG"))
BANKS = "sha1", "sha256", "sha384"  # of the TPM
PROGRAMS = "/opt"                   # of the tests: what is elsewhere belongs to the image
CONFIGURATION = "/etc/attestd/attestd.conf"


class Measured(test_vm.Guest):
    """A guest whose kernel measures."""

    tee, provider = "tdx", "tdx_guest"
    root = "claimed"

    def policy_lines(self):
        return (*test_vm.TDX.policy_lines(self), f"ima root {self.root}")

    def configure(self, text):
        """attestd once more, configured so, until the end of the test."""
        self.vm.put(CONFIGURATION, text)
        self.addCleanup(self.restart)
        self.addCleanup(self.vm.run, ["rm", CONFIGURATION])
        self.restart()

    def run_program(self, name):
        """A program that nobody has run before; its digest."""
        path = f"{PROGRAMS}/{name}"
        self.vm.measure(path, run=True)
        return hashlib.sha256(run_vm.content(path).encode()).hexdigest()

    def digest(self, name):
        return hashlib.sha256(run_vm.content(f"{PROGRAMS}/{name}").encode()).hexdigest()

    def replay(self, log, bank, *more):
        """What attestctl makes of a log in the guest."""
        return json.loads(self.vm.run(["attestctl", "ima", "replay", log, "--bank", bank, "--json", *more],
                                      check=True).stdout)

    def save_log(self, path="/root/log"):
        self.vm.run(["attestctl", "log", "ima", "--output", path], check=True)
        return path

    def exclude(self):
        """Lines that take what the image holds as it is: what is measured outside PROGRAMS."""
        folders = {"/" + r.path.split("/")[1] for r in private_guest.ima_records(self.vm.ima_log())
                   if r.path.startswith("/")}
        return [f"ima exclude {folder}/" for folder in sorted(folders | {"/usr", "/root", "/tmp"})
                if folder != PROGRAMS]

    def talk(self, server, policy, *arguments):
        """A client that stays, and was accepted."""
        client = self.vm.start(["attested-client", "--connect", f"127.0.0.1:{server.port}", "--ca", self.pki.ca_file,
                                "--name", test_vm.SERVER, "--policy-file", policy, "--verbose", *arguments])
        self.addCleanup(client.stop)
        client.until("accepted")
        client.say("first")
        client.until("first")
        return client

    def serve(self, *arguments):
        return super().serve("--verbose", *arguments)

    def renews(self, client, server, word):
        """The session is stale, and goes on after new evidence."""
        server.until("sends stale")
        client.say(word)  # it reads what the peer has said when it has something to say itself
        client.until("received stale")
        client.until("sends accepted")
        client.until(word)

    def ends(self, client, server, reason):
        """The session is stale, and its policy ends it."""
        server.until("sends stale")
        client.say("never")
        self.assertEqual(client.wait(), 1, client.log())
        self.assertRegex(client.log(), rf"(?m)^refused: .*{reason}")


class TPM(Measured, unittest.TestCase):
    """With a TPM, whose PCR 10 the kernel extends."""

    options = {"ima": True, "tpm": True}
    root = "tpm-outside"

    def of_kernel(self, what):
        """What the probe says in the VM, while we do what it asks for."""
        probe = self.vm.start(["guest-probe", what])
        for line in iter(probe.next_line, None):
            word, _, of = line.partition(" ")
            if word == "measure":
                self.vm.measure(of)
            elif word == "violate":
                self.vm.violate(of)
            elif word == "extend":
                self.vm.tell_module("extend_foreign", of)
            else:
                yield line
                continue
            probe.say("done")

    def of_double(self, guest, what):
        """The same, of the double."""
        with subprocess.Popen([self.vm.build / "tests/vm/guest-probe", what], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as probe:
            for line in probe.stdout:
                word, _, of = line.rstrip("\n").partition(" ")
                if word == "measure":
                    guest.ima.measure(of, run_vm.content(of).encode())
                elif word == "violate":
                    guest.ima.violation(of)
                    guest.ima.measure(of, b"x\n")
                elif word == "extend":
                    guest.tee.command(f"extend-foreign {of}")
                else:
                    yield line.rstrip("\n")
                    continue
                probe.stdin.write("done\n")
                probe.stdin.flush()

    def test_the_double_answers_as_the_kernel(self):
        self.addCleanup(self.restart)
        options = {"bus": False, "ima": True, "rtmr": True, "tpm": ("sha1", "sha256", "sha384")}
        with private_guest.Guest(build=self.vm.build, **options) as guest:
            guest.foreign_processes = self.vm.pids
            for what in "ima", "registers", "tpm":
                with self.subTest(what):
                    kernel = list(self.of_kernel(what))
                    self.assertGreater(len(kernel), 15)
                    self.assertEqual(list(self.of_double(guest, what)), kernel)

    def test_an_independent_replay_gives_pcr_10(self):
        self.vm.measure("/tmp/one", run=True)
        self.vm.violate("/tmp/two")
        self.vm.measure("/tmp/a blank")
        for bank in "sha1", "sha256", "sha384":
            with self.subTest(bank):
                records = list(private_guest.ima_records(self.vm.ima_log(bank), bank))
                self.assertIn("/tmp/a_blank", [r.path for r in records])
                self.assertEqual(private_guest.ima_aggregate(records, bank), self.vm.pcr(10, bank))

    def test_a_service_that_is_killed_goes_on_where_the_log_is(self):
        server = self.serve("--patience=20000")
        client = self.talk(server, self.policy("patient", without=["ima"]), "--patience=20000")
        before = self.status()
        self.vm.run(["systemctl", "kill", "--signal=KILL", "attestd"], check=True)
        self.run_program("meanwhile")
        self.status()  # the bus starts it
        self.renews(client, server, "second")
        after = self.status()
        self.assertNotEqual(after["instance_id"], before["instance_id"])
        self.assertGreater(after["ima_count"], before["ima_count"])
        self.run_program("afterwards")
        self.renews(client, server, "third")

    def test_a_changed_tcb_makes_evidence_stale(self):
        watch = self.watch()
        server = self.serve()
        client = self.talk(server, self.policy("tcb", without=["ima"]))
        self.addCleanup(self.vm.tell_module, "svn2", 5)  # as it is at boot
        self.vm.tell_module("svn2", 9)
        watch.until("tcb")
        self.renews(client, server, "second")

    def test_a_guest_that_was_suspended_is_another_instance(self):
        before = self.status()
        watch = self.watch()
        self.vm.suspend()
        watch.until("resume")
        after = self.status()
        self.assertNotEqual(after["instance_id"], before["instance_id"])
        self.assertGreater(after["generation"], before["generation"])


class LOCKDOWN(Measured, unittest.TestCase):
    """Without a TPM; the device's module is loaded, then the kernel is locked down, then attestd is started."""

    options = {"ima": True, "cmdline": "integrity_audit=1"}

    @classmethod
    def before_services(cls):
        cls.lock("confidentiality")

    @classmethod
    def lock(cls, level):
        cls.vm.run(["sh", "-c", f"echo {level} >{run_vm.SECURITY}/lockdown"], check=True)

    def test_1_audit_tells_what_probes_may_not(self):
        status = self.status()
        self.assertEqual((status["state"], status["event_source"], status["ima_root"]), ("ready", "audit", "claimed"))
        self.assertRegex(status["event_detail"], "locked down")
        server = self.serve()
        client = self.talk(server, self.policy("audit", without=["ima"]))
        self.run_program("audited")
        self.renews(client, server, "second")

    def test_2_many_entries(self):
        count = 50000
        pid = self.vm.run(["systemctl", "show", "--value", "--property=MainPID", "attestd"]).stdout.strip()
        before, rss, cpu = self.vm.ima_count(), self.rss(pid), self.cpu(pid)
        self.vm.run(["mkdir", "/tmp/many"], check=True)
        started = time.monotonic()
        self.vm.run(["many-files", run_vm.MEASURED, count, "/tmp/many"], check=True, seconds=run_vm.LIMIT)
        made = time.monotonic() - started
        self.assertGreaterEqual(self.vm.ima_count() - before, count)
        while self.status()["ima_count"] < self.vm.ima_count():
            self.assertLess(time.monotonic() - started, run_vm.LIMIT)
        seen = time.monotonic() - started
        self.vm.clock(f"{count} entries: made in {made:.1f} s, seen after {seen:.1f} s by attestd, which took "
                      f"{self.cpu(pid) - cpu:.1f} s of processor time; RSS {rss} -> {self.rss(pid)} KiB")
        self.assertLess(self.rss(pid) - rss, 2048)

        path = f"{run_vm.SECURITY}/ima/binary_runtime_measurements"
        records = list(private_guest.ima_records(self.vm.ima_log()))
        head = self.replay(path, "sha256", "--count", str(len(records)))
        self.assertEqual(head["aggregate"], private_guest.ima_aggregate(records, "sha256").hex())

        started = time.monotonic()
        self.restart()
        self.gives_evidence()
        self.vm.clock(f"attestd restarted with {count} entries: evidence after {time.monotonic() - started:.1f} s")

    def rss(self, pid):
        return int(re.search(r"VmRSS:\s+(\d+) kB", self.vm.read(f"/proc/{pid}/status")).group(1))

    def cpu(self, pid):
        return sum(map(int, self.vm.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13])) / 100


if __name__ == "__main__":
    unittest.main(verbosity=2)
