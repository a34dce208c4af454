# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl as it is called: verbs, options, exit codes, what it prints. No service here."""
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ATTESTCTL = os.environ["ATTESTCTL"]
ROOT = Path(os.environ["SOURCE_ROOT"])
VECTORS = ROOT / "docs" / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())
GOOD = next(a for a in INDEX["appraisals"] if a["accepted"] and "binding" in a)
VERBS = "status", "log", "watch", "evidence", "show", "verify", "boot", "ima"
YES, NO, USAGE = 0, 1, 2


def ctl(*arguments, stdin=b"", env=None, **options):
    return subprocess.run([ATTESTCTL, *map(str, arguments)], input=stdin, capture_output=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}, **options)


def good(*more, file=VECTORS / GOOD["evidence"], **replaced):
    """Arguments of a call that accepts; keyword arguments replace options, None leaves them out."""
    options = {"binding": GOOD["binding"], "hash": GOOD["hash"], "role": GOOD["role"], "at": GOOD["at"],
               "policy": VECTORS / GOOD["policy"], **{k.replace("_", "-"): v for k, v in replaced.items()}}
    return ["verify", *(x for k, v in options.items() if v is not None for x in (f"--{k}", v)), *more, file]


class Calls(unittest.TestCase):
    def check(self, got, status, pattern):
        self.assertEqual(got.returncode, status, got.stderr)
        self.assertRegex((got.stdout + got.stderr).decode(), pattern)

    def test_help_and_version(self):
        for arguments in ("--help",), ("-h",), *((v, "--help") for v in VERBS):
            got = ctl(*arguments)
            self.check(got, YES, "(?i)usage:")
            self.assertEqual(got.stderr, b"")
        self.check(ctl("--version"), YES, r"^attestctl \d+\.\d+\.\d+\n$")

    def test_the_man_page_and_the_completion_have_every_option(self):
        page = (ROOT / "src" / "attestctl.1").read_text()
        completion = (ROOT / "completions" / "attestctl").read_text()
        for verb in VERBS:
            of_program = set(re.findall(r"--([a-z-]+)", ctl(verb, "--help").stdout.decode()))
            words = re.search(rf"^ +{verb}\) words='(.*)'", completion, re.M).group(1)
            self.assertEqual(set(words.replace("--", "").split()), of_program, verb)
            for option in of_program:
                self.assertRegex(page, rf"(?m)^\.It (?:Fl o , )?Fl -{option}(?: Ar|$)", f"{verb}: {option}")

    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source "$0" && COMP_WORDS=("$@") && COMP_CWORD=$(($# - 1)) && _attestctl && '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        got = subprocess.run(["bash", "-euc", script, ROOT / "completions" / "attestctl", "attestctl", *words],
                             capture_output=True, text=True, cwd=VECTORS)
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        return got.stdout.split()

    def test_the_completion_completes(self):
        self.assertEqual(self.complete("wa"), ["watch"])
        self.assertLessEqual({*VERBS, "--help"}, set(self.complete("")))
        for verb in VERBS:
            self.assertEqual(self.complete(verb, "--he"), ["--help"])
            self.assertNotIn("frobnicate", self.complete(verb, ""))
        self.assertEqual(self.complete("watch", ""), ["--json", "--help"])
        self.assertEqual(self.complete("log", ""), ["ima", "boot", "register"])
        self.assertEqual(self.complete("log", "ima", "--fr"), ["--from"])
        self.assertEqual(self.complete("verify", "--role", ""), ["client", "server"])
        self.assertEqual(self.complete("verify", "--hash", "sha3"), ["sha384"])
        self.assertIn("evidence.cbor", self.complete("show", "evid"))
        self.assertIn("weak.policy", self.complete("verify", "--policy", "we"))
        self.assertEqual(self.complete("frobnicate", ""), [])

    def test_wrong_calls_exit_with_2_and_say_where_help_is(self):
        evidence = VECTORS / "evidence.cbor"
        for arguments in ((), ("frobnicate",), ("--frobnicate",), ("-x",), ("--json",), ("show",), ("verify",),
                          ("show", evidence, evidence), ("status", "extra"), ("evidence", "extra"),
                          *((v, "--frobnicate") for v in VERBS), ("verify", "--policy")):
            got = ctl(*arguments)
            self.check(got, USAGE, "attestctl VERB|--help")
            self.assertEqual(got.stdout, b"", arguments)

    def test_files_that_cannot_be_read_exit_with_2(self):
        with tempfile.TemporaryDirectory() as d:
            big = Path(d) / "big"
            big.write_bytes(b"\xa1" * ((1 << 20) + 1))
            for name, size in ("policy", 4 << 20), ("log", 16 << 20), ("huge", 256 << 20):
                with open(Path(d) / name, "wb") as f:
                    f.truncate(size + 1)
            empty = Path(d) / "empty"
            empty.touch()
            for path in Path(d) / "none", d, big:
                self.check(ctl("show", path), USAGE, "^attestctl: ")
                self.check(ctl(*good(file=path)), USAGE, "^attestctl: ")
                self.check(ctl(*good(certs=path)), USAGE, "^attestctl: ")
            for path, option in (("none", "policy"), ("", "policy"), ("none", "ima-log"), ("", "boot-log"),
                                 ("policy", "policy"), ("log", "boot-log"), ("huge", "ima-log")):
                self.check(ctl(*good(), f"--{option}", Path(d) / path), USAGE, "^attestctl: ")
            self.check(ctl(*good(), "--ima-bank", "sha256"), USAGE, "--ima-log")
            self.check(ctl(*good(), "--ima-log", empty, "--ima-bank", "sm3"), USAGE, "--ima-bank takes sha1")
            self.check(ctl("show", "-", stdin=big.read_bytes()), USAGE, "over 1048576 bytes")
            self.check(ctl(*good(certs=empty)), USAGE, "no certificate")
            self.check(ctl("show", empty), USAGE, "too short")

    def test_a_full_disk_is_told(self):
        with open("/dev/full", "wb") as full:
            got = subprocess.run([ATTESTCTL, "show", VECTORS / "evidence.cbor"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(got.returncode, USAGE)
        self.assertIn(b"cannot write", got.stderr)


class Verify(unittest.TestCase):
    def refusal(self, *arguments, **options):
        got = ctl(*arguments, **options)
        self.assertEqual(got.returncode, NO, got.stderr)
        last = got.stdout.decode().splitlines()[-1]
        self.assertTrue(last.startswith("refused: "), last)
        return last[len("refused: "):].partition(":")[0]

    def test_accepts_and_says_so_in_the_last_line(self):
        got = ctl(*good())
        self.assertEqual(got.returncode, YES)
        lines = got.stdout.decode().splitlines()
        self.assertEqual(lines[-1], "accepted")
        for line in lines[:-1]:
            self.assertRegex(line, r"^(passed     |not checked)  [a-z-]+ ")

    def test_json_has_verdict_checks_and_fields(self):
        got = ctl(*good("--json"))
        result = json.loads(got.stdout)
        self.assertIs(result["accepted"], True)
        self.assertEqual(result["reason"], "")
        for check in result["checks"]:
            self.assertEqual(set(check), {"name", "status", "detail"})
            self.assertIn(check["status"], ("passed", "failed", "not checked"))
        claims = INDEX["claims"][INDEX["evidence"][GOOD["evidence"]]["claims"]]
        self.assertEqual(result["claims"], claims["claims"])
        self.assertEqual(result["quote"]["report_data"], claims["report_data"])

    def test_reads_stdin(self):
        self.assertEqual(ctl(*good(file="-"), stdin=(VECTORS / GOOD["evidence"]).read_bytes()).returncode, YES)

    def test_every_refusal_of_the_index(self):
        for entry in INDEX["appraisals"]:
            options = {"binding": entry.get("binding"), "hash": entry.get("hash"), "role": entry.get("role"),
                       "report_data": entry.get("report_data"), "at": entry["at"],
                       "policy": VECTORS / entry["policy"]}
            if not entry["accepted"]:
                more = ["--batch"] if entry.get("batch") else []
                self.assertEqual(self.refusal(*good(*more, file=VECTORS / entry["evidence"], **options)),
                                 entry["failed"])

    def test_a_batch_is_taken_if_that_is_said(self):
        batched = VECTORS / "evidence-batch.cbor"
        got = ctl(*good("--batch", "--json", file=batched))
        self.assertEqual(got.returncode, YES, got.stdout)
        place = {key: INDEX["proofs"]["proof.cbor"]["proof"][key] for key in ("n", "index")}
        self.assertEqual(json.loads(got.stdout)["batch"], place)
        self.assertIn(b"at index 4 of a batch of 7", ctl(*good("--batch", file=batched)).stdout)
        self.assertIn(b"refused: report-data: batch was not offered", ctl(*good(file=batched)).stdout)
        self.assertEqual(ctl(*good("--batch")).returncode, YES)  # the plain form is taken too

    def test_unbound_evidence_is_refused(self):
        self.assertEqual(self.refusal(*good(binding=None, hash=None, role=None)), "report-data")

    def test_sc08a_report_data_is_exactly_64_bytes(self):
        unbound = {"binding": None, "hash": None, "role": None}
        r = INDEX["claims"]["claims-unit.cbor"]["report_data"]
        self.assertEqual(ctl(*good(report_data=r, **unbound)).returncode, YES)
        self.assertEqual(ctl(*good(report_data=r.upper(), **unbound)).returncode, YES)
        for wrong in r + "00", r[:-2], r[:64], r[:-1], r[:-1] + "g", "", "0x" + r[2:]:  # 65 bytes, 63, 32, …, none
            got = ctl(*good(report_data=wrong, **unbound))
            self.assertEqual(got.returncode, USAGE, wrong)
            self.assertIn(b"exactly 64 bytes", got.stderr)
        self.assertEqual(self.refusal(*good(report_data=r[:64] + "00" * 32, **unbound)), "report-data")

    def test_a_binding_needs_hash_and_role_and_its_size(self):
        for wrong in ({"hash": None}, {"role": None}, {"hash": "sha512"}, {"role": "peer"}, {"binding": None},
                      {"binding": GOOD["binding"] + "00"}, {"binding": GOOD["binding"][2:]},
                      {"hash": "sha384"}, {"report_data": "00" * 64}):
            self.assertEqual(ctl(*good(**wrong)).returncode, USAGE, wrong)

    def test_times(self):
        for time in "2026-06-01T00:00:00Z", "2026-06-01T02:00:00+02:00", "2026-06-01T00:00:00.5Z", "1780272000":
            self.assertEqual(ctl(*good(at=time)).returncode, YES, time)
        for time in "2019-01-01T00:00:00Z", "0", "2060-01-01T00:00:00Z":
            self.assertEqual(self.refusal(*good(at=time)), "validity", time)
        for time in "yesterday", "", "2026-06-01", "2026-06-01T00:00:00", "-1", "12:00", "1e9", "20260601T000000Z":
            self.assertEqual(ctl(*good(at=time)).returncode, USAGE, time)

    def test_sc03_an_empty_or_a_wrong_policy_refuses_and_the_checks_go_on(self):
        with tempfile.TemporaryDirectory() as d:
            policy = Path(d) / "a.policy"
            for text, where in (("", ":1:1:"), ("# nothing\n", ":"), ("attestd-policy 2\n", ":1:16:"),
                                ("attestd-policy 1\ntee tdx\nfrobnicate\n", ":3:1:")):
                policy.write_text(text)
                got = ctl(*good("--json", policy=policy))
                self.assertEqual(got.returncode, NO)
                result = json.loads(got.stdout)
                self.assertFalse(result["accepted"])
                checks = {c["name"]: c for c in result["checks"]}
                self.assertEqual(checks["policy"]["status"], "failed")
                self.assertIn(f"a.policy{where}", checks["policy"]["detail"])
                self.assertEqual(checks["quote-signature"]["status"], "passed")

    def test_without_a_default_policy_there_is_a_sentence_and_no_yes(self):
        got = ctl(*good(policy=None))
        if got.returncode == NO and b"policy.d/default.policy" not in got.stdout:
            self.skipTest("this machine has a default policy")
        self.assertEqual(got.returncode, NO)
        self.assertRegex(got.stdout.decode(), r"failed +policy +there is no policy: .*--policy.*default\.policy")

    def test_details_cannot_write_on_a_terminal(self):
        with tempfile.TemporaryDirectory() as d:
            policy = Path(d) / "evil\x1b[2J.policy"
            policy.write_text("")
            for arguments in good(policy=policy), good(policy=Path(d) / "none\x1b[2J"), ("show", Path(d) / "\x1b]0;x"):
                got = ctl(*arguments)
                self.assertNotIn(b"\x1b", got.stdout + got.stderr)
                self.assertIn(b"\\u001b", got.stdout + got.stderr)


class Show(unittest.TestCase):
    def show(self, name, stdin=None):
        got = ctl("show", "--json", "-" if stdin is not None else VECTORS / name, stdin=stdin or b"")
        self.assertEqual(got.returncode, YES, got.stderr)
        text = ctl("show", "-" if stdin is not None else VECTORS / name, stdin=stdin or b"")
        self.assertEqual((text.returncode, text.stderr), (YES, b""))
        self.assertTrue(text.stdout.startswith(b"kind "))
        return json.loads(got.stdout)

    def test_evidence_and_what_is_in_it(self):
        for name, entry in INDEX["evidence"].items():
            shown = self.show(name)
            self.assertEqual((shown["kind"], shown["form"], shown["encoding"]), ("cmw", "collection", "cbor"))
            self.assertEqual(shown["type"], entry["profile"])
            tee = shown["members"]["tee"]
            self.assertEqual(tee["indicator"], ["evidence"])
            self.assertEqual(tee["value"]["provider"], entry["provider"])
            if entry["provider"] == "tdx_guest":
                self.assertEqual(tee["value"]["outblob"]["kind"], "tdx-quote")
                self.assertEqual(len(tee["value"]["outblob"]["certificates"]), 3)
            else:
                self.assertEqual(tee["value"]["outblob"]["kind"], "snp-report")
                self.assertEqual(tee["value"]["auxblob"]["kind"], "bytes" if "overlap" in name else "certificate-table")
            if entry["claims"]:
                claims = shown["members"]["claims"]["value"]
                self.assertEqual(claims.pop("kind"), "claims")
                self.assertEqual(claims, INDEX["claims"][entry["claims"]]["claims"])
            self.assertEqual("proof" in entry, "proof" in shown["members"])
            if "proof" in entry:
                shown, proof = shown["members"]["proof"]["value"], INDEX["proofs"][entry["proof"]]["proof"]
                if proof is None:
                    self.assertEqual(shown["kind"], "bytes")
                    self.assertIn("proof: ", shown["problem"])
                else:
                    self.assertEqual(shown, {"kind": "inclusion-proof", **proof})

    def test_quote_claims_reports(self):
        quote = self.show("quote-unit.bin")
        self.assertEqual(quote["kind"], "tdx-quote")
        for field, value in INDEX["quotes"]["quote-unit.bin"].items():
            self.assertEqual(quote[field], value)
        for name in INDEX["claims"]:
            self.assertEqual(self.show(name)["kind"], "claims")
        for name, entry in INDEX["tsm_reports"].items():
            shown = self.show(name)
            self.assertEqual((shown["kind"], shown["provider"]), ("tsm-report", entry["provider"]))
            self.assertEqual(shown["outblob"]["size"], len(entry["outblob"]) // 2)

    def test_cmw_in_other_forms(self):
        report = self.show("", b'{"provider":"tdx_guest","outblob":"AAEC"}')
        self.assertEqual(report["kind"], "tsm-report")
        self.assertIn("problem", report["outblob"])
        record = self.show("", b'["application/vnd.veraison.tsm-report+json",'
                               b'"eyJwcm92aWRlciI6InRkeF9ndWVzdCIsIm91dGJsb2IiOiJBQUVDIn0",4]')
        self.assertEqual((record["form"], record["encoding"], record["value"]["kind"]), ("record", "json", "tsm-report"))
        tag = self.show("", bytes.fromhex("da6374ffe6442347da55"))
        self.assertEqual((tag["form"], tag["content_format"], tag["value"]["size"]), ("tag", 64999, 4))
        collection = self.show("", b'{"__cmwc_t":"tag:x.example,2026:y","a":["application/x","AA"],"b":{"c":[3,"AA"]}}')
        self.assertEqual(collection["members"]["b"]["members"]["c"]["content_format"], 3)

    def test_requests_and_authenticators(self):
        for name, message in ("request-client.bin", "ClientCertificateRequest"), ("request-server.bin",
                                                                                 "CertificateRequest"):
            shown = self.show(name)
            self.assertEqual((shown["kind"], shown["message"]), ("authenticator-request", message))
            self.assertTrue(shown["asks_for_evidence"])
            self.assertEqual(shown["signature_algorithms"][0], "ed25519")
        for name, entry in INDEX["authenticators"].items():
            shown = self.show(name)
            self.assertEqual((shown["kind"], shown["signature_scheme"]), ("authenticator", "ed25519"))
            self.assertEqual(shown["context"], INDEX["connections"][entry["connection"]]["context"])
            self.assertEqual(shown["certificates"][0]["evidence"]["type"], "tag:attestd.org,2026:evidence/1")
            self.assertEqual(self.show(entry["empty"])["kind"], "empty-authenticator")

    def test_what_is_nothing_exits_with_2(self):
        for data in b"\x03\0\0\0" + bytes(600), b"\xff\xff\xff", b"hello", b"{}", b"\xa0\0\0", b"\x0b\0\0\0":
            got = ctl("show", "-", stdin=data)
            self.assertEqual(got.returncode, USAGE, data)
            self.assertRegex(got.stderr.decode(), "^attestctl: -: .+")

    def test_every_prefix_is_survived(self):
        for name in "evidence.cbor", "authenticator.bin", "quote-unit.bin", "claims-full.cbor", "request-client.bin":
            data = (VECTORS / name).read_bytes()
            for n in range(0, len(data), max(1, len(data) // 40)):
                self.assertEqual(ctl("show", "-", stdin=data[:n]).returncode, USAGE, (name, n))


class NoBus(unittest.TestCase):
    def test_says_what_to_do(self):
        env = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"}
        for arguments in ("status",), ("status", "--json"), ("evidence",):
            got = ctl(*arguments, env=env)
            self.assertEqual(got.returncode, NO)
            self.assertEqual(got.stdout, b"")
            self.assertRegex(got.stderr.decode(), r"^attestctl: cannot reach the system bus.*\n$")

    def test_a_key_that_is_none_is_a_wrong_call(self):
        with tempfile.TemporaryDirectory() as d:
            key = Path(d) / "key"
            for content in b"", b"no key", (VECTORS / "evidence.cbor").read_bytes():
                key.write_bytes(content)
                self.assertEqual(ctl("evidence", "--public-key", key).returncode, USAGE)
            self.assertEqual(ctl("evidence", "--public-key", Path(d) / "none").returncode, USAGE)


if __name__ == "__main__":
    unittest.main()
