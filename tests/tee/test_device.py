# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tee layer over the simulator: test_device.py TEE-TOOL [unittest's arguments]

What the device was asked, the simulator's witness tells; every test ends with the
questions of Base.tearDown().
"""

import ctypes
import os
import pathlib
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402

private_guest.enter()

TOOL = sys.argv.pop(1)
REPORT = pathlib.Path("/sys/kernel/config/tsm/report")
PATIENCE = private_guest.DEADLINE

FAILED, BAD_DATA, TOO_LARGE, NO_TEE, DEVICE_LOST, DEVICE_BUSY = 0, 3, 4, 6, 7, 8
TRIES = 3
REPORT_DATA_AT = {"tdx_guest": 48 + 520, "sev_guest": 0x50}
QUOTE_MAX = 128 * 1024
NOT_DUE = 1_000_000
SYS_TGKILL = 234  # x86-64, where alone TEEs of these kinds are


class Lines:
    """Lines from a descriptor, each with a limit of patience."""

    def __init__(self, fd):
        self.fd, self.rest, self.selector = fd, b"", selectors.DefaultSelector()
        self.selector.register(fd, selectors.EVENT_READ)

    def next(self, patience=PATIENCE):
        until = time.monotonic() + patience
        while b"\n" not in self.rest:
            if not self.selector.select(max(until - time.monotonic(), 0)):
                raise TimeoutError("no line")
            data = os.read(self.fd, 65536)
            if not data:
                raise EOFError("the end")
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


class Answer:
    def __init__(self, words):
        self.report_data, self.kind = bytes.fromhex(words[0]), words[1]
        self.ok = self.kind == "ok"
        if self.ok:
            self.provider, self.shared, self.duration_us = words[2], words[3] == "1", int(words[4])
            self.outblob = bytes.fromhex(words[5])
            self.auxblob = b"" if words[6] == "-" else bytes.fromhex(words[6])
        else:
            self.code, self.pause_us, self.sentence = int(words[2]), int(words[3]), " ".join(words[4:])


class State:
    def __init__(self, words):
        self.name, self.tee, self.provider = (w if w != "-" else "" for w in words[:3])
        self.shared = words[3] == "1"
        self.interval_us, self.pause_us = int(words[4]), int(words[5])
        self.detail = " ".join(words[6:]) if words[6] != "-" else ""


class Tool:
    """The tee layer in a process of its own."""

    def __init__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.lines = Lines(self.process.stdout.fileno())
        self.changes, self.answers, self.asked = [], [], []
        self.first = State(self.line("state"))

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def line(self, kind, patience=PATIENCE):
        """The next line of that kind; those that come unasked are kept."""
        until = time.monotonic() + patience
        while True:
            words = self.lines.next(until - time.monotonic()).split(" ")
            if words[0] == "report":
                self.answers.append(Answer(words[1:]))
            elif words[0] == "changed":
                self.changes.append(State(words[1:]))
            if words[0] == kind:
                return words[1:]

    def begin(self, report_data=None):
        self.asked.append(report_data or os.urandom(64))
        self.say(f"report {self.asked[-1].hex()}")

    def end(self, patience=PATIENCE):
        while not self.answers:
            self.line("report", patience)
        return self.answers.pop()

    def report(self, report_data=None):
        self.begin(report_data)
        return self.end()

    def state(self):
        self.say("state")
        return State(self.line("state"))

    def pace(self):
        """What the host lends, in which time, and what one report has to expect."""
        self.say("pace")
        return [int(word) for word in self.line("pace")]

    def many(self, n):
        """How many of them were good."""
        self.say(f"many {n}")
        return int(self.line("many", patience=max(PATIENCE, n / 20))[0])

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def ping(self):
        start = time.monotonic()
        self.say("ping")
        self.line("pong")
        return time.monotonic() - start

    def wait_change(self, is_it):
        """By what it tells of itself, not by asking."""
        while not self.changes or not is_it(self.changes[-1]):
            self.line("changed")
        return self.changes[-1]

    def wait_state(self, name):
        return self.wait_change(lambda s: s.name == name)

    def stop(self, patience_ms=5000):
        self.say(f"stop {patience_ms}")
        stopped_us = int(self.line("stopped")[0])
        self.process.wait(PATIENCE)
        return stopped_us

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def journal(self):
        self.log.seek(0)
        return [line for line in self.log.read().decode().splitlines() if line]

    def worker(self):
        """The worker's thread id."""
        for tid in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{tid}/comm") as f:
                if f.read() == "tee\n":
                    return int(tid)
        raise AssertionError("there is no worker")

    def descriptors(self):
        """How many are open; those on the device by themselves."""
        folder, device, others = f"/proc/{self.process.pid}/fd", 0, 0
        for fd in os.listdir(folder):
            if os.readlink(f"{folder}/{fd}").startswith("/sys/kernel/config"):
                device += 1
            else:
                others += 1
        return device, others

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


class Base(unittest.TestCase):
    guest_options = {}
    kind, provider = "tdx", "tdx_guest"

    @classmethod
    def setUpClass(cls):
        cls.guest = private_guest.Guest(bus=False, **cls.guest_options).__enter__()
        cls.tee = cls.guest.tee

    @classmethod
    def tearDownClass(cls):
        cls.guest.__exit__(None, None, None)

    def setUp(self):
        self.tee.command("witness forget")
        self.foreign = []  # entries that a test has made and left
        self.tool = Tool()
        self.descriptors = self.tool.descriptors()

    def tearDown(self):
        """What holds after every fault."""
        tool = self.tool
        self.tee.clear()
        self.tee.release()
        self.tee.delay(0)
        try:
            # 3. The next good request is served.
            self.good()
            self.assertIn(tool.state().name, ("ready", "shared-device"))
            self.assertEqual(tool.state().pause_us, 0)
            # 1. What left the layer was over the REPORTDATA that was asked for.
            # 2. Every request was answered, once.
            self.assertEqual(tool.asked, [])
            # No second worker, and nobody else of us, on the device.
            self.assertLessEqual({c.tid for c in self.tee.witness() if c.tid}, {tool.worker()})
            # 5. No descriptor is left over, and no thread.
            self.assertEqual(tool.descriptors()[1], self.descriptors[1])
            self.assertLessEqual(tool.descriptors()[0], 2)  # our entry, and the folder in which it lies
            tool.stop()
            self.assertEqual(tool.process.returncode, 0)
            self.tee.wait("idle")
            self.assertEqual(sorted(os.listdir(REPORT)), sorted(self.foreign))
            # 6. A line for each change of state at most, and nothing secret in it.
            journal = tool.journal()
            self.assertLessEqual(len(journal), 2 + len(tool.changes))
            self.assertIsNone(re.search("[0-9a-f]{32}", "".join(journal)))
        finally:
            tool.close()
            for name in self.foreign:
                self.tee.command(f"remove {name}")
            self.tee.command("witness forget")

    def count(self, what, attribute=""):
        """Calls of the layer, or what its calls made happen."""
        return sum(c.attribute == attribute for c in self.tee.witness(what))

    def check(self, answer):
        """Of each answer, good or bad."""
        tool = self.tool
        self.assertEqual(answer.report_data, tool.asked.pop(0))
        if answer.ok:
            at = REPORT_DATA_AT[answer.provider]
            self.assertEqual(answer.outblob[at:at + 64], answer.report_data)
        else:
            self.assertGreater(len(answer.sentence), 20)
        self.assertEqual(tool.answers, [])
        return answer

    def ask(self, report_data=None):
        self.tool.begin(report_data)
        return self.check(self.tool.end())

    def good(self, report_data=None):
        answer = self.ask(report_data)
        self.assertTrue(answer.ok, getattr(answer, "sentence", ""))
        return answer

    def bad(self, code):
        answer = self.ask()
        self.assertFalse(answer.ok)
        self.assertEqual(answer.code, code, answer.sentence)
        return answer

    def costs(self, n):
        """How many reports the device was asked for since the last time."""
        self.assertEqual(self.count("begin"), n)
        self.tee.command("witness forget")

    def fault(self, line):
        self.tee.command(f"fault {line}")

    def passes(self, fault, n=2, code=BAD_DATA):
        """A fault that strikes once costs another report, and no answer; one that stays
        costs so many as are tried, and its answer says why."""
        self.tee.command("witness forget")
        self.fault(f"{fault} times 1")
        self.good()
        self.costs(n)
        self.tee.clear()

        self.fault(fault)
        answer = self.bad(code)
        state = self.tool.state()
        self.assertEqual((state.name, state.detail), ("degraded", answer.sentence))
        self.assertGreater(answer.pause_us, 0)
        n_reports = self.count("begin")
        self.assertLessEqual(n_reports, TRIES)
        self.tee.clear()
        self.good()
        self.assertEqual(self.tool.state().name, "ready")
        self.tee.command("witness forget")
        return answer


class Protocol(Base):
    """Without a fault."""

    def test_serves_a_report_with_one_write(self):
        answer = self.good()
        self.assertEqual(answer.provider, self.provider)
        self.assertFalse(answer.shared)
        writes = [(c.details["size"], c.details["data"]) for c in self.tee.witness("write")]
        self.assertEqual(writes, [("64", answer.report_data.hex())])
        self.costs(1)

    def test_the_same_again_is_a_new_report(self):
        report_data = os.urandom(64)
        self.good(report_data)
        self.good(report_data)
        self.costs(2)

    def test_reads_each_blob_by_a_new_descriptor(self):
        for _ in range(3):
            self.good()
        self.assertEqual(self.count("open", "outblob"), 3)
        self.assertEqual(self.count("open", "inblob"), 3)
        self.assertEqual(self.count("open", "generation"), 3 + 1 + 1)  # one for each that follows a good one
        self.assertEqual(len(self.tee.witness("close")), len(self.tee.witness("open")))

    def test_asks_for_no_more_when_a_report_is_whole(self):
        sizes = [len(self.good().outblob) for _ in range(3)]
        self.assertEqual([int(c.details["size"]) for c in self.tee.witness("read") if c.attribute == "outblob"], sizes)

    def test_sc32a_keeps_one_entry_closed_to_others(self):
        for _ in range(3):
            self.good()
        entry, = os.listdir(REPORT)
        with open("/proc/sys/kernel/random/boot_id") as f:
            self.assertEqual(entry, f"attestd-{f.read()[:8]}-{self.tool.process.pid}")
        self.assertEqual(os.stat(REPORT / entry).st_mode & 0o7777, 0o700)

    def test_the_worker_is_open_to_no_signal(self):
        self.tee.hold()
        self.tool.begin()
        self.tee.wait("held")
        self.assertEqual(ctypes.CDLL(None).syscall(SYS_TGKILL, self.tool.process.pid, self.tool.worker(),
                                                   signal.SIGUSR1), 0)
        self.tee.release()
        self.assertTrue(self.check(self.tool.end()).ok)
        with open(f"/proc/{self.tool.process.pid}/task/{self.tool.worker()}/status") as f:
            blocked = int(re.search("SigBlk:\t([0-9a-f]+)", f.read())[1], 16)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            self.assertTrue(blocked >> (number - 1) & 1, number)

    def test_says_what_it_is(self):
        state = self.tool.first
        self.assertEqual((state.name, state.tee, state.provider, state.detail), ("ready", self.kind, self.provider, ""))


class Stall(Base):
    def test_ft01_sc36a_the_main_loop_lives_and_nobody_else_asks(self):
        self.tee.hold()
        self.tool.begin()
        self.tee.wait("held")
        for _ in range(50):
            self.assertLess(self.tool.ping(), 1)
        self.assertEqual(self.tool.state().name, "ready")
        self.tool.say(f"report {os.urandom(64).hex()}")
        self.tool.line("busy")
        self.costs(1)
        self.tee.release()
        self.assertTrue(self.check(self.tool.end()).ok)

    def test_ft01_sc36c_the_next_is_served_when_it_ends(self):
        self.fault("stall 1200 times 1")
        self.tool.begin()
        self.assertLess(self.tool.ping(), 1)
        answer = self.check(self.tool.end())
        self.assertTrue(answer.ok)
        self.assertGreater(answer.duration_us, 1_000_000)
        self.good()
        self.costs(2)

    def test_ft01_sc36b_stops_in_time_and_leaves_the_rest_to_the_next(self):
        tool = self.tool
        self.tee.hold()
        tool.begin()
        self.tee.wait("held")
        stopped_us = tool.stop(patience_ms=300)
        self.assertGreaterEqual(stopped_us, 300_000)
        self.assertLess(stopped_us, 5_000_000)
        self.assertEqual(tool.process.returncode, 0)
        self.assertEqual(tool.answers, [])  # its caller is gone, too
        tool.close()

        # Its entry stays: removing it would have meant to wait. Who comes next does it.
        self.tee.release()
        left = os.listdir(REPORT)
        self.assertLessEqual(len(left), 1)  # none, where a leak checker has stirred the thread at the end
        self.tool = Tool()
        self.descriptors = self.tool.descriptors()
        self.assertEqual(self.tool.first.name, "ready")
        self.assertEqual(self.tee.stats()["entries"], 1)
        self.assertNotEqual(os.listdir(REPORT), left)
        self.tee.command("witness forget")

    def test_ft01_a_look_that_is_held_up_holds_up_nobody(self):
        # A foreign process has the lock: a look waits for it in the kernel.
        self.good()
        self.tee.command("entry other")
        self.foreign.append("other")
        self.tool.wait_state("shared-device")
        self.tee.hold()
        with open(REPORT / "other/inblob", "wb") as f:
            f.write(bytes(64))
        reader = subprocess.Popen(["cat", REPORT / "other/outblob"], stdout=subprocess.DEVNULL)
        self.tee.wait("held")
        self.tee.wait("queued")  # the next look
        self.assertLess(self.tool.ping(), 1)
        self.tee.release()
        self.assertEqual(reader.wait(PATIENCE), 0)
        self.tee.command("witness forget")


class Busy(Base):
    def test_ft02_sc36d_busy_is_recognised_and_left_again(self):
        self.fault("ebusy")
        pauses = []
        for _ in range(4):
            pauses.append(self.bad(DEVICE_BUSY).pause_us)
            self.assertEqual(self.tool.state().name, "degraded")
        self.costs(4)  # no try of its own: when to ask again is said, and grows
        for least, pause in zip((100_000, 200_000, 400_000, 800_000), pauses):
            self.assertGreater(pause, least)
            self.assertLess(pause, 4 * least)
        self.tee.clear()
        self.good()
        self.assertEqual([c.name for c in self.tool.changes], ["degraded", "ready"])

    def test_sc36d_each_failure_slows_us_by_its_own_measure_and_a_good_report_ends_it(self):
        faults = {"ebusy": 200_000, "eintr 0": 200_000, "etimedout": 5_000_000, "errno read:outblob EIO": 500_000}
        for _ in range(2):
            for doublings in range(3):
                for fault, least in faults.items():
                    self.fault(f"{fault} times 1")
                    answer = self.ask()
                    self.assertFalse(answer.ok)
                    self.assertLessEqual(answer.pause_us, least << doublings)
                    self.assertGreater(answer.pause_us, (least << doublings) * 3 / 4)
                    if answer.code == DEVICE_BUSY:
                        self.assertRegex(answer.sentence, r"a report is expected in about [1-9][0-9.]* m?s$")
            self.good()

    def test_ft02_in_flight_after_a_kill_until_the_host_has_done(self):
        self.tee.hold()
        self.tool.begin()
        self.tee.wait("held")
        self.tool.kill()
        self.tool.close()
        self.tool = Tool()
        self.descriptors = self.tool.descriptors()
        self.bad(DEVICE_BUSY)
        self.tee.release()
        self.good()
        self.tee.command("witness forget")

    def test_ft03_an_interruption_is_no_reason_to_ask_at_once(self):
        self.fault("eintr 2 times 1")
        for _ in range(3):
            answer = self.bad(DEVICE_BUSY)
        self.assertEqual(self.count("begin"), 1)  # the others met a device in flight
        self.assertEqual(self.count("open", "outblob"), 3)
        self.assertGreater(answer.pause_us, 300_000)
        self.good()

    def test_ft04_a_time_out_slows_the_pace(self):
        self.fault("etimedout 50 times 1")
        self.assertGreater(self.bad(FAILED).pause_us, 4_000_000)
        self.costs(1)
        self.assertEqual(self.tool.state().name, "degraded")

    def test_an_error_of_the_host_slows_the_pace(self):
        self.fault("errno read:outblob EIO times 1")
        self.assertGreater(self.bad(FAILED).pause_us, 400_000)
        self.assertIn("quoting service", self.tool.state().detail)


class Lost(Base):
    def provider_goes_and_comes(self):
        self.tee.provider(None)
        self.tool.wait_change(lambda s: "load its driver again" in s.detail)  # by the next look
        self.assertEqual(os.listdir(REPORT), [])  # else no provider could come
        self.tee.provider(self.provider)
        self.tool.wait_state("ready")

    def test_ft05_a_key_given_up_is_not_asked_again(self):
        self.fault("enotty")
        answer = self.bad(DEVICE_LOST)
        self.assertIn("restart the guest", answer.sentence)
        for _ in range(20):
            self.bad(DEVICE_LOST)
        self.costs(1)
        state = self.tool.state()
        self.assertEqual((state.name, state.tee), ("device-lost", self.kind))
        self.assertEqual([c.name for c in self.tool.changes], ["device-lost"])

        self.tee.clear()  # the driver has been replaced only when it was gone
        self.bad(DEVICE_LOST)
        self.costs(0)
        self.provider_goes_and_comes()
        self.good()


class Contents(Base):
    cuts = 1, 2, 47, 48, 63, 567, 568, 631, 632, 635, 636, 764, 770, 1200, -1000, -1

    def test_ft06_sc24a_an_empty_outblob_is_no_report(self):
        answer = self.passes("empty")
        self.assertIn("empty", answer.sentence)

    def test_ft06_the_inblob_is_written_again_for_each_try(self):
        self.fault("empty times 2")
        self.good()
        self.assertEqual(self.count("begin"), 3)
        self.assertEqual(self.count("commit"), 3)
        self.assertEqual(self.count("mkdir"), 1)

    def test_sc24b_an_outblob_of_zeros_is_no_report(self):
        self.passes("reportdata allzero")

    def test_ft07_sc35a_a_short_outblob_is_no_report(self):
        size = len(self.good().outblob)
        for cut in self.cuts:
            with self.subTest(cut=cut):
                self.assertLess(cut, size)
                self.passes(f"short {cut}")

    def test_ft07_sc35a_a_length_over_what_follows_is_no_report(self):
        for more in (1, 1000, 2**31 - 1 - 10000):
            with self.subTest(more=more):
                self.passes(f"length-field {more}")

    def test_ft08_sc35b_a_huge_outblob_is_refused_at_its_cap(self):
        size = len(self.good().outblob)
        self.fault("oversized 32768 times 1")
        self.assertEqual(len(self.good().outblob), 32768)

        # What the kernel refuses …
        self.tee.command("witness forget")
        self.fault("oversized 32769 times 1")
        self.bad(TOO_LARGE)
        self.costs(1)
        self.assertEqual(self.tool.state().name, "degraded")

        # … and what Linux 7.0 lets pass.
        self.tee.command(f"set outblob-max {16 << 20}")
        try:
            self.fault(f"oversized {QUOTE_MAX} times 1")
            self.assertEqual(len(self.good().outblob), QUOTE_MAX)
            for huge in (QUOTE_MAX + 1, 1 << 20, 16 << 20):
                self.tee.command("witness forget")
                self.fault(f"oversized {huge} times 1")
                self.bad(TOO_LARGE)
                n_read = sum(int(c.details["size"]) for c in self.tee.witness("read") if c.attribute == "outblob")
                self.assertEqual(n_read, QUOTE_MAX + 1)
                self.costs(1)
            self.assertEqual(len(self.good().outblob), size)
        finally:
            self.tee.command("set outblob-max 32768")

    def test_ft08_trailing_bytes_do_not_make_a_quote_bad(self):
        size = len(self.good().outblob)
        for trailing in ("1 zero", "3341 zero", "3341 nonzero"):
            self.fault(f"trailing {trailing} times 1")
            self.assertEqual(len(self.good().outblob), size + int(trailing.split()[0]))
        self.assertEqual(self.count("begin"), 4)

    def test_ft08_sc35c_a_length_that_changes_is_no_report(self):
        self.passes("shrink 10")

    def test_ft09_a_report_over_other_reportdata_never_leaves(self):
        for what in ("zero", "bit", "half", "other", "othertee"):
            with self.subTest(what=what):
                self.passes(f"reportdata {what}")

        # The second try would find its own first.
        self.good()
        self.tee.command("witness forget")
        self.fault("reportdata previous times 1")
        self.good()
        self.costs(2)

    def test_ft09_tries_again_in_a_fresh_entry_and_says_so_once(self):
        self.tee.command("witness forget")
        self.fault("reportdata bit")
        for _ in range(5):
            self.assertIn("do not trust", self.bad(BAD_DATA).sentence)
        self.assertEqual(self.count("begin"), 5 * TRIES)
        self.assertEqual(self.count("rmdir"), 5 * TRIES)
        self.assertEqual(sum("REPORTDATA" in line for line in self.tool.journal()), 1)

    def test_ft14_a_drip_is_collected(self):
        size = len(self.good().outblob)
        self.fault("drip times 1")
        self.assertEqual(len(self.good().outblob), size)
        self.costs(2)

    def test_ft14_a_slow_drip_holds_up_nobody(self):
        self.fault("short 800 times 1")  # and so one more report
        self.fault("drip 1 times 1")
        self.tool.begin()
        for _ in range(20):
            self.assertLess(self.tool.ping(), 1)
        self.assertTrue(self.check(self.tool.end()).ok)


class Race(Base):
    """In an entry that has given a good report before, which is asked for the next one at once: so one that
    is in vain may be made. In the fresh entry that follows it is asked when the write is known to be ours."""

    def setUp(self):
        super().setUp()
        self.good()

    def fresh(self):
        """As after a start."""
        self.tool.stop()
        self.tool.close()
        self.tool = Tool()
        self.descriptors = self.tool.descriptors()

    def test_ft10_a_generation_that_jumps_or_stays_behind(self):
        for what, n in ("jump", 2), ("late-jump", 2), ("behind", 1):
            with self.subTest(what=what):
                self.passes(f"generation {what}", n=n, code=FAILED)
        self.passes("behind", n=1, code=FAILED)

    def test_ft10_a_generation_that_is_none(self):
        for what in ("garbage", "max", "empty"):
            with self.subTest(what=what):
                self.passes(f"generation {what}", n=2, code=FAILED)

    def test_ft10_in_a_fresh_entry_nothing_is_asked_of_the_device_in_vain(self):
        for what in "generation jump", "generation behind", "generation garbage", "foreign-writer rewrite":
            with self.subTest(what=what):
                self.fresh()
                self.passes(what, n=1, code=FAILED)

    def test_ft10_one_who_never_stops_costs_one_report_and_not_one_for_each_try(self):
        self.fault("foreign-writer rewrite")
        self.tee.command("witness forget")
        self.bad(FAILED)
        self.costs(1)
        self.bad(FAILED)
        self.costs(0)

    def test_ft11_a_refusal_of_what_somebody_else_wrote_is_his_doing(self):
        self.fault("errno read:outblob EINVAL times 1")
        self.fault("generation jump times 1")
        self.good()
        self.fault("errno read:outblob EINVAL times 1")
        self.assertIn("paravisor", self.bad(FAILED).sentence)
        self.good()

        # Whatever he did, of what may cost a key there is no second one.
        self.fault("errno read:outblob EIO times 1")
        self.fault("generation jump times 1")
        self.assertIn("quoting service", self.bad(FAILED).sentence)

    def test_ft10_a_generation_that_goes_back_to_zero(self):
        self.fresh()
        self.tee.command("witness forget")
        self.fault("generation zero after 1 times 1")  # that after the write
        self.good()
        self.costs(1)
        self.fresh()
        self.fault("generation zero after 2 times 1")  # that after the read
        self.good()
        self.costs(2)
        self.fault("generation zero times 1")  # … which in an entry that is known is the only one
        self.good()
        self.costs(2)
        self.fresh()
        self.fault("generation zero")
        self.bad(FAILED)
        self.costs(0)

    def test_ft11_a_foreign_writer(self):
        for what, n in ("rewrite", 2), ("remove", 1), ("recreate", 1):
            with self.subTest(what=what):
                answer = self.passes(f"foreign-writer {what}", n=n, code=FAILED)
                self.assertIn("another program of this guest", answer.sentence)

    def test_ft11_a_foreign_write_between_two_reports_is_noticed(self):
        for _ in range(2):
            entry, = os.listdir(REPORT)
            self.tee.command("witness forget")
            self.tee.command(f"rewrite {entry}")
            self.good()
            self.assertEqual([self.count(what) for what in ("rmdir", "mkdir")], [1, 1])  # a fresh entry, once
            self.tee.command("witness forget")
            self.good()
            self.assertEqual(self.count("mkdir"), 0)
        self.assertEqual(self.tool.changes, [])

    def test_ft11_an_entry_that_was_opened_is_closed_again(self):
        def is_made_anew(self):  # in a rush of reports, not before each: within 5 ms
            until = time.monotonic() + PATIENCE
            while self.count("mkdir") == 0 and time.monotonic() < until:
                self.good()
            self.assertEqual([self.count(what) for what in ("rmdir", "mkdir")], [1, 1])
            entry, = os.listdir(REPORT)
            self.assertEqual(os.stat(REPORT / entry).st_mode & 0o7777, 0o700)
            return entry

        self.fault("foreign-writer chmod times 1")
        self.good()
        self.tee.command("witness forget")
        entry = is_made_anew(self)

        self.tee.command("witness forget")
        self.tee.command(f"chmod {entry} 0755")  # while we are idle
        entry = is_made_anew(self)

        # Nobody asks: the next look closes it.
        set_before = self.tee.wait("modes", 0)
        self.tee.command(f"chmod {entry} 0755")
        self.tee.wait("modes", set_before + 1)
        entry, = os.listdir(REPORT)
        self.assertEqual(os.stat(REPORT / entry).st_mode & 0o7777, 0o700)

    def test_ft11_an_entry_that_was_removed_is_made_again(self):
        self.good()
        entry, = os.listdir(REPORT)
        self.tee.command(f"remove {entry}")
        self.good()
        self.tee.command(f"remove {entry}")
        self.tee.command(f"entry {entry}")  # of somebody else, with our name
        self.good()
        self.tee.command(f"rewrite {entry}")
        self.good()

    def test_ft11_somebody_strikes_while_the_device_works(self):
        for what in ("remove", "rewrite"):
            with self.subTest(what=what):
                self.good()
                entry, = os.listdir(REPORT)
                self.tee.hold()
                self.tool.begin()
                self.tee.wait("held")
                foreign = self.tee.another()
                striker = threading.Thread(target=foreign.command, args=(f"{what} {entry}",))
                striker.start()
                self.tee.wait("queued")
                self.tee.release()
                striker.join()
                foreign.close()
                self.assertTrue(self.check(self.tool.end()).ok)


class Pace(Base):
    def learn(self, n):
        for _ in range(n):
            self.good()
        return self.tool.state().interval_us

    def test_ft13_learns_that_a_report_takes_a_second(self):
        self.tee.delay(1026)
        interval = self.learn(2)
        self.assertGreater(interval, 1_000_000)
        self.assertLess(interval, 2_000_000)

    def test_ft13_learns_that_a_report_takes_39_ms(self):
        self.tee.delay(39)
        interval = self.learn(8)
        self.assertGreater(interval, 38_000)
        self.assertLess(interval, 500_000)

    def test_ft12_learns_what_the_host_lends_and_foretells_it(self):
        self.fault("token-bucket 4 1600")
        for _ in range(10):
            self.good()
        count, period_us, wait_us = self.tool.pace()
        self.assertIn(count, range(3, 6))
        self.assertGreater(period_us / count, 200_000)
        self.assertLess(period_us / count, 800_000)
        self.assertGreater(wait_us, 100_000)
        self.costs(10)

    def test_ft12_learns_that_the_bucket_is_dry(self):
        self.fault("token-bucket 3 900")
        for _ in range(6):
            self.good()
        self.assertGreater(self.tool.state().interval_us, 100_000)
        self.costs(6)  # no try has eaten a token


class Provider(Base):
    def test_ft15_it_goes_and_comes_back(self):
        self.good()
        self.tee.command("witness forget")
        self.fault("vanish times 1")
        self.bad(DEVICE_LOST)
        state = self.tool.state()
        self.assertEqual((state.name, state.tee, state.provider), ("device-lost", "", ""))
        self.assertIn("load its driver again", state.detail)
        self.assertEqual(os.listdir(REPORT), [])  # else no provider could come
        self.costs(1)
        self.bad(DEVICE_LOST)
        self.costs(0)
        self.tee.provider("tdx_guest")
        self.tool.wait_state("ready")
        self.good()

    def test_ft15_it_comes_back_at_once(self):
        self.fault("vanish return times 1")
        self.bad(DEVICE_LOST)
        self.good()

    def test_ft15_it_goes_while_nobody_asks(self):
        self.good()
        self.tee.provider(None)
        self.tool.wait_state("device-lost")
        self.assertEqual(os.listdir(REPORT), [])
        self.tee.provider("tdx_guest")
        self.tool.wait_state("ready")

    def test_ft15_a_cached_outblob_is_never_used(self):
        report_data = os.urandom(64)
        self.good(report_data)
        self.tee.provider(None)
        answer = self.ask(report_data)
        self.assertFalse(answer.ok)
        self.tee.provider("tdx_guest")
        self.good(report_data)

    def test_ft15_another_one_comes(self):
        """Each request is a look, too."""
        self.tee.provider(None)
        self.bad(DEVICE_LOST)
        self.tee.provider("arm_cca_guest")
        self.assertIn("arm_cca_guest", self.bad(DEVICE_LOST).sentence)
        self.assertEqual(self.tool.state().name, "device-lost")
        self.assertEqual(os.listdir(REPORT), [])

        self.tee.provider(None)
        self.tee.provider("sev_guest")
        self.fault("reportdata othertee")
        self.bad(BAD_DATA)  # a TDX quote
        state = self.tool.state()
        self.assertEqual((state.name, state.tee, state.provider), ("degraded", "snp", "sev_guest"))
        self.assertEqual(os.listdir(REPORT), [])
        self.tee.clear()
        answer = self.good()
        self.assertEqual((answer.provider, len(answer.outblob)), ("sev_guest", 0x4a0))

        self.tee.provider(None)
        self.bad(DEVICE_LOST)
        self.tee.provider("tdx_guest")

    def test_a_refusal_of_the_firmware_is_no_absence(self):
        self.fault("errno read:outblob ENXIO times 1")
        self.bad(FAILED)
        self.assertEqual(self.tool.state().name, "degraded")
        self.assertEqual(self.tool.state().provider, "tdx_guest")


class LateProvider(Base):
    guest_options = {"provider": None}

    def test_ft15_it_appears_after_the_start(self):
        state = self.tool.first
        self.assertEqual((state.name, state.tee, state.provider), ("no-tee", "", ""))
        self.assertIn("not a confidential guest or its driver (tdx_guest, sev-guest) is not loaded", state.detail)
        answer = self.bad(NO_TEE)
        self.assertEqual(answer.sentence, state.detail)
        self.tee.provider("tdx_guest")
        self.tool.wait_state("ready")


class LateCore(Base):
    guest_options = {"arguments": ["--no-core"]}

    def test_the_core_appears_after_the_start(self):
        self.assertEqual(self.tool.first.name, "no-tee")
        self.assertIn("is not loaded", self.tool.first.detail)
        self.bad(NO_TEE)
        self.tee.command("core loaded")
        self.tool.wait_state("ready")


class Unmounted(unittest.TestCase):
    def test_says_what_to_mount_and_finds_it(self):
        tool = Tool()
        try:
            self.assertEqual(tool.first.name, "no-tee")
            self.assertIn("mount configfs on /sys/kernel/config", tool.first.detail)
            answer = tool.report()
            self.assertEqual((answer.ok, answer.code), (False, NO_TEE))

            with private_guest.Guest(bus=False) as guest:
                self.assertTrue(tool.report().ok)
                self.assertEqual(tool.wait_state("ready").tee, "tdx")

                subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/kernel"], check=True)  # as good as unmounted
                self.assertIn("mount configfs", tool.wait_state("device-lost").detail)
                tool.stop()
                subprocess.run(["umount", "/sys/kernel"], check=True)
                entry, = os.listdir(REPORT)
                guest.tee.command(f"remove {entry}")
        finally:
            tool.close()


class Others(Base):
    def other(self, name):
        self.tee.command(f"entry {name}")
        self.foreign.append(name)

    def test_ft16_removes_what_is_left_of_its_own_prefix_only(self):
        for name in "kbs", "trustee-1", "attestd":
            self.other(name)
        for name in "attestd-00000000-1", "attestd-0badcafe-4711":
            self.tee.command(f"entry {name}")
        self.tee.hold()
        self.tool.begin()
        self.tee.wait("held")
        self.tool.kill()
        self.tool.close()
        self.tee.release()
        self.tee.command("entry attestd-00000000-2")

        self.tool = Tool()
        entries = os.listdir(REPORT)
        self.assertEqual(sum(name.startswith("attestd-") for name in entries), 1)
        self.assertEqual(len(entries), 4)
        self.assertEqual(self.tool.first.name, "shared-device")
        self.assertTrue(self.good().shared)
        self.tee.command("witness forget")

    def test_sc33_an_entry_of_another_is_seen_and_said(self):
        self.assertFalse(self.good().shared)
        self.other("kbs")
        self.assertTrue(self.good().shared)  # without waiting for a look
        state = self.tool.state()
        self.assertEqual(state.name, "shared-device")
        self.assertIn("kbs", state.detail)
        self.assertTrue(state.shared)

        self.fault("ebusy times 1")
        self.bad(DEVICE_BUSY)
        state = self.tool.state()
        self.assertEqual((state.name, state.shared), ("degraded", True))

        # In a worse state it is told all the same.
        self.tee.command("remove kbs")
        self.foreign.remove("kbs")
        self.assertFalse(self.tool.wait_change(lambda s: not s.shared).shared)
        self.assertEqual(self.tool.state().name, "degraded")
        self.other("kbs")
        self.good()

        self.tee.command("remove kbs")
        self.foreign.remove("kbs")
        self.tool.wait_state("ready")
        self.assertFalse(self.good().shared)

    def test_sc33_entries_that_cannot_be_listed_may_be_of_others(self):
        self.assertFalse(self.good().shared)
        self.fault("errno readdir EIO")
        self.other("kbs")  # else the folder looks as it did when it was read
        self.assertTrue(self.good().shared)
        state = self.tool.state()
        self.assertEqual((state.name, state.shared), ("shared-device", True))
        self.assertIn("cannot read tsm/report", state.detail)
        self.tee.command("remove kbs")
        self.foreign.remove("kbs")
        self.assertTrue(self.good().shared)

        self.tee.clear()
        self.assertFalse(self.good().shared)
        self.assertEqual(self.tool.state().name, "ready")

    def looks(self):
        """How often the folder was read: a fault that is not due yet tells."""
        fault, = self.tee.lines("faults")
        return NOT_DUE - int(re.search("passes=([0-9]+)", fault)[1])

    def test_sc33_a_folder_that_looks_the_same_is_not_read_again(self):
        self.good()
        self.fault(f"errno readdir EIO after {NOT_DUE}")
        for _ in range(50):
            self.assertFalse(self.good().shared)
        self.assertLess(self.looks(), 50)  # twice for each that the clock has asked for, every five seconds
        before = self.looks()
        self.other("kbs")
        self.assertTrue(self.good().shared)
        self.assertGreater(self.looks(), before)

    def test_sc33_an_entry_that_comes_right_after_a_look_is_seen_by_the_next(self):
        for i in range(20):
            self.assertFalse(self.good().shared)  # has looked when it ended
            self.other(f"kbs-{i}")
            self.assertTrue(self.good().shared)
            self.tee.command(f"remove kbs-{i}")
            self.foreign.remove(f"kbs-{i}")
            self.assertFalse(self.good().shared)

    def test_sc33_one_that_comes_in_our_place_is_seen(self):
        """As many entries as before."""
        self.good()
        entry, = os.listdir(REPORT)
        self.tee.command(f"remove {entry}")
        self.other("kbs")
        self.assertTrue(self.good().shared)

    def test_a_second_one_leaves_the_first_alone(self):
        self.good()
        entry, = os.listdir(REPORT)
        second = Tool()
        self.assertEqual(second.first.name, "shared-device")
        self.assertIn(entry, os.listdir(REPORT))
        self.good()
        second.stop()
        second.close()
        self.assertIn(entry, os.listdir(REPORT))
        self.tee.command("witness forget")
        self.tool.state()


class Calls(Base):
    """Each call, each errno."""

    def test_no_errno_of_any_call_is_fatal(self):
        names = "EIO", "EINVAL", "ENXIO", "ENOENT", "ENOMEM", "EACCES", "ENOSPC", "EBUSY", "EINTR", "ETIMEDOUT"
        calls = ("mkdir", "rmdir", "chmod", "lookup", "readdir", "open:inblob", "open:outblob", "open:generation",
                 "open:provider", "read:outblob", "read:generation", "read:provider", "write:inblob")
        for call in calls:
            for name in names:
                with self.subTest(call=call, name=name):
                    self.tee.command("witness forget")
                    self.fault(f"errno {call} {name} times 1")
                    self.fault("reportdata bit times 1")  # so that entries are made and removed, too
                    self.ask()
                    self.tee.clear()
                    self.assertLessEqual(self.count("begin"), TRIES)
                    self.good()

    def test_an_entry_that_cannot_be_made_is_said(self):
        entry, = os.listdir(REPORT)
        self.tee.command(f"remove {entry}")
        self.fault("errno mkdir EROFS")
        self.assertIn("able to write to /sys/kernel/config/tsm", self.bad(FAILED).sentence)
        self.assertEqual(self.tool.state().name, "degraded")


class Sequences(Base):
    FAULTS = (
        "stall 20", "ebusy", "eintr 1", "etimedout 10", "empty", "short 700", "oversized 40000",
        "trailing 100 nonzero", "reportdata half", "behind", "generation late-jump", "foreign-writer recreate",
        "vanish return", "drip", "shrink 5",
    )

    def test_each_fault_after_each_other(self):
        for first in self.FAULTS:
            for second in self.FAULTS:
                with self.subTest(first=first, second=second):
                    self.tee.command("witness forget")
                    self.fault(f"{first} times 1")
                    self.ask()
                    self.fault(f"{second} times 1")
                    self.ask()
                    self.tee.clear()
                    self.ask()  # may meet what an interruption has left in flight
                    self.assertLessEqual(self.count("begin"), 3 * TRIES)
                    self.good()

    def test_random_faults(self):
        seed = int(os.environ.get("SEED", "1"))
        self.fault("random 40")
        served = 0
        for i in range(200):
            answer = self.ask()
            served += answer.ok
            self.assertLessEqual(self.count("begin"), TRIES, f"request {i}, seed {seed}")
            self.tee.command("witness forget")
        self.assertGreater(served, 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
