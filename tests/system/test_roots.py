#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What vouches for the IMA log, by the shipped attestd: a register, also when attestd is killed; a TPM.

ATTESTD_TEST_LONG=yes kills it 500 times instead of 50; ATTESTD_TEST_SEED=n does so at
the same moments as another time.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import time
import unittest

import private_guest

private_guest.enter()

try:
    import cbor2
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from gi.repository import Gio, GLib
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "protocol"))
    from second import appraise, logs
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

NAME = "org.attestd.Attester1"
PATH = "/org/attestd/Attester1"
SESSION = NAME + ".Session"
SPKI = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
SUBMODS = 266
REGISTER = 3
RTMRS_IN_TDREPORT = 512 + 208
RTMRS_IN_QUOTE = 48 + 120 + 208
KILLS = 500 if os.environ.get("ATTESTD_TEST_LONG") == "yes" else 50
LONGEST_S = 0.03  # from the requests to the kill


def register():
    """As TDREPORT has it."""
    request = bytearray(64 + 1024)
    with open("/dev/tdx_guest", "rb") as device:
        fcntl.ioctl(device, 0xC4405401, request)
    return bytes(request[64 + RTMRS_IN_TDREPORT + 48 * REGISTER:][:48])


class Evidence:
    """What it says of the log, and what the hardware does."""

    def __init__(self, data):
        self.data, collection = data, cbor2.loads(data)
        self.report_data = hashlib.sha512(b"attestd evidence/1\0" + collection["claims"][1]).digest()
        self.tpm = collection["tpm"][1] if "tpm" in collection else None
        self.ima = cbor2.loads(collection["claims"][1]).value[SUBMODS].get("ima")
        quote = cbor2.loads(collection["tee"][1])["outblob"]
        self.register = quote[RTMRS_IN_QUOTE + 48 * REGISTER:][:48]


class Caller:
    """A connection to the bus, with one session."""

    def __init__(self, guest):
        self.bus, self.reasons = guest.connect(), set()
        self.bus.signal_subscribe(NAME, NAME, "StateChanged", PATH, None, 0,
                                  lambda *a: self.reasons.update(a[5].unpack()[1]))
        parameters = {"role": GLib.Variant("s", "server"), "hash": GLib.Variant("s", "sha256")}
        (self.session,) = self.call(PATH, NAME, "OpenSession", GLib.Variant("(a{sv})", (parameters,)))

    def call(self, path, interface, method, arguments=None):
        return self.bus.call_sync(NAME, path, interface, method, arguments, None, Gio.DBusCallFlags.NO_AUTO_START,
                                  private_guest.DEADLINE * 1000, None).unpack()

    def arguments(self):
        return GLib.Variant("(ayayaya{sv})", (os.urandom(32), os.urandom(32), SPKI, {}))

    def attest(self):
        return Evidence(bytes(self.call(self.session, SESSION, "Attest", self.arguments())[0]))

    def begin(self, answers):
        """One whose evidence, or error, comes into the list."""
        def finish(bus, result):
            try:
                answers.append(Evidence(bytes(bus.call_finish(result).unpack()[0])))
            except GLib.Error as e:
                answers.append(e)

        self.bus.call(NAME, self.session, SESSION, "Attest", self.arguments(), None, Gio.DBusCallFlags.NO_AUTO_START,
                      private_guest.DEADLINE * 1000, None, finish)

    def property(self, name):
        arguments = GLib.Variant("(ss)", (NAME, name))
        return self.call(PATH, "org.freedesktop.DBus.Properties", "Get", arguments)[0]

    def leave(self):
        self.bus.close_sync(None)


class RootTest(private_guest.GuestTest):
    root = "rtmr"

    def setUp(self):
        super().setUp()
        (self.guest.configuration / "attestd.conf").write_text(f"[Ima]\nRoot={self.root}\nInterval=100\n")

    def start(self, env=None):
        self.service = self.guest.start_attestd(env=env)
        self.caller = Caller(self.guest)

    def kill(self):
        self.service.send(signal.SIGKILL)
        self.assertEqual(self.service.wait(), -signal.SIGKILL)

    def stop(self):
        self.caller.leave()
        self.service.stop()

    def policy(self):
        root = {"tpm": "tpm-outside"}.get(self.root, self.root)
        return (f"attestd-policy 1\n{self.guest.trust()}{self.guest.boot()}workload any\npeer any\n"
                f"collateral not-required\nima root {root}\n")

    def second_opinion(self, evidence):
        """The other implementation's verdict: the first check that failed."""
        expected = appraise.Expected(at=int(time.time()), policy=self.policy().encode(),
                                     report_data=evidence.report_data, beside=logs.Logs(ima=self.guest.ima.log()))
        return appraise.appraise(evidence.data, expected).failed

    def verdict(self, evidence):
        """attestctl's: the same."""
        files = {"evidence": evidence.data, "policy": self.policy().encode(), "log": self.guest.ima.log()}
        for name, data in files.items():
            (self.guest.directory / name).write_bytes(data)
        evidence_file, policy, log = (str(self.guest.directory / name) for name in files)
        done = self.guest.run([self.guest.program("attestctl"), "verify", evidence_file, "--policy", policy,
                               "--report-data", evidence.report_data.hex(), "--ima-log", log, "--json"])
        checks = json.loads(done.stdout)["checks"]
        return next((check["name"] for check in checks if check["status"] == "failed"), None)

    def wait_for(self, is_so):
        self.assertTrue(private_guest.wait_until(is_so))


class RegisterTest(RootTest):
    guest_options = {"ima": True, "rtmr": True}

    def extensions(self):
        return len(self.tee.witness("extend"))

    def check_evidence(self, evidence, root="rtmr"):
        """The log, C and quote say the same."""
        records, ima = self.guest.ima.records(), evidence.ima
        self.assertEqual((ima["root"], ima["bank"], ima.get("register")),
                         (root, "sha384", REGISTER if root == "rtmr" else None))
        self.assertLessEqual(ima["count"], len(records))
        aggregate = private_guest.ima_aggregate(records[:ima["count"]], "sha384")
        self.assertEqual(ima["aggregate"], aggregate)
        if root == "rtmr":
            self.assertEqual(evidence.register, aggregate)
        else:
            self.assertNotEqual(evidence.register, aggregate)


class Kill(RegisterTest):
    def test_sc31a_sc31b_killed_at_any_moment_log_and_register_and_evidence_are_one(self):
        seed = int(os.environ.get("ATTESTD_TEST_SEED", random.randrange(1 << 32)))
        print(f"ATTESTD_TEST_SEED={seed}", flush=True)
        draw, value, counted, issued, behind = random.Random(seed), bytes(48), 0, 0, 0

        for i in range(KILLS):
            with self.subTest(kill=i):
                answers = []
                self.guest.ima.bulk(draw.randrange(1, 30), f"/usr/bin/{i}-")
                self.start()
                for _ in range(3):
                    self.caller.begin(answers)
                until = time.monotonic() + draw.random() * LONGEST_S  # a random moment is what is tested
                n = 0
                while time.monotonic() < until:
                    GLib.MainContext.default().iteration(False)
                    if draw.random() < 0.1:
                        self.guest.ima.measure(f"/usr/lib/{i}-{n}")
                        n += 1
                self.kill()
                self.wait_for(lambda: len(answers) == 3)
                self.caller.leave()

                # The register is somewhere in what came since the last time, or where it was.
                found, records = register(), self.guest.ima.records()
                while value != found and counted < len(records):
                    value = hashlib.sha384(value + records[counted].extension("sha384")).digest()
                    counted += 1
                self.assertEqual(value, found, "the register is no part of the log")
                self.assertEqual(self.extensions(), counted)
                behind += counted < len(records)
                good = [evidence for evidence in answers if isinstance(evidence, Evidence)]
                for evidence in good:
                    self.check_evidence(evidence)
                if good and i % (KILLS // 50) == 0:  # the log is long by then
                    self.assertIsNone(self.second_opinion(good[-1]))
                    self.assertIsNone(self.verdict(good[-1]))
                issued += len(good)

        self.start()
        self.check_evidence(self.caller.attest())
        self.assertEqual(register(), self.guest.ima.aggregate("sha384"))
        self.assertEqual(self.extensions(), len(self.guest.ima.records()))
        self.stop()
        print(f"{issued} pieces of evidence, {behind} times something was left to extend", flush=True)
        self.assertGreater(issued, KILLS // 10)

    def test_sc31b_what_was_extended_before_a_restart_is_not_extended_again(self):
        self.guest.ima.bulk(20)
        self.start()
        self.check_evidence(self.caller.attest())
        n = self.extensions()
        self.stop()
        self.start()
        self.check_evidence(self.caller.attest())
        self.assertEqual(self.extensions(), n)
        self.guest.ima.measure("/usr/bin/one-more")
        evidence = self.caller.attest()
        self.check_evidence(evidence)
        self.assertEqual((self.extensions(), evidence.ima["count"]), (n + 1, n + 1))
        self.stop()


class Foreign(RegisterTest):
    def check_lost(self):
        self.wait_for(lambda: "ima-root" in self.caller.reasons)
        self.assertEqual(self.caller.property("ImaRoot"), "claimed")
        self.assertRegex(self.caller.property("RootDetail"), "another program than attestd has extended RTMR3")
        evidence = self.caller.attest()
        self.check_evidence(evidence, root="claimed")
        self.assertEqual((self.second_opinion(evidence), self.verdict(evidence)), ("ima-root", "ima-root"))

    def test_sc33a_a_foreign_extension_is_reported(self):
        self.start()
        self.check_evidence(self.caller.attest())
        self.assertEqual(self.caller.property("ImaRoot"), "rtmr")
        self.tee.command(f"extend-foreign {REGISTER}")
        self.check_lost()
        n = self.extensions()
        self.guest.ima.measure("/usr/bin/after")
        self.check_evidence(self.caller.attest(), root="claimed")
        self.assertEqual(self.extensions(), n)  # nothing is put on top of it
        self.stop()

    def test_sc33a_a_foreign_extension_while_the_report_is_made_is_never_claimed_to_be_ours(self):
        self.start()
        answers = []
        self.tee.hold()
        self.caller.begin(answers)
        self.tee.wait("held")
        self.tee.command(f"extend-foreign {REGISTER}")
        self.tee.release()
        self.wait_for(lambda: answers)
        self.check_evidence(answers[0], root="claimed")
        self.check_lost()
        self.stop()

    def test_sc33a_it_is_still_seen_after_a_restart(self):
        self.start()
        self.check_evidence(self.caller.attest())
        self.tee.command(f"extend-foreign {REGISTER}")
        self.kill()
        self.caller.leave()
        self.start()
        self.assertEqual(self.caller.property("ImaRoot"), "claimed")
        self.assertRegex(self.caller.property("RootDetail"), "RTMR3 is no part of the log")
        self.check_evidence(self.caller.attest(), root="claimed")
        self.stop()


class Held(RegisterTest):
    def test_nothing_is_extended_from_sealing_to_the_end_of_the_report(self):
        self.start()
        self.check_evidence(self.caller.attest())
        answers, n = [], self.extensions()
        self.tee.hold()
        self.caller.begin(answers)
        self.tee.wait("held")
        self.guest.ima.measure("/usr/bin/meanwhile")
        self.wait_for(lambda: "ima" in self.caller.reasons)
        self.assertEqual(self.extensions(), n)
        self.tee.release()
        self.wait_for(lambda: answers)
        self.check_evidence(answers[0])
        self.assertEqual(answers[0].ima["count"], n)
        self.check_evidence(self.caller.attest())
        self.assertEqual(self.extensions(), n + 1)
        self.stop()


class Tpm(RootTest):
    guest_options = {"ima": True, "tpm": True}
    root = "tpm"

    def check_evidence(self, evidence):
        ima, records = evidence.ima, self.guest.ima.records()
        self.assertEqual((ima["root"], ima["bank"]), ("tpm-outside", "sha256"))
        self.assertEqual(ima["aggregate"], private_guest.ima_aggregate(records[:ima["count"]], "sha256"))
        public = cbor2.loads(evidence.tpm)["public"]
        self.assertEqual(ima["ak"], b"\0\x0b" + hashlib.sha256(public).digest())
        self.assertEqual((self.second_opinion(evidence), self.verdict(evidence)), (None, None))

    def test_a_tpm_s_quote_belongs_to_the_report(self):
        self.start()
        evidence = self.caller.attest()
        self.check_evidence(evidence)
        self.assertEqual(cbor2.loads(evidence.tpm)["attest"].count(
            hashlib.sha256(b"attestd tpm/1\0" + evidence.report_data).digest()), 1)
        self.guest.ima.measure("/usr/bin/next")
        self.check_evidence(self.caller.attest())
        self.stop()

    def test_sc32c_the_tpm_s_library_logs_where_nobody_can_tell_it_to(self):
        path = self.guest.directory / "tss2.log"
        self.start({"TSS2_LOG": "all+trace", "TSS2_LOGFILE": str(path)})
        self.check_evidence(self.caller.attest())
        self.assertFalse(path.exists())
        self.stop()

    def test_entries_that_come_between_sealing_and_quote_are_in_the_log(self):
        self.start()
        answers = []
        self.tee.hold()
        self.caller.begin(answers)
        self.tee.wait("held")
        self.guest.ima.measure("/usr/bin/meanwhile")
        self.tee.release()
        self.wait_for(lambda: answers)
        self.assertLess(answers[0].ima["count"], len(self.guest.ima.records()))
        self.check_evidence(answers[0])
        self.stop()

    def test_a_tpm_that_goes_is_labelled_and_comes_back(self):
        self.start()
        self.check_evidence(self.caller.attest())
        for fault, says in (self.guest.tpm.gone, "there is no TPM"), (self.guest.tpm.lockout, "locked out"):
            with self.subTest(says):
                fault()
                evidence = self.caller.attest()
                self.assertEqual((evidence.ima["root"], evidence.tpm), ("claimed", None))
                self.assertEqual((self.second_opinion(evidence), self.verdict(evidence)), ("ima-root", "ima-root"))
                self.assertEqual(self.caller.property("ImaRoot"), "claimed")
                self.assertRegex(self.caller.property("RootDetail"), says)
                self.guest.tpm.well()
                self.stop()
                self.start()
                self.check_evidence(self.caller.attest())
        self.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
