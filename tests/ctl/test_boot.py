# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl boot replay, and show, over event logs: some of our own, and, where ../shared/vectors is beside the tree,
real ones with what is known of them."""
import hashlib
import json
import os
import struct
import subprocess
import unittest
from pathlib import Path

from event_log import ACTION, IPL, NO_ACTION, SEPARATOR, event, extended, header

ATTESTCTL = os.environ["ATTESTCTL"]
SHARED = Path(os.environ["SOURCE_ROOT"]).parent / "shared" / "vectors"
def ctl(*words, data=None):
    return subprocess.run([ATTESTCTL, *map(str, words)], input=data, capture_output=True, timeout=60)


class Boot(unittest.TestCase):
    def replay(self, data, *options, status=0):
        got = ctl("boot", "replay", "--json", *options, "-", data=data)
        self.assertEqual(got.returncode, status, got.stderr)
        return json.loads(got.stdout)

    def refused(self, data, status, *words):
        got = ctl("boot", "replay", "-", data=data)
        self.assertEqual(got.returncode, status, got.stdout)
        for word in words:
            self.assertIn(word, got.stderr.decode())
        return got


class Own(Boot):
    LOG = header("sha256", "sha384", register=1) + event(1, SEPARATOR, bytes(4), "sha256", "sha384") + \
        event(1, ACTION, b"late", "sha256", "sha384") + \
        event(3, IPL, b"kernel_cmdline: root=/dev/vda\0", "sha384", of=b"root=/dev/vda")

    def test_registers_of_each_bank(self):
        got = self.replay(self.LOG + b"\xff" * 9)
        self.assertEqual(got["registers"], {
            "1": {bank: extended(bank, bytes(4), b"late") for bank in ("sha256", "sha384")},
            "3": {"sha384": extended("sha384", b"root=/dev/vda")}})
        self.assertEqual((got["kind"], got["form"], got["count"]), ("event-log", "crypto-agile", 4))
        self.assertEqual((got["size"], got["used"], got["behind"]), (len(self.LOG) + 9, len(self.LOG), "ones"))
        self.assertEqual((got["algorithms"], got["untrue"]), (["sha256", "sha384"], []))
        self.assertNotIn("events", got)

    def test_one_bank(self):
        got = self.replay(self.LOG, "--bank", "sha256")
        self.assertEqual(got["registers"], {"1": {"sha256": extended("sha256", bytes(4), b"late")}})
        self.assertEqual(self.replay(self.LOG, "--bank", "sha512")["registers"], {})
        got = ctl("boot", "replay", "--bank", "md5", "-", data=self.LOG)
        self.assertEqual(got.returncode, 2)
        self.assertIn(b"no such bank: md5", got.stderr)

    def test_events(self):
        events = self.replay(self.LOG, "--events")["events"]
        self.assertEqual([e["type"] for e in events], ["EV_NO_ACTION", "EV_SEPARATOR", "EV_ACTION", "EV_IPL"])
        self.assertEqual([e["register"] for e in events], [1, 1, 1, 3])
        self.assertEqual([e["digest_of"] for e in events], ["none", "data", "data", "part"])
        self.assertEqual([e["late"] for e in events], [False, False, True, False])
        self.assertEqual([e.get("text") for e in events],
                         ["Spec ID Event03", "0x00000000", "late", "kernel_cmdline: root=/dev/vda"])
        self.assertEqual(events[3]["digests"], {"sha384": hashlib.sha384(b"root=/dev/vda").hexdigest()})
        self.assertEqual(self.replay(self.LOG, "--events", "--bank", "sha256")["events"][3]["digests"], {})

    def test_show_does_the_same_with_all_events(self):
        shown = ctl("show", "--json", "-", data=self.LOG)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(json.loads(shown.stdout), self.replay(self.LOG, "--events"))

    def test_the_old_form(self):
        digest = hashlib.sha1(b"data").digest()
        log = struct.pack("<II20sI", 0, 8, digest, 4) + b"data" + struct.pack("<II20sI", 4, 13, digest, 1) + b"x"
        got = self.replay(log)
        self.assertEqual((got["form"], got["algorithms"]), ("sha1", ["sha1"]))
        self.assertEqual(got["registers"]["0"]["sha1"], extended("sha1", b"data"))
        self.assertEqual(json.loads(ctl("show", "--json", "-", data=log).stdout)["count"], 2)

    def test_people_get_lines(self):
        out = ctl("boot", "replay", "--events", "-", data=self.LOG).stdout.decode()
        self.assertIn(f"  sha384  {extended('sha384', bytes(4), b'late')}\n", out)
        self.assertRegex(out, r"\n +3 +3  EV_IPL +part +kernel_cmdline: root=/dev/vda\n +sha384:[0-9a-f]{96}\n")
        self.assertRegex(out, r"\n +2 +1  EV_ACTION +\+ data +late\n")

    def test_what_the_firmware_wrote_is_escaped(self):
        log = self.LOG + event(2, IPL, "\x9b31m \u202e".encode("utf-16-le"), "sha384")
        out = ctl("boot", "replay", "--events", "-", data=log).stdout.decode()
        self.assertIn("\\u009b31m \\u202e", out)

    def test_data_that_were_not_measured_are_a_refusal(self):
        log = self.LOG + event(1, ACTION, b"said", "sha384", of=b"done")
        got = self.refused(log, 1, "event 4", "not that of its data")
        self.assertIn(extended("sha256", bytes(4), b"late"), got.stdout.decode())
        self.assertEqual(self.replay(log, status=1)["untrue"], [4])
        self.replay(self.LOG + event(1, ACTION, b"said", "sha384"))

    def test_bytes_behind_the_end_are_a_refusal(self):
        self.refused(self.LOG + b"\xff\xff\xff\xff\3\0\0\0", 1, f"offset {len(self.LOG)}", "neither an event nor")

    def test_every_prefix_is_refused_or_replays_to_something_else(self):
        whole = self.replay(self.LOG)["registers"]
        refused = 0
        for n in range(0, len(self.LOG), 3):
            got = ctl("boot", "replay", "--json", "-", data=self.LOG[:n])
            if got.returncode == 0:
                self.assertNotEqual(json.loads(got.stdout)["registers"], whole, n)
            else:
                self.assertEqual((got.returncode, got.stdout), (2, b""), n)
                refused += 1
        self.assertGreater(refused, 100)

    def test_what_is_no_log_is_named(self):
        self.refused(b"", 2, "does not begin with an event")
        self.refused(b"\xff" * 100, 2, "does not begin with an event")
        self.refused(self.LOG[:-1], 2, "event 3 at offset", "cut short")
        self.refused(self.LOG.replace(b"\x0c\0\x30\0", b"\x0c\0\x31\0", 1), 2, "header of the event log")
        self.refused(self.LOG + event(0, NO_ACTION, b"StartupLocality\0\7", "sha384"), 2, "event 4", "StartupLocality")
        self.refused(bytes(16 * 1024 * 1024 + 1), 2, "over 16777216 bytes")

    def test_a_wrong_call(self):
        for words in (("boot",), ("boot", "show"), ("boot", "replay"), ("boot", "replay", "a", "b"),
                      ("boot", "replay", "--frob", "-"), ("boot", "replay", "/nonexistent/log")):
            got = ctl(*words)
            self.assertEqual((got.returncode, got.stdout), (2, b""), words)
            self.assertNotEqual(got.stderr, b"", words)
        for words in (("boot", "--help"), ("boot", "replay", "--help")):
            got = ctl(*words)
            self.assertEqual((got.returncode, got.stderr), (0, b""), words)
            self.assertIn(b"attestctl boot replay", got.stdout)


@unittest.skipUnless(SHARED.is_dir(), "no ../shared/vectors")
class Real(Boot):
    def setUp(self):
        known = json.loads((SHARED / "EXPECTED.json").read_text())
        self.known = {k: v for k, v in known.items() if v.get("kind") in ("ccel", "tcg-eventlog")}
        self.assertGreater(len(self.known), 80)

    def test_every_log_replays_as_is_known(self):
        for path, facts in self.known.items():
            with self.subTest(path):
                got = ctl("boot", "replay", "--json", "--events", SHARED / path)
                if facts["parse"] != "ok":
                    self.assertEqual(got.returncode, 2)
                    self.assertIn(f"at offset {facts['error_at']}: ".encode(), got.stderr)
                    continue
                shown = json.loads(got.stdout)
                # A verifier takes none with something else behind it.
                self.assertEqual(got.returncode, int(facts.get("tail_fill") == "other"))
                self.assertEqual(shown["count"], facts["events"])
                self.assertEqual(len(shown["events"]), facts["events"])
                self.assertEqual(shown["used"], facts["used_bytes"])
                self.assertEqual(shown["size"], facts["size"])
                self.assertEqual(shown["untrue"], [])
                self.assertEqual([a.replace("sm3_256", "sm3") for a in shown["algorithms"]], facts["algs"])
                registers = {name.lstrip("mpcr"): {bank: value for bank, value in banks.items() if bank != "sm3"}
                             for name, banks in facts["replay"].items()}
                self.assertEqual(shown["registers"], {k: v for k, v in registers.items() if v})

    def test_known_pcr_values(self):
        """PCRs that others say the machine had."""
        n = 0
        for sidecar in sorted((SHARED / "tpm").glob("eventlog-*.pcr.json")):
            shown = self.replay(sidecar.with_name(sidecar.name[:-len(".pcr.json")]).read_bytes())
            for bank, values in json.loads(sidecar.read_text()).items():
                for register, value in values.items() if not bank.startswith("_") else ():
                    self.assertEqual(shown["registers"][register][bank], value.lower())
                    n += 1
        self.assertGreater(n, 50)

    def test_show_knows_each(self):
        for path in list(self.known)[::8]:
            got = ctl("show", "--json", SHARED / path)
            self.assertEqual(got.returncode, 0 if self.known[path]["parse"] == "ok" else 2, path)
            if got.returncode == 0:
                self.assertEqual(json.loads(got.stdout)["kind"], "event-log", path)


if __name__ == "__main__":
    unittest.main()
