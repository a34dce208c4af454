#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole of it on a real kernel: attestd as systemd starts it, over Linux's own
configfs-tsm, for TDX and for SNP. A VM for each, which all tests of a class share.

What a test does to the device, it undoes: see Guest.setUp().
"""

import hashlib
import json
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system"), str(HERE.parent / "lib")]
import private_guest  # noqa: E402

private_guest.enter()

import run_vm  # noqa: E402
from test_exchange import Pki  # noqa: E402

SERVER, CLIENT = "server.test", "client.test"
UNIT = "payroll.service"
SERVICES = "attestd", "attestd-verifier"


def sha384(text):
    return hashlib.sha384(text.encode()).hexdigest()


class Guest:
    """What the tests of both TEEs have at hand."""

    maxDiff = None
    configfs = True
    options = {}  # of the VM

    @classmethod
    def setUpClass(cls):
        cls.vm = cls.enterClassContext(run_vm.Vm(tee=cls.tee, configfs=cls.configfs, **cls.options))
        directory = cls.vm.scratch / "pki"
        directory.mkdir()
        cls.pki = Pki(directory)
        cls.leaves = {name: cls.pki.leaf(name) for name in (SERVER, CLIENT)}
        for path in directory.iterdir():
            cls.vm.put(str(path), path.read_bytes(), 0o600)
        cls.before_services()
        cls.vm.run(["systemctl", "start", *SERVICES], check=True)
        cls.vm.clock(f"{cls.tee}: the services are up")

    @classmethod
    def before_services(cls):
        """What has to be so when they start."""

    def setUp(self):
        self.addCleanup(self._tell_if_failed)
        self.vm.clock(self.id().split(".", 1)[1])
        self.spoils = False

    def tearDown(self):
        """A test that has made the device fail leaves a service that is wary of it."""
        if self.spoils:
            self.vm.tee.command("clear")
            self.vm.tee.command("release")
            self.vm.parameter("key_wiped", "N")
            self.restart()

    def _tell_if_failed(self):
        if not self._outcome.success:
            self.vm.print_logs()

    def restart(self):
        self.vm.run(["systemctl", "restart", "attestd"], check=True)

    def spoil(self, *words):
        """A fault, until the end of the test."""
        self.spoils = True
        self.vm.tee.command(" ".join(["fault", *map(str, words)]))

    def status(self):
        return json.loads(self.vm.run(["attestctl", "status", "--json"]).stdout)

    def watch(self):
        """attestctl watch, which has said that attestd is there."""
        watch = self.vm.start(["attestctl", "watch"])
        self.addCleanup(watch.stop)
        watch.until("here")
        return watch

    def policy(self, name, *more, without=()):
        """A policy file in the guest. without: keys of the usual lines."""
        lines = [line for line in self.policy_lines() if line.split()[0] not in without]
        path = f"/root/{name}.policy"
        self.vm.put(path, "".join(f"{line}\n" for line in ("attestd-policy 1", *lines, *more)))
        return path

    def evidence(self, path="/root/evidence"):
        """attestctl's attempt at it."""
        return self.vm.run(["attestctl", "evidence", "--out", path])

    def gives_evidence(self):
        ran = self.evidence()
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def gives_none(self, reason, path="/root/none"):
        ran = self.evidence(path)
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertRegex(ran.stderr, reason)
        self.assertNotEqual(self.vm.run(["test", "-e", path]).returncode, 0)

    # TLS

    def serve(self, *arguments, program="attested-server", leaf=True):
        """A server that systemd knows as a unit."""
        argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={UNIT}", program, "--port=0",
                *(self.leaves[SERVER] if leaf else ()), *arguments]
        server = self.vm.start(argv)
        self.addCleanup(self._end_of, server)
        server.port = server.until("listening").split()[1]
        return server

    def _end_of(self, server):
        self.vm.run(["systemctl", "stop", UNIT])
        server.wait()

    def connect(self, server, *arguments, message="hello"):
        return self.vm.run(["attested-client", "--connect", f"127.0.0.1:{server.port}", "--ca", self.pki.ca_file,
                            "--name", SERVER, *(("--message", message) if message else ()), *arguments])

    def accepted(self, server, *arguments, message="hello"):
        ran = self.connect(server, *arguments, message=message)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr + server.log())
        if message:
            self.assertRegex(ran.stdout, rf"(?m)^{message}$")
        return ran.stdout

    def refused(self, server, reason, *arguments):
        ran = self.connect(server, *arguments)
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, rf"(?m)^refused: .*{reason}")
        self.assertNotRegex(ran.stdout, r"(?m)^(accepted|hello)$")


class Services:
    """As systemd runs them."""

    def test_status(self):
        status = self.status()
        self.assertEqual((status["state"], status["tee"], status["provider"]), ("ready", self.tee, self.provider))
        self.assertEqual(status["ima_count"], 1)  # boot_aggregate: the kernel's IMA has no other rule
        boot_id = self.vm.read("/proc/sys/kernel/random/boot_id").strip()
        self.assertEqual(status["boot_id"], boot_id.replace("-", ""))

    def test_attestd_has_no_privileges(self):
        pid = self.vm.run(["systemctl", "show", "--value", "--property=MainPID", "attestd"]).stdout.strip()
        of = dict(line.split(":\t", 1) for line in self.vm.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        self.assertEqual(of["Uid"].split(), ["0"] * 4)  # configfs is root's
        for field in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            self.assertEqual(int(of[field], 16), 0, field)
        self.assertEqual((of["NoNewPrivs"], of["Seccomp"]), ("1", "2"))
        for namespace in "net", "mnt":
            ours = self.vm.run(["readlink", f"/proc/1/ns/{namespace}"]).stdout
            self.assertNotEqual(self.vm.run(["readlink", f"/proc/{pid}/ns/{namespace}"]).stdout, ours)
        # What it may write of the kernel's is configfs-tsm, and of a TD its registers.
        mounts = [line.split() for line in self.vm.read(f"/proc/{pid}/mounts").splitlines()]
        writable = {where for _, where, _, options, *_ in mounts if options.split(",")[0] == "rw"}
        registers = {"/sys/devices/virtual/misc/tdx_guest/measurements"} if self.tee == "tdx" else set()
        self.assertEqual({w for w in writable if w.startswith(("/sys", "/proc/sys", "/dev"))},
                         {"/sys/kernel/config/tsm"} | registers)
        self.assertNotIn("/", writable)

    def test_the_verifier_is_nobody(self):
        pid = self.vm.run(["systemctl", "show", "--value", "--property=MainPID", "attestd-verifier"]).stdout.strip()
        of = dict(line.split(":\t", 1) for line in self.vm.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        self.assertNotIn("0", of["Uid"].split() + of["Gid"].split())
        for field in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            self.assertEqual(int(of[field], 16), 0, field)
        self.assertEqual((of["NoNewPrivs"], of["Seccomp"]), ("1", "2"))

    def test_no_caller_from_another_namespace(self):
        ran = self.vm.run(["unshare", "-m", "attestctl", "evidence", "--out", "/root/none"])
        self.assertEqual(ran.returncode, 1)
        self.assertRegex(ran.stderr, "namespace")

    def test_the_bus_starts_them(self):
        self.vm.run(["systemctl", "stop", *SERVICES], check=True)
        self.assertEqual(self.status()["state"], "ready")
        self.vm.run(["dbus-send", "--system", "--print-reply", "--dest=org.attestd.Verifier1", "/org/attestd/Verifier1",
                     "org.freedesktop.DBus.Peer.Ping"], check=True)

    def test_the_direct_socket_starts_it_and_outlives_it(self):
        self.vm.run(["systemctl", "stop", "attestd"], check=True)
        self.assertEqual(self.vm.run(["stat", "-c", "%a %U", "/run/attestd", "/run/attestd/bus"]).stdout,
                         "711 root\n666 root\n")
        direct = ["attestctl", "status", "--json", "--direct"]
        before = json.loads(self.vm.run(direct, check=True).stdout)
        self.assertEqual((before["state"], before["tee"]), ("ready", self.tee))
        self.assertEqual(self.vm.run(["systemctl", "is-active", "attestd"]).stdout, "active\n")

        server = self.serve()  # which has its session by it
        self.accepted(server, "--policy-file", self.policy("unit"))
        self.restart()
        after = json.loads(self.vm.run(direct, check=True).stdout)
        self.assertNotEqual(after["instance_id"], before["instance_id"])
        self.accepted(server, "--policy-file", self.policy("unit"))

        stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        ran = self.vm.run([*stranger, *direct])
        self.assertEqual(ran.returncode, 1)
        self.assertIn("use the system bus", ran.stderr)
        self.vm.run([*stranger, "attestctl", "status"], check=True)

    def test_they_leave_nothing_behind(self):
        self.gives_evidence()
        self.vm.run(["systemctl", "stop", "attestd"], check=True)
        self.assertEqual(self.vm.run(["ls", run_vm.REPORTS]).stdout, "")
        self.vm.run(["systemctl", "start", "attestd"], check=True)
        self.assertRegex(self.vm.run(["ls", "-l", run_vm.REPORTS]).stdout, r"^total 0\ndrwx------ .* attestd-\S+\n$")


class Exchange:
    """Attested TLS, each end in a unit."""

    def test_a_server_attests(self):
        output = self.accepted(self.serve(), "--policy-file", self.policy("unit"), "--verbose")
        for check in "authenticator", "binding", "report-data", "workload", *self.signature_checks:
            self.assertRegex(output, rf"(?m)^  passed +{check}\b")

    def test_a_server_of_another_unit_is_refused(self):
        server = self.serve()
        self.refused(server, "workload", "--policy-file",
                     self.policy("other", "workload unit other.service", without=["workload"]))
        self.accepted(server, "--policy-file", self.policy("unit"))

    def test_a_client_attests(self):
        any_unit = self.policy("any", "workload any", without=["workload", "boot"])
        server = self.serve("--policy-file", any_unit, "--ca", self.pki.ca_file, "--name", CLIENT)
        self.accepted(server, "--give", *self.leaves[CLIENT])
        self.assertIn("accepted the client", server.until("accepted"))

    def test_both_attest(self):
        any_unit = self.policy("any", "workload any", without=["workload", "boot"])
        server = self.serve("--give", "--policy-file", any_unit, "--ca", self.pki.ca_file, "--name", CLIENT)
        self.accepted(server, "--give", *self.leaves[CLIENT], "--policy-file", self.policy("unit"))
        self.assertIn("accepted the client", server.until("accepted"))

    def test_sc01_evidence_of_another_connection_is_refused(self):
        server = self.serve("--mode=replay", program="hostile-server")
        policy = self.policy("unit")
        self.accepted(server, "--policy-file", policy, message=None)
        self.refused(server, "binding: bound to another connection", "--policy-file", policy)

    def test_a_flipped_byte_is_refused(self):
        server = self.serve("--mode=flip", program="hostile-server")
        self.refused(server, f"({'|'.join(self.signature_checks)}|report-data)", "--policy-file", self.policy("unit"))

    def test_evidence_in_a_file(self):
        self.gives_evidence()
        binding = self.vm.read("/root/evidence.binding").split()
        policy = self.policy("file", "peer any", "workload any", without=["workload", "boot"])
        verify = ["attestctl", "verify", *binding, "--policy", policy]
        ran = self.vm.run([*verify, "/root/evidence"])
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        whole = bytearray(self.vm.get("/root/evidence"))
        for at in len(whole) // 3, 2 * len(whole) // 3:
            bad = bytes(b ^ (i == at) for i, b in enumerate(whole))
            self.vm.put("/root/bad", bad)
            ran = self.vm.run([*verify, "/root/bad"])
            self.assertEqual(ran.returncode, 1, ran.stdout)


class Faults:
    """What the device does wrong, through the service."""

    def test_ft02_sc36d_a_busy_device_is_asked_again(self):
        self.spoil("errno read:outblob EBUSY times 2")
        self.gives_evidence()
        self.assertEqual(self.status()["state"], "ready")

    def test_an_error_of_the_host(self):
        self.spoil("errno read:outblob ENOMEM times 1")
        self.gives_none("Cannot allocate memory")
        self.assertEqual(self.status()["state"], "degraded")
        self.gives_evidence()
        self.assertEqual(self.status()["state"], "ready")

    def test_ft06_sc24a_an_empty_report_is_none(self):
        self.spoil("empty times 3")
        self.gives_none("empty")
        self.gives_evidence()

    def test_ft06_an_empty_report_may_be_followed_by_a_good_one(self):
        self.spoil("empty times 2")
        self.gives_evidence()

    def test_ft07_sc35a_a_short_report_is_none(self):
        self.spoil("short 500 times 3")
        self.gives_none("report")
        self.gives_evidence()

    def test_ft08_a_report_over_the_kernels_limit_is_none(self):
        self.spoil("oversized 40000 times 1")
        self.gives_none("TooLarge|too large|too long|EFBIG|File too large")
        self.gives_evidence()

    def test_ft09_a_report_over_other_reportdata_never_leaves(self):
        self.spoil("reportdata bit times 3")
        self.gives_none("REPORTDATA")
        self.gives_evidence()

    def test_ft15_the_provider_goes_and_comes_back(self):
        self.spoils = True
        self.vm.unload_provider()
        self.addCleanup(self._provider_is_there)
        self.gives_none("load its driver")
        self.assertEqual(self.status()["state"], "device-lost")
        self.vm.load_provider()
        self.gives_evidence()
        self.assertEqual(self.status()["state"], "ready")

    def _provider_is_there(self):
        if self.vm.run(["test", "-e", f"/sys/module/{run_vm.DOUBLES[1]}"]).returncode != 0:
            self.vm.load_provider()
            self.restart()

    def test_ft16_killed_in_the_middle_of_a_report(self):
        self.spoils = True
        before = self.status()
        self.vm.tee.command("hold")
        waiting = self.vm.start(["attestctl", "evidence", "--out", "/root/none"])
        self.vm.tee.event("held")
        self.vm.run(["systemctl", "kill", "--signal=KILL", "attestd"], check=True)
        self.assertEqual(waiting.wait(), 1)
        after = self.vm.start(["attestctl", "evidence", "--out", "/root/after"])
        self.vm.tee.command("release")
        self.assertEqual(after.wait(), 0, after.log())
        status = self.status()
        self.assertEqual((status["state"], status["boot_id"]), ("ready", before["boot_id"]))
        self.assertNotEqual(status["instance_id"], before["instance_id"])
        self.assertEqual(len(self.vm.run(["ls", run_vm.REPORTS]).stdout.split()), 1)

    def test_sc33_an_entry_of_another_is_seen_and_said(self):
        self.spoils = True
        before = self.status()["generation"]
        server = self.serve()
        policy = self.policy("unit")
        self.accepted(server, "--policy-file", policy)
        self.vm.run(["mkdir", f"{run_vm.REPORTS}/theirs"], check=True)
        self.refused(server, "state", "--policy-file", policy)
        self.assertEqual(self.status()["state"], "shared-device")
        self.assertEqual(self.status()["generation"], before + 1)
        self.accepted(server, "--policy-file", self.policy("shared", "shared-device allowed"))
        self.vm.run(["rmdir", f"{run_vm.REPORTS}/theirs"], check=True)
        self.gives_evidence()
        self.assertEqual(self.status()["state"], "ready")
        self.accepted(server, "--policy-file", policy)

    def test_sc33_an_entry_that_comes_right_after_a_report_is_seen_by_the_next(self):
        self.spoils = True
        for i in range(2):
            self.gives_evidence()  # attestd has looked when it ended
            self.assertEqual(self.status()["state"], "ready")
            self.vm.run(["mkdir", f"{run_vm.REPORTS}/theirs-{i}"], check=True)
            self.gives_evidence()
            self.assertEqual(self.status()["state"], "shared-device")
            self.vm.run(["rmdir", f"{run_vm.REPORTS}/theirs-{i}"], check=True)


class SameAsSimulated:
    """tests/tee-simulator answers as the kernel does, call by call."""

    FAULTS = ("errno read:outblob ENXIO times 1", "ebusy times 2", "empty times 1", "short 100 times 1",
              "oversized 32768 times 1", "oversized 32769 times 1", "trailing 10 nonzero times 1",
              "reportdata zero times 1", "errno read:outblob EIO times 1")  # after the last, SNP has no key

    def same(self, *arguments, faults=(None,), **simulated):
        """The probe prints the same here and there, with each fault here and there. simulated: options there."""
        self.spoils = True  # attestd has seen the probe's entries
        program = str(self.vm.build / "tests/vm/tsm-probe")
        with private_guest.Guest(bus=False, **{**self.simulated, **simulated}) as guest:
            guest.foreign_processes = self.vm.pids
            for fault in faults:
                with self.subTest(fault):
                    if fault:
                        guest.tee.command(f"fault {fault}")
                        self.spoil(fault)
                    there = guest.run([program, *arguments], check=True).stdout.splitlines()
                    here = self.vm.run(["tsm-probe", *arguments], check=True).stdout.splitlines()
                    self.assertGreater(len(here), 2)
                    self.assertEqual(there, here)

    def test_every_call(self):
        self.same()

    def test_what_fails(self):
        self.same("read", "3", faults=self.FAULTS)


class TDX(Guest, Services, Exchange, Faults, SameAsSimulated, unittest.TestCase):
    tee, provider = "tdx", "tdx_guest"
    simulated = {}
    signature_checks = "quote-signature",

    def policy_lines(self):
        root = (self.vm.keys / "root-spki-sha256").read_text().strip()
        registers = f"mrtd={sha384('test mrtd')} rtmr0={sha384('test rtmr0')}"
        return ("tee tdx", f"root tdx {root}", f"boot {registers}", f"workload unit {UNIT}", "collateral not-required")

    def test_ft02_in_flight_after_a_signal_until_the_host_has_done(self):
        """The driver's own: the buffer stays the host's when the reader is gone."""
        self.spoils = True
        self.vm.tee.command("hold")
        reader = self.vm.start(["tsm-probe", "read", "1"])
        self.vm.tee.event("held")
        reader.send(9)
        reader.wait()
        self.vm.run(["rmdir", f"{run_vm.REPORTS}/probe"], check=True)
        self.gives_none("has not finished an earlier request")
        waiting = self.vm.start(["attestctl", "evidence", "--out", "/root/after"])
        self.vm.tee.command("release")
        self.assertEqual(waiting.wait(), 0, waiting.log())

    def test_a_quote_of_another_td_does_not_leave(self):
        """The TD sees its own registers without the host."""
        usual = {"mrtd": sha384("test mrtd"), "mrconfigid": "00" * 48}
        for register, value in usual.items():
            with self.subTest(register):
                self.vm.tee.command(f"set {register} {'5a' * 48}")
                self.gives_none(f"the quote is not of this guest: it has another {register.upper()}")
                self.assertEqual(self.status()["state"], "degraded")
                self.vm.tee.command(f"set {register} {value}")
                self.gives_evidence()
        # What is extended is the guest's own, and quotes have it.
        register = "/sys/class/misc/tdx_guest/measurements/rtmr3:sha384"
        self.vm.run(["sh", "-c", f"head -c 48 /dev/zero >{register}"], check=True)
        self.gives_evidence()

    def test_ft04_a_time_out_of_the_driver(self):
        self.spoils = True
        usual = self.vm.parameter("timeout_ms")
        self.addCleanup(self.vm.parameter, "timeout_ms", usual)
        self.vm.parameter("timeout_ms", 500)
        self.vm.tee.command("hold")
        self.gives_none("timed out|Timed out")
        self.assertEqual(self.status()["state"], "degraded")


class SNP(Guest, Services, Exchange, Faults, SameAsSimulated, unittest.TestCase):
    tee, provider = "snp", "sev_guest"
    simulated = {"tee": "snp"}
    signature_checks = "quote-signature", "vek-chain", "vek-identity", "vek-tcb"

    def policy_lines(self):
        root = (self.vm.keys / "ark-milan-spki-sha256").read_text().strip()
        return ("tee snp", f"root snp {root}", f"boot measurement={sha384('test measurement')}",
                f"workload unit {UNIT}", "collateral not-required")

    def load_fresh(self, *arguments):
        """The driver once more, and an attestd that has not seen it before."""
        self.vm.run(["systemctl", "stop", "attestd"], check=True)
        self.vm.unload_tee()
        self.vm.load_tee(self.tee, *arguments)
        self.vm.run(["systemctl", "start", "attestd"], check=True)

    def test_ft04_a_time_out_of_the_driver_costs_the_key(self):
        self.addCleanup(self.load_fresh)
        self.vm.parameter("timeout_ms", 500)
        self.vm.tee.command("hold")
        self.gives_none("timed out")
        self.vm.tee.command("release")
        self.gives_none("given up its key")
        self.assertEqual(self.status()["state"], "device-lost")

    def test_ft05_a_key_given_up_is_not_asked_again(self):
        self.addCleanup(self.load_fresh)
        watch = self.watch()
        self.vm.tee.command("fault errno read:outblob EIO times 1")
        self.gives_none("Input/output error")
        self.gives_none("given up its key")
        self.assertEqual(self.status()["state"], "device-lost")
        requests = self.vm.parameter("requests")
        for _ in range(3):
            self.gives_none("given up its key")
        self.assertEqual(self.vm.parameter("requests"), requests)
        # As its remedy says: unload the driver and load it again, while attestd runs.
        self.vm.unload_provider()
        watch.until("load its driver again")
        self.vm.parameter("key_wiped", "N")
        self.vm.load_provider()
        watch.until("ready")
        self.gives_evidence()

    def test_below_a_paravisor_a_guest_asks_for_its_own_level(self):
        self.addCleanup(self.load_fresh)
        self.load_fresh("privlevel_floor=2")
        self.gives_evidence()
        self.vm.tee.event("privlevel=2")
        self.same(floor=2, svsm=True)

    def test_configfs_tsm_is_preferred_to_the_device(self):
        self.addCleanup(self.load_fresh)
        self.addCleanup(self.vm.unload_node)
        self.vm.load_node()
        self.gives_evidence()
        self.assertEqual(self.status()["report_source"], "configfs-tsm")
        # A unit has what was there when it started.
        self.vm.unload_provider()
        self.gives_none("/dev/sev-guest: Operation not permitted.*restart it")
        self.assertEqual(self.status()["state"], "degraded")
        self.restart()
        self.gives_evidence()
        before = self.status()
        self.assertEqual((before["state"], before["provider"], before["report_source"]),
                         ("ready", "sev_guest", "/dev/sev-guest"))
        # The same TEE by another way is no change of the guest.
        self.vm.load_provider()
        self.gives_evidence()
        after = self.status()
        self.assertEqual((after["state"], after["report_source"]), ("ready", "configfs-tsm"))
        self.assertEqual(after["generation"], before["generation"])


class DEVICE(Guest, unittest.TestCase):
    """A kernel before configfs-tsm: /dev/sev-guest alone."""

    tee, provider, configfs = "snp", "sev_guest", False
    policy_lines = SNP.policy_lines

    def load_fresh(self, *of_device, node=()):
        self.vm.run(["systemctl", "stop", "attestd"], check=True)
        self.vm.unload_tee()
        self.vm.load_tee(self.tee, *of_device)
        if node:
            self.vm.unload_node()
            self.vm.load_node(*node)
        self.vm.run(["systemctl", "start", "attestd"], check=True)

    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: self.vm.tee.command("exit 0 0 0"))

    def asked(self):
        return int(self.vm.parameter("asked"))

    def test_evidence_comes_by_the_device(self):
        status = self.status()
        self.assertEqual([status[key] for key in ("state", "tee", "provider", "report_source")],
                         ["ready", "snp", "sev_guest", "/dev/sev-guest"])
        self.assertRegex(self.vm.run(["ls", "-l", "/dev/sev-guest"]).stdout, "^crw------- ")
        before = self.asked()
        output = self.accepted(self.serve(), "--policy-file", self.policy("unit"), "--verbose")
        for check in SNP.signature_checks:
            self.assertRegex(output, rf"(?m)^  passed +{check}\b")
        self.assertEqual(self.asked(), before + 1)

    def test_the_driver_can_be_unloaded_at_any_time(self):
        self.gives_evidence()
        self.vm.unload_node()
        self.gives_none("load its driver again")
        status = self.status()
        self.assertEqual((status["state"], status["report_source"]), ("device-lost", ""))
        self.vm.load_node()
        self.gives_evidence()
        self.assertEqual(self.status()["report_source"], "/dev/sev-guest")

    # Certificates

    def test_a_host_without_certificates(self):
        self.addCleanup(self.vm.tee.command, "set flaw none")
        self.restart()
        self.vm.tee.command("set flaw table-absent")
        for _ in range(2):
            self.gives_evidence()
            self.vm.tee.event("certs=16384")  # each time: one day it may have them
            self.assertNotIn(b"auxblob", self.vm.get("/root/evidence"))
        self.vm.tee.command("set flaw none")
        self.gives_evidence()
        self.assertIn(b"auxblob", self.vm.get("/root/evidence"))

    def test_certificates_are_asked_for_once_for_a_chip_and_its_tcb(self):
        self.restart()
        before = self.asked()
        self.gives_evidence()
        self.vm.tee.event("certs=16384")
        self.addCleanup(self.vm.tee.command, "set flaw none")
        self.vm.tee.command("set flaw table-absent")  # what it does not give now is not missing
        self.gives_evidence()
        self.vm.tee.event("certs=0")
        self.assertIn(b"auxblob", self.vm.get("/root/evidence"))
        self.vm.tee.command("set flaw none")
        server = self.serve()
        self.accepted(server, "--policy-file", self.policy("unit"))
        self.vm.tee.event("certs=0")
        self.assertEqual(self.asked(), before + 3)

        # The guest was moved: these certificates are not for the reports of the other chip.
        self.vm.tee.command(f"set chip_id {'22' * 64}")
        self.gives_evidence()
        self.vm.tee.event("certs=0")
        self.vm.tee.event("certs=16384")
        self.assertEqual(self.asked(), before + 5)
        self.accepted(server, "--policy-file", self.policy("unit"))
        self.vm.tee.event("certs=0")
        self.assertEqual(self.asked(), before + 6)

    def test_certificates_that_do_not_fit_are_done_without(self):
        self.addCleanup(self.restart)  # which forgets
        self.addCleanup(self.vm.tee.command, "set flaw none")
        self.restart()
        self.vm.tee.command("set flaw table-large")
        before = self.asked()
        self.gives_evidence()
        self.vm.tee.event("certs=16384")
        self.vm.tee.event("certs=0")
        self.assertNotIn(b"auxblob", self.vm.get("/root/evidence"))
        self.assertEqual(self.asked(), before + 2)
        # The host counts requests: it is not asked for them each time.
        self.gives_evidence()
        self.assertEqual(self.asked(), before + 3)
        self.assertEqual(self.status()["state"], "ready")

    def test_sc35c_the_length_that_a_host_wants_is_not_believed(self):
        for pages in 0, 0xffffffff:
            with self.subTest(pages):
                self.restart()  # so that it is asked for certificates
                self.spoil("errno read:outblob EIO times 1")
                self.vm.tee.command(f"exit 0 1 {pages}")
                before = self.asked()
                self.gives_evidence()
                self.assertEqual(self.asked(), before + 2)
                self.assertEqual(self.status()["state"], "ready")
        self.restart()

    def test_sc35b_tables_that_lie_harm_nobody(self):
        self.addCleanup(self.vm.tee.command, "set flaw none")
        for flaw in "table-overflow", "table-unterminated":
            with self.subTest(flaw):
                self.restart()
                self.vm.tee.command(f"set flaw {flaw}")
                self.gives_evidence()
                self.vm.tee.event("certs=16384")
        self.assertEqual(self.status()["state"], "ready")

    # Errors

    def test_sc36d_a_host_that_makes_guests_wait(self):
        self.spoil("errno read:outblob EAGAIN times 1")
        self.vm.tee.command("exit 0 2 0")
        before = self.asked()
        self.gives_evidence()
        self.assertEqual(self.asked(), before + 2)

    def test_what_firmware_and_host_say(self):
        for error, exit_info, state, reason in (
                ("EIO", "23 0 0", "device-lost", "the firmware says 0x17, a resource is used up"),
                ("EINVAL", "0 0 0", "degraded", "Invalid argument")):
            with self.subTest(error=error, exit_info=exit_info):
                self.spoil(f"errno read:outblob {error} times 1")
                self.vm.tee.command(f"exit {exit_info}")
                self.gives_none(reason)
                if state == "device-lost":  # the driver wipes its key, and only the next request tells
                    self.gives_none("given up its key")
                self.assertEqual(self.status()["state"], state)
                self.vm.parameter("key_wiped", "N")
                self.restart()

    def test_ft04_ft05_a_host_that_never_answers_costs_the_key_and_is_not_asked_again(self):
        self.spoils = True
        usual = self.vm.parameter("timeout_ms")
        self.addCleanup(self.vm.parameter, "timeout_ms", usual)
        self.vm.parameter("timeout_ms", 300)
        watch = self.watch()
        self.vm.tee.command("hold")
        self.gives_none("timed out")
        self.gives_none("given up its key")
        self.assertEqual(self.status()["state"], "device-lost")
        requests = self.vm.parameter("requests")
        for _ in range(3):
            self.gives_none("given up its key")
        self.assertEqual(self.vm.parameter("requests"), requests)
        self.vm.tee.command("release")
        # As its remedy says, and faster than anybody looks: the node is another one.
        watch.until("device-lost")
        self.vm.parameter("key_wiped", "N")
        self.vm.unload_node()
        self.vm.load_node()
        watch.until("ready")
        self.gives_evidence()

    def test_ft07_ft08_ft09_a_report_that_is_none(self):
        for fault, reason in (("short 1183", "has 1183 bytes"), ("oversized 3969", "cannot hold"),
                              ("reportdata bit", "REPORTDATA")):
            with self.subTest(fault):
                self.spoil(f"{fault} times 1")
                self.gives_none(reason)
        self.assertEqual(self.status()["state"], "degraded")
        self.gives_evidence()
        self.assertEqual(self.status()["state"], "ready")

    def test_the_level_is_that_of_the_drivers_key(self):
        self.addCleanup(self.load_fresh)
        self.load_fresh("privlevel_floor=2")
        self.gives_none("refuses a report of VMPL 0")
        self.load_fresh("privlevel_floor=2", node=("vmpck_id=2",))
        self.gives_evidence()
        self.vm.tee.event("privlevel=2")

    # TDX

    def test_a_td_has_no_quotes_by_its_device(self):
        self.addCleanup(self.load_fresh)
        self.vm.run(["systemctl", "stop", "attestd"], check=True)
        self.vm.unload_tee()
        self.vm.load_tee("tdx")
        self.vm.run(["systemctl", "start", "attestd"], check=True)
        self.gives_none("/dev/tdx_guest is all that this kernel offers, and it makes no quotes")
        status = self.status()
        self.assertEqual((status["state"], status["tee"], status["report_source"]), ("no-tee", "", ""))
        self.assertIn("Linux 6.7", status["state_detail"])
        self.assertEqual(self.vm.parameter("requests"), "0")


if __name__ == "__main__":
    unittest.main(verbosity=2)
