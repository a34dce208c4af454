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
PROGRAMS = "/opt"                   # of the tests
JUDGED = "/srv"                     # of the one test whose policy looks at programs one by one
CONFIGURATION = "/etc/attestd/attestd.conf"


class Measured(test_vm.Guest):
    """A guest whose kernel measures."""

    tee, provider = "tdx", "tdx_guest"
    root = "claimed"

    def policy_lines(self):
        return (*test_vm.TDX.policy_lines(self), f"ima root {self.root}", "ima max-violations 1000")

    def configure(self, text):
        """attestd once more, configured so, until the end of the test."""
        self.vm.put(CONFIGURATION, text)
        self.addCleanup(self.restart)
        self.addCleanup(self.vm.run, ["rm", CONFIGURATION])
        self.restart()

    def run_program(self, name, folder=PROGRAMS):
        """A program that nobody has run before."""
        self.vm.measure(f"{folder}/{name}", run=True)

    @staticmethod
    def allow(*names):
        """Lines that take these programs of JUDGED."""
        digests = {f"{JUDGED}/{name}": hashlib.sha256(run_vm.content(f"{JUDGED}/{name}").encode()).hexdigest()
                   for name in names}
        return [f"ima allow sha256:{digest} {path}" for path, digest in digests.items()]

    def replay(self, log, bank, *more):
        """What attestctl makes of a log in the guest."""
        return json.loads(self.vm.run(["attestctl", "ima", "replay", log, "--bank", bank, "--json", *more],
                                      check=True).stdout)

    def save_log(self, path="/root/log"):
        self.vm.run(["attestctl", "log", "ima", "--output", path], check=True)
        return path

    def exclude(self):
        """Lines that take what is measured outside JUDGED as it is."""
        folders = {"/" + r.path.split("/")[1] for r in private_guest.ima_records(self.vm.ima_log())
                   if r.path.startswith("/")}
        return [f"ima exclude {folder}/" for folder in sorted(folders | {"/usr", "/root", "/tmp", PROGRAMS})
                if folder != JUDGED]

    def talk(self, server, policy, *arguments):
        """A client that stays, and was accepted."""
        client = self.vm.start(["attested-client", "--connect", f"127.0.0.1:{server.port}", "--ca", self.pki.ca_file,
                                "--name", test_vm.SERVER, "--policy-file", policy, "--verbose",
                                *self.leaves[test_vm.CLIENT], *arguments])
        self.addCleanup(client.stop)
        client.until("accepted")
        client.say("first")
        client.until("first")
        return client

    def serve(self, *arguments):
        return super().serve("--verbose", *arguments)

    def serve_with_logs(self, *arguments):
        """Evidence and logs, for who has a certificate: as the clients of talk()."""
        return self.serve("--give-logs", "--ca", self.pki.ca_file, "--name", test_vm.CLIENT, *arguments)

    def connect(self, server, *arguments, **options):
        return super().connect(server, *self.leaves[test_vm.CLIENT], *arguments, **options)

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

    def new_registers(self):
        """The driver once more, whose registers are as at boot; attestd is stopped."""
        self.vm.run(["systemctl", "stop", "attestd"], check=True)
        self.vm.unload_tee()
        self.vm.load_tee(self.tee)

    def test_the_double_answers_as_the_kernel(self):
        self.addCleanup(self.restart)
        self.new_registers()
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

    def settled(self):
        """PCR 10 in each bank, and the log in a file of the guest, of one moment."""
        for _ in range(5):  # what reads them may be a program that is measured
            before = self.vm.ima_count()
            log, pcrs = self.save_log(), {bank: self.vm.pcr(10, bank).hex() for bank in BANKS}
            if self.vm.ima_count() == before:
                return log, pcrs, before
        self.fail("the kernel goes on measuring")

    def test_our_aggregate_is_pcr_10_in_each_bank(self):
        self.run_program("each-bank")
        self.vm.violate("/tmp/violated")
        log, pcrs, count = self.settled()
        for bank in BANKS:
            with self.subTest(bank):
                of = self.replay(log, bank)
                self.assertEqual((of["aggregate"], of["entries"]), (pcrs[bank], count))
                kernels = self.replay(f"{run_vm.SECURITY}/ima/binary_runtime_measurements_{bank}", bank)
                self.assertEqual(kernels["aggregate"], pcrs[bank])
                head = self.replay(log, bank, "--count", "1")
                self.assertNotEqual(head["aggregate"], pcrs[bank])
        registers = b"".join(self.vm.pcr(n) for n in range(10))
        self.assertIn(hashlib.sha256(registers).hexdigest(), str(of["boot_aggregate"]))
        status = self.status()
        self.assertEqual((status["ima_count"], status["ima_root"], status["event_source"]),
                         (count, "tpm-outside", "kprobe"))

    def test_a_session_follows_what_runs_until_its_policy_ends_it(self):
        server = self.serve_with_logs()
        policy = self.policy("known", *self.exclude(), *self.allow("known"))
        client = self.talk(server, policy)
        self.run_program("known", JUDGED)
        self.renews(client, server, "second")
        self.run_program("unknown", JUDGED)
        self.ends(client, server, f"{JUDGED}/unknown")
        # The good twin: who allows it, goes on.
        both = self.policy("both", *self.exclude(), *self.allow("known", "unknown"))
        self.accepted(server, "--policy-file", both)

    def test_a_violation_ends_a_session_that_takes_none(self):
        now = self.status()["ima_violations"]
        server = self.serve_with_logs()
        strict, lax = (self.policy(f"violations-{n}", f"ima root {self.root}", f"ima max-violations {n}",
                                   without=["ima"]) for n in (now, now + 1))
        client = self.talk(server, strict)
        self.vm.violate("/tmp/one-more")
        self.ends(client, server, "violation")
        self.accepted(server, "--policy-file", lax)

    def test_a_service_that_is_killed_goes_on_where_the_log_is(self):
        server = self.serve_with_logs("--patience=20000")
        client = self.talk(server, self.policy("patient"), "--patience=20000")
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

    # With the log in a register

    def rtmr3(self):
        report = re.search(r"(?m)^the report: (\w+)$", self.vm.run(["guest-probe", "report"], check=True).stdout)
        return report.group(1)[2 * 864:2 * 912]

    def test_a_register_holds_the_log(self):
        self.new_registers()
        self.configure("[Ima]\nRoot=rtmr\nRegister=3\n")
        self.assertEqual(self.status()["ima_root"], "rtmr")
        server = self.serve_with_logs()
        policy = self.policy("rtmr", "ima root rtmr", "ima max-violations 1000", without=["ima"])
        client = self.talk(server, policy)
        self.run_program("mirrored")
        self.renews(client, server, "second")
        self.same_as_register()

        # Whenever it ends, nothing is extended twice, and nothing is left out.
        for i in range(10 if IS_LONG else 2):
            self.vm.run(["sh", "-c", f"""
                for n in 1 2 3 4 5; do
                    printf '#!/bin/sh\n# {i} %s\n' $n >{PROGRAMS}/kill-$n && chmod 755 {PROGRAMS}/kill-$n
                    {PROGRAMS}/kill-$n; [ $n = 3 ] && systemctl kill --signal=KILL attestd; done; true"""], check=True)
            self.gives_evidence()
            self.same_as_register()
            self.accepted(server, "--policy-file", policy)

        # Another that extends it ends that: the log is then only claimed.
        watch = self.watch()
        self.vm.tell_module("extend_foreign", 3)
        watch.until("ima-root")
        self.refused(server, "ima-root", "--policy-file", policy)
        status = self.status()
        self.assertEqual(status["ima_root"], "claimed")
        self.assertRegex(status["root_detail"], "extended")
        self.accepted(server, "--policy-file", self.policy(
            "claimed", "ima root claimed", "ima max-violations 1000", without=["ima"]))

    def same_as_register(self):
        """attestd may be a moment behind the kernel."""
        deadline = time.monotonic() + run_vm.DEADLINE
        while True:
            records = list(private_guest.ima_records(self.vm.ima_log()))
            aggregate = private_guest.ima_aggregate(records, "sha384").hex()
            if aggregate == self.rtmr3():
                return
            self.assertLess(time.monotonic(), deadline, "the register does not become the log's aggregate")
            self.gives_evidence()


class LOCKDOWN(Measured, unittest.TestCase):
    """Without a TPM; the device's module is loaded, then the kernel is locked down, then attestd is started."""

    options = {"ima": True, "cmdline": "integrity_audit=1", "limit": 1800 if IS_LONG else run_vm.LIMIT}

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
        count = 50000 if IS_LONG else 10000
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

        records = list(private_guest.ima_records(self.vm.ima_log()))
        of = self.replay(self.save_log(), "sha256")
        self.assertGreaterEqual(of["entries"], len(records))
        head = self.replay("/root/log", "sha256", "--count", str(len(records)))
        self.assertEqual(head["aggregate"], private_guest.ima_aggregate(records, "sha256").hex())

        # A new relying party gets all of it; one that has it gets what is new.
        server = self.serve_with_logs()
        started = time.monotonic()
        client = self.talk(server, self.policy("many"))
        first = time.monotonic() - started
        started = time.monotonic()
        self.run_program("after-many")
        self.renews(client, server, "second")
        again = time.monotonic() - started
        self.vm.clock(f"a verdict with {count} entries: {first:.1f} s; the next with one more: {again:.1f} s")
        sizes = [int(n) for n in re.findall(r"received log entries, (\d+) bytes", client.log())]
        self.assertGreater(sum(sizes[:-1]), 50 * count)
        self.assertLess(sizes[-1], 1000)

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
