# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl log and status over a guest whose kernel measures."""
import json
import os
import pty
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(os.environ["SOURCE_ROOT"])
ATTESTCTL = os.environ["ATTESTCTL"]
sys.path.insert(0, str(ROOT / "tests" / "system"))
import private_guest  # noqa: E402

private_guest.enter()

YES, NO, USAGE = 0, 1, 2


class LogTest(private_guest.GuestTest):
    guest_options = {"ima": True}

    def setUp(self):
        super().setUp()
        folder = self.guest.configuration / "attestd.conf.d"
        folder.mkdir(exist_ok=True)
        (folder / "50-test.conf").write_text("[Ima]\nInterval=100\n")

    def ctl(self, *arguments, status=YES, **options):
        got = self.guest.run([ATTESTCTL, *map(str, arguments)], **options)
        self.assertEqual(got.returncode, status, got.stderr)
        return got

    def raw(self, *arguments):
        return subprocess.run([ATTESTCTL, *map(str, arguments)], capture_output=True, check=True, timeout=60).stdout

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)


class Log(LogTest):
    def setUp(self):
        super().setUp()
        for n in range(3):
            self.guest.ima.measure(f"/usr/bin/program {n}", content=b"%d" % n)
        self.guest.ima.violation("/etc/passwd")
        self.guest.ima.measure("/lib/m.ko", template="ima-ng", pcr=11)
        self.guest.start_attestd()
        self.list = self.guest.ima.log(self.status()["ima_listed"])

    def test_prints_entries(self):
        entries = json.loads(self.ctl("log", "--json").stdout)
        self.assertEqual([e["index"] for e in entries], list(range(6)))
        self.assertEqual([e["path"] for e in entries],
                         ["boot_aggregate", "/usr/bin/program_0", "/usr/bin/program_1", "/usr/bin/program_2", "/etc/passwd",
                          "/lib/m.ko"])
        self.assertEqual([e["violation"] for e in entries], [False] * 4 + [True, False])
        self.assertEqual([e["pcr"] for e in entries], [10] * 5 + [11])
        self.assertEqual(entries[5]["template"], "ima-ng")
        self.assertEqual(entries[1]["digest"],
                         "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9")
        lines = self.ctl("log").stdout.splitlines()
        self.assertEqual(len(lines), 6)
        self.assertEqual(lines[1], f"     1  10 ima-sig {entries[1]['digest']} /usr/bin/program_0")
        self.assertEqual(lines[4], "     4  10 ima-sig violation /etc/passwd")

    def test_prints_the_part_that_is_wanted(self):
        for first in range(7):
            for count in range(8):
                got = json.loads(self.ctl("log", "ima", "--json", "--from", first, "--count", count).stdout)
                self.assertEqual([e["index"] for e in got], list(range(6))[first:first + count])
        self.assertIn("6 entries", self.ctl("log", "--from", 7, status=NO).stderr)

    def test_writes_the_log_as_it_is(self):
        out = self.guest.directory / "list"
        self.assertEqual(self.ctl("log", "--output", out).stdout, "")
        self.assertEqual(out.read_bytes(), self.list)
        self.assertEqual(self.raw("log", "-o", "-"), self.list)
        first = self.raw("log", "-o", "-", "--count", 2)
        rest = self.raw("log", "-o", "-", "--from", 2)
        self.assertEqual(first + rest, self.list)
        self.assertTrue(first and rest)
        self.ctl("log", "--output", self.guest.directory / "none" / "list", status=USAGE)

    def test_other_logs(self):
        self.assertIn("no event log", self.ctl("log", "boot", status=NO).stderr)
        self.assertIn("Root=rtmr", self.ctl("log", "register", status=NO).stderr)

    def test_wrong_calls(self):
        for arguments in (("nothing",), ("ima", "boot"), ("--from", -1), ("--count", -2), ("boot", "--from", 1),
                          ("boot", "--count", 1), ("--json", "--output", "x")):
            got = self.ctl("log", *arguments, status=USAGE)
            self.assertEqual(got.stdout, "")
            self.assertRegex(got.stderr, "^attestctl: ")

    def test_who_may_not_is_told(self):
        self.guest.polkit.verdict = "deny"
        got = self.ctl("log", user=1000, status=NO)
        self.assertIn("get-log", got.stderr)

    def test_a_long_log_shows_its_progress_on_a_terminal(self):
        self.guest.ima.bulk(20000)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([ATTESTCTL, "log", "--output", str(self.guest.directory / "list")], stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while True:
                shown += os.read(ours, 4096)
        except OSError:  # EIO: the other end is closed
            pass
        os.close(ours)
        self.assertEqual(process.wait(), YES)
        self.assertEqual((self.guest.directory / "list").read_bytes(), self.guest.ima.log(self.status()["ima_listed"]))
        if shown:  # it was done before there was anything to show
            self.assertRegex(shown, rb"ima: \d+ entries")
            self.assertTrue(shown.endswith(b"\x1b[K"))


class StateTest(LogTest):
    """Each is a word and a sentence."""

    def states(self, **expected):
        from gi.repository import Gio

        bus = self.guest.connect()  # its signals say when to look again
        bus.signal_subscribe("org.attestd.Attester1", None, None, None, None, Gio.DBusSignalFlags.NONE, lambda *_: None)
        self.assertTrue(private_guest.wait_until(
            lambda: {k: self.status()[k] for k in expected} == expected), {k: self.status()[k] for k in expected})
        told = self.status()
        for state, detail in ("ima_state", "ima_detail"), ("event_source", "event_detail"):
            if told[state] not in ("ok", "kprobe"):
                self.assertRegex(told[detail], "[a-z]{2,} .*[a-z]{2,} ")
                self.assertIn(told[detail], self.ctl("status").stdout)
        return told


class States(StateTest):
    def test_a_log_that_is_well(self):
        self.guest.start_attestd()
        told = self.states(ima_state="ok", ima_root="claimed", ima_detail="", root_detail="", event_source="timer")
        self.assertEqual((told["ima_count"], told["ima_violations"]), (1, 0))

    def test_a_log_that_may_not_be_read(self):
        self.guest.ima.deny("EACCES")
        self.guest.start_attestd()
        self.states(ima_state="unreadable", ima_root="none")

    def test_a_garbled_log(self):
        self.guest.ima.garble("digest")
        self.guest.start_attestd()
        self.states(ima_state="garbled", ima_root="none")

    def test_a_truncated_log(self):
        self.guest.ima.measure("/bin/a")
        self.guest.ima.cut(5)
        self.guest.start_attestd()
        told = self.states(ima_state="garbled", ima_root="none")
        self.assertIn("ends within entry 1", told["ima_detail"])
        self.guest.ima.cut(0)
        self.guest.ima.measure("/bin/b")
        self.states(ima_state="ok", ima_root="claimed", ima_count=3)

    def test_a_log_that_lost_its_head(self):
        self.guest.ima.measure("/bin/a")
        self.guest.start_attestd()
        self.states(ima_state="ok", ima_count=2)
        self.guest.ima.trim(1)
        self.states(ima_state="history-lost", ima_root="none")

    def test_a_log_that_shrinks(self):
        self.guest.ima.measure("/bin/a")
        self.guest.start_attestd()
        self.states(ima_state="ok", ima_count=2)
        self.guest.ima.shrink(1)
        self.states(ima_state="history-lost", ima_root="none")

    def test_a_root_that_is_not_there(self):
        for root in "tpm", "rtmr":
            (self.guest.configuration / "attestd.conf.d" / "60-root.conf").write_text(f"[Ima]\nRoot={root}\n")
            daemon = self.guest.start_attestd()
            told = self.states(ima_state="ok", ima_root="claimed")
            self.assertRegex(told["root_detail"], "[a-z]{2,} .*[a-z]{2,} ")
            daemon.stop()


    def test_an_event_source_that_the_kernel_refuses(self):
        self.guest.refuse_probes()
        self.guest.start_attestd()
        told = self.states(ima_state="ok", ima_root="claimed", event_source="timer", ima_count=1)
        self.assertNotIn("CONFIG_KPROBE_EVENTS", told["event_detail"])
        self.guest.ima.measure("/bin/a")
        self.states(ima_count=2)


class RootTest(StateTest):
    """What vouches for the log goes: that is said, and evidence goes on with our word, labelled as that."""

    def evidence_has(self, root):
        out = self.guest.directory / "evidence.cbor"
        self.ctl("evidence", "--out", out)
        claims = json.loads(self.ctl("show", "--json", out).stdout)["members"]["claims"]["value"]
        self.assertEqual(claims["ima"]["root"], root)

    def weakens(self, says):
        self.evidence_has("claimed")
        told = self.states(ima_state="ok", ima_root="claimed")
        self.assertRegex(told["root_detail"], says)
        self.assertIn(told["root_detail"], self.ctl("status").stdout)


class TpmRoot(RootTest):
    guest_options = {"ima": True, "tpm": True}

    def test_a_tpm_that_is_gone_or_locked(self):
        self.guest.start_attestd()
        for fault, says in (self.guest.tpm.gone, "there is no TPM"), (self.guest.tpm.lockout, "locked out"):
            with self.subTest(says):
                self.states(ima_state="ok", ima_root="tpm-outside", root_detail="")
                self.evidence_has("tpm-outside")
                fault()
                self.weakens(says)
                self.guest.tpm.well()


class RegisterRoot(RootTest):
    guest_options = {"ima": True, "rtmr": True}

    def test_sc33a_a_register_that_someone_else_extended(self):
        (self.guest.configuration / "attestd.conf.d" / "60-root.conf").write_text("[Ima]\nRoot=rtmr\n")
        self.guest.start_attestd()
        self.states(ima_state="ok", ima_root="rtmr", root_detail="")
        self.evidence_has("rtmr")
        self.guest.tee.command("extend-foreign 3")
        self.weakens("RTMR 3 .*")


class NoLog(StateTest):
    """A kernel without IMA."""

    guest_options = {}

    def test_no_log(self):
        self.guest.start_attestd()
        self.states(ima_state="absent", ima_listed="", ima_root="none", ima_count=0)
        self.assertIn("no IMA log", self.ctl("log", status=NO).stderr)


if __name__ == "__main__":
    unittest.main()
