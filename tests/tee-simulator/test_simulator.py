#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does the simulator do what Linux 6.12 was measured to do?

Each test of Traps and Errors says one thing of the kernel; those of Faults, that
a fault does what its line in --help says.
"""

import errno
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
        self.addCleanup(lambda: path.exists() and path.rmdir())
        return path

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
            # Python would call again after EINTR
            command = [sys.executable, "-c", "import ctypes, os, sys\n"
                       "c = ctypes.CDLL(None, use_errno=True); fd = os.open(sys.argv[1], 0)\n"
                       "n = c.read(fd, ctypes.create_string_buffer(9), 9); sys.exit(ctypes.get_errno() if n < 0 else 0)",
                       str(a / "outblob")]
            self.assertEqual(subprocess.run(command).returncode, number, fault)
        self.assertEqual(self.report_data(a), inblob())

    def test_reading_a_write_only_descriptor_is_ebadf(self):
        fd = os.open(self.entry() / "inblob", os.O_WRONLY)
        self.addCleanup(os.close, fd)
        self.fails(errno.EBADF, os.read, fd, 1)


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
