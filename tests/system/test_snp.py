#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attested TLS from an SEV-SNP guest: each line of processors, each kind of key, each level,
and what a host can do about it."""

import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import test_exchange  # noqa: E402


class Snp(test_exchange.Exchange):
    guest_options = {"tee": "snp"}

    def setUp(self):
        super().setUp()
        self.guest.foreign_entries = []

    def policy_with(self, more=""):
        """By the root that is signed with now."""
        return self.write_policy("now", more)


class Accepted(Snp):
    def test_every_line_and_version_and_key(self):
        server = self.server()
        for product in "milan", "genoa", "turin":
            for version, signer in (2, "vcek"), (3, "vcek"), (5, "vcek"), (3, "vlek"), (5, "vlek"):
                with self.subTest(product=product, version=version, signer=signer):
                    self.tee.set("product", product)
                    self.tee.set("version", version)
                    self.tee.set("signer", signer)
                    output = self.accepted(server, "--verbose", policy=self.policy_with())
                    for check in "quote-signature", "vek-chain", "vek-identity", "vek-tcb", "vmpl", "debug":
                        self.assertRegex(output, rf"(?m)^  passed      {check}  ")

    def test_the_measurement_is_what_was_booted(self):
        server = self.server()
        self.accepted(server, policy=self.policy_with(self.guest.boot()))
        self.tee.set("measurement", "00" * 48)
        self.refused(server, "boot: ", policy=self.policy_with(self.guest.boot()))

    def test_both_attest(self):
        server = self.server("--give", "--ca", str(self.pki.ca_file), "--name", "client.test", "--policy-file",
                             self.policy)
        self.accepted(server, "--give", *self.pki.leaf("client.test"))
        self.assertIn("accepted the client", server.until("accepted"))

    def test_a_root_of_another_line_is_none(self):
        server = self.server()
        self.tee.set("product", "genoa")
        self.refused(server, "vek-chain: ", policy=self.policy)  # of milan
        self.accepted(server, policy=self.policy_with())

    def test_the_other_tee_is_not_the_one_in_the_policy(self):
        path = self.guest.directory / "tdx.policy"
        path.write_text("attestd-policy 1\ntee tdx\nworkload any\ncollateral not-required\n")
        self.refused(self.server(), "tee: ", policy=str(path))


class Refused(Snp):
    REASONS = {
        "bad-signature": "quote-signature", "big-endian-signature": "quote-signature",
        "zero-signature": "quote-signature", "masked-chip-key": "quote-signature", "wrong-signer": "quote-signature",
        "debug": "debug", "migratable": "attributes", "vmpl": "vmpl", "tcb": "vek-tcb", "chip-id": "vek-identity",
        "product": "vek-identity", "signing-key": "vek-identity", "masked-chip-id": "(vek-identity|attributes)",
        "other-root": "vek-chain", "other-issuer": "vek-identity", "expired-leaf": "validity",
        "table-absent": "vek-chain", "table-overlap": "vek-chain", "table-duplicate": "vek-chain",
        "table-no-intermediate": "vek-chain",
    }

    def test_each_flaw_is_refused_by_its_name(self):
        server = self.server()
        for flaw, check in self.REASONS.items():
            with self.subTest(flaw=flaw):
                self.tee.set("flaw", flaw)
                self.refused(server, rf"{check}: ")
        self.tee.set("flaw", "none")
        self.accepted(server)

    def test_a_flipped_bit_in_the_report_is_refused(self):
        self.refused(self.hostile("flip"), "(quote-signature|report-data)")
        self.accepted_without_data(self.hostile("honest"))

    def test_sc01_evidence_of_another_connection_is_refused(self):
        replay = self.hostile("replay")
        self.accepted_without_data(replay)
        self.refused(replay, "binding: bound to another connection")


class Level(Snp):
    guest_options = {"tee": "snp", "floor": 2, "svsm": True}

    def test_a_guest_below_a_paravisor_is_taken_where_the_policy_says_so(self):
        server = self.server()
        self.refused(server, "vmpl: ")
        self.refused(server, "vmpl: ", policy=self.policy_with("vmpl 1\n"))
        self.accepted(server, policy=self.policy_with("vmpl 2\n"))
        self.assertEqual([c for c in self.tee.witness("open") if "service" in c.attribute], [])

    def test_what_others_get_from_an_svsm_can_be_verified(self):
        """attestd does not ask it; somebody else's report by it has VMPL 0 and its manifest."""
        r, entry = os.urandom(64), pathlib.Path("/sys/kernel/config/tsm/report/theirs")
        entry.mkdir()
        self.guest.foreign_entries = ["theirs"]
        for attribute, data in ("service_provider", b"svsm\n"), ("inblob", r):
            with open(entry / attribute, "wb", buffering=0) as f:
                f.write(data)
        blobs = {name: (entry / name).read_bytes() for name in ("outblob", "auxblob", "manifestblob")}
        policy, out = self.policy_with("bare-report allowed\n"), self.guest.directory / "svsm.json"
        out.write_text(json.dumps({
            "provider": "sev_guest", "service_provider": "svsm",
            **{name: base64.urlsafe_b64encode(blob).decode().rstrip("=") for name, blob in blobs.items()},
        }))

        def verdict(report_data):
            """What is stated is what was signed."""
            got = self.guest.run([self.guest.program("attestctl"), "verify", "--policy", policy, "--report-data",
                                  report_data.hex(), str(out)])
            return got.stdout.splitlines()[-1]

        self.assertEqual(verdict(hashlib.sha512(r + blobs["manifestblob"]).digest()), "accepted")
        self.assertRegex(verdict(r), "^refused: report-data: ")

    def test_a_paravisor_that_keeps_reports_to_itself_is_said(self):
        server = self.server("--verbose")
        self.tee.fault("errno", "read:outblob", "EINVAL")
        self.refused(server, "empty-authenticator")
        self.assertIn("a paravisor that keeps reports from this guest is not supported", server.until("ended: "))
        got = self.guest.run([self.guest.program("attestctl"), "status"])
        self.assertRegex(got.stdout, r"(?m)^state +degraded$")
        self.assertIn("not supported", got.stdout)


class Host(Snp):
    def test_ft05_a_key_given_up_is_stale_and_nobody_asks_again(self):
        server = self.server("--verbose")
        client = self.talk(server)
        before = len(self.tee.witness("report"))
        self.tee.fault("etimedout", times=1)
        for _ in range(6):
            self.refused(server, "empty-authenticator")
        server.until("server: sends stale")
        client.say("second")
        rest = client.end(status=1)
        self.assertRegex(rest, r"(?m)^refused: .*empty-authenticator")
        self.assertNotIn("second", rest)
        self.assertEqual(len(self.tee.witness("report")), before + 2)

    def test_ft05_a_driver_that_was_loaded_again_serves_again(self):
        server = self.server()
        self.tee.fault("etimedout", times=1)
        for _ in range(2):
            self.refused(server, "empty-authenticator")
        watch = test_exchange.Program(self.guest, [self.guest.program("attestctl"), "watch"])
        self.addCleanup(watch.process.stop, expect=None)
        watch.until("device-lost")
        self.tee.provider(None)
        watch.until("load its driver again")  # the next look, which gives the entry up
        self.tee.provider("sev_guest")
        watch.until("ready")
        self.accepted(server)

    def test_ft12_a_host_that_counts_ten_reports_and_then_waits(self):
        """A tenth of ten seconds; all are served, and none asks twice."""
        self.accepted(self.server())
        before = len(self.tee.witness("report"))
        self.tee.fault("token-bucket", 10, 1000, 20)
        server = self.server()
        argv = self.client_argv(server, "--message", "hello")
        clients = [self.guest.spawn(argv, stdout=subprocess.PIPE) for _ in range(20)]
        for client in clients:
            output = client.popen.stdout.read().decode()
            self.assertEqual(client.wait(), 0, output + client.log())
        self.assertLessEqual(len(self.tee.witness("report")), before + 20)
        got = self.guest.run([self.guest.program("attestctl"), "status"])
        self.assertRegex(got.stdout, r"(?m)^report interval +about [1-9][0-9.]* m?s$")


if __name__ == "__main__":
    unittest.main()
