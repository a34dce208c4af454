#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is in the shipped program, and what comes out of it that should not."""

import base64
import hashlib
import os
import pathlib
import re
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from attester1_client import SPKI, AttesterTest, private_guest, r_of  # noqa: E402

private_guest.enter()


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


class NoSimulator(private_guest.GuestTest):
    guest_options = {"simulator": False, "bus": False}

    def setUp(self):
        super().setUp()
        self.program = self.guest.program("attestd")
        self.simulator = self.guest.program("tee-simulator")

    def test_sc44_no_tee_of_software_is_in_the_program(self):
        words = re.compile(r"simulat|fuse|forge|fake|mock|double|dummy|stub|emulat", re.I)
        symbols = [line.split()[-1] for line in run("nm", self.program).splitlines()]
        ours = [s for s in symbols if s.startswith("att_")]
        self.assertGreater(len(ours), 100)
        self.assertEqual([s for s in ours if words.search(s)], [])
        # The good twin: in the simulator they would be found.
        self.assertTrue(any(words.search(line) for line in run("nm", "-D", self.simulator).splitlines()))

    def test_sc44_no_library_of_a_simulator_is_linked(self):
        libraries = run("ldd", self.program)
        self.assertNotIn("fuse", libraries)
        self.assertIn("fuse", run("ldd", self.simulator))
        self.assertNotIn("libssl", libraries)  # no TLS, and no network

    def test_sc44_no_appraisal_is_in_the_program(self):
        symbols = {line.split()[-1] for line in run("nm", self.program).splitlines()}
        appraisal = {"att_appraise", "att_policy_parse", "att_chain_verify", "att_verifier_session_new",
                     "att_ea_validate"}
        self.assertEqual(symbols & appraisal, set())
        self.assertIn("att_tee_new", symbols)

    def test_sc44_sc32c_no_environment_variable_is_read(self):
        imports = {line.split()[-1].split("@")[0]
                   for line in run("nm", "-D", "--undefined-only", self.program).splitlines()}
        self.assertEqual(imports & {"getenv", "secure_getenv", "g_getenv", "g_get_environ", "environ"}, set())
        self.assertIn("sd_bus_process", imports)
        strings = run("strings", "--data", "-n", "5", self.program).splitlines()
        self.assertEqual([s for s in strings if re.match(r"ATT[A-Z]*_[A-Z_]+$", s)], [])

    def test_sc44_no_option_switches_one_in(self):
        options = re.findall(r"--([a-z-]+)", run(self.program, "--help"))
        self.assertEqual(set(options), {"help", "verbose", "version"})


class Paths(AttesterTest):
    def test_sc32c_the_environment_moves_no_path(self):
        self.daemon.stop()
        elsewhere = self.guest.directory / "elsewhere"
        (elsewhere / "attestd").mkdir(parents=True)
        (elsewhere / "attestd/attestd.conf").write_text("[Nonsense]\n")
        env = {name: str(elsewhere) for name in (
            "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "SYSCONFDIR", "CONFIGURATION_DIRECTORY", "HOME", "ATTESTD_CONFIG",
            "ATTESTD_ROOT", "TSM_ROOT", "CONFIGFS", "SYSFS_PATH", "ATTESTD_BUILD")}
        self.daemon = self.guest.start_attestd(env=env)
        e = self.root.attest(self.root.open())
        self.assertEqual(self.tee.reports(), [r_of(e.c)])


class Secrets(AttesterTest):
    arguments = ("--verbose",)

    def test_sc45a_nothing_secret_is_in_the_log(self):
        session = self.root.open(protocol="https", peer="db.example.org")
        exported, context = os.urandom(32), os.urandom(32)
        e = self.root.attest(session, exported=exported, context=context)
        with self.refused("ContextUsed"):
            self.root.attest(session, exported=exported, context=context)
        with self.refused("InvalidArgument"):
            self.root.attest(session, exported=exported + b"x", context=context)
        with self.refused("InvalidArgument"):
            self.root.attest(session, exported=exported, spki=SPKI + exported)
        self.tee.fault("reportdata", "bit")
        with self.refused("BadData"):
            self.root.attest(session, exported=exported)
        self.root.close(session)

        log = self.daemon.log()
        self.assertIn("evidence of generation 1", log)  # it does log
        binding = hashlib.sha256(SPKI + exported).digest()
        for what, secret in (
            ("exported value", exported), ("context", context), ("binding", binding), ("REPORTDATA", e.report_data),
            ("key", SPKI[12:]), ("claims", e.c), ("quote", e.tee["evidence"] if "evidence" in e.tee else e.bytes[-600:]),
        ):
            for n in (8, len(secret)):
                part = secret[:n]
                for text in part.hex(), part.hex().upper(), base64.b64encode(part).decode().rstrip("="), \
                        part.hex(" "), part.hex(":"):
                    self.assertNotIn(text, log, what)

    def test_sc45a_a_peer_cannot_write_lines_of_the_log(self):
        name = 'x", protocol "y' + "é" * 100
        self.root.attest(self.root.open(peer=name))
        line, = [l for l in self.daemon.log().splitlines() if "evidence of generation" in l]
        self.assertIn(r"\"", line)
        self.assertNotIn("é", line)
        self.assertLess(len(line), 400)

    def test_refusals_do_not_fill_the_log(self):
        session = self.root.open()
        self.root.close(session)
        for path in ["/org/attestd/Attester1/session/" + "x" * 60000] + [session] * 50:
            with self.refused("NoSuchSession"):
                self.root.attest(path)
        lines = [l for l in self.daemon.log().splitlines() if "refused" in l]
        self.assertEqual(len(lines), 10)
        self.assertLess(max(map(len, lines)), 400)

    def test_sc45b_nothing_secret_is_in_arguments_or_environment(self):
        exported = os.urandom(32)
        self.root.attest(self.root.open(), exported=exported)
        for name in "cmdline", "environ":
            text = pathlib.Path(f"/proc/{self.daemon.pid}/{name}").read_bytes()
            self.assertNotIn(exported, text)
            self.assertNotIn(exported.hex().encode(), text)
        children = pathlib.Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children")
        self.assertEqual(children.read_text() if children.exists() else "", "")

    def test_sc45c_no_core_is_dumped(self):
        # The limit is the unit's; and what need not be kept is not.
        unit = pathlib.Path(self.guest.build, "dbus/attestd.service").read_text()
        self.assertRegex(unit, r"(?m)^LimitCORE=0$")
        session = self.root.open()
        exported = os.urandom(32)
        peer = os.urandom(16).hex()
        self.root.open(peer=peer)
        self.root.attest(session, exported=exported)
        self.root.get("State")  # by now the call before is not held any more
        memory = self.memory()
        self.assertIn(peer.encode(), memory)  # it does find what is there
        self.assertNotIn(exported, memory)

    def memory(self):
        parts = []
        with open(f"/proc/{self.daemon.pid}/maps") as maps, open(f"/proc/{self.daemon.pid}/mem", "rb") as mem:
            for line in maps:
                span, flags, *_, = line.split()
                start, end = (int(x, 16) for x in span.split("-"))
                if flags.startswith("rw") and end - start < 1 << 28:  # not the shadow of a sanitizer
                    mem.seek(start)
                    try:
                        parts.append(mem.read(end - start))
                    except OSError:
                        pass
        return b"".join(parts)

    def test_sc45d_no_file_is_for_others(self):
        before = self.files()
        self.root.attest(self.root.open())
        self.assertEqual(self.files() - before, set())  # nothing is written anywhere,
        for path, mode in ("/run/attestd", 0o700), ("/run/attestd/state", 0o600):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), mode)
        entry, = self.guest.entries()                   # but what the kernel makes a report of
        mode = stat.S_IMODE(os.stat(f"/sys/kernel/config/tsm/report/{entry}").st_mode)
        self.assertEqual(mode & 0o077, 0)

    def files(self):
        return {str(p) for top in ("/run", "/etc/attestd", "/var/lib/attestd", "/var/cache/attestd")
                for p in pathlib.Path(top).glob("**/*attest*") if p.is_file()}


class Units(unittest.TestCase):
    """The units as they are built, held against what they are for."""

    def setUp(self):
        self.build = pathlib.Path(os.environ["ATTESTD_BUILD"])

    def settings(self, name):
        text = (self.build / "dbus" / name).read_text()
        return re.findall(r"(?m)^([A-Za-z]+)=(.*)$", text)

    def test_attestd_has_what_its_start_takes_and_sees_callers(self):
        s = self.settings("attestd.service")
        # To start with; that it goes on without is tests/system/test_privileges.py's, and the VM's.
        self.assertEqual(set(dict(s)["CapabilityBoundingSet"].split()),
                         {"CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_AUDIT_READ", "CAP_SETGID", "CAP_SETPCAP"})
        self.assertIn(("AmbientCapabilities", ""), s)
        self.assertIn(("NoNewPrivileges", "yes"), s)
        self.assertEqual([v for k, v in s if k == "ReadWritePaths"],
                         ["-/sys/kernel/config/tsm", "-/sys/devices/virtual/misc/tdx_guest/measurements"])
        self.assertNotIn("PrivateNetwork", dict(s))  # audit speaks in the first network namespace alone
        self.assertIn(("IPAddressDeny", "any"), s)
        self.assertIn(("RestrictAddressFamilies", "AF_UNIX AF_NETLINK"), s)
        self.assertIn(("RestrictNamespaces", "net"), s)
        self.assertIn(("DevicePolicy", "closed"), s)
        self.assertEqual([v for k, v in s if k == "DeviceAllow"],
                         ["/dev/sev-guest r", "/dev/tdx_guest r", "/dev/tpmrm0 rw", "char-tpm rw"])
        self.assertIn(("ReadOnlyPaths", "/dev"), s)
        self.assertNotIn("PrivateDevices", dict(s))  # a node that comes later must be there
        self.assertNotIn("ProtectProc", dict(s))  # callers' control groups
        self.assertNotIn("ProcSubset", dict(s))   # the boot id
        self.assertGreater(int(dict(s)["TimeoutStopSec"]), 60)  # a thread may sit in the kernel
        self.assertIn(("RuntimeDirectory", "attestd"), s)
        self.assertIn(("RuntimeDirectoryMode", "0711"), s)
        self.assertIn(("RuntimeDirectoryPreserve", "yes"), s)  # the next one reads it

    def test_the_manual_says_what_the_start_takes(self):
        manual = (private_guest.SOURCE / "src/attestd.8").read_text()
        said = manual[manual.index(".Sh PRIVILEGES"):manual.index(".Sh WHEN SOMETHING ENDS")]
        taken = set(dict(self.settings("attestd.service"))["CapabilityBoundingSet"].split())
        self.assertEqual(set(re.findall(r"CAP_[A-Z_]+", said)), taken | {"CAP_SYS_PTRACE"})  # which is a drop-in's

    def test_both_come_back_for_as_long_as_it_takes(self):
        for name in "attestd.service", "attestd-verifier.service":
            s = self.settings(name)
            self.assertIn(("Restart", "on-failure"), s)
            self.assertIn(("StartLimitIntervalSec", "0"), s)  # the bus may be away for long
            self.assertIn(("RestartPreventExitStatus", "2 3"), s)

    def test_the_verifier_is_a_user_of_its_own(self):
        s = self.settings("attestd-verifier.service")
        self.assertIn(("User", "attestd-verifier"), s)
        self.assertIn(("CapabilityBoundingSet", ""), s)
        self.assertIn(("PrivateNetwork", "yes"), s)
        self.assertIn(("PrivateDevices", "yes"), s)


if __name__ == "__main__":
    unittest.main()
