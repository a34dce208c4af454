#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Is a private guest private, and does it notice what is left behind?"""

import contextlib
import fcntl
import hashlib
import itertools
import os
import pathlib
import pwd
import select
import struct
import subprocess
import sys
import unittest

import private_guest

OUTSIDE = "ATTESTD_TEST_OUTSIDE"  # what the world looked like before entering it
if OUTSIDE not in os.environ:
    os.environ[OUTSIDE] = " ".join(os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "pid", "cgroup"))

private_guest.enter()

from gi.repository import Gio, GLib  # noqa: E402

REPORT = pathlib.Path("/sys/kernel/config/tsm/report")
SLEEP = ["sleep", "1000"]


# polkit knows a question by it and its caller.
CANCELLATION_IDS = itertools.count(1)


def check_authorization(bus, action="org.attestd.test", timeout=private_guest.DEADLINE * 1000, done=None):
    """(is_authorized, is_challenge); with `done` it is called with them, later."""
    subject = ("system-bus-name", {"name": GLib.Variant("s", bus.get_unique_name())})
    arguments = GLib.Variant("((sa{sv})sa{ss}us)", (subject, action, {}, 0, str(next(CANCELLATION_IDS))))
    head = (private_guest.Polkit.NAME, private_guest.Polkit.PATH, "org.freedesktop.PolicyKit1.Authority",
            "CheckAuthorization", arguments, None, Gio.DBusCallFlags.NONE, timeout, None)
    if done:
        return bus.call(*head, lambda b, result: done(b.call_finish(result).unpack()[0][:2]))
    return bus.call_sync(*head).unpack()[0][:2]


class World(unittest.TestCase):
    def test_namespaces_are_new_and_this_is_process_1(self):
        here = [os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "pid", "cgroup")]
        for outside, inside in zip(os.environ[OUTSIDE].split(), here):
            self.assertNotEqual(outside, inside)
        self.assertEqual(os.getpid(), 1)

    def test_what_is_written_to_etc_stays_inside(self):
        with open("/proc/self/mountinfo") as f:
            kinds = {line.split()[4]: line.split(" - ")[1].split()[0] for line in f}
        self.assertIn(kinds["/etc"], ("overlay", "tmpfs"))
        self.assertEqual(kinds["/run"], "tmpfs")
        pathlib.Path("/etc/attestd-test-of-private-guest").write_text("x")

    def test_a_program_below_is_inside_too(self):
        program = "import private_guest; print(private_guest.inside())"
        path = str(pathlib.Path(private_guest.__file__).parent)
        result = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path},
                                capture_output=True, text=True)
        self.assertEqual(result.stdout, "True\n", result.stderr)


class Bus(private_guest.GuestTest):
    def test_polkit_says_what_it_is_told(self):
        polkit = self.guest.polkit
        for verdict, answer in (("allow", (True, False)), ("deny", (False, False)), ("challenge", (False, True))):
            polkit.verdict = verdict
            self.assertEqual(check_authorization(self.guest.bus), answer)
        polkit.verdicts["org.attestd.one"] = "allow"
        polkit.verdict = "error"
        self.assertEqual(check_authorization(self.guest.bus, "org.attestd.one"), (True, False))
        with self.assertRaisesRegex(GLib.Error, "PolicyKit1.Error.Failed"):
            check_authorization(self.guest.bus)
        self.assertEqual(len(polkit.checks), 5)
        self.assertEqual(polkit.checks[0]["subject"], ("system-bus-name", {"name": self.guest.bus.get_unique_name()}))

    def test_polkit_can_be_slow(self):
        answers = []
        self.guest.polkit.verdict = "hold"
        for _ in range(2):
            check_authorization(self.guest.bus, done=answers.append)
        self.guest.polkit.wait_held(2)
        self.assertEqual(answers, [])
        self.guest.polkit.release("deny")
        self.assertTrue(private_guest.wait_until(lambda: len(answers) == 2))
        self.assertEqual(answers, [(False, False)] * 2)

    def test_polkit_can_be_absent_and_come_back(self):
        self.guest.polkit.absent()
        self.guest.wait_for_no_name(private_guest.Polkit.NAME)
        with self.assertRaisesRegex(GLib.Error, "ServiceUnknown"):
            check_authorization(self.guest.bus)
        self.guest.polkit.present()
        self.assertEqual(check_authorization(self.guest.bus), (True, False))

    def test_waiting_for_a_name_ends_with_the_program(self):
        process = self.guest.spawn(["sh", "-c", "echo no bus today; exit 3"])
        with self.assertRaisesRegex(private_guest.GuestError, "(?s)ended with 3 .*no bus today"):
            self.guest.wait_for_name("org.attestd.Nobody", process)

    def test_waiting_for_a_name_sees_it_come(self):
        owner = self.guest.connect()
        Gio.bus_own_name_on_connection(owner, private_guest.Polkit.NAME, Gio.BusNameOwnerFlags.NONE, None, None)
        self.guest.polkit.absent()  # the one in the queue follows
        self.assertEqual(self.guest.wait_for_name(private_guest.Polkit.NAME), owner.get_unique_name())
        owner.close_sync(None)

    def test_the_bus_lets_nobody_own_what_no_policy_names(self):
        with self.assertRaisesRegex(GLib.Error, "AccessDenied"):
            self.guest.bus.call_sync(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                GLib.Variant("(su)", ("org.example.Mine", 0)), None, Gio.DBusCallFlags.NONE, -1, None)


class Processes(private_guest.GuestTest):
    guest_options = {"bus": False}

    def test_other_users(self):
        verifier = pwd.getpwnam(private_guest.VERIFIER_USER)
        self.assertEqual(self.guest.run(["id", "-u"], user=verifier.pw_name).stdout, f"{verifier.pw_uid}\n")
        self.assertEqual(self.guest.run(["id", "-G"], user=12345).stdout, "12345\n")

    def test_other_namespaces(self):
        for name, link in (("pid", "pid"), ("mount", "mnt"), ("user", "user"), ("network", "net")):
            inside = self.guest.run(["readlink", f"/proc/self/ns/{link}"], namespaces=[name], check=True).stdout.strip()
            self.assertNotEqual(inside, os.readlink(f"/proc/self/ns/{link}"))
        plain = self.guest.run(["readlink", "/proc/self/ns/pid", "/proc/self/ns/mnt"], user=12345).stdout.split()
        self.assertEqual(plain, [os.readlink(f"/proc/self/ns/{n}") for n in ("pid", "mnt")])

    def test_units(self):
        try:
            unit = self.guest.unit("payroll.service")
        except private_guest.GuestError as e:
            self.skipTest(str(e))
        result = self.guest.run(["cat", "/proc/self/cgroup"], unit=unit, user=12345)
        self.assertIn("0::/system.slice/payroll.service\n", result.stdout)
        self.assertEqual(os.readlink("/run/systemd/units/invocation:payroll.service"), unit.invocation)

    def test_boot_id(self):
        with open("/proc/sys/kernel/random/boot_id") as f:
            before = f.read().strip()
        for _ in range(2):
            new = self.guest.set_boot_id()
            with open("/proc/sys/kernel/random/boot_id") as f:
                self.assertEqual(f.read().strip(), new)
            self.assertNotEqual(new, before)

    def test_a_process_can_be_watched_and_stopped(self):
        process = self.guest.spawn(["sh", "-c", "echo started; trap 'exit 0' TERM; while :; do read x; done"],
                                   stdin=subprocess.PIPE)
        self.assertTrue(process.is_running())
        self.assertGreater(process.rss_kib(), 0)
        self.assertGreaterEqual(len(process.fds()), 3)
        self.assertEqual(process.threads(), [process.pid])
        process.popen.stdin.close()
        process.kill()
        self.assertIn(process.wait(), (-9, 2))


class LeftBehind(unittest.TestCase):
    def fails(self, reason):
        return self.assertRaisesRegex(private_guest.GuestError, reason)

    def guest(self, **options):
        guest = private_guest.Guest(bus=False, **options)
        guest.print_logs = lambda: None
        return guest

    def test_nothing_is_fine(self):
        for _ in range(3):
            with self.guest():
                self.assertEqual(os.listdir(REPORT), [])
        self.assertEqual(os.listdir("/sys/kernel/config"), [])

    def test_an_entry(self):
        with self.fails("entries left behind: left"), self.guest():
            (REPORT / "left").mkdir()
        with self.guest() as guest:
            (REPORT / "theirs").mkdir()
            guest.foreign_entries = ["theirs"]

    def test_a_process(self):
        with self.fails("sleep. left behind"), self.guest() as guest:
            guest.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! >/run/left"])
        pid = int(pathlib.Path("/run/left").read_text())
        os.kill(pid, 9)
        os.waitpid(pid, 0)  # ours since its parent has ended

    def test_a_service_that_does_not_end_well(self):
        with self.fails("ended with -15, not 0"), self.guest() as guest:
            guest.spawn(SLEEP)

    def test_an_open_file(self):
        with self.assertRaises(TimeoutError), self.guest() as guest:
            guest.patience = 0.2
            (REPORT / "a").mkdir()
            fd = os.open(REPORT / "a/outblob", os.O_RDONLY)
            guest.foreign_entries = ["a"]
        with contextlib.suppress(OSError):  # the file system has gone meanwhile
            os.close(fd)

    def test_a_test_that_fails_is_not_hidden_by_what_it_left(self):
        with self.assertRaises(ZeroDivisionError), self.guest() as guest:
            guest.spawn(SLEEP)
            (REPORT / "left").mkdir()
            1 / 0


IMA = pathlib.Path("/sys/kernel/security/ima")
MEASUREMENTS = pathlib.Path("/sys/class/misc/tdx_guest/measurements")
VECTORS = private_guest.SOURCE.parent / "shared/vectors/ima-own"
PAGE = 4096


class Measured(private_guest.GuestTest):
    """IMA's files as Linux 6.12 has them."""

    guest_options = {"bus": False, "ima": True}

    def setUp(self):
        super().setUp()
        self.ima = self.guest.ima

    def test_the_first_entry_is_boot_aggregate(self):
        first, = self.ima.records()
        # Of any machine without a TPM whose kernel has Debian's template.
        self.assertEqual(first.digest.hex(), "4f38ef8f82bbc2a73f2169c57ff5c76e14ce353d")
        self.assertEqual((first.pcr, first.template, first.path), (10, "ima-sig", "boot_aggregate"))
        text = (IMA / "ascii_runtime_measurements").read_text()
        self.assertEqual(text, f"10 {first.digest.hex()} ima-sig sha256:{'00' * 32} boot_aggregate \n")

    def test_without_a_tpm_there_is_sha1_only(self):
        self.assertEqual(sorted(p.name for p in IMA.iterdir()), [
            "ascii_runtime_measurements", "ascii_runtime_measurements_sha1", "binary_runtime_measurements",
            "binary_runtime_measurements_sha1", "runtime_measurements_count", "violations"])
        self.assertEqual(os.readlink(IMA), "integrity/ima")
        self.assertEqual(os.readlink(IMA / "binary_runtime_measurements"), "binary_runtime_measurements_sha1")

    def test_sizes_and_modes(self):
        for name in "binary_runtime_measurements", "runtime_measurements_count", "violations":
            st = os.stat(IMA / name)
            self.assertEqual((st.st_mode, st.st_size, st.st_uid, st.st_gid), (0o100440, 0, 0, 0), name)
        ran = self.guest.run(["cat", IMA / "violations"], user="nobody")
        self.assertIn("Permission denied", ran.stderr)

    def test_a_descriptor_at_the_end_gives_what_comes(self):
        fd = os.open(IMA / "binary_runtime_measurements", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        whole = os.read(fd, 65536)
        self.assertEqual(os.read(fd, 65536), b"")
        for path in "/one", "/two":
            self.ima.measure(path)
            new = os.read(fd, 65536)
            self.assertEqual([r.path for r in private_guest.ima_records(new)], [path])
            self.assertEqual(os.read(fd, 65536), b"")
            whole += new
        self.assertEqual(whole, self.ima.log())
        self.assertEqual(os.pread(fd, 65536, 10), whole[10:])
        self.assertEqual(os.pread(fd, 5, len(whole) - 3), whole[-3:])

    def test_a_read_gives_whole_records_of_less_than_a_page(self):
        self.ima.bulk(200)
        self.ima.measure("/large", signature=bytes(3 * PAGE))
        self.ima.bulk(3, "/later-")
        whole, fd = b"", os.open(IMA / "binary_runtime_measurements", os.O_RDONLY)
        sizes = []
        while part := os.read(fd, 1 << 20):
            list(private_guest.ima_records(part))  # which would complain
            sizes.append(len(part))
            whole += part
        os.close(fd)
        self.assertEqual(len(list(private_guest.ima_records(whole))), 205)
        large = next(i for i, size in enumerate(sizes) if size > PAGE)
        self.assertTrue(all(PAGE // 2 < size < PAGE for size in sizes[:large - 1]), sizes)
        with open(IMA / "binary_runtime_measurements", "rb", buffering=0) as f:
            small = b"".join(iter(lambda: f.read(7), b""))
        self.assertEqual(small, whole)

    def test_count_and_violations(self):
        self.assertTrue(self.ima.measure("/usr/bin/x y", b"content"))
        self.assertFalse(self.ima.measure("/usr/bin/x y", b"content"))  # the kernel knows it
        self.ima.violation("/tmp/v1")
        self.ima.violation("/tmp/v1")
        self.assertEqual((IMA / "runtime_measurements_count").read_text(), "4\n")
        self.assertEqual((IMA / "violations").read_text(), "2\n")
        self.assertEqual([r.path for r in self.ima.records()],
                         ["boot_aggregate", "/usr/bin/x_y", "/tmp/v1", "/tmp/v1"])
        self.assertEqual([r.is_violation for r in self.ima.records()], [False, False, True, True])

    def test_all_templates(self):
        for template in [*private_guest.TEMPLATES, "n-ng|d-ng"]:
            self.assertTrue(self.ima.measure("/p", b"c", template=template, signature=b"\x03\x02s", buffer=b"b",
                                             modsig=b"m", modsig_digest=bytes(32)))
        records = self.ima.records()[1:]
        self.assertEqual([r.template for r in records], [*private_guest.TEMPLATES, "n-ng|d-ng"])
        for r in records:
            self.assertEqual(r.digest, private_guest.template_hash(r.template, r.data, "sha1"), r.template)

    @unittest.skipUnless(VECTORS.is_dir(), "no vectors")
    def test_it_writes_what_the_kernel_wrote(self):
        for folder in sorted(p for p in VECTORS.iterdir() if p.is_dir()):
            log = (folder / "binary_runtime_measurements_sha1").read_bytes()
            before = len(self.ima.log())
            records = list(private_guest.ima_records(log))
            new = [r for r in records if r.data not in {o.data for o in self.ima.records()} or r.is_violation]
            self.ima.load(log)
            for theirs, ours in zip(new, private_guest.ima_records(self.ima.log()[before:]), strict=True):
                if not theirs.is_violation:  # which are ima-sig here
                    self.assertEqual((theirs.digest, theirs.template, theirs.data),
                                     (ours.digest, ours.template, ours.data))

    def test_what_can_be_wrong(self):
        self.ima.bulk(3, "/p")
        good = self.ima.log()
        self.ima.garble("digest")
        self.assertEqual(sum(a != b for a, b in zip(good, self.ima.log(), strict=True)), 1)
        self.ima.garble("length", 1)
        with self.assertRaises(ValueError):
            self.ima.records()
        self.ima.garble("none")
        self.ima.cut(5)
        self.assertEqual(self.ima.log(), good[:-5])
        self.ima.cut(0)
        self.ima.shrink(1)
        self.assertEqual([r.path for r in self.ima.records()], ["boot_aggregate", "/p1", "/p2"])
        self.ima.trim(1)
        self.assertEqual([r.path for r in self.ima.records()], ["/p1", "/p2"])
        self.assertEqual((IMA / "runtime_measurements_count").read_text(), "2\n")
        self.ima.trim(1, keep_count=True)
        self.assertEqual((IMA / "runtime_measurements_count").read_text(), "2\n")
        for name, error in ("EACCES", PermissionError), ("EBUSY", OSError):
            self.ima.deny(name)
            with self.assertRaises(error):
                self.ima.log()
        self.ima.allow()
        self.ima.absent()
        self.assertEqual(os.listdir("/sys/kernel/security/integrity"), [])
        self.assertFalse(IMA.is_symlink())
        self.ima.present()
        self.assertEqual([r.path for r in self.ima.records()], ["/p2"])


class Registers(private_guest.GuestTest):
    """A TD's, as Linux 6.16 shows them."""

    guest_options = {"bus": False, "rtmr": True}
    GET_REPORT0 = 0xc4405401

    def tdreport(self, data=b"d" * 64):
        buffer = bytearray(data + bytes(1024))
        with open("/dev/tdx_guest", "rb", buffering=0) as f:
            fcntl.ioctl(f, self.GET_REPORT0, buffer)
        return bytes(buffer[64:])

    def rtmr(self, number, of=None):
        of = of or self.tdreport()
        return of[720 + 48 * number:768 + 48 * number]

    def read(self, number):
        return (MEASUREMENTS / f"rtmr{number}:sha384").read_bytes()

    def extend(self, number, data):
        with open(MEASUREMENTS / f"rtmr{number}:sha384", "wb", buffering=0) as f:
            return f.write(data)

    def test_a_tdreport_is_of_the_quotes_td(self):
        report = self.tdreport()
        self.assertEqual(report[:1] + report[128:192], b"\x81" + b"d" * 64)
        self.assertEqual(report[32:80], hashlib.sha384(report[256:495]).digest())
        self.assertEqual(report[80:128], hashlib.sha384(report[512:]).digest())
        self.extend(3, b"x" * 48)
        self.tee.command("extend-foreign 1")
        entry = REPORT / "a"
        entry.mkdir()
        (entry / "inblob").write_bytes(bytes(64))
        quote = (entry / "outblob").read_bytes()
        entry.rmdir()
        body = quote[48:]
        self.assertEqual(self.tdreport()[512:720], body[120:328])      # attributes to MROWNERCONFIG
        self.assertEqual(self.tdreport()[720:912], body[328:520])      # the RTMRs

    def test_the_files(self):
        self.assertEqual(sorted(p.name for p in MEASUREMENTS.iterdir()), [
            "mrconfigid", "mrowner", "mrownerconfig", "mrtd:sha384", *(f"rtmr{n}:sha384" for n in range(4))])
        self.assertEqual((MEASUREMENTS / "mrtd:sha384").read_bytes(), hashlib.sha384(b"test mrtd").digest())
        self.assertEqual(os.stat(MEASUREMENTS / "mrtd:sha384").st_mode, 0o100444)
        st = os.stat(MEASUREMENTS / "rtmr3:sha384")
        self.assertEqual((st.st_mode, st.st_size), (0o100644, 48))

    def test_a_write_extends(self):
        before = self.read(3)
        self.assertEqual(self.extend(3, b"x" * 48), 48)
        after = hashlib.sha384(before + b"x" * 48).digest()
        self.assertEqual(self.read(3), after)
        self.assertEqual(self.rtmr(3), after)
        with self.assertRaisesRegex(OSError, "Invalid argument"):
            self.extend(3, b"x" * 47)
        self.assertEqual(self.extend(3, b"x" * 49), 48)  # sysfs cuts it
        self.assertEqual(len(self.tee.witness("extend")), 3)

    def test_a_lock_keeps_others_out(self):
        with open(MEASUREMENTS / "rtmr3:sha384", "rb") as one, open(MEASUREMENTS / "rtmr3:sha384", "rb") as other:
            fcntl.flock(one, fcntl.LOCK_EX)
            with self.assertRaises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_the_files_do_not_see_what_others_extend(self):
        before = self.read(3)
        self.tee.command("extend-foreign 3")
        self.assertEqual(self.read(3), before)
        self.extend(2, bytes(48))  # a write of one file refreshes all
        self.assertNotEqual(self.read(3), before)
        before = self.read(3)
        self.tee.command(f"extend-foreign 3 {'5a' * 48}")
        self.assertEqual(self.read(3), before)
        self.assertEqual(self.rtmr(3), hashlib.sha384(before + b"\x5a" * 48).digest())
        self.assertEqual(self.read(3), self.rtmr(3))  # the driver has one buffer for its TDREPORTs

    def test_the_tcb_can_change(self):
        before = self.tdreport()
        self.assertEqual(before[384:400], before[264:280])
        self.tee.set("tee_tcb_svn2", "07" * 16)
        after = self.tdreport()
        self.assertEqual((after[384:400], after[264:280]), (b"\7" * 16, before[264:280]))

    def test_what_fails(self):
        self.tee.command("registers ioctl EIO")
        with self.assertRaisesRegex(OSError, "Input/output"):
            self.tdreport()
        self.tee.command("registers write EBUSY")
        with self.assertRaisesRegex(OSError, "busy"):
            self.extend(3, bytes(48))
        self.tee.command("registers well")
        self.tdreport()
        with open("/dev/tdx_guest", "rb") as f, self.assertRaisesRegex(OSError, "Inappropriate ioctl"):
            fcntl.ioctl(f, 0x5401)


class WithTpm(private_guest.GuestTest):
    """A TPM that IMA extends; and the kernel's ways to it."""

    guest_options = {"bus": False, "ima": True, "tpm": True}
    GET_RANDOM = struct.pack(">HIIH", 0x8001, 12, 0x17b, 8)

    def open(self, flags=0):
        fd = os.open("/dev/tpmrm0", os.O_RDWR | flags)
        self.addCleanup(os.close, fd)
        return fd

    def tool(self, *argv):
        return self.guest.run([argv[0], "-T", "device:/dev/tpmrm0", *argv[1:]], check=True).stdout

    def test_pcr_10_is_what_the_lists_say(self):
        self.guest.ima.measure("/a")
        self.guest.ima.violation("/b")
        self.guest.ima.measure("/c", template="ima", algorithm="sha1")
        self.guest.ima.bulk(100)
        for bank in private_guest.BANKS:
            with self.subTest(bank):
                records = self.guest.ima.records(bank)
                self.assertEqual(len(records), 104)
                self.assertEqual(self.guest.tpm.read(10, bank), private_guest.ima_aggregate(records, bank))
                self.assertEqual(self.guest.tpm.read(10, bank), self.guest.ima.aggregate(bank))
                for r in records:
                    expected = r.extension(bank) if not r.is_violation else bytes(len(r.digest))
                    self.assertEqual(r.digest, expected)
        text = self.tool("tpm2_pcrread", "sha256:10")
        self.assertIn(self.guest.tpm.read(10).hex().upper(), text)

    def test_boot_aggregate_is_of_this_boot(self):
        self.guest.ima.measure("/a")
        first = self.guest.ima.records("sha256")[0]
        registers = b"".join(self.guest.tpm.read(n) for n in range(10))
        self.assertEqual(first.data[12:44], hashlib.sha256(registers).digest())

    def test_one_after_the_other(self):
        fd = self.open()
        self.assertEqual(os.write(fd, self.GET_RANDOM), 12)
        self.assertEqual(select.select([fd], [], [], 0)[0], [fd])
        with self.assertRaisesRegex(OSError, "busy"):
            os.write(fd, self.GET_RANDOM)
        head = os.read(fd, 10)
        self.assertEqual(struct.unpack(">HII", head), (0x8001, 20, 0))
        self.assertEqual(len(os.read(fd, 4096)), 10)
        self.assertEqual(os.read(fd, 4096), b"")
        self.assertEqual(select.select([fd], [fd], [], 0), ([], [fd], []))
        for wrong in self.GET_RANDOM[:-1], b"\x80\1":
            with self.assertRaisesRegex(OSError, "Invalid argument"):
                os.write(fd, wrong)
        with self.assertRaises(OSError):
            os.write(fd, bytes(4097))

    def test_keys_of_a_closed_descriptor_are_flushed(self):
        for _ in range(5):  # of three places
            self.tool("tpm2_createprimary", "-C", "e", "-G", "ecc", "-Q")

    def test_a_tpm_that_hangs(self):
        self.guest.tpm.hang()
        fd = self.open(os.O_NONBLOCK)
        os.write(fd, self.GET_RANDOM)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        self.assertEqual(poll.poll(0), [])
        stuck = self.guest.spawn(["tpm2_getrandom", "-T", "device:/dev/tpmrm0", "8"])
        self.assertTrue(stuck.is_running())
        stuck.kill()  # it can be
        self.guest.tpm.well()
        self.assertTrue(poll.poll(private_guest.DEADLINE * 1000))
        self.assertEqual(len(os.read(fd, 4096)), 20)

    def test_a_tpm_that_is_locked(self):
        self.guest.tpm.lockout()
        ran = self.guest.run(["tpm2_createprimary", "-T", "device:/dev/tpmrm0", "-C", "e", "-Q"])
        self.assertIn("0x921", ran.stderr)
        self.tool("tpm2_pcrread", "sha256:10")  # needs no authorisation
        self.guest.tpm.well()
        self.tool("tpm2_createprimary", "-C", "e", "-Q")

    def test_a_tpm_that_goes(self):
        fd = self.open()
        self.guest.tpm.gone()
        with self.assertRaises(BrokenPipeError):
            os.write(fd, self.GET_RANDOM)
        with self.assertRaisesRegex(OSError, "No such device"):
            os.open("/dev/tpmrm0", os.O_RDWR)
        self.assertFalse(os.path.exists("/sys/class/tpm/tpm0/pcr-sha256/10"))
        self.guest.tpm.well()
        self.tool("tpm2_getrandom", "--hex", "4")

    def test_banks_can_be_chosen(self):
        self.doCleanups()  # one guest at a time
        with private_guest.Guest(bus=False, ima=True, tpm=("sha256", "sha384")) as guest:
            self.assertEqual(sorted(p.name for p in pathlib.Path("/sys/class/tpm/tpm0").glob("pcr-*")),
                             ["pcr-sha256", "pcr-sha384"])
            self.assertEqual(sorted(p.name.rsplit("_", 1)[1] for p in IMA.glob("binary_runtime_measurements_*")),
                             ["sha1", "sha256", "sha384"])
            guest.ima.measure("/a")
            self.assertEqual(guest.tpm.read(10, "sha384"), guest.ima.aggregate("sha384"))

class OtherState(private_guest.GuestTest):
    guest_options = {"bus": False}

    def test_files_of_the_kernel(self):
        for level, text in (("none", "[none] integrity confidentiality\n"),
                            ("confidentiality", "none integrity [confidentiality]\n")):
            self.guest.lockdown(level)
            self.assertEqual(pathlib.Path("/sys/kernel/security/lockdown").read_text(), text)
        self.guest.selinux()
        status = os.open("/sys/fs/selinux/status", os.O_RDONLY)
        self.addCleanup(os.close, status)
        self.assertEqual(struct.unpack("=5I", os.pread(status, 64, 0)), (1, 2, 1, 1, 0))
        self.guest.selinux(enforcing=False, policy_loads=2)
        self.assertEqual(struct.unpack("=5I", os.pread(status, 64, 0)), (1, 4, 0, 2, 0))
        self.assertEqual(pathlib.Path("/sys/fs/selinux/enforce").read_text(), "0")
        self.guest.unit("some.service")  # cgroups are where they were
        self.guest.ccel(b"log")
        table = pathlib.Path("/sys/firmware/acpi/tables/CCEL").read_bytes()
        self.assertEqual((len(table), table[:4], table[36], table[40]), (56, b"CCEL", 2, 3))
        self.assertEqual(pathlib.Path("/sys/firmware/acpi/tables/data/CCEL").read_bytes(), b"log")
        self.guest.bios_log(b"events")
        self.assertEqual(pathlib.Path("/sys/kernel/security/tpm0/binary_bios_measurements").read_bytes(), b"events")

    def test_they_go_with_the_guest(self):
        self.guest.lockdown("none")
        self.doCleanups()
        self.assertFalse(os.path.exists("/sys/kernel/security/lockdown"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
