# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl verify and show over SNP reports: forged ones, and, where ../shared/vectors is beside the tree, real ones
with the facts that are known of them."""
import datetime
import json
import os
import subprocess
import tempfile
import unittest
import uuid
from pathlib import Path

ATTESTCTL = os.environ["ATTESTCTL"]
SNP_FORGE = os.environ["SNP_FORGE"]
SHARED = Path(os.environ["SOURCE_ROOT"]).parent / "shared" / "vectors"
ANY = "attestd-policy 1\ntee snp\npeer any\nworkload any\ncollateral not-required\nbare-report allowed\n"
AT = 1780272000  # 2026-06-01


class Reports(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="attestd-")
        self.addCleanup(self.dir.cleanup)
        self.policy = Path(self.dir.name) / "any.policy"
        self.policy.write_text(ANY)

    def run_ctl(self, *words, data=None):
        return subprocess.run([ATTESTCTL, *map(str, words)], input=data, capture_output=True, timeout=60)

    def verify(self, report, *options):
        got = self.run_ctl("verify", "--json", "--policy", self.policy, *options, "-", data=report)
        self.assertIn(got.returncode, (0, 1), got.stderr)
        result = json.loads(got.stdout)
        self.assertEqual(result["accepted"], got.returncode == 0)
        return result

    def show(self, data):
        got = self.run_ctl("show", "--json", "-", data=data)
        self.assertEqual(got.returncode, 0, got.stderr)
        return json.loads(got.stdout)

    def reason(self, result):
        return result["reason"].partition(":")[0]

    def failed(self, result):
        return [c["name"] for c in result["checks"] if c["status"] == "failed"]


class Forged(Reports):
    def setUp(self):
        super().setUp()
        self.state = Path(self.dir.name) / "forge"
        self.state.mkdir()
        self.table, self.certs = self.state / "table", self.state / "certs.pem"

    def forge(self, *fields, product="milan"):
        got = subprocess.run([SNP_FORGE, "--state", self.state, "--report-data", "ab" * 64, "--table", self.table,
                              "--certs", self.certs, f"product={product}", *fields], capture_output=True, check=True)
        root = (self.state / f"ark-{product}-spki-sha256").read_text().strip()
        self.policy.write_text(f"{ANY}root snp {root}\n")
        return got.stdout

    def test_certificates_from_files_fill_in_and_are_no_more_trusted(self):
        report, options = self.forge(), ("--report-data", "ab" * 64, "--at", AT)
        without = self.verify(report, *options)
        self.assertEqual(self.reason(without), "vek-chain")
        self.assertIn("--certs", without["reason"])
        self.assertTrue(self.verify(report, *options, "--certs", self.certs)["accepted"])

        # One file each, in DER, the other way round.
        files = []
        for i, part in enumerate(self.certs.read_text().split("-----END CERTIFICATE-----\n")[:3]):
            files.append(self.state / f"{i}.der")
            der = subprocess.run(["openssl", "x509", "-outform", "DER"], input=(part + "-----END CERTIFICATE-----\n").encode(),
                                 capture_output=True, check=True).stdout
            files[-1].write_bytes(der)
        words = [word for name in reversed(files) for word in ("--certs", name)]
        self.assertTrue(self.verify(report, *options, *words)["accepted"])
        self.policy.write_text(ANY)
        self.assertEqual(self.reason(self.verify(report, *options, *words)), "vek-chain")

    def test_a_table_is_shown_by_its_entries(self):
        for signer in "vcek", "vlek":
            self.forge(f"signer={signer}", "table-extra=1")
            shown = self.show(self.table.read_bytes())
            self.assertEqual(shown["kind"], "certificate-table")
            names = [e["name"] for e in shown["entries"]]
            self.assertEqual(sorted(names), sorted([signer.upper(), "ASK", "ARK", "platform"]))
            for entry in shown["entries"]:
                self.assertEqual(str(uuid.UUID(entry["guid"])), entry["guid"])
                if entry["name"] == signer.upper():
                    certificate = entry["content"]["certificates"][0]
                    self.assertEqual(certificate["subject"], f"SEV-{signer.upper()}")
                    self.assertEqual(certificate["amd"]["snp"], 24)
        self.forge("flaw=table-overlap")
        got = self.run_ctl("show", self.table)
        self.assertEqual(got.returncode, 2)
        self.assertIn(b"overlaps another", got.stderr)

    def test_a_report_is_shown_for_people(self):
        shown = self.run_ctl("show", "-", data=self.forge("version=5", product="turin")).stdout.decode()
        for line in "kind  ", "product  .*  Turin", "vmpl  .*  0", "debug  .*  no", "launch_mit_vector  .* 3f0":
            self.assertRegex(shown, line)


@unittest.skipUnless(SHARED.is_dir(), "no ../shared/vectors")
class Real(Reports):
    CHAINS = sorted((SHARED / "snp" / "certs").glob("chainfile-*_ask_ark_asvk.pem")) + \
        [SHARED / "snp" / "certs" / "ca-sev-genoa-54467b96.der"]  # the other ASK of Genoa
    # Facts of the file, or that tell with what it was checked.
    OTHER = {"kind", "expect", "parse", "sig", "chain", "problems", "size", "offset", "hcl", "signed_by",
             "same_chip_certs"}

    def setUp(self):
        super().setUp()
        known = json.loads((SHARED / "EXPECTED.json").read_text())
        self.known = {k: v for k, v in known.items() if v.get("kind") in ("snp-report", "snp-hcl")}
        self.certificates = {k: v for k, v in known.items() if v.get("kind") in ("amd-vcek", "amd-vlek", "amd-ca")}
        self.policy.write_text(ANY + "vmpl 0\nvmpl 1\n")
        self.assertEqual(len(self.CHAINS), 4)

    def judge(self, facts, report):
        """With all issuers, and the certificate of its key, where one is known; a day into its validity."""
        leaf = facts.get("signed_by") or next(iter(facts.get("same_chip_certs", {})), None)
        files = self.CHAINS + ([SHARED / leaf] if leaf else [])
        at = AT
        if "cert_not_before" in facts:
            start = datetime.datetime.fromisoformat(facts["cert_not_before"].replace("Z", "+00:00"))
            at = (start + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self.verify(report, "--report-data", facts.get("report_data") or "00" * 64, "--at", at,
                           *[word for name in files for word in ("--certs", name)])

    def is_good(self, facts):
        return facts.get("sig") == "ok" and facts["chain"].startswith("ok:amd-ark-") and not facts["debug"] and \
            facts["expect"] == "good"

    def test_verdict_and_every_field_of_each(self):
        self.assertGreater(len(self.known), 60)
        accepted = 0
        for name, facts in self.known.items():
            with self.subTest(name):
                result = self.judge(facts, (SHARED / name).read_bytes())
                self.assertEqual(result["accepted"], self.is_good(facts), result["reason"])
                accepted += result["accepted"]
                if facts["parse"] != "ok" or facts["version"] < 2:
                    self.assertEqual(self.reason(result), "quote-format")
                    continue
                for field in set(facts) - self.OTHER:
                    self.assertEqual(result["report"].get(field), facts[field], field)
                if facts["sig"] == "bad":
                    self.assertIn("quote-signature", self.failed(result))
                if facts["sig"] == "none":
                    self.assertEqual(self.reason(result), "vek-chain")
                    self.assertIn("missing", result["reason"])
                if facts["sig"] == "ok" and facts["debug"]:
                    self.assertEqual(self.failed(result), ["debug"])
        self.assertGreater(accepted, 50)

    def test_what_is_shown_of_each(self):
        for name, facts in self.known.items():
            if facts["parse"] != "ok" or facts["version"] < 2:
                continue
            with self.subTest(name):
                shown = self.show((SHARED / name).read_bytes())
                report = shown
                if facts["kind"] == "snp-hcl":
                    self.assertEqual(shown["kind"], "hcl-report")
                    report = shown["report"]
                    for field, value in facts.get("hcl", {}).items():
                        self.assertEqual(shown["hcl"].get(field), value, field)
                self.assertEqual(report["kind"], "snp-report")
                for field in set(facts) - self.OTHER:
                    if not field.startswith("cert_") and field != "reported_tcb_fields":
                        self.assertEqual(report.get(field), facts[field], field)

    def test_certificates_are_shown(self):
        self.assertGreater(len(self.certificates), 50)
        for name, facts in self.certificates.items():
            with self.subTest(name):
                shown = self.show((SHARED / name).read_bytes())["certificates"]
                self.assertEqual([c["subject"] for c in shown], facts["certs"])
                self.assertEqual(shown[0]["serial"].lstrip("0") or "0", facts["serial"])
                self.assertEqual(shown[0]["not_before"], facts["not_before"].replace(" ", "T") + "Z")
                self.assertEqual(shown[0]["not_after"], facts["not_after"].replace(" ", "T") + "Z")
                self.assertEqual(shown[0].get("amd"), facts.get("amd"))

    def test_azure_reports_hold_their_claims(self):
        """REPORTDATA of a report in an envelope begins with the hash of the claims beside it: that, whole, is what binds."""
        name, facts = next((k, v) for k, v in self.known.items() if v["kind"] == "snp-hcl" and self.is_good(v))
        data = (SHARED / name).read_bytes()
        self.assertTrue(self.judge(facts, data)["accepted"])
        claims = facts["hcl"]["runtime_claims_hash"]
        self.assertEqual(facts["report_data"], claims.ljust(128, "0"))
        wrong = claims.ljust(126, "0") + "01"
        self.assertEqual(self.reason(self.judge({**facts, "report_data": wrong}, data)), "report-data")

    def test_sc08_another_report_data_or_none_is_refused(self):
        name, facts = next((k, v) for k, v in self.known.items() if self.is_good(v))
        report = (SHARED / name).read_bytes()
        wrong = facts["report_data"][:-2] + f"{int(facts['report_data'][-2:], 16) ^ 1:02x}"
        self.assertTrue(self.judge(facts, report)["accepted"])
        self.assertEqual(self.reason(self.judge({**facts, "report_data": wrong}, report)), "report-data")
        self.assertEqual(self.reason(self.verify(report)), "report-data")

    def test_sc20e_a_chain_of_another_product_does_not_do(self):
        for line, other in ("milan", "genoa"), ("genoa", "turin"), ("turin", "milan"):
            name, facts = next((k, v) for k, v in self.known.items()
                               if self.is_good(v) and v["chain"].endswith(line) and v["version"] >= 3)
            options = ["--report-data", facts["report_data"], "--at", AT, "--certs", SHARED / facts["signed_by"]]
            chain = SHARED / "snp" / "certs" / f"chainfile-confidential-c-trustee-{other}_ask_ark_asvk.pem"
            result = self.verify((SHARED / name).read_bytes(), *options, "--certs", chain)
            self.assertEqual(self.reason(result), "vek-chain")
            self.policy.write_text(ANY + f"root snp {other}\n")
            self.assertEqual(self.reason(self.judge(facts, (SHARED / name).read_bytes())), "vek-chain")
            self.policy.write_text(ANY + f"root snp {line}\n")
            self.assertTrue(self.judge(facts, (SHARED / name).read_bytes())["accepted"])

    def test_each_signed_byte_class_flipped_is_refused(self):
        """Of one report of each version and kind of key: fields, signature, and what must be zero."""
        forms = {}
        for name, facts in sorted(self.known.items()):
            if self.is_good(facts) and facts["kind"] == "snp-report":
                forms.setdefault((facts["version"], facts["signing_key"], facts["chain"]), (name, facts))
        self.assertGreaterEqual(len(forms), 6)
        classes = {
            "version": ((0, 3), None),
            "policy": (range(8, 16, 3), "quote-signature"),
            "ids": (range(16, 48, 13), "quote-signature"),
            "vmpl": ((48, 51), "quote-signature"),
            "current TCB": (range(56, 64, 3), "quote-signature"),
            "platform": (range(64, 72, 3), "quote-signature"),
            "key info": ((72,), "quote-signature"),
            "report data": (range(80, 144, 17), "report-data"),
            "measurement": (range(144, 192, 11), "quote-signature"),
            "host data to report ids": (range(192, 384, 31), "quote-signature"),
            "reported TCB": (range(384, 392, 3), "quote-signature"),
            "chip id": (range(416, 480, 13), "quote-signature"),
            "committed and launch TCB": (range(480, 504, 9), None),
            "reserved": (range(528, 672, 47), "quote-format"),
            "r": (range(672, 720, 11), "quote-signature"),
            "tail of r": (range(720, 744, 9), "quote-signature"),
            "s": (range(744, 792, 11), "quote-signature"),
            "tail of s": (range(792, 816, 9), "quote-signature"),
            "rest": (range(816, 1184, 97), "quote-format"),
        }
        for name, facts in forms.values():
            report = (SHARED / name).read_bytes()
            for what, (places, reason) in classes.items():
                for at in places:
                    changed = report[:at] + bytes([report[at] ^ 0x40]) + report[at + 1:]
                    result = self.judge(facts, changed)
                    self.assertFalse(result["accepted"], (name, what, at))
                    if reason and "quote-format" not in self.failed(result):
                        self.assertIn(reason, self.failed(result), (name, what, at))


if __name__ == "__main__":
    unittest.main()
