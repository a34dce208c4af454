#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestd as a runtime attester: what the kernel measures reaches sessions and evidence, by each root;
what goes wrong is a named state, and evidence goes on with what can still be said."""

import hashlib
import pathlib
import struct
import sys
import unittest

for folder in "system", "bus":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / folder))
import private_guest  # noqa: E402

private_guest.enter()

import attester1_client as client  # noqa: E402
from attester1_client import NAME, PATH, wait_until  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402


class RuntimeTest(client.AttesterTest):
    """With a session that has evidence, and all that it hears."""

    root_wanted = "claimed"
    more = ""

    @property
    def configuration(self):
        return f"[Ima]\nInterval=100\nRoot={self.root_wanted}\n{self.more}"

    def setUp(self):
        super().setUp()
        self.heard = []
        self.root.listen(self.heard)
        self.session = self.root.open()

    @property
    def ima(self):
        return self.guest.ima

    def properties(self):
        return self.root.call(PATH, client.PROPERTIES, "GetAll", GLib.Variant("(s)", (NAME,)))[0]

    def wait_for(self, **expected):
        """Until the properties are so; and each bad one has its sentence."""
        self.assertTrue(wait_until(lambda: expected.items() <= self.properties().items()),
                        {k: self.properties()[k] for k in expected})
        return self.properties()

    def stales(self):
        return [a for p, m, a in self.heard if p == self.session and m == "Stale"]

    def reasons(self):
        return {reason for p, m, a in self.heard if m == "StateChanged" for reason in a[1]}

    def told_stale(self, *reasons):
        """The session has heard one Stale, of these reasons, and all have heard StateChanged."""
        self.assertTrue(wait_until(lambda: self.stales() and "StateChanged" in [m for p, m, a in self.heard]))
        (generation, told), = self.stales()
        self.assertEqual(set(told), set(reasons))
        self.assertIs(self.root.get("Stale", self.session, client.SESSION), True)
        self.heard.clear()
        return generation

    def attest(self):
        self.evidence = self.root.attest(self.session)
        return self.evidence.claims.get(266, {})

    def get_log(self, log="ima", first=0):
        answer, fds = self.root.bus.call_with_unix_fd_list_sync(
            NAME, PATH, NAME, "GetLog", GLib.Variant("(st)", (log, first)), None, Gio.DBusCallFlags.NONE, 60000, None,
            None)
        with open(fds.get(answer.unpack()[0]), "rb") as f:
            return f.read()

    def expect_log(self, submods, root, bank, violations=0):
        """C speaks of the log as it is now, and of what vouches for it."""
        ima = submods["ima"]
        records = self.ima.records()
        self.assertEqual((ima["root"], ima["bank"], ima["count"]), (root, bank, len(records)))
        self.assertEqual(ima["aggregate"], self.ima.aggregate(bank))
        self.assertEqual(ima["violations"], violations)
        self.assertEqual(self.properties()["ImaRoot"], root)
        return ima


class Claimed(RuntimeTest):
    guest_options = {**client.AttesterTest.guest_options, "ima": True}

    def test_a_program_that_is_run_makes_sessions_stale_until_they_renew(self):
        self.expect_log(self.attest(), "claimed", "sha256")
        first = self.evidence
        self.ima.measure("/usr/bin/new", content=b"a program")
        generation = self.told_stale("ima")
        submods = self.attest()
        self.expect_log(submods, "claimed", "sha256")
        self.assertEqual(self.evidence.generation, generation)
        self.assertGreater(self.evidence.generation, first.generation)
        self.assertEqual(self.evidence.claims[-78002][:2], first.claims[-78002][:2])
        self.assertIs(self.root.get("Stale", self.session, client.SESSION), False)
        # A program that the kernel knows is no entry, and nothing is stale.
        self.assertFalse(self.ima.measure("/usr/bin/new", content=b"a program"))
        self.assertEqual(self.attest()["ima"]["count"], submods["ima"]["count"])
        self.assertEqual(self.stales(), [])

    def test_many_under_one_renewal_are_one_stale(self):
        self.attest()
        answers = []
        self.tee.hold()
        self.ima.measure("/usr/bin/0")
        self.told_stale("ima")
        self.root.ask(self.session, answers)
        self.tee.wait("held")
        for n in range(1, 6):
            self.ima.measure(f"/usr/bin/{n}")
            self.assertTrue(wait_until(lambda: self.properties()["ImaCount"] == n + 2))
        self.assertEqual(self.stales(), [])
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        self.assertEqual(answers[0].claims[266]["ima"]["count"], 2)
        self.told_stale("ima")
        self.expect_log(self.attest(), "claimed", "sha256")
        self.assertEqual(self.stales(), [])

    def test_a_violation(self):
        self.attest()
        self.ima.violation("/etc/passwd")
        self.told_stale("ima-violation")
        self.expect_log(self.attest(), "claimed", "sha256", violations=1)
        self.assertEqual(self.properties()["ImaViolations"], 1)

    def test_evidence_is_never_older_than_its_turn(self):
        # No tick, no event: what the device's turn finds is what is sealed.
        for n in range(20):
            self.ima.measure(f"/usr/bin/{n}")
            self.expect_log(self.attest(), "claimed", "sha256")

    def start_again(self):
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        self.heard.clear()

    def expect_state(self, state):
        """It has a name, a sentence, and its place in evidence, which goes on."""
        told = self.wait_for(ImaState=state, ImaRoot="none")
        self.assertGreater(len(told["ImaDetail"]), 20)
        submods = self.attest()
        self.assertEqual(submods["ima-state"], {"state": state})
        self.assertNotIn("ima", submods)

    def test_each_bad_state_of_the_log_is_in_the_evidence(self):
        for what, fault, mend, state in (
            ("cut", lambda: self.ima.cut(5), lambda: self.ima.cut(0), "garbled"),
            ("garbled", self.ima.garble, lambda: self.ima.garble("none"), "garbled"),
            ("denied", self.ima.deny, self.ima.allow, "unreadable"),
        ):
            with self.subTest(what):
                self.daemon.stop()
                self.ima.measure(f"/usr/bin/{what}")
                fault()
                self.start_again()
                self.expect_state(state)
                mend()
                self.ima.measure(f"/usr/bin/after-{what}")
                self.assertTrue(wait_until(lambda: "ima-state" in self.reasons()))
                self.wait_for(ImaState="ok", ImaCount=len(self.ima.records()))
                self.expect_log(self.attest(), "claimed", "sha256")

    def test_a_log_that_loses_entries_is_in_the_evidence(self):
        for what, fault in ("shrunk", self.ima.shrink), ("trimmed", self.ima.trim):
            with self.subTest(what):
                self.ima.measure(f"/usr/bin/{what}")
                self.wait_for(ImaState="ok", ImaCount=len(self.ima.records()))
                self.attest()
                self.heard.clear()
                fault(1)
                self.told_stale("ima-state")
                self.expect_state("history-lost")
                self.daemon.stop()
                self.start_again()

    def test_sc16d_a_restart_goes_on_where_the_log_is(self):
        for n in range(5):
            self.ima.measure(f"/usr/bin/{n}")
        before = self.attest()["ima"]
        first = self.evidence
        prefix = self.get_log()
        self.daemon.kill()
        self.ima.measure("/usr/bin/unseen")
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        after = self.expect_log(self.attest(), "claimed", "sha256")
        # A delta from what was known fits exactly, and comes to the new aggregate.
        delta = self.get_log(first=before["count"])
        self.assertEqual(self.get_log(), prefix + delta)
        records = list(private_guest.ima_records(prefix + delta, self.properties()["ImaListed"]))
        self.assertEqual(private_guest.ima_aggregate(records, "sha256"), after["aggregate"])
        self.assertEqual(private_guest.ima_aggregate(records[:before["count"]], "sha256"), before["aggregate"])
        self.assertEqual(after["count"], before["count"] + 1)
        # Another instance of the same boot, and never a generation of before.
        self.assertEqual(self.evidence.claims[-78002][0], first.claims[-78002][0])
        self.assertNotEqual(self.evidence.claims[-78002][1], first.claims[-78002][1])
        self.assertGreater(self.evidence.generation, first.generation)

    def test_sc16f_a_trimmed_head_gives_no_delta(self):
        for n in range(5):
            self.ima.measure(f"/usr/bin/{n}")
        self.assertEqual(self.attest()["ima"]["count"], 6)
        self.ima.trim(3)
        self.wait_for(ImaState="history-lost")
        with self.refused("Failed", "history-lost"):
            self.get_log(first=6)
        self.daemon.stop()  # and the next one finds out that it never had the head
        self.daemon = self.guest.start_attestd()
        self.wait_for(ImaState="history-lost")
        with self.refused("Failed", "history-lost"):
            self.get_log()

    def test_sc17_another_key_gets_evidence_of_its_own(self):
        self.attest()
        first = self.evidence
        other = client.SPKI[:-1] + bytes([client.SPKI[-1] ^ 1])
        second = self.root.attest(self.session, spki=other)
        self.assertEqual(second.claims[-78000], [-16, hashlib.sha256(other).digest()])
        self.assertNotEqual(second.claims[10], first.claims[10])
        self.assertEqual(self.tee.stats()["reports"], 2)
        third = self.root.attest(self.session)
        self.assertEqual(third.claims[-78000], first.claims[-78000])
        self.assertEqual(self.tee.stats()["reports"], 3)

    def test_sc32a_nothing_of_ours_is_open_to_others(self):
        self.attest()
        self.get_log()
        self.root.get("ImaState")  # by then attestd has let go of what it has sent
        run = pathlib.Path("/run/attestd")
        self.assertEqual(run.stat().st_mode & 0o777, 0o700)
        self.assertEqual([p.name for p in run.iterdir()], ["state"])
        self.assertEqual((run / "state").stat().st_mode & 0o777, 0o600)
        for p in run, run / "state":
            self.assertEqual((p.stat().st_uid, p.stat().st_gid), (0, 0))
        # Whatever is open for writing is no file that another program could open.
        for number in pathlib.Path(f"/proc/{self.daemon.pid}/fd").iterdir():
            target = str(number.readlink())
            flags = pathlib.Path(f"/proc/{self.daemon.pid}/fdinfo/{number.name}").read_text()
            writes = int(flags.split("flags:")[1].split()[0], 8) & 3
            if target.startswith("/") and not target.startswith(("/dev/null", "/memfd:")) and \
                    not target.endswith("attestd.log"):
                self.assertFalse(writes, target)

    def test_ignored_paths_are_in_the_log_and_make_nothing_stale(self):
        self.daemon.stop()
        self.configure("[StateChange]\nImaIgnorePaths=/build/\n", name="60-more.conf")
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        digest = self.attest() and self.evidence.claims[-78003]
        self.ima.measure("/build/a.out")
        self.get_log()  # which looks
        self.assertEqual(self.properties()["ImaCount"], 2)
        self.assertEqual(self.stales(), [])
        self.expect_log(self.attest(), "claimed", "sha256")
        self.ima.measure("/usr/bin/a")
        self.told_stale("ima")
        self.daemon.stop()
        self.configure("", name="60-more.conf")
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        self.attest()
        self.assertNotEqual(self.evidence.claims[-78003], digest)  # who receives it sees what counts


class BigLog(RuntimeTest):
    guest_options = {**client.AttesterTest.guest_options, "ima": True}

    def test_fifty_thousand_entries_cost_little_memory(self):
        self.attest()
        before = self.daemon.rss_kib()
        self.ima.bulk(50000)
        self.told_stale("ima")
        self.wait_for(ImaCount=50001)
        ima = self.attest()["ima"]
        self.assertEqual((ima["count"], ima["aggregate"]), (50001, self.ima.aggregate("sha256")))
        self.assertLess(self.daemon.rss_kib() - before, 2048)


class Rtmr(RuntimeTest):
    guest_options = {**client.AttesterTest.guest_options, "ima": True, "rtmr": True}
    root_wanted = "rtmr"

    def expect_rtmr(self):
        ima = self.expect_log(self.attest(), "rtmr", "sha384")
        self.assertEqual(ima["register"], 3)
        self.assertIn(ima["aggregate"], self.evidence.tee["outblob"])  # RTMR 3, signed
        return ima

    def test_the_aggregate_is_the_register_in_the_quote(self):
        self.expect_rtmr()
        self.ima.measure("/usr/bin/new")
        self.ima.violation("/etc/passwd")
        self.assertTrue(wait_until(self.stales))
        self.heard.clear()
        self.assertTrue(wait_until(lambda: self.properties()["ImaCount"] == 3))
        ima = self.expect_log(self.attest(), "rtmr", "sha384", violations=1)
        self.assertIn(ima["aggregate"], self.evidence.tee["outblob"])
        extensions = self.get_log("register")
        value = bytes(48)
        for at in range(0, len(extensions), 48):
            value = hashlib.sha384(value + extensions[at:at + 48]).digest()
        self.assertEqual(value, ima["aggregate"])
        self.assertEqual(self.get_log("register", 1), extensions[48:])

    def test_what_comes_under_a_report_waits_for_its_end(self):
        self.attest()
        answers = []
        self.tee.hold()
        self.root.ask(self.session, answers)
        self.tee.wait("held")
        before = self.ima.aggregate("sha384")
        self.ima.measure("/usr/bin/new")
        self.told_stale("ima")
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        ima = answers[0].claims[266]["ima"]
        self.assertEqual((ima["root"], ima["count"], ima["aggregate"]), ("rtmr", 1, before))
        self.assertIn(before, answers[0].tee["outblob"])
        self.assertTrue(wait_until(self.stales))
        self.heard.clear()
        self.expect_rtmr()

    def test_sc33a_somebody_elses_extension_is_a_state(self):
        self.expect_rtmr()
        self.tee.command("extend-foreign 3")
        self.told_stale("ima-root")
        told = self.wait_for(ImaRoot="claimed", ImaState="ok")
        self.assertIn("RTMR 3", told["RootDetail"])
        ima = self.expect_log(self.attest(), "claimed", "sha384")
        self.assertNotIn("register", ima)
        # It is a register like any other now.
        self.heard.clear()
        self.tee.command("extend-foreign 3")
        self.told_stale("register")
        # For good: also for the next one.
        self.daemon.stop()
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        self.expect_log(self.attest(), "claimed", "sha384")

    def test_sc33a_under_the_report_it_is_nobodys(self):
        self.expect_rtmr()
        answers = []
        self.tee.hold()
        self.root.ask(self.session, answers)
        self.tee.wait("held")
        reports = self.tee.stats()["reports"]
        self.tee.command("extend-foreign 3")
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        self.assertEqual(answers[0].claims[266]["ima"]["root"], "claimed")
        self.assertGreater(self.tee.stats()["reports"], reports)

    def test_another_register_is_a_reason_of_its_own(self):
        self.attest()
        self.tee.command("extend-foreign 2")
        self.told_stale("register")
        self.expect_rtmr()

    def test_an_updated_module_is_a_reason(self):
        self.attest()
        self.tee.set("tee_tcb_svn2", "07" * 16)
        self.told_stale("tcb")
        self.attest()

    def test_a_restart_extends_nothing_twice(self):
        for n in range(3):
            self.ima.measure(f"/usr/bin/{n}")
        self.expect_rtmr()
        self.daemon.kill()
        self.ima.measure("/usr/bin/unseen")
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        self.expect_rtmr()


class Tpm(RuntimeTest):
    guest_options = {**client.AttesterTest.guest_options, "ima": True, "tpm": True}
    root_wanted = "auto"

    def expect_tpm(self):
        """C names the AK, and the quote is by a TPM over PCR 10 and R."""
        import cbor2

        ima = self.expect_log(self.attest(), "tpm-outside", "sha256")
        tpm = cbor2.loads(self.evidence.collection["tpm"][1])
        self.assertEqual(set(tpm), {"attest", "public", "signature"})
        self.assertEqual(ima["ak"][:2], b"\x00\x0b")
        self.assertEqual(ima["ak"][2:], hashlib.sha256(tpm["public"]).digest())
        attest = tpm["attest"]
        self.assertEqual(attest[:6], bytes.fromhex("ff5443478018"))
        size = struct.unpack_from(">H", attest, 6)[0]
        extra = attest[8 + size:]
        self.assertEqual(extra[:34], b"\x00\x20" + hashlib.sha256(b"attestd tpm/1\0" + self.evidence.report_data).digest())
        self.assertTrue(attest.endswith(b"\x00\x20" + hashlib.sha256(ima["aggregate"]).digest()))
        self.assertEqual(self.guest.tpm.read(10), ima["aggregate"])

    def test_the_tpm_quotes_the_aggregate_for_this_report(self):
        self.expect_tpm()
        self.ima.measure("/usr/bin/new")
        self.told_stale("ima")
        self.expect_tpm()

    def test_a_tpm_that_is_gone_costs_its_word_and_no_evidence(self):
        self.expect_tpm()
        self.guest.tpm.gone()
        ima = self.expect_log(self.attest(), "claimed", "sha256")
        self.assertNotIn("ak", ima)
        self.assertNotIn("tpm", self.evidence.collection)
        told = self.wait_for(ImaRoot="claimed", ImaState="ok")
        self.assertIn("TPM", told["RootDetail"])
        self.assertTrue(wait_until(lambda: "ima-root" in self.reasons()))
        self.heard.clear()
        self.guest.tpm.well()
        self.wait_for(ImaRoot="tpm-outside", RootDetail="")
        self.expect_tpm()

    def test_a_tpm_that_is_locked_out_is_named(self):
        self.expect_tpm()
        self.guest.tpm.refuse(0x921)
        self.expect_log(self.attest(), "claimed", "sha256")
        self.assertIn("TPM", self.properties()["RootDetail"])
        self.guest.tpm.well()


class Snp(RuntimeTest):
    guest_options = {**client.AttesterTest.guest_options, "ima": True, "tee": "snp"}
    more = "[Snp]\nIdleReport=1\n"

    def test_an_update_of_the_firmware_is_seen_while_nobody_asks(self):
        self.attest()
        self.tee.set("current_fw", "090909")
        self.told_stale("tcb")
        self.expect_log(self.attest(), "claimed", "sha256")


class Machine(RuntimeTest):
    guest_options = {**client.AttesterTest.guest_options, "ima": True}

    def test_selinux_and_lockdown_are_reasons(self):
        self.daemon.stop()
        self.guest.lockdown("none")
        self.guest.selinux(enforcing=True, policy_loads=1)
        self.daemon = self.guest.start_attestd()
        self.session = self.root.open()
        self.attest()
        self.guest.lockdown("integrity")
        self.told_stale("lockdown")
        self.attest()
        self.guest.selinux(enforcing=False, policy_loads=1)
        self.told_stale("selinux")
        self.attest()
        self.guest.selinux(enforcing=False, policy_loads=2)
        self.told_stale("selinux")


if __name__ == "__main__":
    unittest.main()
