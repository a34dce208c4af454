# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mirror of the IMA log in an RTMR, over the simulator: test_mirror.py MIRROR-TOOL [unittest's arguments]

ATTESTD_TEST_LONG=yes kills it 500 times instead of 50; ATTESTD_TEST_SEED=n does so at
the same moments as another time.
"""

import fcntl
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402

private_guest.enter()

TOOL = sys.argv.pop(1)
MEASUREMENTS = pathlib.Path("/sys/class/misc/tdx_guest/measurements")
REGISTER = MEASUREMENTS / "rtmr3:sha384"
ZERO = bytes(48)
KILLS = 500 if os.environ.get("ATTESTD_TEST_LONG") == "yes" else 50
INVALID_ARGUMENT = 1
# Of one that follows the log, and whether it has extended by then: to find the place, to be sure, to see what it did.
TDREPORTS = False, False, True


def tdreport():
    request = bytearray(64 + 1024)
    with open("/dev/tdx_guest", "rb") as device:
        fcntl.ioctl(device, 0xC4405401, request)
    return bytes(request[64:])


def extended(value, digest):
    return hashlib.sha384(value + digest).digest()


class Answer:
    def __init__(self, line):
        words = line.split(" ", 5)
        self.returned, self.state, self.count, self.entries = words[0], words[1], int(words[2]), int(words[3])
        self.register, self.detail = bytes.fromhex(words[4]), words[5] if words[5] != "-" else ""


class Tool:
    """Log and mirror in a process of its own."""

    def __init__(self, register=3):
        self.process = subprocess.Popen([TOOL, str(register)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise EOFError(f"no answer to {text!r}")
        return line.rstrip("\n")

    def look(self):
        return Answer(self.ask("look"))

    def catch_up(self):
        return Answer(self.ask("catch-up"))

    def check(self):
        return Answer(self.ask("check"))

    def follow(self):
        self.look()
        return self.catch_up()

    def read(self, first):
        """How many pieces it took, and what is in them."""
        words = self.ask(f"read {first}").split(" ")
        content = bytes.fromhex(words[3])
        if len(content) != 48 * int(words[2]):
            raise AssertionError(f"{words[2]} of {len(content)} bytes")
        return int(words[1]), content

    def memory(self):
        return int(self.ask("memory").split(" ")[1])

    def kill(self):
        self.process.kill()
        self.end(-signal.SIGKILL)

    def end(self, status=0):
        self.process.stdin.close()
        found = self.process.wait()
        self.process.stdout.close()
        if found != status:
            raise AssertionError(f"it ended with {found}")


class Mirror(private_guest.GuestTest):
    guest_options = {"ima": True, "rtmr": True}

    def setUp(self):
        super().setUp()
        self.tools = []

    def tearDown(self):
        for tool in self.tools:
            if tool.process.poll() is None:
                tool.end()
        super().tearDown()

    def start(self, register=3):
        self.tools.append(Tool(register))
        return self.tools[-1]

    def register(self):
        """As TDREPORT has it."""
        return tdreport()[512 + 208 + 3 * 48:][:48]

    def aggregates(self):
        """Of every prefix of the log."""
        value, found = ZERO, [ZERO]
        for record in self.guest.ima.records():
            if record.pcr == 10:
                value = extended(value, record.extension("sha384"))
            found.append(value)
        return found

    def measure(self, *paths):
        for path in paths:
            self.assertTrue(self.guest.ima.measure(path))

    def check_whole(self, answer):
        """The register is the log, and is said to be."""
        self.assertEqual((answer.returned, answer.state, answer.detail), ("ok", "ok", ""))
        self.assertEqual(answer.count, len(self.guest.ima.records()))
        self.assertEqual(answer.register, self.guest.ima.aggregate("sha384"))
        self.assertEqual(self.register(), answer.register)

    def while_it_extends(self, tool, nth, command):
        """It catches up, and this happens when its nth extension is done, before it hears of that."""
        tee = self.guest.tee
        tee.command(f"registers hold write {nth}")
        tool.process.stdin.write("catch-up\n")
        tool.process.stdin.flush()
        tee.wait("held-calls")
        tee.command(command)
        tee.command("registers release")
        return Answer(tool.process.stdout.readline().rstrip("\n"))

    def writes(self):
        return sum(call.what == "extend" for call in self.guest.tee.witness())


class Following(Mirror):
    def test_the_register_is_the_aggregate_of_the_log(self):
        tool = self.start()
        self.check_whole(tool.follow())
        for i in range(5):
            self.measure(f"/usr/bin/{i}")
            self.check_whole(tool.follow())
        self.guest.ima.violation("/var/log/journal")
        self.measure("/usr/bin/after")
        self.check_whole(tool.follow())
        self.assertEqual(tool.check().returned, "ok")

    def test_it_has_read_what_it_wrote_by_tdreport(self):
        tool = self.start()
        tool.follow()
        self.assertIn("ioctl", [call.what for call in self.guest.tee.witness()])

    def test_entries_of_other_pcrs_extend_nothing(self):
        tool = self.start()
        self.check_whole(tool.follow())
        before = self.register()
        self.assertTrue(self.guest.ima.measure("/etc/other", pcr=11))
        self.check_whole(tool.follow())
        self.assertEqual(self.register(), before)
        self.measure("/usr/bin/next")
        self.assertTrue(self.guest.ima.measure("/etc/more", pcr=11))
        self.check_whole(tool.follow())

    def test_nothing_is_extended_before_it_is_asked_for(self):
        tool = self.start()
        tool.follow()
        self.measure("/usr/bin/held")
        before = self.register()
        tool.look()
        answer = tool.check()  # as at the end of a report
        self.assertEqual((answer.returned, answer.register, answer.entries - answer.count), ("ok", before, 1))
        self.assertEqual(self.register(), before)
        self.check_whole(tool.catch_up())

    def test_many_entries_at_once(self):
        tool = self.start()
        self.guest.ima.bulk(6000)  # more than are kept
        self.check_whole(tool.follow())
        self.assertEqual(self.writes(), 6001)

    def test_what_was_extended_can_be_had(self):
        self.measure("/a", "/b")
        self.guest.ima.measure("/c", pcr=11)
        self.guest.ima.violation("/d")
        tool = self.start()
        tool.follow()
        self.measure("/not/yet")
        tool.look()
        want = [r.extension("sha384") for r in self.guest.ima.records()[:-1] if r.pcr == 10]
        for first in 0, 2, 1, len(want):
            self.assertEqual(tool.read(first)[1], b"".join(want[first:]))
        self.assertRegex(tool.ask(f"read {len(want) + 1}"), f"^read error {INVALID_ARGUMENT} ")
        value = ZERO
        for digest in want:
            value = extended(value, digest)
        self.assertEqual(self.register(), value)

    def test_what_was_extended_comes_whole_in_pieces(self):
        # Much that extends nothing: pieces without an extension.
        self.measure("/a")
        for i in range(60):
            self.assertTrue(self.guest.ima.measure(f"/{i}", template="ima-buf", buffer=bytes(30000), pcr=11))
        self.guest.ima.bulk(3000)
        tool = self.start()
        self.check_whole(tool.follow())
        want = [r.extension("sha384") for r in self.guest.ima.records() if r.pcr == 10]
        size = len(self.guest.ima.log())
        for first in 0, 1, 2, 2900:
            before = self.guest.ima.stats()
            pieces, content = tool.read(first)
            after = self.guest.ima.stats()
            self.assertEqual(content, b"".join(want[first:]))
            self.assertGreater(pieces, size >> 18)  # no call takes long
            self.assertEqual(after["opens"] - before["opens"], 1)  # and there is one walk along the list
            self.assertLess(after["bytes"] - before["bytes"], size + 4096)

    def test_another_register(self):
        tool = self.start(2)
        self.assertEqual(tool.follow().returned, "foreign")  # firmware has extended it


class Restart(Mirror):
    def test_sc31b_nothing_is_extended_twice_by_the_next_one(self):
        self.measure("/a", "/b")
        tool = self.start()
        self.check_whole(tool.follow())
        n = self.writes()
        tool.kill()
        tool = self.start()
        self.check_whole(tool.follow())
        self.assertEqual(self.writes(), n)

        self.measure("/c")
        self.guest.ima.measure("/d", pcr=11)
        tool.kill()
        tool = self.start()
        self.check_whole(tool.follow())
        self.assertEqual(self.writes(), n + 1)

    def lag(self):
        """How many entries of the log the register does not have."""
        aggregates = self.aggregates()
        self.assertIn(self.register(), aggregates)
        return aggregates[::-1].index(self.register())

    def kill_in(self, call, nth):
        """One that follows the log, before it hears that its nth such call was done."""
        tee = self.guest.tee
        tee.command(f"registers hold {call} {nth}")
        tool = self.start()
        tool.process.stdin.write("look\ncatch-up\n")
        tool.process.stdin.flush()
        tee.wait("held-calls")
        tool.process.kill()  # which takes it when the kernel has answered
        tee.command("registers release")
        tool.end(-signal.SIGKILL)

    def test_sc31a_sc31b_killed_at_any_moment_the_register_is_a_prefix_of_the_log(self):
        # Nothing of it changes between its calls, so the moments are these: a TDREPORT or an extension
        # that the kernel has done, and that it has not heard of.
        seed = int(os.environ.get("ATTESTD_TEST_SEED", random.randrange(1 << 32)))
        print(f"ATTESTD_TEST_SEED={seed}", flush=True)
        draw = random.Random(seed)
        tool = self.start()
        self.check_whole(tool.follow())
        tool.end()
        left = 0  # entries that the register does not have

        for i in range(KILLS):
            n = draw.randrange(1, 40)
            left += n
            self.guest.ima.bulk(n, f"/usr/bin/{i}-")
            call, nth = draw.choice((("ioctl", draw.randint(1, len(TDREPORTS))), ("write", draw.randint(1, left))))
            self.kill_in(call, nth)
            left -= nth if call == "write" else left * TDREPORTS[nth - 1]
            self.assertEqual(self.lag(), left, f"kill {i}: {call} {nth}")
            if draw.random() < 0.5:
                tool = self.start()
                self.check_whole(tool.follow())
                tool.end()
                left = 0
        tool = self.start()
        self.check_whole(tool.follow())
        self.assertEqual(self.writes(), sum(r.pcr == 10 for r in self.guest.ima.records()))

    def test_two_at_once(self):
        self.measure("/a")
        first, second = self.start(), self.start()
        self.check_whole(first.follow())
        answer = second.follow()
        self.assertEqual((answer.returned, answer.detail), ("failed", "another attestd extends RTMR3"))
        self.measure("/b")
        self.check_whole(first.follow())
        self.assertEqual(second.follow().returned, "failed")
        n = self.writes()
        first.kill()
        self.check_whole(second.follow())
        self.assertEqual(self.writes(), n)

    def test_two_at_once_while_entries_come(self):
        # Each extends what the other has not, for the lock goes from one to the other.
        stop = threading.Event()

        def run():
            while not stop.is_set():
                tool = Tool()
                tool.follow()
                tool.kill()

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for i in range(60):
                self.guest.ima.bulk(3, f"/usr/bin/{i}-")
                self.assertIn(self.register(), self.aggregates())
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        tool = self.start()
        self.check_whole(tool.follow())
        self.assertEqual(self.writes(), len(self.guest.ima.records()))

    def test_sc32a_the_lock_of_one_that_is_gone_is_no_file(self):
        # The register's own attribute is what is locked: there is no file that could be in the way, or be torn.
        tool = self.start()
        tool.follow()
        opened = {os.readlink(p) for p in pathlib.Path(f"/proc/{tool.process.pid}/fd").iterdir()}
        written = {p for p in opened if p.startswith("/") and "securityfs" not in p and not p.startswith("/dev/null")}
        self.assertEqual({p for p in written if "rtmr" not in p and "measurements" not in p}, set(), opened)
        with REGISTER.open("r+b") as file, self.assertRaises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_sc32b_a_symbolic_link_in_the_way_is_not_followed(self):
        target = self.guest.directory / "target"
        target.write_bytes(b"")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", MEASUREMENTS], check=True)
        try:
            REGISTER.symlink_to(target)
            self.measure("/a")
            answer = self.start().follow()
        finally:
            subprocess.run(["umount", MEASUREMENTS], check=True)
        self.assertEqual(answer.returned, "failed")
        self.assertRegex(answer.detail, "^RTMR3 cannot be opened for extending: Too many levels of symbolic links$")
        self.assertEqual(target.read_bytes(), b"")
        self.check_whole(self.start().follow())


class Foreign(Mirror):
    def test_sc33a_a_foreign_extension_is_found_out_at_the_end_of_the_report(self):
        self.measure("/a")
        tool = self.start()
        self.check_whole(tool.follow())
        self.assertEqual(tool.check().returned, "ok")
        self.guest.tee.command("extend-foreign 3")
        for answer in tool.check(), tool.catch_up(), tool.follow():
            self.assertEqual((answer.returned, answer.state), ("foreign", "foreign"))
            self.assertEqual(answer.detail, "another program than attestd has extended RTMR3")

    def test_sc33a_a_foreign_extension_before_ours_is_found_out(self):
        tool = self.start()
        tool.follow()
        self.guest.tee.command("extend-foreign 3")
        n = self.writes()
        self.measure("/a")
        self.assertEqual(tool.follow().returned, "foreign")
        self.assertEqual(self.writes(), n)  # nothing more is put on top of it

    def test_sc33a_a_foreign_extension_while_we_extend_is_found_out(self):
        # The kernel cannot compare and extend at once: somebody extends between our look and our writes.
        tool = self.start()
        self.guest.ima.bulk(900)
        tool.look()
        self.assertEqual(self.while_it_extends(tool, 450, "extend-foreign 3").returned, "foreign")
        self.assertNotIn(self.register(), self.aggregates())
        self.assertEqual(tool.check().returned, "foreign")

    def test_sc33a_the_next_one_finds_it_out_too(self):
        self.measure("/a")
        tool = self.start()
        tool.follow()
        self.guest.tee.command("extend-foreign 3")
        tool.kill()
        answer = self.start().follow()
        self.assertEqual((answer.returned, answer.count), ("foreign", 0))
        self.assertRegex(answer.detail, "^RTMR3 is no part of the log: ")

    def test_a_register_that_is_not_zero_at_the_start_of_the_log(self):
        self.guest.tee.command("extend-foreign 3")
        self.measure("/a")
        tool = self.start()
        self.assertEqual(tool.follow().returned, "foreign")
        self.assertEqual(self.writes(), 0)

    def test_the_cache_of_sysfs_hides_nothing(self):
        tool = self.start()
        tool.follow()
        REGISTER.read_bytes()
        self.guest.tee.command("extend-foreign 3")
        self.assertEqual(REGISTER.read_bytes(), tool.look().register)  # as old as that
        self.assertEqual(tool.check().returned, "foreign")


class Faults(Mirror):
    def test_a_write_that_fails_is_named_and_made_later(self):
        for name, sentence in (("EIO", "Input/output error"), ("EINVAL", "Invalid argument"),
                               ("EACCES", "Permission denied"), ("ENODEV", "No such device")):
            with self.subTest(name):
                tool = self.start()
                tool.follow()
                self.measure(f"/{name}")
                self.guest.tee.command(f"registers write {name}")
                answer = tool.follow()
                self.assertEqual((answer.returned, answer.state), ("failed", "failed"))
                self.assertEqual(answer.detail, f"RTMR3 cannot be extended: {sentence}")
                self.assertEqual(tool.catch_up().returned, "failed")
                self.guest.tee.command("registers well")
                self.check_whole(tool.catch_up())
                tool.end()

    def test_a_register_that_cannot_be_read_is_named(self):
        tool = self.start()
        self.measure("/a")
        self.guest.tee.command("registers ioctl EIO")
        answer = tool.follow()
        self.assertEqual(answer.returned, "failed")
        self.assertRegex(answer.detail, "^RTMR3 cannot be read: .*Input/output error$")
        self.assertEqual(self.writes(), 0)
        self.guest.tee.command("registers well")
        self.check_whole(tool.follow())

        self.guest.tee.command("registers ioctl EIO")
        self.assertEqual(tool.check().returned, "failed")
        self.guest.tee.command("registers well")
        self.assertEqual(tool.check().returned, "ok")
        self.check_whole(tool.catch_up())

    def test_a_look_that_fails_after_a_write_loses_nothing(self):
        tool = self.start()
        self.check_whole(tool.follow())
        self.measure("/a", "/b", "/c")
        tool.look()
        answer = self.while_it_extends(tool, 2, "registers ioctl EIO")
        self.assertEqual(answer.returned, "failed")
        self.assertRegex(answer.detail, "^RTMR3 cannot be read: .*Input/output error$")
        self.assertEqual(tool.catch_up().returned, "failed")
        self.measure("/d")
        tool.look()
        self.guest.tee.command("registers well")
        self.check_whole(tool.catch_up())
        self.assertEqual(self.writes(), len(self.guest.ima.records()))

    def test_sc33a_a_foreign_extension_behind_one_that_nobody_has_looked_at_is_found_out(self):
        tool = self.start()
        self.check_whole(tool.follow())
        self.measure("/a", "/b")
        tool.look()
        self.assertEqual(self.while_it_extends(tool, 1, "registers ioctl EIO").returned, "failed")
        self.guest.tee.command("extend-foreign 3")
        self.guest.tee.command("registers well")
        self.assertEqual(tool.catch_up().returned, "foreign")

    def test_a_log_that_comes_late_is_still_found(self):
        self.measure("/a", "/b")
        tool = self.start()
        self.check_whole(tool.follow())
        tool.kill()
        self.guest.ima.deny()
        tool = self.start()
        self.assertEqual(tool.follow().returned, "foreign")  # of no log at all
        self.guest.ima.allow()
        self.check_whole(tool.follow())


class Late(Mirror):
    """The kernel's registers come when attestd runs already, and go meanwhile."""

    is_hidden = False

    def hide(self):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", MEASUREMENTS], check=True)
        self.is_hidden = True

    def show(self):
        subprocess.run(["umount", MEASUREMENTS], check=True)
        self.is_hidden = False

    def tearDown(self):
        if self.is_hidden:
            self.show()
        super().tearDown()

    def test_nothing_is_kept_while_there_is_no_register_and_all_is_extended_when_it_comes(self):
        self.hide()
        tool = self.start()
        self.guest.ima.bulk(1000, "/usr/bin/first-")
        self.assertEqual(tool.follow().returned, "absent")
        before = tool.memory()
        for i in range(3):
            self.guest.ima.bulk(3000, f"/usr/bin/{i}-")
            self.guest.ima.measure(f"/{i}", pcr=11)
            self.assertEqual(tool.follow().returned, "absent")
        self.assertLess(tool.memory() - before, 9000 * 8)
        self.show()
        self.check_whole(tool.follow())
        self.measure("/last")
        self.check_whole(tool.follow())
        self.assertEqual(self.writes(), 10002)

    def test_what_came_while_it_was_gone_is_extended_once(self):
        self.measure("/a", "/b")
        tool = self.start()
        self.check_whole(tool.follow())
        self.measure("/c")
        self.guest.tee.command("registers write ENODEV")
        self.assertEqual(tool.follow().returned, "failed")
        self.hide()
        self.measure("/d")
        self.guest.ima.measure("/e", pcr=11)
        self.assertEqual(tool.follow().returned, "absent")
        self.measure("/f")
        self.assertEqual(tool.follow().returned, "absent")
        self.guest.tee.command("registers well")
        self.show()
        self.check_whole(tool.follow())
        self.measure("/g")
        self.check_whole(tool.follow())
        self.assertEqual(self.register(), self.aggregates()[-1])

    def test_what_was_written_as_it_went_is_not_extended_again(self):
        tool = self.start()
        self.check_whole(tool.follow())
        self.measure("/a", "/b", "/c")
        tool.look()
        self.assertEqual(self.while_it_extends(tool, 2, "registers gone").returned, "failed")
        self.hide()
        self.measure("/d")
        for _ in range(2):
            self.assertEqual(tool.follow().returned, "absent")
        self.guest.tee.command("registers well")
        self.show()
        self.check_whole(tool.follow())

    def test_a_look_that_fails_in_a_list_that_is_read_again_loses_nothing(self):
        self.hide()
        tool = self.start()
        self.measure("/a", "/b", "/c")
        self.assertEqual(tool.follow().returned, "absent")
        self.show()
        self.assertEqual(self.while_it_extends(tool, 2, "registers ioctl EIO").returned, "failed")
        self.guest.tee.command("registers well")
        self.check_whole(tool.catch_up())
        self.assertEqual(self.writes(), len(self.guest.ima.records()))

    def test_a_list_that_cannot_be_read_again_is_named(self):
        self.hide()
        tool = self.start()
        self.measure("/a")
        self.assertEqual(tool.follow().returned, "absent")
        self.guest.ima.deny()
        self.show()
        answer = tool.catch_up()
        self.assertEqual(answer.returned, "failed")
        self.assertRegex(answer.detail, "^the log cannot be read again for RTMR3: .* cannot be read: Permission denied$")
        self.assertEqual(self.writes(), 0)
        self.guest.ima.allow()
        self.check_whole(tool.catch_up())

    def test_a_list_that_is_garbled_by_then_extends_nothing_that_it_should_not(self):
        self.hide()
        tool = self.start()
        self.measure("/a", "/b")
        self.assertEqual(tool.follow().returned, "absent")
        self.guest.ima.garble("data")
        self.show()
        answer = tool.catch_up()
        self.assertEqual(answer.returned, "failed")
        self.assertRegex(answer.detail, "^the log cannot be read again for RTMR3: ")
        self.assertEqual(self.writes(), 0)
        self.guest.ima.garble("none")
        self.check_whole(tool.catch_up())
        self.assertEqual(self.writes(), 3)


class Without(private_guest.GuestTest):
    guest_options = {"ima": True}

    def test_a_kernel_that_cannot_extend(self):
        tool = Tool()
        answer = tool.follow()
        self.assertEqual((answer.returned, answer.count), ("absent", 0))
        self.assertEqual(answer.detail, "this kernel cannot extend RTMR3: it takes a TD and Linux 6.16 or later")
        self.assertEqual(tool.check().returned, "absent")
        tool.end()


if __name__ == "__main__":
    unittest.main(verbosity=2)
