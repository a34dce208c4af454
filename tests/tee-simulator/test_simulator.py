#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the simulator do what Linux 6.12 was measured to do?

Each test of Traps and Errors says one thing of the kernel; those of Faults, that
a fault does what its line in --help says.
"""

import ctypes
import errno
import hashlib
import os
import pathlib
import select
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402

private_guest.enter()

REPORT = pathlib.Path("/sys/kernel/config/tsm/report")
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)


def inblob(fill=1):
    return bytes([fill]) * 64


def in_thread(function, *arguments):
    """The call, started; .result() waits for it."""

    class Running(threading.Thread):
        def run(self):
            try:
                self.value = function(*arguments)
            except BaseException as e:
                self.value = e

        def result(self):
            self.join(private_guest.DEADLINE)
            if isinstance(self.value, BaseException):
                raise self.value
            return self.value

    thread = Running(daemon=True)
    thread.start()
    return thread


class Base(private_guest.GuestTest):
    guest_options = {"bus": False}

    def entry(self, name="a"):
        path = REPORT / name
        path.mkdir()
        self.addCleanup(self.remove, path)
        return path

    def remove(self, path):
        if self.tee.stats()["running"]:
            self.tee.release()  # the test has failed with the lock held: do not wait for it
        if path.exists():
            path.rmdir()

    def ready(self, name="a", fill=1):
        """An entry with an inblob."""
        path = self.entry(name)
        self.write(path, inblob(fill))
        return path

    def write(self, path, data):
        fd = os.open(path / "inblob", os.O_WRONLY)
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def read(self, path, attribute="outblob"):
        fd = os.open(path / attribute, os.O_RDONLY)
        try:
            parts = []
            while part := os.read(fd, 65536):
                parts.append(part)
            return b"".join(parts)
        finally:
            os.close(fd)

    def errno_of(self, path):
        """What read(2) says, without Python's own second try after EINTR."""
        fd = os.open(path / "outblob", os.O_RDONLY)
        try:
            return ctypes.get_errno() if LIBC.read(fd, ctypes.create_string_buffer(9), 9) < 0 else 0
        finally:
            os.close(fd)

    def generation(self, path):
        return int(self.read(path, "generation"))

    def report_data(self, path):
        return self.read(path)[568:632]

    def fails(self, number, function, *arguments):
        with self.assertRaises(OSError) as caught:
            function(*arguments)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def made(self):
        return self.tee.stats()["reports"]


class Tree(Base):
    def test_the_attributes_are_those_of_tdx_guest(self):
        a = self.entry()
        modes = {f.name: (oct(f.stat().st_mode), f.stat().st_size) for f in a.iterdir()}
        self.assertEqual(
            modes,
            {
                "inblob": ("0o100200", 0),
                "outblob": ("0o100444", 0),
                "generation": ("0o100444", 4096),
                "provider": ("0o100444", 4096),
            },
        )
        self.assertEqual(self.read(a, "provider"), b"tdx_guest\n")
        self.assertEqual(self.read(a, "generation"), b"0\n")

    def test_an_entry_is_0755_of_root_whatever_mkdir_asked_for(self):
        path = REPORT / "a"
        os.mkdir(path, 0o700)
        self.addCleanup(path.rmdir)
        st = path.stat()
        self.assertEqual((oct(st.st_mode), st.st_uid, st.st_gid), ("0o40755", 0, 0))

    def test_chmod_and_chown_of_entry_and_attributes_last(self):
        a = self.entry()
        a.chmod(0o700)
        os.chown(a / "inblob", NOBODY, NOBODY)
        (a / "outblob").chmod(0o400)
        self.assertEqual(oct(a.stat().st_mode), "0o40700")
        self.assertEqual((a / "inblob").stat().st_uid, NOBODY)
        self.assertEqual(oct((a / "outblob").stat().st_mode), "0o100400")
        a.rmdir()
        a.mkdir()
        self.assertEqual(oct(a.stat().st_mode), "0o40755")

    def test_nothing_but_entries_can_be_made(self):
        a = self.entry()
        self.fails(errno.EPERM, os.mkdir, REPORT.parent / "x")
        self.fails(errno.EPERM, os.mkdir, a / "x")
        self.fails(errno.EPERM, os.rmdir, REPORT)
        self.fails(errno.EACCES, os.open, REPORT / "x", os.O_CREAT | os.O_WRONLY, 0o600)
        self.fails(errno.EPERM, os.unlink, a / "inblob")
        self.fails(errno.EPERM, os.rename, a, REPORT / "b")
        self.fails(errno.EPERM, os.symlink, "/", REPORT / "x")

    def test_many_entries_are_listed_once_each(self):
        names = {f"n{i}" for i in range(300)}
        for name in names:
            self.entry(name)
        listed = os.listdir(REPORT)
        self.assertEqual((len(listed), set(listed)), (300, names))

    def test_a_name_may_have_255_bytes(self):
        self.entry("x" * 255)
        self.fails(errno.ENAMETOOLONG, os.mkdir, REPORT / ("x" * 256))


class Traps(Base):
    """1 to 16 are the traps of configfs-tsm, in the order of the project's kernel notes."""

    def test_trap01_inblob_is_committed_at_the_last_close(self):
        a = self.ready(fill=1)
        self.assertEqual(self.report_data(a), inblob(1))
        fd = os.open(a / "inblob", os.O_WRONLY)
        self.assertEqual(os.write(fd, inblob(2)), 64)
        self.assertEqual(self.generation(a), 1)
        self.assertEqual(self.report_data(a), inblob(1))
        os.close(fd)
        self.assertEqual(self.generation(a), 2)
        self.assertEqual(self.report_data(a), inblob(2))

    def test_trap01_generation_is_right_at_once_after_close(self):
        a = self.entry()
        for i in range(500):
            self.write(a, inblob(i % 256))
            self.assertEqual(self.generation(a), i + 1)

    def test_trap01_close_returns_0_for_what_is_thrown_away(self):
        a = self.entry()
        fd = os.open(a / "inblob", os.O_WRONLY)
        os.write(fd, inblob())
        a.rmdir()
        os.close(fd)

    def test_trap02_a_copy_of_the_descriptor_delays_the_commit(self):
        a = self.entry()
        fd = os.open(a / "inblob", os.O_WRONLY)
        copy = os.dup(fd)
        os.write(fd, inblob())
        os.close(fd)
        self.assertEqual(self.generation(a), 0)
        os.close(copy)
        self.assertEqual(self.generation(a), 1)

    def test_trap02_and_so_does_one_in_another_process(self):
        a = self.entry()
        fd = os.open(a / "inblob", os.O_WRONLY)
        os.write(fd, inblob())
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[fd])
        os.close(fd)
        self.assertEqual(self.generation(a), 0)
        child.stdin.close()
        child.wait()
        self.assertEqual(self.generation(a), 1)

    def test_trap03_65_bytes_are_efbig_and_commit_an_empty_inblob(self):
        a = self.ready()
        self.fails(errno.EFBIG, self.write, a, bytes(65))
        self.assertEqual(self.generation(a), 2)
        self.fails(errno.EINVAL, self.read, a)

    def test_trap03_two_writes_of_32_are_one_inblob(self):
        a = self.entry()
        fd = os.open(a / "inblob", os.O_WRONLY)
        os.write(fd, b"\1" * 32)
        os.write(fd, b"\2" * 32)
        os.close(fd)
        self.assertEqual(self.generation(a), 1)
        self.assertEqual(self.report_data(a), b"\1" * 32 + b"\2" * 32)

    def test_trap03_a_gap_is_zeros(self):
        a = self.entry()
        fd = os.open(a / "inblob", os.O_WRONLY)
        os.pwrite(fd, b"\7", 63)
        os.close(fd)
        self.assertEqual(self.report_data(a), bytes(63) + b"\7")

    def test_trap03_open_without_a_write_commits_nothing(self):
        a = self.entry()
        os.close(os.open(a / "inblob", os.O_WRONLY | os.O_TRUNC))
        self.assertEqual(self.generation(a), 0)

    def test_trap04_attributes_have_one_direction_even_for_root(self):
        a = self.entry()
        self.fails(errno.EACCES, os.open, a / "inblob", os.O_RDWR)
        self.fails(errno.EACCES, os.open, a / "inblob", os.O_RDONLY)
        for name in "outblob", "generation", "provider":
            self.fails(errno.EACCES, os.open, a / name, os.O_WRONLY)
            self.fails(errno.EACCES, os.open, a / name, os.O_RDWR)
        (a / "outblob").chmod(0)
        self.fails(errno.EACCES, os.open, a / "outblob", os.O_RDONLY)
        (a / "inblob").chmod(0o600)
        self.fails(errno.EACCES, os.open, a / "inblob", os.O_RDONLY)

    def test_trap05_the_same_inblob_again_makes_a_new_report(self):
        a = self.ready()
        first = self.read(a)
        self.assertEqual(self.read(a), first)
        self.assertEqual(self.made(), 1)
        self.write(a, inblob())
        self.assertEqual(self.generation(a), 2)
        second = self.read(a)
        self.assertNotEqual(second, first)  # ECDSA: another signature over the same
        self.assertEqual(self.made(), 2)

    def test_trap06_a_descriptor_keeps_what_it_read_first(self):
        a = self.ready(fill=1)
        fd = os.open(a / "outblob", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        head = os.read(fd, 100)
        self.write(a, inblob(2))
        self.assertEqual(self.report_data(a), inblob(2))
        self.assertEqual(os.pread(fd, 100, 0), head)
        self.assertEqual(os.pread(fd, 64, 568), inblob(1))

    def test_trap06_and_it_is_taken_at_the_read_not_at_the_open(self):
        a = self.ready(fill=1)
        fd = os.open(a / "outblob", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.write(a, inblob(2))
        self.assertEqual(os.pread(fd, 64, 568), inblob(2))

    def test_trap07_a_foreign_write_between_the_two_calls_shows(self):
        a = self.ready(fill=1)
        self.tee.hold()
        reader = in_thread(self.read, a)
        self.tee.wait("held")
        foreign = self.tee.another()
        self.addCleanup(foreign.close)
        writer = in_thread(foreign.command, "rewrite a")
        self.tee.wait("queued")
        self.tee.release(one=True)
        # The foreign commit comes between size and copy, and the copy makes a report of its own.
        self.tee.wait("started", 2)
        self.tee.release()
        writer.result()
        data = reader.result()[568:632]
        self.assertEqual([data], self.tee.reports()[1:])
        self.assertNotEqual(data, inblob(1))

    def test_trap08_a_failed_report_is_tried_again_by_reading_again(self):
        a = self.ready()
        self.tee.fault("errno", "read:outblob", "EIO", times=1)
        self.tee.fault("ebusy", times=1)
        self.fails(errno.EIO, self.read, a)
        self.fails(errno.EBUSY, self.read, a)
        self.assertEqual(self.report_data(a), inblob())
        self.assertEqual(self.generation(a), 1)

    def test_trap08_an_empty_outblob_is_a_success_and_cached(self):
        a = self.ready()
        self.tee.fault("empty", times=1)
        for _ in range(3):
            self.assertEqual(self.read(a), b"")
        self.assertEqual(self.made(), 1)
        self.write(a, inblob())
        self.assertEqual(self.report_data(a), inblob())

    def test_trap08_one_over_the_maximum_is_efbig_and_cached(self):
        a = self.ready()
        self.tee.fault("oversized", 32769, times=1)
        for _ in range(3):
            self.fails(errno.EFBIG, self.read, a)
        self.assertEqual(self.made(), 1)
        self.write(a, inblob())
        self.tee.fault("oversized", 32768, times=1)
        self.assertEqual(len(self.read(a)), 32768)

    def test_trap09_one_lock_for_all_entries(self):
        a, b = self.ready("a"), self.ready("b")
        self.tee.hold()
        reader = in_thread(self.read, a)
        self.tee.wait("held")
        waiters = [
            in_thread(os.mkdir, REPORT / "c"),
            in_thread(self.generation, b),
            in_thread(self.read, b, "provider"),
            in_thread(self.write, b, inblob(2)),
        ]
        self.addCleanup(os.rmdir, REPORT / "c")
        self.tee.wait("queued", 4)
        self.assertTrue(all(w.is_alive() for w in waiters))
        os.close(os.open(b / "outblob", os.O_RDONLY))  # opening takes no lock
        self.assertTrue((b / "outblob").exists())
        self.tee.release()
        for w in waiters:
            w.result()
        self.assertEqual(reader.result()[568:632], inblob())
        order = [c.what + c.where for c in self.tee.witness() if c.number > 0]
        self.assertGreater(order.index("mkdirc"), order.index("reporta"))

    def test_trap09_rmdir_of_another_entry_waits_too(self):
        a, b = self.ready("a"), REPORT / "b"
        b.mkdir()
        self.tee.hold()
        reader = in_thread(self.read, a)
        self.tee.wait("held")
        remover = in_thread(os.rmdir, b)
        self.tee.wait("queued")
        self.assertTrue(remover.is_alive())
        self.tee.release()
        remover.result()
        reader.result()

    def test_trap09_waits_for_the_lock_cannot_be_interrupted(self):
        a = self.ready("a")
        self.tee.hold()
        reader = in_thread(self.read, a)
        self.tee.wait("held")
        waiter = subprocess.Popen(["cat", a / "generation"], stdout=subprocess.PIPE)
        self.tee.wait("queued")
        waiter.kill()
        self.tee.command("stats")  # the signal has had its chance by now
        self.assertIsNone(waiter.poll())
        self.tee.release()
        self.assertEqual(waiter.wait(), -signal.SIGKILL)
        waiter.stdout.close()
        reader.result()

    def test_trap10_a_signal_gives_eintr_and_leaves_the_device_busy(self):
        a = self.ready()
        self.tee.hold()
        reader = subprocess.Popen(["cat", a / "outblob"], stdout=subprocess.DEVNULL)
        self.tee.wait("held")
        reader.kill()
        self.assertEqual(reader.wait(), -signal.SIGKILL)
        self.assertEqual(self.tee.stats()["in-flight"], 1)
        self.assertEqual([c.result for c in self.tee.witness("report")], ["EINTR"])
        self.fails(errno.EBUSY, self.read, a)
        self.fails(errno.EBUSY, self.read, a)
        self.assertEqual(self.generation(a), 1)  # the lock is free
        self.tee.release()
        self.assertEqual(self.report_data(a), inblob())

    def test_trap11_rmdir_with_open_descriptors(self):
        a = self.ready()
        out, text = (os.open(a / n, os.O_RDONLY) for n in ("outblob", "generation"))
        a.rmdir()
        self.fails(errno.ENOENT, os.read, out, 1)
        self.fails(errno.ENOENT, os.read, text, 1)
        os.close(out)
        os.close(text)

    def test_trap11_pending_writes_are_dropped_and_generation_begins_anew(self):
        a = self.ready()
        fd = os.open(a / "inblob", os.O_WRONLY)
        os.write(fd, inblob(2))
        a.rmdir()
        a.mkdir()
        os.close(fd)
        self.assertEqual(self.generation(a), 0)
        self.fails(errno.EINVAL, self.read, a)

    def test_trap11_a_reader_inside_the_report_gets_enoent(self):
        a = REPORT / "a"
        a.mkdir()
        self.write(a, inblob())
        self.tee.hold()
        reader = in_thread(self.read, a)
        self.tee.wait("held")
        remover = in_thread(os.rmdir, a)
        self.tee.wait("queued")
        self.tee.release()
        remover.result()
        self.fails(errno.ENOENT, reader.result)

    def test_trap12_two_thousand_entries(self):
        for i in range(2000):
            (REPORT / f"n{i}").mkdir()
        self.assertEqual(self.tee.stats()["entries"], 2000)
        for i in range(2000):
            (REPORT / f"n{i}").rmdir()

    def test_trap12_entries_outlive_their_maker(self):
        subprocess.run(["mkdir", REPORT / "left"], check=True)
        self.assertEqual(os.listdir(REPORT), ["left"])
        (REPORT / "left").rmdir()

    def test_trap13_any_user_may_trigger_a_report_until_the_entry_is_0700(self):
        a = self.ready()
        self.assertEqual(len(self.guest.run(["wc", "-c", a / "outblob"], user=NOBODY, check=True).stdout.split()), 2)
        self.assertEqual([c.uid for c in self.tee.witness("report")], [NOBODY])
        a.chmod(0o700)
        self.assertIn("Permission denied", self.guest.run(["cat", a / "outblob"], user=NOBODY).stderr)

    def test_trap14_a_chowned_report_directory_is_not_enough(self):
        os.chown(REPORT, NOBODY, NOBODY)
        self.guest.run(["mkdir", REPORT / "a"], user=NOBODY, check=True)
        self.addCleanup(os.rmdir, REPORT / "a")
        write = ["dd", f"of={REPORT}/a/inblob", "bs=64", "count=1", "if=/dev/zero", "conv=notrunc"]
        self.assertIn("Permission denied", self.guest.run(write, user=NOBODY).stderr)
        os.chown(REPORT / "a/inblob", NOBODY, NOBODY)
        self.guest.run(write, user=NOBODY, check=True)
        self.assertEqual(self.generation(REPORT / "a"), 1)

    def test_trap15_poll_says_always_ready(self):
        a = self.entry()
        fd = os.open(a / "outblob", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        self.assertEqual(poll.poll(0), [(fd, select.POLLIN)])

    def test_trap16_the_provider_goes_while_there_are_entries(self):
        a, b = self.ready("a"), self.ready("b")
        cached = self.read(a)
        self.tee.provider(None)
        self.assertEqual(self.read(a), cached)
        self.fails(errno.ENXIO, self.read, b)
        self.fails(errno.ENXIO, self.read, a, "provider")
        self.fails(errno.ENXIO, os.mkdir, REPORT / "c")
        self.assertEqual(self.generation(a), 1)
        with self.assertRaisesRegex(private_guest.SimulatorError, "EBUSY"):
            self.tee.provider("tdx_guest")
        a.rmdir()
        b.rmdir()
        self.tee.provider("tdx_guest")
        a.mkdir()
        self.assertEqual(self.read(a, "provider"), b"tdx_guest\n")


class Errors(Base):
    """What the table of errno says that Traps has not shown."""

    def test_mkdir_eexist(self):
        self.entry()
        self.fails(errno.EEXIST, os.mkdir, REPORT / "a")

    def test_rmdir_enoent(self):
        self.fails(errno.ENOENT, os.rmdir, REPORT / "a")

    def test_outblob_einval_without_inblob(self):
        self.fails(errno.EINVAL, self.read, self.entry())

    def test_outblob_einval_for_every_other_length(self):
        a = self.entry()
        for size in 1, 32, 63:
            self.write(a, bytes(size))
            self.fails(errno.EINVAL, self.read, a)
        self.write(a, bytes(64))
        self.assertEqual(self.report_data(a), bytes(64))

    def test_einval_is_said_before_enxio(self):
        a = self.entry()
        self.tee.provider(None)
        self.fails(errno.EINVAL, self.read, a)
        self.write(a, inblob())
        self.fails(errno.ENXIO, self.read, a)

    def test_what_the_device_can_say(self):
        a = self.ready()
        for fault, number in (("ebusy", errno.EBUSY), ("eintr 0", errno.EINTR), ("etimedout", errno.ETIMEDOUT),
                              ("enotty", errno.ENOTTY), ("errno read:outblob EIO", errno.EIO)):
            self.tee.fault(*fault.split(), times=1)
            self.assertEqual(self.errno_of(a), number, fault)
        self.assertEqual(self.report_data(a), inblob())

    def test_reading_a_write_only_descriptor_is_ebadf(self):
        fd = os.open(self.entry() / "inblob", os.O_WRONLY)
        self.addCleanup(os.close, fd)
        self.fails(errno.EBADF, os.read, fd, 1)


class Faults(Base):
    """One test for each line of the faults in --help."""

    def test_stall_takes_its_time_and_holds_the_lock(self):
        a = self.ready()
        self.tee.fault("stall", 50, times=1)
        self.read(a)
        self.assertGreaterEqual(int(self.tee.witness("report")[0].details["took_us"]), 50000)

    def test_stall_forever_ends_with_release(self):
        a = self.ready()
        self.tee.fault("stall", "forever", times=1)
        reader = in_thread(self.read, a)
        self.tee.wait("started")
        self.assertEqual(self.tee.stats()["running"], 1)
        self.tee.release()
        self.assertEqual(reader.result()[568:632], inblob())

    def test_ebusy_until_cleared(self):
        a = self.ready()
        number = self.tee.fault("ebusy")
        for _ in range(5):
            self.fails(errno.EBUSY, self.read, a)
        self.tee.clear(number)
        self.assertEqual(self.report_data(a), inblob())

    def test_eintr_then_ebusy(self):
        a = self.ready()
        self.tee.fault("eintr", 2, times=1)
        self.assertEqual([self.errno_of(a) for _ in range(4)], [errno.EINTR, errno.EBUSY, errno.EBUSY, 0])

    def test_etimedout_after_a_while_then_ebusy(self):
        a = self.ready()
        self.tee.fault("etimedout", 30, 1, times=1)
        self.fails(errno.ETIMEDOUT, self.read, a)
        self.fails(errno.EBUSY, self.read, a)
        self.assertGreaterEqual(int(self.tee.witness("report")[0].details["took_us"]), 30000)
        self.assertEqual(self.report_data(a), inblob())

    def test_short_cuts_at_any_byte(self):
        a = self.ready()
        whole = len(self.read(a))
        for wanted, size in ((1, 1), (63, 63), (631, 631), (-1, whole - 1), (10**6, whole)):
            self.write(a, inblob())
            self.tee.fault("short", wanted, times=1)
            self.assertEqual(len(self.read(a)), size)

    def test_trailing_bytes(self):
        a = self.ready()
        whole = len(self.read(a))
        for kind in "zero", "nonzero":
            self.write(a, inblob())
            self.tee.fault("trailing", 3065, kind, times=1)
            blob = self.read(a)
            self.assertEqual(len(blob), whole + 3065)
            self.assertTrue(all((b != 0) == (kind == "nonzero") for b in blob[whole:]))

    def test_oversized_by_the_limit_of_newer_kernels(self):
        a = self.ready()
        self.tee.set("outblob-max", 16 << 20)
        self.tee.fault("oversized", 16 << 20, times=1)
        self.assertEqual(len(self.read(a)), 16 << 20)

    def test_length_field(self):
        a = self.ready()
        good = self.read(a)
        for version, at in (("4", 632), ("5", 54 + 584)):
            self.tee.set("version", version)
            self.write(a, inblob())
            good = int.from_bytes(self.read(a)[at : at + 4], "little")
            self.write(a, inblob())
            self.tee.fault("length-field", 1, times=1)
            self.assertEqual(int.from_bytes(self.read(a)[at : at + 4], "little"), good + 1)

    def test_reportdata(self):
        a, asked, before = self.ready(fill=9), inblob(1), inblob(9)
        self.read(a)
        for kind, check in (
            ("zero", lambda d: d == bytes(64)),
            ("bit", lambda d: sum(bin(x ^ y).count("1") for x, y in zip(d, asked)) == 1),
            ("half", lambda d: d[:32] == asked[:32] and d[32:] != asked[32:]),
            ("other", lambda d: d not in (asked, before)),
        ):
            self.write(a, asked)
            self.tee.fault("reportdata", kind, times=1)
            self.assertTrue(check(self.report_data(a)), kind)

        self.write(a, before)
        self.read(a)
        self.write(a, asked)
        self.tee.fault("reportdata", "previous", times=1)
        self.assertEqual(self.report_data(a), before)

        self.write(a, asked)
        self.tee.fault("reportdata", "allzero", times=1)
        self.assertEqual(set(self.read(a)), {0})

        self.write(a, asked)
        self.tee.fault("reportdata", "othertee", times=1)
        blob = self.read(a)
        self.assertEqual((len(blob), blob[80:144]), (1184, asked))

    def test_generation_reads_as_something_else(self):
        a = self.ready()
        for kind, text in (("zero", b"0\n"), ("max", b"18446744073709551615\n"), ("empty", b""),
                           ("garbage", b"0x5f not a number\n")):
            self.tee.fault("generation", kind, times=1)
            self.assertEqual(self.read(a, "generation"), text)
        self.assertEqual(self.generation(a), 1)

    def test_generation_jumps_before_after_and_not_at_all(self):
        a = self.entry()
        self.tee.fault("generation", "jump", times=1)
        self.write(a, inblob())
        self.assertEqual(self.generation(a), 2)
        self.tee.fault("generation", "late-jump", times=1)
        self.read(a)
        self.assertEqual(self.generation(a), 3)
        self.tee.fault("generation", "behind", times=1)
        self.write(a, inblob(2))
        self.assertEqual(self.generation(a), 3)
        self.assertEqual(self.report_data(a), inblob(1))

    def test_foreign_writer_rewrites(self):
        a = self.entry()
        self.tee.fault("foreign-writer", "rewrite", times=1)
        self.write(a, inblob())
        self.assertEqual(self.generation(a), 2)
        self.assertNotEqual(self.report_data(a), inblob())

    def test_foreign_writer_removes_and_recreates(self):
        a = self.entry()
        self.tee.fault("foreign-writer", "remove", times=1)
        self.write(a, inblob())
        self.fails(errno.ENOENT, self.read, a)
        a.mkdir()
        self.tee.fault("foreign-writer", "recreate", times=1)
        self.write(a, inblob())
        self.assertEqual(self.generation(a), 0)
        self.fails(errno.EINVAL, self.read, a)

    def test_foreign_writer_opens_the_entry_to_all(self):
        a = self.entry()
        a.chmod(0o700)
        self.tee.fault("foreign-writer", "chmod", times=1)
        self.write(a, inblob())
        self.assertEqual(oct(a.stat().st_mode), "0o40777")

    def delays(self, count):
        """What so many reports are planned to take; none is waited for."""
        a = self.ready()
        for _ in range(count):
            self.write(a, inblob())
            started = self.tee.stats()["started"]
            reader = in_thread(self.read, a)
            self.tee.wait("started", started + 1)
            self.tee.release()
            reader.result()
        return [int(c.details["delay_ms"]) for c in self.tee.witness("begin")]

    def test_token_bucket_lets_a_burst_through_and_then_paces(self):
        self.tee.fault("token-bucket", 3, 3600000)
        delays = self.delays(5)
        self.assertEqual(delays[:3], [0, 0, 0])
        # The next token is 20 minutes away, the one after it 40; less what the test has taken.
        self.assertGreater(delays[3], 1080000)
        self.assertLessEqual(delays[3], 1200000)
        self.assertGreater(delays[4], 2280000)
        self.assertLessEqual(delays[4], 2400000)

    def test_token_bucket_waits_in_whole_steps(self):
        self.tee.fault("token-bucket", 1, 600000, 7000000)
        self.assertEqual(self.delays(2), [0, 7000000])

    def test_drip_gives_one_byte_a_read(self):
        a = self.ready()
        self.tee.fault("drip", times=1)
        fd = os.open(a / "outblob", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        parts = []
        while part := os.read(fd, 65536):
            self.assertEqual(len(part), 1)
            parts.append(part)
        self.assertEqual(b"".join(parts), self.read(a))

    def test_drip_pauses_without_holding_the_lock(self):
        a = self.ready()
        self.tee.fault("drip", 1000000, times=1)
        reader = subprocess.Popen(["head", "-c", "1", a / "outblob"], stdout=subprocess.DEVNULL)
        self.tee.wait("reports")
        self.assertEqual(self.generation(a), 1)
        self.assertIsNone(reader.poll())
        self.tee.release()
        self.assertEqual(reader.wait(private_guest.DEADLINE), 0)

    def test_shrink(self):
        a = self.ready()
        whole = len(self.read(a))
        self.tee.fault("shrink", 7)
        self.assertEqual([len(self.read(a)) for _ in range(3)], [whole - 7, whole - 14, whole - 21])

    def test_vanish_and_return(self):
        a = self.ready()
        self.tee.fault("vanish", "return", times=1)
        self.fails(errno.ENXIO, self.read, a)
        self.assertEqual(self.tee.stats()["provider"], "none")
        self.fails(errno.ENXIO, os.mkdir, REPORT / "b")
        a.rmdir()
        self.assertEqual(self.tee.stats()["provider"], "tdx_guest")
        a.mkdir()
        self.write(a, inblob())
        self.assertEqual(self.report_data(a), inblob())

    def test_enotty_for_ever(self):
        a = self.ready()
        self.tee.fault("enotty")
        for _ in range(3):
            self.fails(errno.ENOTTY, self.read, a)

    def test_errno_at_any_call(self):
        a = self.ready()
        calls = {
            "mkdir": lambda: os.mkdir(REPORT / "b"),
            "rmdir": lambda: os.rmdir(a),
            "chmod": lambda: os.chmod(a, 0o700),
            "lookup": lambda: os.stat(REPORT / "c"),
            "readdir": lambda: os.listdir(REPORT),
            "open:inblob": lambda: os.open(a / "inblob", os.O_WRONLY),
            "open:generation": lambda: os.open(a / "generation", os.O_RDONLY),
            "write:inblob": lambda: self.write(a, inblob()),
            "read:generation": lambda: self.read(a, "generation"),
            "read:provider": lambda: self.read(a, "provider"),
            "read:outblob": lambda: self.read(a),
        }
        for name, call in calls.items():
            with self.subTest(name):
                number = self.tee.fault("errno", name, "ENOSPC")
                self.fails(errno.ENOSPC, call)
                self.tee.clear(number)

    def test_kill_at_any_call(self):
        program = (
            "import os, sys\n"
            "a = sys.argv[1] + '/k'\n"
            "os.mkdir(a); os.chmod(a, 0o700)\n"
            "def read(n):\n fd = os.open(a + n, os.O_RDONLY)\n while os.read(fd, 65536): pass\n os.close(fd)\n"
            "read('/generation')\n"
            "fd = os.open(a + '/inblob', os.O_WRONLY); os.write(fd, bytes(64)); os.close(fd)\n"
            "read('/outblob'); os.rmdir(a)\n"
        )
        path = REPORT / "k"
        for call, is_there, generation in (
            ("mkdir", True, 0), ("chmod", True, 0), ("open:generation", True, 0), ("read:generation", True, 0),
            ("close:generation", True, 0), ("open:inblob", True, 0), ("write:inblob", True, 1),
            ("close:inblob", True, 1), ("open:outblob", True, 1), ("read:outblob", True, 1),
            ("close:outblob", True, 1), ("rmdir", False, None),
        ):
            with self.subTest(call):
                number = self.tee.fault("kill", call, times=1)
                result = subprocess.run([sys.executable, "-c", program, REPORT])
                self.assertEqual(result.returncode, -signal.SIGKILL)
                self.tee.clear(number)
                self.assertEqual(path.exists(), is_there)
                if is_there:
                    self.assertEqual(self.generation(path), generation)
                    path.rmdir()

    def test_kill_before_the_call_had_an_effect(self):
        self.tee.fault("kill", "mkdir", times=1)
        self.tee.fault("errno", "mkdir", "EINTR", times=1)
        self.assertEqual(subprocess.run(["mkdir", REPORT / "k"]).returncode, -signal.SIGKILL)
        self.assertEqual(self.guest.entries(), [])

    def test_kill_in_the_report(self):
        a = self.ready()
        self.tee.fault("kill", "read:outblob", times=1)
        self.tee.hold()
        self.assertEqual(subprocess.run(["cat", a / "outblob"]).returncode, -signal.SIGKILL)
        self.assertEqual(self.tee.stats()["in-flight"], 1)
        self.tee.release()

    def test_after_and_times(self):
        a = self.ready()
        self.tee.fault("ebusy", after=2, times=2)
        self.assertEqual([self.errno_of(self.rewritten(a)) for _ in range(6)], [0, 0, errno.EBUSY, errno.EBUSY, 0, 0])

    def rewritten(self, path):
        self.write(path, inblob())
        return path

    def results_of_seed(self, seed):
        """Sixty reports of another simulator with random faults: which struck, and what came of it."""
        mount, control = self.guest.directory / f"seed{seed}", str(self.guest.directory / "seed.socket")
        mount.mkdir(exist_ok=True)
        program = self.guest.program("tee-simulator")
        process = subprocess.Popen(
            [program, "--seed", str(seed), "--control", control, mount], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        tee = private_guest.Simulator(control)
        tee.fault("random", 70)
        a = mount / "tsm/report/a"
        a.mkdir()
        for _ in range(60):
            self.write(a, inblob())
            self.errno_of(a)
        struck = [c.words[0] for c in tee.witness("random")]
        results = [c.result for c in tee.witness("report")]
        tee.command("quit")
        tee.close()
        self.assertEqual(process.wait(), 0)
        process.stdout.close()
        return struck, results

    def test_the_same_seed_gives_the_same_run(self):
        first = self.results_of_seed(7)
        self.assertEqual(first, self.results_of_seed(7))
        self.assertNotEqual(first, self.results_of_seed(8))
        self.assertGreater(len(set(first[0])), 5)

    def test_what_is_no_fault_is_refused_with_a_reason(self):
        for line, reason in (
            ("fault nonsense", "no fault is called"),
            ("fault stall", "bad parameter"),
            ("fault stall -5", "bad parameter"),
            ("fault short x", "bad parameter"),
            ("fault reportdata third", "bad parameter"),
            ("fault errno chown EIO", "bad parameter"),
            ("fault errno mkdir ENOTHING", "bad parameter"),
            ("fault ebusy times", "is not 'after N' or 'times K'"),
            ("fault token-bucket 0 1", "at least one"),
            ("clear 99", "no such fault"),
            ("set mrtd 00", "48 bytes"),
            ("set body 1.5", "cannot be"),
            ("set colour red", "no field"),
            ("wait patience", "wait reports"),
            ("release two", "release"),
            ("sing", "no such command"),
        ):
            with self.assertRaisesRegex(private_guest.SimulatorError, reason):
                self.tee.command(line)
        self.assertEqual(self.tee.lines("faults"), [])


class Control(Base):
    def test_the_witness_tells_the_whole_story_in_order(self):
        a = self.ready()
        self.read(a)
        a.rmdir()
        story = [(c.what, c.where, c.result) for c in self.tee.witness() if c.what != "provider"]
        self.assertEqual(
            story,
            [
                ("mkdir", "a", "ok"),
                ("open", "a/inblob", "ok"),
                ("write", "a/inblob", "ok"),
                ("close", "a/inblob", "ok"),
                ("commit", "a", "ok"),
                ("open", "a/outblob", "ok"),
                ("begin", "a", "ok"),
                ("report", "a", "ok"),
                ("read", "a/outblob", "ok"),
                ("read", "a/outblob", "ok"),
                ("close", "a/outblob", "ok"),
                ("rmdir", "a", "ok"),
            ],
        )
        self.assertEqual(self.tee.reports(), [inblob()])
        times = [c.time_us for c in self.tee.witness()]
        self.assertEqual(times, sorted(times))
        self.assertEqual({c.tid for c in self.tee.witness() if c.tid}, {threading.get_native_id()})
        count = len(times)
        self.tee.command("witness forget")
        self.entry("b")
        self.assertEqual([c.number for c in self.tee.witness()], [count])

    def test_the_witness_keeps_no_more_than_it_is_told_to(self):
        a = self.ready()
        self.read(a)
        self.tee.wait("idle")
        count = self.tee.witness()[-1].number + 1
        self.tee.command("witness keep 3")
        self.assertEqual([c.number for c in self.tee.witness()], [count - 3, count - 2, count - 1])
        self.generation(a)
        self.tee.wait("idle")
        more = self.tee.witness()
        self.assertEqual(len(more), 3)
        self.assertEqual(len(self.tee.witness(first=more[1].number)), 2)

        self.tee.command("witness keep 0")
        self.read(a)
        self.tee.wait("idle")
        self.assertEqual(self.tee.witness(), [])
        self.tee.command("witness keep 1000000")
        self.generation(a)
        self.tee.wait("idle")
        self.assertEqual([c.what for c in self.tee.witness()], ["open", "read", "read", "close"])
        self.assertGreater(self.tee.witness()[0].number, more[2].number + 3)  # those that were not kept count
        with self.assertRaises(private_guest.SimulatorError):
            self.tee.command("witness keep")

    def test_foreign_entries_and_calls(self):
        self.tee.command("entry theirs")
        self.assertEqual(self.guest.entries(), ["theirs"])
        self.assertEqual(self.generation(REPORT / "theirs"), 0)
        self.tee.command("rewrite theirs")
        self.assertEqual(self.generation(REPORT / "theirs"), 1)
        self.tee.command("chmod theirs 700")
        self.assertEqual(oct((REPORT / "theirs").stat().st_mode), "0o40700")
        self.tee.command("remove theirs")
        self.assertEqual(self.guest.entries(), [])
        for line in "remove theirs", "rewrite theirs", "chmod theirs 700":
            with self.assertRaisesRegex(private_guest.SimulatorError, "ENOENT"):
                self.tee.command(line)

    def test_fields_of_the_quotes(self):
        a = self.entry()
        mrtd, rtmr3 = os.urandom(48), os.urandom(48)
        self.tee.set("mrtd", mrtd)
        self.tee.set("rtmr3", rtmr3)
        self.tee.set("debug", 1)
        self.write(a, inblob())
        blob = self.read(a)
        self.assertEqual((blob[184:232], blob[520:568], blob[168]), (mrtd, rtmr3, 1))
        self.tee.set("version", 5)
        self.tee.set("body", "1.5")
        self.write(a, inblob())
        blob = self.read(a)
        self.assertEqual((blob[0], blob[48], blob[54 + 520 : 54 + 584]), (5, 3, inblob()))

    def test_two_readers_of_one_entry_share_the_report(self):
        a = self.ready()
        self.tee.hold()
        readers = [in_thread(self.read, a) for _ in range(2)]
        self.tee.wait("held")
        self.tee.wait("queued")
        self.tee.release()
        first, second = (r.result() for r in readers)
        self.assertEqual(first, second)
        self.assertEqual(self.made(), 1)

    def test_a_hold_can_be_released_one_by_one(self):
        a, b = self.ready("a"), self.ready("b")
        self.tee.hold()
        readers = [in_thread(self.read, a)]
        self.tee.wait("held")
        readers.append(in_thread(self.read, b))
        self.tee.wait("queued")
        self.tee.release(one=True)
        self.tee.wait("reports", 1)
        self.tee.wait("held")
        self.assertEqual(self.made(), 1)
        self.tee.release()
        for reader in readers:
            reader.result()

    def test_a_client_that_goes_while_it_waits_harms_nobody(self):
        a = self.ready()
        self.tee.hold()
        reader = in_thread(self.read, a)
        self.tee.wait("held")
        gone = self.tee.another()
        gone._socket.sendall(b"entry x\nwait reports 99\n")
        self.tee.wait("queued")
        gone.close()
        self.tee.release()
        reader.result()
        self.tee.wait("entries", 2)
        self.tee.command("remove x")

    def test_lines_after_a_wait_are_kept(self):
        a = self.ready()
        other = self.tee.another()
        self.addCleanup(other.close)
        other._socket.sendall(b"wait reports 1\nstats\n")
        self.read(a)
        self.assertEqual(other._reader.readline(), "ok 1\n")
        self.assertIn("reports=1", other._reader.readline())

    def test_a_restarted_simulator_signs_under_the_same_root(self):
        state, root = str(self.guest.state), self.guest.root_spki_sha256
        program = self.guest.program("tee-simulator")
        folder = self.guest.directory / "again"
        folder.mkdir()
        second = subprocess.Popen([program, "--state", state, folder], stdout=subprocess.PIPE, text=True)
        self.assertEqual(second.stdout.readline(), f"ready root-spki-sha256={root}\n")
        second.terminate()
        self.assertEqual(second.wait(), 0)
        second.stdout.close()
        self.assertEqual((self.guest.state / "root-spki-sha256").read_text().strip(), root)
        self.assertFalse(os.path.ismount(folder))

    def test_help_names_every_command_and_fault(self):
        text = subprocess.run([self.guest.program("tee-simulator"), "--help"], capture_output=True, text=True).stdout
        for word in "provider", "witness", "token-bucket", "foreign-writer", "mrtd", "qe-not-binding":
            self.assertIn(word, text)
        self.assertEqual("\n".join(self.tee.lines("help")) in text, True)

    def test_usage(self):
        program = self.guest.program("tee-simulator")
        for arguments, status in (([], 2), (["--nonsense"], 2), (["/nowhere"], 1)):
            result = subprocess.run([program, *arguments], capture_output=True, text=True)
            self.assertEqual(result.returncode, status)
            self.assertIn("tee-simulator: ", result.stderr)


class Snp(Base):
    """What sev_guest does otherwise than tdx_guest."""

    guest_options = {"bus": False, "tee": "snp"}

    def put(self, path, attribute, text):
        fd = os.open(path / attribute, os.O_WRONLY)
        try:
            return os.write(fd, text)
        finally:
            os.close(fd)

    def vmpl(self, path):
        return int.from_bytes(self.read(path)[0x30:0x34], "little")

    def report_data(self, path):
        return self.read(path)[0x50:0x90]

    def test_the_attributes_are_those_of_sev_guest(self):
        a = self.entry()
        modes = {f.name: (oct(f.stat().st_mode), f.stat().st_size) for f in a.iterdir()}
        self.assertEqual(
            modes,
            {
                "inblob": ("0o100200", 0),
                "outblob": ("0o100444", 0),
                "auxblob": ("0o100444", 0),
                "generation": ("0o100444", 4096),
                "provider": ("0o100444", 4096),
                "privlevel": ("0o100200", 4096),
                "privlevel_floor": ("0o100444", 4096),
            },
        )
        self.assertEqual(self.read(a, "provider"), b"sev_guest\n")
        self.assertEqual(self.read(a, "privlevel_floor"), b"0\n")
        self.fails(errno.EACCES, os.open, a / "privlevel", os.O_RDONLY)
        self.fails(errno.EACCES, os.open, a / "privlevel_floor", os.O_WRONLY)
        self.fails(errno.ENOENT, os.open, a / "manifestblob", os.O_RDONLY)

    def test_a_report_with_its_certificates(self):
        a = self.ready(fill=5)
        self.assertEqual(self.report_data(a), inblob(5))
        self.assertEqual((len(self.read(a)), self.vmpl(a)), (1184, 0))
        table = self.read(a, "auxblob")
        self.assertEqual(table[:4].hex(), "63da758d")
        self.assertEqual(self.made(), 1)
        self.assertEqual(len(self.guest.root_spki_sha256), 64)
        self.assertIn(b"BEGIN CERTIFICATE", self.guest.root_pem.read_bytes())

    def test_auxblob_belongs_to_the_report_that_was_made(self):
        a = self.ready()
        first = self.read(a, "auxblob")  # this makes the report
        self.tee.set("flaw", "table-absent")
        self.assertEqual(self.read(a, "auxblob"), first)
        self.assertEqual(self.made(), 1)
        self.write(a, inblob())
        self.assertEqual(self.read(a, "auxblob"), b"")
        self.assertEqual(self.made(), 2)

    def test_what_the_host_says_of_lengths_is_believed_up_to_16_kib(self):
        a = self.ready()
        good = self.read(a, "auxblob")
        for flaw, size in (("table-beyond", 24 + 5 + 1), ("table-overflow", 24), ("table-large", None)):
            self.tee.set("flaw", flaw)
            self.write(a, inblob())
            self.assertEqual(len(self.read(a, "auxblob")), len(good) + size if size else 16384, flaw)

    def test_privlevel_is_a_number_from_the_floor_to_3(self):
        a = self.ready()
        for text in b"4", b"-1", b"", b"x", b"1 ":
            self.fails(errno.EINVAL, self.put, a, "privlevel", text or b"\n")
        self.assertEqual(self.generation(a), 1)
        self.put(a, "privlevel", b"3\n")
        self.assertEqual((self.generation(a), self.vmpl(a)), (2, 3))
        self.put(a, "privlevel", b"0")
        self.assertEqual((self.generation(a), self.vmpl(a)), (3, 0))

    def test_after_a_timeout_or_an_error_of_the_host_the_key_is_gone(self):
        a = self.ready()
        for fault, number in (("etimedout", errno.ETIMEDOUT), ("errno read:outblob EIO", errno.EIO)):
            self.write(a, inblob())
            self.tee.fault(*fault.split(), times=1)
            self.assertEqual(self.errno_of(a), number)
            for _ in range(3):
                self.assertEqual(self.errno_of(a), errno.ENOTTY)
            a.rmdir()
            self.tee.provider(None)
            self.tee.provider("sev_guest")
            a.mkdir()
            self.write(a, inblob())
            self.assertEqual(self.errno_of(a), 0)

    def test_a_signal_does_not_end_the_wait(self):
        a = self.ready()
        self.tee.fault("stall", "forever", times=1)
        with open("/dev/null", "wb") as nothing:
            child = subprocess.Popen(["cat", str(a / "outblob")], stdout=nothing)
        self.tee.wait("started")
        child.send_signal(signal.SIGTERM)
        self.assertTrue(self.tee.stats()["running"])
        self.tee.release()
        child.wait(private_guest.DEADLINE)
        self.assertEqual((self.made(), self.tee.stats()["in-flight"]), (1, 0))

    def test_reportdata_of_the_other_tee(self):
        a = self.ready(fill=7)
        self.tee.fault("reportdata", "othertee", times=1)
        self.assertEqual(self.read(a)[568:632], inblob(7))

    def test_the_root_is_that_of_the_product(self):
        roots = {self.tee.command("root")}
        for product in "genoa", "turin":
            self.tee.set("product", product)
            roots.add(self.tee.command("root"))
        self.assertEqual(len(roots), 3)


class Svsm(Snp):
    guest_options = {"bus": False, "tee": "snp", "floor": 2, "svsm": True}

    def ready(self, name="a", fill=1):
        path = self.entry(name)
        self.put(path, "privlevel", b"2\n")
        self.write(path, inblob(fill))
        return path

    def test_the_attributes_are_those_of_sev_guest(self):
        a = self.entry()
        self.assertEqual(
            {f.name: oct(f.stat().st_mode) for f in a.iterdir()}.items()
            - {"inblob": "0o100200", "outblob": "0o100444", "auxblob": "0o100444", "generation": "0o100444",
               "provider": "0o100444", "privlevel": "0o100200", "privlevel_floor": "0o100444"}.items(),
            {("manifestblob", "0o100444"), ("service_provider", "0o100200"), ("service_guid", "0o100200"),
             ("service_manifest_version", "0o100200")},
        )
        self.assertEqual(self.read(a, "privlevel_floor"), b"2\n")

    def test_a_report_with_its_certificates(self):
        a = self.ready(fill=5)
        self.assertEqual((self.report_data(a), self.vmpl(a)), (inblob(5), 2))
        self.assertEqual(self.read(a, "manifestblob"), b"")

    def test_below_the_floor_is_einval_when_it_is_read(self):
        a = self.entry()
        self.write(a, inblob())
        self.assertEqual(self.errno_of(a), errno.EINVAL)
        self.fails(errno.EINVAL, self.put, a, "privlevel", b"1")
        self.put(a, "privlevel", b"2")
        self.assertEqual(self.errno_of(a), 0)

    def test_privlevel_is_a_number_from_the_floor_to_3(self):
        a = self.ready()
        self.put(a, "privlevel", b"3\n")
        self.assertEqual(self.vmpl(a), 3)

    def test_after_a_timeout_or_an_error_of_the_host_the_key_is_gone(self):
        a = self.ready()
        self.tee.fault("etimedout", times=1)
        self.assertEqual(self.errno_of(a), errno.ETIMEDOUT)
        self.assertEqual(self.errno_of(a), errno.ENOTTY)
        self.put(a, "service_provider", b"svsm")  # needs no key of the guest's
        self.assertEqual(self.errno_of(a), 0)

    def test_the_service_provider_signs_nonce_and_manifest_at_vmpl_0(self):
        a = self.ready(fill=3)
        self.put(a, "service_provider", b"svsm\n")
        self.put(a, "service_guid", b"c476f1eb-0123-45a5-9641-b4e7dde5bfe3\n")
        self.put(a, "service_manifest_version", b"0\n")
        self.assertEqual(self.generation(a), 5)
        manifest = self.read(a, "manifestblob")
        self.assertEqual(manifest[:4].hex(), "63849ebb")
        self.assertEqual((self.report_data(a), self.vmpl(a)), (hashlib.sha512(inblob(3) + manifest).digest(), 0))
        self.assertEqual(self.made(), 1)
        for attribute, text in ("service_guid", b"vtpm"), ("service_manifest_version", b"one"):
            self.fails(errno.EINVAL, self.put, a, attribute, text)

    def test_a_provider_of_services_that_is_none(self):
        a = self.ready()
        self.put(a, "service_provider", b"coconut")
        self.assertEqual(self.errno_of(a), errno.EINVAL)
        self.put(a, "service_provider", b"svsm")
        self.assertEqual(self.errno_of(a), 0)
        self.tee.command("set svsm 0")
        self.write(a, inblob())
        self.assertEqual(self.errno_of(a), errno.EINVAL)


class NoProvider(Base):
    guest_options = {"bus": False, "provider": None}

    def test_mkdir_enxio(self):
        self.fails(errno.ENXIO, os.mkdir, REPORT / "a")

    def test_it_appears_later(self):
        self.tee.provider("tdx_guest")
        self.entry()


class NoCore(Base):
    guest_options = {"bus": False, "arguments": ("--no-core",)}

    def test_configfs_is_empty(self):
        self.assertEqual(os.listdir("/sys/kernel/config"), [])
        self.fails(errno.ENOENT, os.mkdir, REPORT / "a")

    def test_it_is_loaded_later(self):
        self.tee.command("core loaded")
        self.entry()
        with self.assertRaisesRegex(private_guest.SimulatorError, "EBUSY"):
            self.tee.command("core absent")


class NoConfigfs(unittest.TestCase):
    def test_it_is_not_mounted(self):
        with private_guest.Guest(bus=False, simulator=False):
            self.assertEqual(os.listdir("/sys/kernel/config"), [])
            with self.assertRaises(FileNotFoundError):
                os.mkdir(REPORT / "a")


if __name__ == "__main__":
    unittest.main(verbosity=2)
