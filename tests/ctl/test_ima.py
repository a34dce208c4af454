# SPDX-License-Identifier: LGPL-2.1-or-later
"""attestctl ima replay: over lists made here, and, where ../shared/vectors is beside the tree, over those of
real machines with what is known of them, and beside evmctl."""
import hashlib
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["SOURCE_ROOT"])
ATTESTCTL = os.environ["ATTESTCTL"]
SHARED = ROOT.parent / "shared" / "vectors"
BANKS = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
YES, NO, USAGE = 0, 1, 2

sys.path.insert(0, str(ROOT / "tests" / "bench"))
import ima_log  # noqa: E402


def replay(*arguments, stdin=b""):
    return subprocess.run([ATTESTCTL, "ima", "replay", *map(str, arguments)], input=stdin, capture_output=True,
                          timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})


def replayed(path, *options, stdin=b""):
    got = replay("--json", *options, path, stdin=stdin)
    if got.returncode != YES:
        raise AssertionError(f"{path}: {got.stderr.decode()}")
    return json.loads(got.stdout)


def aggregate_of(records, bank, listed="sha1"):
    """PCR 10 after these records, of templates with data, by Python's hashes."""
    size = BANKS[listed]
    pcr = bytes(BANKS[bank])
    for r in records:
        name_size = struct.unpack_from("<I", r, 4 + size)[0]
        data = r[4 + size + 4 + name_size + 4:]
        value = hashlib.new(bank, data).digest() if any(r[4:4 + size]) else b"\xff" * BANKS[bank]
        if struct.unpack_from("<I", r)[0] == 10:
            pcr = hashlib.new(bank, pcr + value).digest()
    return pcr.hex()


class Replay(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="attestd-")
        self.addCleanup(self.dir.cleanup)

    def file(self, data, name="list"):
        path = Path(self.dir.name) / name
        path.write_bytes(data)
        return path

    def refuse(self, pattern, *arguments, status=NO, stdin=b""):
        got = replay(*arguments, stdin=stdin)
        self.assertEqual((got.returncode, got.stdout), (status, b""), got.stderr)
        self.assertRegex(got.stderr.decode(), pattern)
        self.assertEqual(got.stderr.count(b"\n"), 1)


class Made(Replay):
    def records(self, bank="sha1"):
        return [ima_log.entry("boot_aggregate", bank=bank), ima_log.entry("/usr/bin/true", bank=bank),
                ima_log.entry("/tmp/v", bank=bank, violation=True), ima_log.entry("/other", bank=bank, pcr=11),
                ima_log.entry("/usr/bin/false", bank=bank)]

    def test_every_bank_of_every_list(self):
        for listed in BANKS:
            records = self.records(listed)
            path = self.file(b"".join(records))
            for bank in BANKS:
                with self.subTest(listed=listed, bank=bank):
                    expected = {"listed": listed, "entries": 5, "violations": 1, "bank": bank,
                                "boot_aggregate": "sha256:" + hashlib.sha256(b"boot_aggregate").hexdigest(),
                                "aggregate": aggregate_of(records, bank, listed)}
                    self.assertEqual(replayed(path, "--bank", bank), expected)
                    self.assertEqual(replayed("-", "--bank", bank, stdin=path.read_bytes()), expected)
                    self.assertEqual(replayed(path, "--bank", bank, "--listed", listed), expected)

    def test_as_text(self):
        records = self.records()
        got = replay(self.file(b"".join(records)))
        self.assertEqual(got.returncode, YES)
        self.assertRegex(got.stdout.decode(), r"(?m)^entries +5$")
        self.assertRegex(got.stdout.decode(), rf"(?m)^aggregate +{aggregate_of(records, 'sha256')}$")

    def test_count_is_a_prefix(self):
        records = self.records()
        path = self.file(b"".join(records) + b"what is behind does not matter")
        for n in range(6):
            got = replayed(path, "--count", n, "--listed", "sha1")
            self.assertEqual((got["entries"], got["aggregate"]), (n, aggregate_of(records[:n], "sha256")))
        self.refuse("has 5 entries, not 6", "--count", 6, self.file(b"".join(records)))

    def test_an_empty_list_has_no_entries(self):
        got = replayed(self.file(b""))
        self.assertEqual(got, {"listed": None, "entries": 0, "violations": 0, "boot_aggregate": None,
                               "bank": "sha256", "aggregate": "00" * 32})

    def test_violations_alone_do_not_hide_the_bank(self):
        for listed in BANKS:
            records = [ima_log.entry(f"/tmp/{i}", bank=listed, violation=True) for i in range(3)]
            got = replayed(self.file(b"".join(records)))
            self.assertEqual((got["listed"], got["violations"]), (listed, 3))
            records.append(ima_log.entry("/bin/a", bank=listed))
            self.assertEqual(replayed(self.file(b"".join(records)))["listed"], listed)

    def test_what_is_wrong_is_named(self):
        records = self.records()
        log = b"".join(records)
        second = len(records[0])
        wrong = bytearray(log)
        wrong[second + 4] ^= 1
        name = bytearray(log)
        name[second + 28] ^= 1
        pcr = bytearray(log)
        pcr[second + 1] = 1
        self.refuse(rf"entry 1, at byte {second}: .*sha1 of the template data", self.file(wrong))
        self.refuse(rf"entry 1, at byte {second}: template hma-sig is not known", self.file(name))
        self.refuse(rf"entry 1, at byte {second}: PCR 266", self.file(pcr))
        self.refuse(r"ends within entry 4, which begins at", self.file(log[:-1]))
        self.refuse(r"list of no bank", self.file(b"\xff" * 200))
        self.refuse(r"ends within entry 0", self.file(log[:20]))
        self.refuse(r"entry 0, at byte 0: .*sha1 of the template data", self.file(log[:4] + b"x" + log[5:]))
        self.refuse(r"entry 0", self.file(log), "--listed", "sha256")

    def test_the_list_in_text_is_refused_by_name(self):
        line = b"10 " + b"ab" * 20 + b" ima-ng sha256:" + b"cd" * 32 + b" boot_aggregate\n"
        self.refuse("in text.*give binary_runtime_measurements", self.file(line))
        self.refuse("in text", self.file(b" " + line))

    def test_the_list_of_a_bank_without_a_hash_is_refused_by_name(self):
        for size in 32, 48, 64:
            sha1 = ima_log.entry("boot_aggregate")
            self.refuse("SHA-1 and zeros", self.file(sha1[:24] + bytes(size - 20) + sha1[24:]))

    def test_wrong_calls(self):
        path = self.file(b"")
        for arguments in ((), (path, path), ("--bank", "sha3", path), ("--listed", "md5", path), ("--count", "-2", path),
                          ("--count", "x", path), ("--pcr", "10", path), (self.dir.name,), (path / "none",),
                          (path.with_name("none"),)):
            self.refuse("attestctl", *arguments, status=USAGE)
        for arguments in ("ima",), ("ima", "extend"), ("ima", "--frobnicate"):
            got = subprocess.run([ATTESTCTL, *arguments], capture_output=True)
            self.assertEqual((got.returncode, got.stdout), (USAGE, b""))
            self.assertIn(b"attestctl ima --help", got.stderr)

    def test_one_byte_changes_are_refused_or_show(self):
        """One flip in each part of a record; tests/crypto has every byte of many logs."""
        records = self.records()
        log = b"".join(records)
        good = replayed(self.file(log))
        at = [len(b"".join(records[:i])) for i in range(5)]
        for begin in at[1], at[4]:
            for part in 0, 3, 4, 23, 24, 28, 34, 35, 39, 40, 50, 80, 85, 90, -1:
                with self.subTest(begin=begin, part=part):
                    place = len(log) - 1 if part < 0 else begin + part
                    got = replay("--json", self.file(log[:place] + bytes([log[place] ^ 1]) + log[place + 1:]))
                    if got.returncode == YES:  # the number of the PCR: one entry less in PCR 10
                        self.assertEqual(part, 0)
                        self.assertNotEqual(json.loads(got.stdout)["aggregate"], good["aggregate"])
        # No hash covers a violation's path, nor which other register an entry of another one is in.
        for place in at[3] - 6, at[3]:
            got = replayed(self.file(log[:place] + bytes([log[place] ^ 4]) + log[place + 1:]))
            self.assertEqual(got, good)


class Long(Replay):
    def test_a_long_list_through_a_pipe_needs_little_memory(self):
        n = 600000  # 77 MB, more than may be kept
        generator = subprocess.Popen([sys.executable, ROOT / "tests" / "bench" / "ima_log.py", str(n), "/dev/stdout"],
                                     stdout=subprocess.PIPE)
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen([ATTESTCTL, "ima", "replay", "--json", "-"], stdin=generator.stdout, stdout=out)
            generator.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            got = json.load(out)
        self.assertEqual((generator.wait(), process.returncode, got["entries"]), (0, YES, n))
        self.assertLess(usage.ru_maxrss, 64 << 10)

    def test_a_terminal_sees_how_far_it_is(self):
        main, other = pty.openpty()
        process = subprocess.Popen([ATTESTCTL, "ima", "replay", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=other)
        os.close(other)
        seen = b""
        written = 0
        chunk = b"".join(ima_log.entries(20000))
        while b"entries" not in seen and written < 4000 << 20:
            process.stdin.write(chunk if written == 0 else rest)
            written += len(chunk)
            rest = chunk[len(ima_log.entry("boot_aggregate")):]
            while select.select([main], [], [], 0)[0]:
                seen += os.read(main, 4096)
        process.stdin.close()
        out = process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(), YES)
        os.close(main)
        self.assertRegex(seen, rb"^\r\d+ entries, \d+ MiB")
        self.assertIn(b"aggregate", out)


def ascii_record(line):
    """A line of ascii_runtime_measurements as the record that it tells of."""
    pcr, listed, template, rest = line.strip().split(b" ", 3)
    digest, _, rest = rest.partition(b" ")
    algorithm, _, value = digest.rpartition(b":")
    data = ima_log.digest_field(bytes.fromhex(value.decode()), algorithm.decode())
    path, more = rest, None
    if template in (b"ima-sig", b"ima-buf"):
        path, _, last = rest.rpartition(b" ")
        if not path or not re.fullmatch(rb"([0-9a-f]{2})*", last):
            path, last = rest.rstrip(b" "), b""
        more = bytes.fromhex(last.decode())
    data += ima_log.field(path + b"\0") + (b"" if more is None else ima_log.field(more))
    return struct.pack("<I", int(pcr)) + bytes.fromhex(listed.decode()) + ima_log.field(template) + ima_log.field(data)


@unittest.skipUnless(SHARED.is_dir(), "no ../shared/vectors")
class Vectors(Replay):
    @classmethod
    def setUpClass(cls):
        everything = json.loads((SHARED / "EXPECTED.json").read_text())
        cls.logs = {k: v for k, v in everything.items() if v.get("kind") == "ima-log"}

    def check(self, path, expected):
        if expected["problems"]:
            self.refuse(r"entry \d+|list of no bank", path)
            return 0
        for bank, value in expected["replay"].get("pcr10", {}).items():
            if bank in BANKS:
                got = replayed(path, "--bank", bank)
                self.assertEqual((got["aggregate"], got["entries"], got["violations"]),
                                 (value, expected["entries"], expected["violations"]))
                self.assertEqual(BANKS[got["listed"]], expected["template_hash_bytes"])
                if "boot_aggregate" in expected:
                    self.assertEqual(got["boot_aggregate"], expected["boot_aggregate"])
        return 1

    def test_binary_lists_replay_as_expected(self):
        good = 0
        for name, expected in self.logs.items():
            if expected["format"] == "binary":
                with self.subTest(name):
                    good += self.check(SHARED / name, expected)
        self.assertGreaterEqual(good, 13)

    def test_lists_in_text_are_refused_and_replay_as_expected_once_they_are_binary(self):
        good = 0
        for name, expected in self.logs.items():
            if expected["format"] == "ascii":
                with self.subTest(name):
                    text = (SHARED / name).read_bytes()
                    self.refuse("in text", SHARED / name)
                    records = [ascii_record(line) for line in text.split(b"\n") if line.strip()]
                    self.assertEqual(len(records), expected["entries"])
                    good += self.check(self.file(b"".join(records)), expected)
        self.assertGreaterEqual(good, 20)

    def test_registers_of_machines_whose_log_it_is(self):
        for folder, file, n in (("ima-own/sig-sha256", "pcrs.txt", 20), ("ima-own/ngv2-sha384", "pcrs.txt", 20),
                                ("ima-own/sigv2-critical-data", "pcrs.txt", 21), ("tpm-own/ima", "pcrs.txt", 7),
                                ("tpm-own/ima", "pcrs-at-quote.txt", 5)):
            for line in (SHARED / folder / file).read_text().splitlines():
                bank, index, value = line.split()
                if index == "10":
                    for listed in "sha1", "sha256", "sha384":
                        got = replayed(SHARED / folder / f"binary_runtime_measurements_{listed}", "--bank", bank,
                                       "--count", n)
                        self.assertEqual((got["aggregate"], got["listed"]), (value, listed))
        got = replayed(SHARED / "ima-own" / "sig-no-tpm" / "binary_runtime_measurements_sha1")
        self.assertEqual((got["entries"], got["violations"], got["boot_aggregate"]), (21, 1, "sha256:" + "00" * 32))

    def test_damaged_lists_are_refused_where_they_are_damaged(self):
        for name, expected in self.logs.items():
            if "derived-bad" in name:
                where = expected["mismatch_indexes"][0] if expected["mismatch_indexes"] else expected["entries"]
                self.refuse(rf"entry {where}\b", SHARED / name)


class BesideEvmctl(Replay):
    """What evmctl says of the registers that we compute: it takes lists of SHA-1, and two banks."""

    def agrees(self, path, bank, aggregate):
        value = " ".join(re.findall("..", aggregate))
        pcrs = self.file("".join(f"PCR-{i:02}: {value if i == 10 else '00'}\n" for i in range(24)).encode(), "pcrs")
        got = subprocess.run(["evmctl", "ima_measurement", "--ignore-violations", "--pcrs", f"{bank},{pcrs}", path], capture_output=True,
                             timeout=60)
        return got.returncode == 0 and b"Matched per TPM bank calculated digest" in got.stdout + got.stderr

    def both(self, path):
        for bank in "sha1", "sha256":
            aggregate = replayed(path, "--bank", bank)["aggregate"]
            other = f"{int(aggregate[0], 16) ^ 1:x}{aggregate[1:]}"
            self.assertTrue(self.agrees(path, bank, aggregate), (path, bank))
            self.assertFalse(self.agrees(path, bank, other), (path, bank))

    def test_lists_made_here(self):
        self.both(self.file(b"".join(ima_log.entries(500))))
        self.both(self.file(b"".join([ima_log.entry("boot_aggregate"), ima_log.entry("/v", violation=True)])))
        self.both(self.file(b"".join([ima_log.legacy("boot_aggregate"), ima_log.legacy("/bin/sh")])))

    @unittest.skipUnless(SHARED.is_dir(), "no ../shared/vectors")
    def test_lists_of_real_machines(self):
        n = 0
        everything = json.loads((SHARED / "EXPECTED.json").read_text())
        # It reads no format strings, and of one violation alone it matches any value.
        not_taken = "all-templates", "ima-sha1-invalidated"
        paths = [SHARED / k for k, v in everything.items() if v.get("kind") == "ima-log" and v["format"] == "binary" and
                 not v["problems"] and v["template_hash_bytes"] == 20 and not any(n in k for n in not_taken)]
        paths += [p for folder in ("ima-own", "tpm-own") for p in (SHARED / folder).rglob("*_sha1")]
        for path in paths:
            with self.subTest(path=path):
                self.both(path)
                n += 1
        self.assertGreaterEqual(n, 12)


if __name__ == "__main__":
    unittest.main()
