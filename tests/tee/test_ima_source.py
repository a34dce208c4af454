# SPDX-License-Identifier: LGPL-2.1-or-later
"""The IMA source over the simulator's files: test_ima_source.py IMA-TOOL [unittest's arguments]

The simulator shows the lists page by page and new records to a descriptor at the end,
as the kernel does; the aggregates are checked by an independent replay."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402

private_guest.enter()

TOOL = sys.argv.pop(1)
INVALID_ARGUMENT, FAILED = 1, 0


class Look:
    def __init__(self, words):
        self.changed, self.state, self.listed = words[0] == "1", words[1], words[4]
        self.entries, self.violations = int(words[2]), int(words[3])
        self.aggregate, self.us, self.new = bytes.fromhex(words[5]), int(words[6]), int(words[7])
        self.detail = "" if words[8] == "-" else " ".join(words[8:])


class Base(private_guest.GuestTest):
    guest_options = {"ima": True}

    def setUp(self):
        super().setUp()
        self.tool = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)

    def end(self):
        if self.tool.stdin:
            self.tool.stdin.close()
            self.assertEqual(self.tool.wait(timeout=private_guest.DEADLINE), 0)
            self.tool.stdout.close()
            self.tool.stdin = None

    def ask(self, line):
        self.tool.stdin.write(line + "\n")
        self.tool.stdin.flush()
        return self.tool.stdout.readline().split()

    def look(self):
        words = self.ask("look")
        self.assertEqual(words[0], "look")
        return Look(words[1:])

    def read(self, first, last):
        words = self.ask(f"read {first} {last}")
        if words[0] == "error":
            return int(words[1]), " ".join(words[2:])
        return int(words[1]), b"" if words[2] == "-" else bytes.fromhex(words[2])

    def good(self, entries=None):
        """A look that finds all well, and what the independent replay finds."""
        got = self.look()
        self.assertEqual((got.state, got.detail), ("ok", ""))
        self.assertEqual(got.aggregate, self.guest.ima.aggregate("sha256"))
        self.assertEqual((got.entries, got.violations), tuple(self.guest.ima.stats()[k] for k in ("count", "violations")))
        if entries is not None:
            self.assertEqual(got.entries, entries)
        return got

    def bad(self, state, pattern):
        got = self.look()
        self.assertTrue(got.changed)
        self.assertEqual(got.state, state, got.detail)
        self.assertRegex(got.detail, pattern)
        again = self.look()
        self.assertFalse(again.changed)
        self.assertEqual((again.state, again.detail), (state, got.detail))
        return got


class Grows(Base):
    def test_entries_of_every_template_and_violations_as_they_come(self):
        self.assertTrue(self.good(1).changed)
        self.assertFalse(self.look().changed)
        for template in "ima-sig", "ima-ng", "ima-ngv2", "ima-sigv2", "ima-buf", "ima-modsig", "evm-sig", "ima":
            digest = b"\1" * 20 if template == "ima" else None
            self.guest.ima.measure(f"/usr/bin/{template}", digest=digest, template=template)
            self.assertEqual(self.good().new, 1)
        self.guest.ima.violation("/tmp/v")
        self.guest.ima.measure("/tmp/v", b"content")
        self.guest.ima.measure("/elsewhere", pcr=11)
        got = self.good(12)
        self.assertEqual((got.new, got.violations), (3, 1))

    def test_without_a_tpm_only_sha1_is_listed_and_read(self):
        self.assertEqual(self.good(1).listed, "sha1")

    def test_nothing_is_read_twice_and_nothing_when_nothing_is_new(self):
        self.guest.ima.bulk(3000)
        self.good(3001)
        before = self.guest.ima.stats()
        for _ in range(5):
            self.look()
        self.assertEqual(self.guest.ima.stats(), before)
        self.guest.ima.measure("/usr/bin/one-more")
        self.assertEqual(self.look().new, 1)
        after = self.guest.ima.stats()
        self.assertEqual(after["opens"], before["opens"])
        self.assertLess(after["bytes"] - before["bytes"], 200)

    def test_one_read_finds_one_entry(self):
        # The kernel walks along the list for each: a second one would find nothing.
        self.guest.ima.bulk(100)
        self.good(101)
        for i in range(3):
            before = self.guest.ima.stats()["reads"]
            self.guest.ima.measure(f"/usr/bin/{i}")
            self.assertEqual(self.look().new, 1)
            self.assertEqual(self.guest.ima.stats()["reads"], before + 1)

    def test_nothing_is_read_for_an_entry_that_was_there_before_it_was_counted(self):
        self.guest.ima.measure("/usr/bin/early")
        self.guest.ima.command("count", 1)
        self.assertEqual(self.look().entries, 2)
        self.guest.ima.command("count", 2)
        before = self.guest.ima.stats()["reads"]
        self.assertFalse(self.look().changed)
        self.assertEqual(self.guest.ima.stats()["reads"], before)
        self.guest.ima.measure("/usr/bin/next")
        self.assertEqual(self.look().new, 1)
        self.guest.ima.command("count", 2)
        self.bad("history-lost", "counted 3 before")

    def test_ranges_are_those_of_the_list(self):
        self.guest.ima.bulk(5000)
        self.good(5001)
        log = self.guest.ima.log("sha1")
        self.assertEqual(self.read(0, 5001), (5001, log))
        self.assertEqual(self.read(5001, 5001), (0, b""))
        sizes = [len(r.data) + 4 + 20 + 4 + len(r.template) + 4 for r in self.guest.ima.records()]
        for first, last in (0, 1), (1, 5001), (1023, 1026), (2048, 2049), (5000, 5001):
            self.assertEqual(self.read(first, last), (last - first, log[sum(sizes[:first]):sum(sizes[:last])]))
        self.assertEqual(self.read(0, 5002)[0], INVALID_ARGUMENT)
        self.assertEqual(self.good(5001).new, 0)


class WithTpm(Base):
    guest_options = {"ima": True, "tpm": True}

    def test_the_list_of_sha256_is_read_and_equals_the_register(self):
        self.guest.ima.measure("/usr/bin/true")
        self.guest.ima.violation("/tmp/v")
        got = self.good(3)
        self.assertEqual(got.listed, "sha256")
        self.assertEqual(got.aggregate, self.guest.tpm.read(10, "sha256"))


class States(Base):
    def test_absent_and_there_again(self):
        self.guest.ima.absent()
        got = self.look()
        self.assertEqual(got.state, "absent")
        self.assertIn("no IMA log", got.detail)
        self.guest.ima.present()
        self.good(1)

    def test_denied_and_allowed_again(self):
        for name in "EACCES", "EBUSY", "EPERM":
            with self.subTest(name):
                self.end()
                self.setUp_tool()
                self.guest.ima.deny(name)
                self.bad("unreadable", "^/sys/kernel/security/ima/")
                self.guest.ima.allow()
                self.good()

    def setUp_tool(self):
        self.tool = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def test_garbled(self):
        for number, what in enumerate(("digest", "data", "length", "template", "pcr")):
            with self.subTest(what):
                self.end()
                self.setUp_tool()
                self.guest.ima.measure(f"/usr/bin/{what}")
                self.guest.ima.garble(what)
                self.bad("garbled", rf"entry {number + 1}")
                self.guest.ima.garble("none")

    def test_garbled_while_it_was_read(self):
        self.good(1)
        self.guest.ima.measure("/usr/bin/a")
        self.guest.ima.garble("digest")
        got = self.bad("garbled", "entry 1, at byte")
        self.assertEqual(got.entries, 1)
        before = self.guest.ima.stats()  # not read again and again
        self.look()
        self.assertEqual(self.guest.ima.stats(), before)

    def test_cut(self):
        self.guest.ima.measure("/usr/bin/a")
        self.guest.ima.cut(5)
        self.bad("garbled", "ends within entry 1")
        self.guest.ima.cut(0)
        self.guest.ima.measure("/usr/bin/b")
        self.assertEqual(self.good(3).new, 2)

    def test_sc16f_its_head_trimmed(self):
        for keep_count in False, True:
            with self.subTest(keep_count=keep_count):
                self.end()
                self.setUp_tool()
                self.guest.ima.bulk(10, f"/usr/bin/{keep_count}-")
                if not keep_count:
                    self.good()
                    self.guest.ima.trim(2)
                    self.bad("history-lost", "counted")
                else:  # before the start
                    self.bad("history-lost", "begin with boot_aggregate")
                self.assertEqual(self.read(0, 1)[0], FAILED)

    def test_sc16f_its_head_trimmed_and_the_count_kept(self):
        self.guest.ima.bulk(10)
        self.good(11)
        self.guest.ima.trim(2, keep_count=True)
        self.assertEqual(self.read(0, 11)[0], FAILED)
        self.bad("history-lost", "lost its head")
        self.guest.ima.measure("/usr/bin/later")
        self.assertFalse(self.look().changed)

    def test_shrunk(self):
        self.guest.ima.bulk(10)
        self.good(11)
        self.guest.ima.shrink(1)
        self.bad("history-lost", "counted 11 before")


if __name__ == "__main__":
    unittest.main(verbosity=2)
