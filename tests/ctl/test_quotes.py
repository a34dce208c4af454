# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl verify over TDX quotes: forged ones with one flaw each, and, where ../shared/vectors is beside
the tree, real ones with the facts that are known of them."""
import datetime
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ATTESTCTL = os.environ["ATTESTCTL"]
TDX_FORGE = os.environ["TDX_FORGE"]
SHARED = Path(os.environ["SOURCE_ROOT"]).parent / "shared" / "vectors"
ANY = "attestd-policy 1\ntee tdx\npeer any\nworkload any\ncollateral not-required\nbare-report allowed\n"
WEAK = "attributes sept-ve-disable-off\nattributes migratable\nattributes service-td\n"
AT = 1780272000  # 2026-06-01


class Quotes(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="attestd-")
        self.addCleanup(self.dir.cleanup)
        self.policy = Path(self.dir.name) / "any.policy"
        self.policy.write_text(ANY)

    def verify(self, quote, *options):
        got = subprocess.run([ATTESTCTL, "verify", "--json", "--policy", self.policy, *map(str, options), "-"],
                             input=quote, capture_output=True, timeout=60)
        self.assertIn(got.returncode, (0, 1), got.stderr)
        result = json.loads(got.stdout)
        self.assertEqual(result["accepted"], got.returncode == 0)
        return result

    def reason(self, result):
        return result["reason"].partition(":")[0]

    def failed(self, result):
        return [c["name"] for c in result["checks"] if c["status"] == "failed"]


class Forged(Quotes):
    # What each flaw of tdx-forge is refused for, whatever else fails after it.
    FLAWS = {
        "wrong-signer": "quote-signature", "bad-signature": "quote-signature", "zero-signature": "quote-signature",
        "qe-not-binding": "qe-binding", "qe-wrong-signer": "qe-report-signature", "qe-debug": "qe-identity",
        "qe-mrsigner": "qe-identity", "qe-prodid": "qe-identity", "qe-vendor": "qe-vendor",
        "self-signed": "pck-chain", "other-root": "pck-chain", "expired-pck": "validity", "future-pck": "validity",
        "pck-name": "pck-chain", "pck-extension": "pck-chain", "platform-not-ca": "pck-chain",
        "swapped-chain": "pck-chain", "no-chain": "pck-chain", "no-root": "pck-chain", "certification-5": "qe-report-signature",
        "certification-1": "pck-chain", "tee-type": "quote-format", "key-type": "quote-format",
        "version": "quote-format",
    }

    def setUp(self):
        super().setUp()
        self.state = Path(self.dir.name) / "forge"
        self.state.mkdir()

    def forge(self, *fields, trailing=0):
        got = subprocess.run([TDX_FORGE, "--state", self.state, "--trailing", str(trailing),
                              "--report-data", "ab" * 64, *fields], capture_output=True, check=True)
        root = (self.state / "root-spki-sha256").read_text().strip()
        self.policy.write_text(f"{ANY}root tdx {root}\n")
        return got.stdout

    def test_the_forge_has_no_flaw_without_a_verdict(self):
        text = subprocess.run([TDX_FORGE, "--help"], capture_output=True, text=True, check=True).stdout
        flaws = set(re.findall(r"^ +([a-z]+(?:-[a-z0-9]+)*) +\S+ \S+", text.partition("flaw")[2], re.M))
        self.assertLessEqual(set(self.FLAWS), flaws)

    def test_good_ones_are_accepted(self):
        for fields in (), ("version=5",), ("version=5", "body=1.5"), ("pem-nul=1",):
            for trailing in 0, 3065, -39:
                with self.subTest(fields=fields, trailing=trailing):
                    result = self.verify(self.forge(*fields, trailing=trailing), "--report-data", "ab" * 64, "--at", AT)
                    self.assertTrue(result["accepted"], result["reason"])
                    self.assertEqual(result["quote"]["trailing_bytes"], abs(trailing))

    def test_each_flaw_is_refused_for_its_reason(self):
        self.assertTrue(self.verify(self.forge(), "--report-data", "ab" * 64, "--at", AT)["accepted"])
        for flaw, reason in self.FLAWS.items():
            with self.subTest(flaw):
                result = self.verify(self.forge(f"flaw={flaw}"), "--report-data", "ab" * 64, "--at", AT)
                self.assertFalse(result["accepted"])
                self.assertIn(reason, self.failed(result), result["reason"])
        result = self.verify(self.forge("debug=1"), "--report-data", "ab" * 64, "--at", AT)
        self.assertEqual(self.reason(result), "debug")

    def test_a_bare_report_needs_a_policy_that_takes_it(self):
        quote, options = self.forge(), ("--report-data", "ab" * 64, "--at", AT)
        self.assertTrue(self.verify(quote, *options)["accepted"])
        self.policy.write_text(self.policy.read_text().replace("bare-report allowed\n", ""))
        result = self.verify(quote, *options)
        self.assertEqual(self.reason(result), "profile")
        self.assertIn('"bare-report allowed"', result["reason"])

    def test_attributes_are_held_against_the_policy(self):
        options = "--report-data", "ab" * 64, "--at", AT
        for fields, line in ((("tdattributes=0000000000000000",), "sept-ve-disable-off"),
                             (("tdattributes=0000003000000000",), "migratable"),
                             (("version=5", "body=1.5", "mrservicetd=" + "5e" * 48), "service-td"),
                             (("tdattributes=0200001000000000",), None), (("tdattributes=0000009000000000",), None),
                             (("seamattributes=0100000000000000",), None), (("mrsignerseam=" + "5e" * 48,), None)):
            with self.subTest(fields=fields):
                quote = self.forge(*fields)
                result = self.verify(quote, *options)
                self.assertEqual(self.reason(result), "attributes")
                self.assertEqual(f'"attributes {line}"' in result["reason"], line is not None)
                with self.policy.open("a") as policy:
                    policy.write(f"attributes {line}\n" if line else WEAK)
                self.assertEqual(self.verify(quote, *options)["accepted"], line is not None)

    def test_certificates_from_a_file_fill_in_and_are_no_more_trusted(self):
        bare = self.forge("flaw=no-chain")
        full = self.forge()
        pem = Path(self.dir.name) / "chain.pem"
        pem.write_bytes(full[full.index(b"-----BEGIN"):full.rindex(b"-----") + 5] + b"\n")
        options = "--report-data", "ab" * 64, "--at", AT
        self.assertEqual(self.reason(self.verify(bare, *options)), "pck-chain")
        # Every PCK of one state directory has one key; so this chain fits.
        self.assertTrue(self.verify(bare, *options, "--certs", pem)["accepted"])
        self.policy.write_text(ANY)
        self.assertEqual(self.reason(self.verify(bare, *options, "--certs", pem)), "pck-chain")


@unittest.skipUnless(SHARED.is_dir(), "no ../shared/vectors")
class Real(Quotes):
    # Facts that are not about the quote, or that only collateral gives.
    OTHER = {"kind", "expect", "parse", "sig", "quote_sig", "qe_report_sig", "qe_report_binds_key", "chain", "problems",
             "pck_revoked_by_crl", "qe_status_by_collateral", "tcb_status_by_collateral"}

    def setUp(self):
        super().setUp()
        known = json.loads((SHARED / "EXPECTED.json").read_text())
        self.known = {k: v for k, v in known.items() if v.get("kind") == "tdx-quote"}
        self.policy.write_text(ANY + WEAK)

    def at(self, facts):
        """A day into the validity of its PCK."""
        text = facts.get("pck_not_before") or "2026-01-01T00:00:00Z"
        start = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (start + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def judge(self, name, facts, quote=None):
        return self.verify(quote or (SHARED / name).read_bytes(), "--at", self.at(facts),
                           "--report-data", facts.get("report_data") or "00" * 64)

    def test_verdict_and_every_field_of_each(self):
        self.assertGreater(len(self.known), 70)
        for name, facts in self.known.items():
            with self.subTest(name):
                result = self.judge(name, facts)
                good = facts["expect"] == "good" and not facts["td_debug"]
                self.assertEqual(result["accepted"], good, result["reason"])
                if facts["parse"] != "ok":
                    self.assertEqual(self.reason(result), "quote-format")
                    continue
                for field in set(facts) - self.OTHER:
                    self.assertEqual(result["quote"].get(field), facts[field], field)
                self.assertEqual("quote-signature" not in self.failed(result), facts["quote_sig"] == "ok")
                self.assertEqual("qe-binding" not in self.failed(result), facts["qe_report_binds_key"])
                if facts["chain"].startswith("ok:"):
                    self.assertNotIn("pck-chain", self.failed(result))

    def test_weak_guests_are_refused_because_of_their_attributes(self):
        """By a policy without the lines that take them, and they alone."""
        self.policy.write_text(ANY)
        found = 0
        for name, facts in self.known.items():
            if facts["expect"] != "good" or facts["td_debug"]:
                continue
            attributes = int.from_bytes(bytes.fromhex(facts["td_attributes"]), "little")
            weak = not attributes >> 28 & 1 or attributes >> 29 & 1 or bool((facts.get("mr_service_td") or "").strip("0"))
            with self.subTest(name):
                result = self.judge(name, facts)
                self.assertEqual((result["accepted"], self.reason(result)), (not weak, "attributes" if weak else ""))
            found += weak
        self.assertEqual(found, 13)

    def test_debug_guests_are_refused_because_of_debug(self):
        found = {k: v for k, v in self.known.items() if v.get("td_debug")}
        self.assertTrue(found)
        for name, facts in found.items():
            self.assertEqual(self.reason(self.judge(name, facts)), "debug", name)

    def test_quotes_of_sgx_are_not_tdx(self):
        found = sorted((SHARED / "tdx").glob("not-tdx-*.bin"))
        self.assertTrue(found)
        for path in found:
            result = self.verify(path.read_bytes(), "--at", AT, "--report-data", "00" * 64)
            self.assertEqual(self.reason(result), "quote-format", path.name)

    def test_sc08_another_report_data_or_none_is_refused(self):
        name, facts = next((k, v) for k, v in self.known.items() if v["expect"] == "good" and not v["td_debug"])
        quote = (SHARED / name).read_bytes()
        self.assertTrue(self.judge(name, facts)["accepted"])
        wrong = facts["report_data"][:-2] + f"{int(facts['report_data'][-2:], 16) ^ 1:02x}"
        for options in ("--report-data", wrong), ("--report-data", "00" * 64), ():
            result = self.verify(quote, "--at", self.at(facts), *options)
            self.assertEqual(self.reason(result), "report-data")

    def test_each_signed_byte_class_flipped_is_refused(self):
        """Header, body, signature, key, QE report, its signature, auth data, certificates: of one quote of each form."""
        forms = {}
        for name, facts in sorted(self.known.items()):
            if facts["expect"] == "good" and not facts["td_debug"]:
                forms.setdefault((facts["version"], facts["body_type"]), (name, facts))
        self.assertEqual(len(forms), 2)
        for (version, _), (name, facts) in forms.items():
            quote = (SHARED / name).read_bytes()
            head = 48 if version == 4 else 54
            body = head + (584 if version == 4 else 648)
            signature = body + 4
            qe = signature + 128 + 6
            auth = qe + 448 + 2
            size = int.from_bytes(quote[auth - 2:auth], "little")
            pem = quote.index(b"-----BEGIN", auth)
            classes = {
                "header": (range(28, 48, 5), "quote-signature"),
                "body": (range(head, head + 520, 37), "quote-signature"),
                "report data": (range(head + 520, head + 584, 9), "report-data"),
                "signature": (range(signature, signature + 64, 9), "quote-signature"),
                "key": (range(signature + 64, signature + 128, 9), "quote-signature"),
                "QE report": (range(qe, qe + 384, 41), "qe-report-signature"),
                "QE signature": (range(qe + 384, qe + 448, 9), "qe-report-signature"),
                "auth data": (range(auth, auth + size, 7), "qe-binding"),
                "PCK certificate": (range(pem + 300, pem + 1300, 151), None),
            }
            for what, (places, reason) in classes.items():
                for at in places:
                    changed = quote[:at] + bytes([quote[at] ^ 1]) + quote[at + 1:]
                    result = self.judge(name, facts, changed)
                    self.assertFalse(result["accepted"], (name, what, at))
                    if reason:
                        self.assertIn(reason, self.failed(result), (name, what, at))


if __name__ == "__main__":
    unittest.main()
