# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl status and evidence in a guest: with attestd, without it, without a TEE, without the right."""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(os.environ["SOURCE_ROOT"])
ATTESTCTL = os.environ["ATTESTCTL"]
sys.path.insert(0, str(ROOT / "tests" / "system"))
import private_guest  # noqa: E402

private_guest.enter()


def spki_of_new_key(path, form):
    """A public key, or a certificate, made by somebody else's program."""
    if form == "certificate":
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "/dev/null", "-subj",
                        "/CN=x", "-out", path], check=True, capture_output=True)
        return
    key = path.with_suffix(".key")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", form, "-out", path], check=True,
                   capture_output=True)


class Guest(private_guest.GuestTest):
    tee_and_provider = "tdx", "tdx_guest"

    def ctl(self, *arguments, **options):
        return self.guest.run([ATTESTCTL, *map(str, arguments)], **options)

    def policy(self):
        path = Path(self.guest.directory) / "lab.policy"
        path.write_text(f"attestd-policy 1\n{self.guest.trust()}peer any\nworkload any\ncollateral not-required\n")
        return path

    def test_status(self):
        self.guest.start_attestd()
        got = self.ctl("status")
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        self.assertRegex(got.stdout, r"(?m)^state +ready$")
        self.assertRegex(got.stdout, r"(?m)^boot id +[0-9a-f]{32}$")
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertEqual((status["state"], status["tee"], status["provider"]), ("ready", *self.tee_and_provider))
        self.assertEqual(status["profiles"][0], "tag:attestd.org,2026:evidence/1")
        self.assertIsInstance(status["generation"], int)
        self.assertEqual((status["report_throttle_count"], status["report_throttle_period"]), (0, 0))
        self.assertRegex(got.stdout, r"(?m)^report throttle +-$")

        # Before the first report nothing is known; then people are told in their units, programs in theirs.
        self.assertEqual((status["report_interval"], status["report_wait"]), (0, 0))
        self.assertRegex(got.stdout, r"(?m)^report wait +-$")
        self.tee.delay(200)
        self.assertEqual(self.ctl("evidence", "--out", str(self.guest.directory / "evidence")).returncode, 0)
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertGreaterEqual(status["report_interval"], 200_000)
        self.assertEqual(status["report_wait"], status["report_interval"])
        about = f"about {status['report_wait'] / 1e3:.0f} ms"
        self.assertRegex(self.ctl("status").stdout, rf"(?m)^report wait +{about}$")

    def test_status_without_attestd_says_what_to_do(self):
        got = self.ctl("status")
        self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertRegex(got.stderr, r"^attestctl: attestd is not running.*systemctl.*\n$")

    def test_the_direct_socket_is_used_when_asked_for(self):
        self.guest.start_attestd()
        got = self.ctl("status", "--direct")
        self.assertEqual(got.returncode, 1)
        self.assertIn("cannot reach attestd at /run/attestd/bus", got.stderr)

    def test_evidence_can_be_verified_and_shown(self):
        self.guest.start_attestd()
        for form in None, "PEM", "DER", "certificate":
            with self.subTest(key=form):
                out, key = Path(self.guest.directory) / f"guest-{form}.cbor", Path(self.guest.directory) / f"key-{form}"
                if form:
                    spki_of_new_key(key, form)
                got = self.ctl("evidence", "--out", out, *(("--public-key", key) if form else ()))
                self.assertEqual((got.returncode, got.stdout, got.stderr), (0, "", ""))
                binding = Path(f"{out}.binding").read_text().split()
                got = self.ctl("verify", *binding, "--policy", self.policy(), out)
                self.assertEqual(got.returncode, 0, got.stdout + got.stderr)
                self.assertEqual(got.stdout.splitlines()[-1], "accepted")
                shown = json.loads(self.ctl("show", "--json", out).stdout)
                self.assertEqual(shown["members"]["claims"]["value"]["binding"], binding[1])

    def test_evidence_of_twice_is_bound_to_different_values(self):
        self.guest.start_attestd()
        first, second, key = (Path(self.guest.directory) / n for n in ("first", "second", "key"))
        spki_of_new_key(key, "PEM")  # one key: what differs are the random values
        for out in first, second:
            self.assertEqual(self.ctl("evidence", "-o", out, "--public-key", key).returncode, 0)
        self.assertNotEqual(Path(f"{first}.binding").read_text(), Path(f"{second}.binding").read_text())
        crossed = self.ctl("verify", *Path(f"{first}.binding").read_text().split(), "--policy", self.policy(), second)
        self.assertEqual(crossed.returncode, 1)
        self.assertRegex(crossed.stdout.splitlines()[-1], "^refused: binding: ")

    def test_evidence_to_stdout(self):
        self.guest.start_attestd()
        got = subprocess.run([ATTESTCTL, "evidence"], capture_output=True, check=True)
        verdict = subprocess.run([ATTESTCTL, "verify", *got.stderr.decode().split(), "--policy", self.policy(), "-"],
                                 input=got.stdout, capture_output=True)
        self.assertEqual(verdict.returncode, 0, verdict.stdout)

    def test_evidence_of_a_caller_without_right(self):
        self.guest.start_attestd()
        self.guest.polkit.verdict = "deny"
        got = self.ctl("evidence", user=65534)
        self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertRegex(got.stderr, "^attestctl: .+\n$")
        self.assertNotIn("GDBus", got.stderr)
        self.guest.polkit.verdict = "allow"
        self.assertEqual(subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", ATTESTCTL,
                                         "evidence"], capture_output=True).returncode, 0)

    def test_evidence_takes_the_place_of_no_device(self):
        self.guest.start_attestd()
        pipe, out = Path(self.guest.directory) / "pipe", Path(self.guest.directory) / "longer"
        os.mkfifo(pipe)
        reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
        self.assertEqual(self.ctl("evidence", "--out", pipe).returncode, 0)
        self.assertGreater(len(reader.communicate()[0]), 1000)
        self.assertTrue(pipe.is_fifo())
        out.write_bytes(bytes(100000))  # nor is an end of what was there left
        self.assertEqual(self.ctl("evidence", "--out", out).returncode, 0)
        self.assertLess(out.stat().st_size, 50000)

    def test_evidence_where_it_cannot_be_written(self):
        self.guest.start_attestd()
        self.assertEqual(self.ctl("evidence", "--out", "/nonexistent/x").returncode, 2)

    def test_evidence_of_a_device_that_fails(self):
        self.guest.start_attestd()
        self.guest.tee.command("fault enotty")
        got = self.ctl("evidence")
        self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertRegex(got.stderr, "^attestctl: .+\n$")


class SnpGuest(Guest):
    """The same where the TEE is AMD's, and what only that has."""

    guest_options = {"tee": "snp", "product": "turin", "settings": {"version": 5}}
    tee_and_provider = "snp", "sev_guest"

    def evidence(self, name="guest.cbor"):
        out = Path(self.guest.directory) / name
        self.assertEqual(self.ctl("evidence", "--out", out).returncode, 0)
        return out

    def verify(self, out, *arguments):
        return self.ctl("verify", *Path(f"{out}.binding").read_text().split(), "--policy", self.policy(), *arguments, out)

    def test_evidence_has_the_certificates_of_the_host(self):
        self.guest.start_attestd()
        shown = json.loads(self.ctl("show", "--json", self.evidence()).stdout)["members"]["tee"]["value"]
        self.assertEqual(shown["provider"], "sev_guest")
        self.assertIn("auxblob", shown)

    def test_evidence_of_a_host_without_certificates_needs_them_from_elsewhere(self):
        self.guest.start_attestd()
        self.tee.set("flaw", "table-absent")
        out = self.evidence()
        got = self.verify(out)
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stdout.splitlines()[-1], "^refused: vek-chain: .*")
        certificates = Path(self.guest.directory) / "certs.pem"
        self.ctl_forge("--certs", certificates)
        got = self.verify(out, "--certs", certificates)
        self.assertEqual(got.returncode, 0, got.stdout)

    def ctl_forge(self, *arguments):
        """The same keys, and so the same certificates but for their signatures."""
        self.guest.run([self.guest.program("snp-forge"), "--state", self.guest.state, "--out", "/dev/null", *arguments,
                        "product=turin"], check=True)

    def test_a_key_that_is_given_up_is_said_and_left_alone(self):
        self.guest.start_attestd()
        self.tee.fault("etimedout", times=1)
        self.assertEqual(self.ctl("evidence").returncode, 1)
        for _ in range(5):
            got = self.ctl("evidence")
            self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertRegex(got.stderr, "^attestctl: .*given up its key: restart the guest.*\n$")
        self.assertEqual(len(self.tee.witness("report")), 2)
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertEqual(status["state"], "device-lost")
        self.assertIn("given up its key", status["state_detail"])


class NoTee(private_guest.GuestTest):
    guest_options = {"provider": None}

    def test_status_and_evidence_say_so(self):
        self.guest.start_attestd()
        got = self.guest.run([ATTESTCTL, "status"])
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stdout, r"(?m)^state +no-tee$")
        self.assertRegex(got.stdout, r"(?m)^state detail +\S.+$")
        got = self.guest.run([ATTESTCTL, "evidence"])
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stderr, "^attestctl: .+\n$")


class Direct(private_guest.GuestTest):
    guest_options = {"direct": True}
    ctl = Guest.ctl

    def setUp(self):
        super().setUp()
        (self.guest.configuration / "attestd.conf").write_text("[Access]\nDirectUsers=1000\n")
        self.guest.start_attestd()

    def test_root_and_whom_it_names_are_answered(self):
        self.assertEqual(json.loads(self.ctl("status", "--direct", "--json", check=True).stdout),
                         json.loads(self.ctl("status", "--json", check=True).stdout))
        self.guest.polkit.verdict = "deny"
        file = self.guest.directory / "1000.cbor"
        file.touch()
        os.chown(file, 1000, 1000)
        self.guest.directory.chmod(0o777)
        self.ctl("evidence", "--direct", "--out", file, user=1000, check=True)
        self.assertGreater(file.stat().st_size, 1000)

    def test_others_are_told_what_to_do(self):
        got = self.ctl("status", "--direct", user=1001)
        self.assertEqual(got.returncode, 1)
        self.assertIn("use the system bus", got.stderr)
        self.ctl("status", user=1001, check=True)


if __name__ == "__main__":
    unittest.main()
