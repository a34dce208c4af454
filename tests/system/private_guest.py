# SPDX-License-Identifier: LGPL-2.1-or-later
"""A confidential guest of one's own, for tests and demonstrations.

    import private_guest
    private_guest.enter()               # first thing in the program

    with private_guest.Guest(build="/path/to/build") as guest:
        guest.start_attestd()
        guest.polkit.verdict = "allow"
        ...

enter() runs the program again as process 1 of new mount, pid and cgroup
namespaces, so that nothing outside is touched and nothing is left when it ends,
however it ends. In there:

    /sys/kernel/config   empty, for the simulator to mount on
    /run                 empty
    /etc, /usr/local/etc as outside, but what is written stays inside
    /proc, /sys/fs/cgroup   of the new namespaces

Callers share mount and pid namespace with process 1, as they do on a real guest;
spawn(..., namespaces=("pid",)) makes one that does not.

A Guest is a tee-simulator (guest.tee), a system bus with the project's own bus
policies at the usual address (guest.bus), and a polkit that says what the test
wants (guest.polkit). One at a time; many after each other. When it is left, it
fails if a program has left an entry, an open file or a process behind.

    class Refusals(private_guest.GuestTest):    # the same as a unittest.TestCase
        guest_options = {"delay_ms": 40}

    guest.start_attestd(*arguments)   } Process; returns when the name is on the bus
    guest.start_verifier(*arguments)  } and fails at once when the program ends before
    guest.spawn(argv, ...)            any program: other user, other namespaces, a unit
    guest.run(argv, ...)              the same, to its end: subprocess.CompletedProcess
    guest.connect()                   a bus connection of one's own, which can go away
    guest.stop_bus(), .start_bus()    the bus is killed, with polkit on it, and there is another
    guest.activated("attestd")        with activatable=True: Process that the bus has started, or starts
    guest.unit("payroll.service")     a systemd unit: cgroup and invocation id
    guest.set_boot_id(text)           what the kernel says this boot is called
    guest.configuration               where the daemons read theirs: SYSCONFDIR/attestd
    guest.directory                   scratch, gone afterwards
    guest.root_spki_sha256, guest.root_pem   what a verifier is to trust: the TEE's root, the ARK of SNP

    guest.trust()                     the lines of a policy that trust this TEE and its root, and no other
    guest.boot()                      the line that names what this guest was booted from

Guest(direct=True) has the direct socket at its usual place: guest.direct is its address, held
here as by systemd, and passed to each attestd that start_attestd() starts. connect_direct() is
a connection to it, not one to a bus.

Guest(tee="snp", product="genoa") is a guest on AMD's; guest.kind and guest.product say which it is.

Guest(ima=True) has the files of IMA in /sys/kernel/security; Guest(rtmr=True) the
registers of its TD: /dev/tdx_guest, /sys/class/misc/tdx_guest/measurements, the same
as in its quotes; Guest(tpm=True) a swtpm: /dev/tpmrm0, /sys/class/tpm/tpm0, PCR 10 of
which IMA extends. /dev is then one of its own, where both are files, not devices.
tpm=("sha256",) allocates these banks.

    guest.ima.measure("/usr/bin/true", content=b"...")   an entry: Ima says which others
    guest.ima.violation(path), .trim(10), .garble("digest"), .deny("EACCES"), .absent()
    guest.tee.set("tee_tcb_svn2", "07" * 16)      the module was updated under the TD
    guest.tee.set("current_fw", "090101")         of SNP: the firmware was; current_tcb likewise
    guest.tee.command("extend-foreign 3")         another than sysfs extends an RTMR
    guest.tee.command("registers ioctl EIO")      no TDREPORT; "registers well"
    guest.tpm.gone(), .hang(), .lockout(), .well()
    guest.tpm.read(10, "sha256")                  from sysfs

Files that any guest can be given, until it is left:

    guest.lockdown("integrity")                   /sys/kernel/security/lockdown
    guest.selinux(enforcing=True, policy_loads=2) /sys/fs/selinux/enforce, status
    guest.ccel(log)                               /sys/firmware/acpi/tables/CCEL, data/CCEL
    guest.bios_log(log)                           /sys/kernel/security/tpm0/binary_bios_measurements

    guest.tee.command("fault ebusy times 3")   any line of `tee-simulator --help`;
                                      its answer, or SimulatorError
    guest.tee.hold(), .release(), .wait("held"), .fault(...), .clear()
    guest.tee.stats(), .witness()     parsed: dict, list of Call

Nothing here sleeps to let time pass: waits end with the event that they wait for,
or fail after DEADLINE seconds.

As a program: private_guest.py [--build DIR] [COMMAND...] runs COMMAND, or a shell,
in a guest with both services, those that are built.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import uuid

DEADLINE = 30
PYTHON = "/usr/bin/python3"
SOURCE = pathlib.Path(__file__).resolve().parents[2]
SERVICES = {"attestd": "org.attestd.Attester1", "attestd-verifier": "org.attestd.Verifier1"}
VERIFIER_USER = "attestd-verifier"
CALLERS = 1000, 1001  # dbus-daemon closes the connection of a user that it does not know

_PRIVATE_DEV = pathlib.Path("/run/dev")
_MARK = "ATTESTD_PRIVATE_GUEST"
_SKIP = 77  # for meson: skipped


# The world


def inside():
    """Is this process in a world that enter() has made, and not just told so?"""
    return os.environ.get(_MARK) == "1" and (os.getpid() == 1 or os.path.ismount("/sys/kernel"))


def enter(argv=None):
    """Go on as process 1 of a private world. Does not return outside it.

    argv: what to run there; by default this program with its arguments.
    """
    if inside():
        if os.getpid() == 1 and not os.path.ismount("/sys/kernel"):
            _furnish()
        return

    if os.geteuid() != 0:
        print("skipped: namespaces and FUSE need root")
        sys.exit(_SKIP)
    if not os.path.exists("/dev/fuse"):
        print("skipped: there is no /dev/fuse")
        sys.exit(_SKIP)

    argv = argv or [PYTHON, *sys.orig_argv[1:]]
    cgroup = _make_cgroup()
    libc = ctypes.CDLL(None)

    def before_exec():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: do not outlive the outer half
        if cgroup:
            with contextlib.suppress(OSError):  # then there are no units in there
                (cgroup / "cgroup.procs").write_text("0")

    sys.stdout.flush()
    sys.stderr.flush()
    outer = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--cgroup", "--fork", "--kill-child", "--mount-proc", *argv],
        env={**os.environ, _MARK: "1"},
        preexec_fn=before_exec,
    )
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, lambda *_: outer.kill())
    status = outer.wait()
    if cgroup:
        _remove_cgroup(cgroup)
    sys.exit(status if status >= 0 else 128 - status)


def _cgroup2():
    """Where the unified hierarchy is mounted, and this process's place in it."""
    with open("/proc/self/mountinfo") as f:
        mounts = [line.split()[4] for line in f if " - cgroup2 " in line]
    with open("/proc/self/cgroup") as f:
        own = [line.rstrip("\n")[3:] for line in f if line.startswith("0::")]
    return pathlib.Path(mounts[0] + own[0]) if mounts and own else None


def _make_cgroup():
    parent = _cgroup2()
    if not parent:
        return None
    for old in parent.glob("attestd-guest-*"):  # of a run that was killed
        if not os.path.exists(f"/proc/{old.name.rsplit('-', 1)[1]}"):
            _remove_cgroup(old)
    cgroup = parent / f"attestd-guest-{os.getpid()}"
    try:
        cgroup.mkdir()
    except OSError:
        return None
    return cgroup


def _remove_cgroup(cgroup):
    for folder, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return  # not empty: it is somebody's


def _mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def _furnish():
    """What process 1 does before anything else."""
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    for folder in "/run/lock", "/run/dbus", "/run/systemd/units", "/run/overlay":
        os.makedirs(folder)
    for number, folder in enumerate(("/etc", "/usr/local/etc")):
        if os.path.isdir(folder):
            upper, work = f"/run/overlay/{number}", f"/run/overlay/{number}.work"
            os.mkdir(upper)
            os.mkdir(work)
            options = f"lowerdir={folder},upperdir={upper},workdir={work}"
            if subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", folder]).returncode != 0:
                subprocess.run(["cp", "-a", f"{folder}/.", upper], check=True)
                _mount("--bind", upper, folder)

    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/sys/kernel")
    os.mkdir("/sys/kernel/config")
    if os.path.isdir("/sys/fs/cgroup"):
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], stderr=subprocess.DEVNULL)
    _make_user(VERIFIER_USER)
    for uid in CALLERS:
        _make_user(f"caller-{uid}", uid)
    if not os.path.exists("/etc/machine-id"):
        pathlib.Path("/etc/machine-id").write_text(uuid.uuid4().hex + "\n")


def _private_dev():
    """/dev of this world alone; with what it had, by bind mounts."""
    if os.path.ismount("/dev") and _PRIVATE_DEV.exists():
        return
    _PRIVATE_DEV.mkdir()
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(_PRIVATE_DEV))
    for name in "console", "full", "fuse", "kvm", "null", "ptmx", "random", "tty", "urandom", "zero", "pts", "shm":
        source, target = pathlib.Path("/dev", name), _PRIVATE_DEV / name
        if not source.exists():
            continue
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
            continue
        target.mkdir() if source.is_dir() else target.touch()
        _mount("--rbind" if source.is_dir() else "--bind", str(source), str(target))
    for name, target in ("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"):
        (_PRIVATE_DEV / name).symlink_to(f"/proc/self/{target}")
    _mount("--rbind", str(_PRIVATE_DEV), "/dev")


def _make_user(name, number=None):
    """A user, if there is none, as systemd-sysusers would make it; only in here."""
    entries = pwd.getpwall()
    if any(entry.pw_name == name or entry.pw_uid == number for entry in entries):
        return
    taken = {entry.pw_uid for entry in entries}
    number = number or next(n for n in range(980, 100, -1) if n not in taken)
    with open("/etc/group", "a") as f:
        f.write(f"{name}:x:{number}:\n")
    with open("/etc/passwd", "a") as f:
        f.write(f"{name}:x:{number}:{number}:for tests:/:/usr/sbin/nologin\n")


# Waiting


def _wait_fd(fd, seconds=DEADLINE):
    """Until fd is readable. Returns: was it?"""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


# Of a process that are shown when something goes wrong: a flood has millions.
LOG_LINES = 500


def is_sanitized(pid):
    """Its allocator gives nothing back for a while: what it holds says little."""
    with open(f"/proc/{pid}/maps") as f:
        return "libasan" in f.read()


class GuestError(Exception):
    """The world is not as it has to be."""


class Process:
    """A program that a Guest has started. Its output is in log()."""

    def __init__(self, name, popen, log_path):
        self.name, self.popen, self.log_path = name, popen, log_path
        self.pidfd = os.pidfd_open(popen.pid)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def is_running(self):
        return self.popen.poll() is None

    def wait(self, seconds=DEADLINE):
        """Its exit status, negative for a signal."""
        if self.popen.poll() is None and not _wait_fd(self.pidfd, seconds):
            raise GuestError(f"{self.name} still runs after {seconds} s")
        return self.popen.wait()

    def stop(self, expect=0, seconds=DEADLINE):
        """SIGTERM and its exit status, which has to be as expected; None: whatever it is."""
        self.send(signal.SIGTERM)
        status = self.wait(seconds)
        if expect is not None and status != expect:
            raise GuestError(f"{self.name} ended with {status}, not {expect}:\n{self.log()}")
        return status

    def kill(self):
        self.send(signal.SIGKILL)
        return self.wait()

    def send(self, number):
        if self.popen.poll() is None:
            signal.pidfd_send_signal(self.pidfd, number)

    def fds(self):
        """What its descriptors refer to."""
        targets = []
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                targets.append(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return sorted(targets)

    def threads(self):
        return sorted(int(t) for t in os.listdir(f"/proc/{self.pid}/task"))

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))

    def peak_rss_kib(self):
        with open(f"/proc/{self.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def _close(self):
        os.close(self.pidfd)


class Activated(Process):
    """A service that the bus has started: its child, so nobody here learns its exit status."""

    def __init__(self, name, pid, log_path):
        self.name, self._pid, self.log_path = name, pid, log_path
        self.is_infrastructure = False
        self.pidfd = os.pidfd_open(pid)

    @property
    def pid(self):
        return self._pid

    def is_running(self):
        return not _wait_fd(self.pidfd, 0)

    def wait(self, seconds=DEADLINE):
        if not _wait_fd(self.pidfd, seconds):
            raise GuestError(f"{self.name} still runs after {seconds} s")

    def stop(self, expect=None, seconds=DEADLINE):
        return super().stop(expect, seconds)

    def send(self, number):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def close(self):
        self._close()


# The simulator


class SimulatorError(GuestError):
    """It has answered "error"."""


class Call:
    """A line of the witness."""

    def __init__(self, line):
        head, *details = line.split(" ")[:7], *line.split(" ")[7:]
        self.number, self.time_us = int(head[0]), int(head[1])
        self.tid, self.uid = int(head[2][4:]), int(head[3][4:])
        self.what, self.where, self.result = head[4:7]
        self.entry, _, self.attribute = self.where.partition("/")
        self.words = details
        self.details = dict(d.split("=", 1) for d in details if "=" in d)
        self.line = line

    def __repr__(self):
        return f"<{self.line}>"


class Simulator:
    """The control socket of a tee-simulator."""

    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        self._socket, self._reader = self._connect()

    def _connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(DEADLINE)
        s.connect(self._path)
        return s, s.makefile("r")

    def another(self):
        """A second connection, for a command that has to wait while others are given."""
        return Simulator(self._path)

    @staticmethod
    def _ask(s, reader, line):
        s.sendall(line.encode() + b"\n")
        answer = reader.readline()
        if not answer.endswith("\n"):
            raise SimulatorError(f"{line}: the simulator has gone")
        word, _, rest = answer.rstrip("\n").partition(" ")
        if word != "ok":
            raise SimulatorError(f"{line}: {rest}")
        return rest

    def command(self, line):
        """The words after "ok"."""
        with self._lock:
            return self._ask(self._socket, self._reader, line)

    def lines(self, line):
        """For the commands that answer with lines."""
        with self._lock:
            count = int(self._ask(self._socket, self._reader, line))
            return [self._reader.readline().rstrip("\n") for _ in range(count)]

    def wait(self, figure, at_least=1, seconds=DEADLINE):
        """Until a figure of stats() is at least that; on a connection of its own, so others can go on."""
        s, reader = self._connect()
        with s, reader:
            s.settimeout(seconds)
            return int(self._ask(s, reader, f"wait {figure} {at_least}"))

    def fault(self, *words, after=None, times=None):
        """Arm a fault: fault("short", 63, times=1). Its id."""
        line = ["fault", *map(str, words)]
        line += ["after", str(after)] if after is not None else []
        line += ["times", str(times)] if times is not None else []
        return int(self.command(" ".join(line)))

    def clear(self, number=None):
        self.command("clear" if number is None else f"clear {number}")

    def hold(self):
        self.command("hold")

    def release(self, one=False):
        self.command("release one" if one else "release")

    def delay(self, milliseconds):
        self.command(f"delay {milliseconds}")

    def provider(self, name):
        self.command(f"provider {name or 'none'}")

    def set(self, field, value):
        self.command(f"set {field} {value.hex() if isinstance(value, bytes) else value}")

    def stats(self):
        pairs = dict(word.split("=", 1) for word in self.command("stats").split())
        return {key: value if key == "provider" else int(value) for key, value in pairs.items()}

    def witness(self, what=None, first=0):
        """The calls so far, those called `what` only."""
        calls = [Call(line) for line in self.lines(f"witness {first}")]
        return [c for c in calls if what is None or c.what == what]

    def reports(self):
        """REPORTDATA of each report that was made, in order."""
        return [bytes.fromhex(c.details["reportdata"]) for c in self.witness("report") if c.result == "ok"]

    def close(self):
        self._reader.close()
        self._socket.close()


# What is measured

SECURITY = pathlib.Path("/sys/kernel/security")
BANKS = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
# Fields of the kernel's templates; another name is a list of fields itself: "d-ng|n-ng".
TEMPLATES = {
    "ima": "d|n",
    "ima-ng": "d-ng|n-ng",
    "ima-sig": "d-ng|n-ng|sig",
    "ima-ngv2": "d-ngv2|n-ng",
    "ima-sigv2": "d-ngv2|n-ng|sig",
    "ima-buf": "d-ng|n-ng|buf",
    "ima-modsig": "d-ng|n-ng|sig|d-modsig|modsig",
    "evm-sig": "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
}


def _field(data):
    return struct.pack("<I", len(data)) + data


def template_data(template, path, digest, algorithm="sha256", signature=b"", buffer=b"", modsig=b"",
                  modsig_digest=None, verity=False):
    """An entry's data, as the kernel makes it: blanks of the path are '_'."""
    name = path.replace(" ", "_").encode()
    if template == "ima":
        return digest[:20].ljust(20, b"\0") + _field(name)
    tagged = f"{algorithm}:".encode() + b"\0" + digest
    fields = {
        "d-ng": tagged, "d-ngv2": (b"verity:" if verity else b"ima:") + tagged, "n-ng": name + b"\0",
        "sig": signature, "evmsig": signature, "buf": buffer, "modsig": modsig,
        "d-modsig": f"{algorithm}:".encode() + b"\0" + modsig_digest if modsig_digest else b"",
        "xattrnames": b"", "xattrlengths": b"", "xattrvalues": b"",
        "iuid": struct.pack("<I", 0), "igid": struct.pack("<I", 0), "imode": struct.pack("<H", 0o100755),
    }
    return b"".join(_field(fields[f]) for f in TEMPLATES.get(template, template).split("|"))


def template_hash(template, data, bank):
    if template == "ima":
        data = data[:20] + data[24:].ljust(256, b"\0")
    return hashlib.new(bank, data).digest()


class ImaRecord:
    """A record of a binary list: pcr, digest, template, data; the list's bank."""

    def __init__(self, pcr, digest, template, data, bank):
        self.pcr, self.digest, self.template, self.data, self.bank = pcr, digest, template, data, bank

    @property
    def is_violation(self):
        return not any(self.digest)

    def extension(self, bank):
        return b"\xff" * BANKS[bank] if self.is_violation else template_hash(self.template, self.data, bank)

    @property
    def path(self):
        if self.template == "ima":
            return self.data[24:].decode()
        size = struct.unpack_from("<I", self.data)[0]
        length = struct.unpack_from("<I", self.data, 4 + size)[0]
        return self.data[8 + size:8 + size + length].rstrip(b"\0").decode()


def ima_records(log, bank="sha1"):
    """Those of a list of that bank, read by rules of their own: nothing of what is tested is used."""
    at = 0

    def take(size):
        nonlocal at
        at += size
        if at > len(log):
            raise ValueError(f"a record ends at {at} of {len(log)} bytes")
        return log[at - size:at]

    def number():
        return struct.unpack("<I", take(4))[0]

    while at < len(log):
        pcr, digest, template = number(), take(BANKS[bank]), take(number()).decode()
        if template == "ima":
            head = take(20)
            data = head + _field(take(number()))
        else:
            data = take(number())
        yield ImaRecord(pcr, digest, template, data, bank)


def ima_aggregate(records, bank, pcr=10):
    """What that PCR is after them."""
    value = bytes(BANKS[bank])
    for record in records:
        if record.pcr == pcr:
            value = hashlib.new(bank, value + record.extension(bank)).digest()
    return value


class Ima:
    """The kernel's IMA, as the simulator shows it in /sys/kernel/security."""

    def __init__(self, tee, absent, present):
        self._tee = tee
        self.absent = absent    # the kernel has none
        self.present = present  # it has

    def command(self, *words):
        return self._tee.command(" ".join(["ima", *map(str, words)]))

    def measure(self, path, content=None, digest=None, template="ima-sig", algorithm="sha256", pcr=10, **fields):
        """An entry; fields: of template_data(). Returns: was it added? The kernel adds nothing twice."""
        if digest is None:
            digest = hashlib.new(algorithm, path.encode() if content is None else content).digest()
        return self.add(template, template_data(template, path, digest, algorithm, **fields), pcr)

    def add(self, template, data, pcr=10):
        try:
            self.command("add", pcr, template, data.hex())
        except SimulatorError as e:
            if "EEXIST" not in str(e):
                raise
            return False
        return True

    def violation(self, path):
        self.command("violation", path.replace(" ", "_"))

    def bulk(self, count, prefix="/usr/bin/program-"):
        """That many entries, of other paths."""
        self.command("bulk", count, prefix)

    def load(self, log, bank="sha1"):
        """The entries of another list, which begins with a boot_aggregate of its own."""
        for record in ima_records(log, bank):
            if record.is_violation:
                self.violation(record.path)
            else:
                self.add(record.template, record.data, record.pcr)

    def trim(self, count, keep_count=False):
        """The first ones are no longer in the lists, as Linux 7.2 can do it."""
        self.command("trim", count, *["keep-count"] * keep_count)

    def shrink(self, count):
        """The last ones are no longer there, as never happens."""
        self.command("shrink", count)

    def cut(self, size):
        """The last record lacks its last bytes; 0: no longer."""
        self.command("cut", size)

    def garble(self, what="digest", number=None):
        """digest, data, length, template or pcr of a record, the last one without a number; "none": no longer."""
        self.command("garble", what, *[number] * (number is not None))

    def deny(self, name="EACCES"):
        self.command("deny", name)

    def allow(self):
        self.command("allow")

    def stats(self):
        """records, count, violations; opens, reads and bytes of the lists so far."""
        return {k: int(v) for k, v in (word.split("=") for word in self.command("stats").split())}

    def log(self, bank="sha1"):
        """The list, as it is read."""
        return (SECURITY / f"ima/binary_runtime_measurements_{bank}").read_bytes()

    def records(self, bank="sha1"):
        return list(ima_records(self.log(bank), bank))

    def aggregate(self, bank="sha256", count=None):
        """What PCR 10 is after the first `count` entries, or all."""
        return ima_aggregate(self.records()[:count], bank)


class Tpm:
    """/dev/tpmrm0 and what is behind it."""

    def __init__(self, tee):
        self._tee = tee

    def gone(self):
        """The device is away: ENODEV, and EPIPE where it was open."""
        self._tee.command("tpm gone")

    def hang(self):
        """No command ends."""
        self._tee.command("tpm hang")

    def lockout(self):
        """TPM_RC_LOCKOUT to all that needs authorisation."""
        self._tee.command("tpm lockout")

    def refuse(self, code):
        self._tee.command(f"tpm refuse {code:x}")

    def well(self):
        """As it was; commands that were held go on."""
        self._tee.command("tpm well")

    def read(self, pcr, bank="sha256"):
        return bytes.fromhex(pathlib.Path(f"/sys/class/tpm/tpm0/pcr-{bank}/{pcr}").read_text())


# polkit


class Polkit:
    """org.freedesktop.PolicyKit1, as far as services ask it, in a thread of the test.

    verdict: "allow", "deny", "challenge" (not now, but after authentication), "error",
    or "hold": no answer until release(), or until it is taken back, unless is_deaf.
    verdicts: the same for single actions.
    checks: what was asked so far, as dicts subject, details, action, flags.
    """

    NAME = "org.freedesktop.PolicyKit1"
    PATH = "/org/freedesktop/PolicyKit1/Authority"
    XML = """<node><interface name='org.freedesktop.PolicyKit1.Authority'>
        <method name='CheckAuthorization'>
          <arg type='(sa{sv})' direction='in'/><arg type='s' direction='in'/><arg type='a{ss}' direction='in'/>
          <arg type='u' direction='in'/><arg type='s' direction='in'/><arg type='(bba{ss})' direction='out'/>
        </method>
        <method name='CancelCheckAuthorization'><arg type='s' direction='in'/></method>
      </interface></node>"""

    def __init__(self, address):
        from gi.repository import Gio, GLib

        self._gio, self._glib = Gio, GLib
        self.verdict = "allow"
        self.verdicts = {}
        self.checks = []
        self.cancelled = 0
        self.is_deaf = False
        self._held = {}  # invocations by caller and cancellation id
        self._changed = threading.Condition()
        self._context = GLib.MainContext.new()
        self._loop = GLib.MainLoop.new(self._context, False)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(address,), daemon=True)
        self._thread.start()
        self._ready.wait(DEADLINE)
        self.present()

    def _serve(self, address):
        Gio = self._gio
        self._context.push_thread_default()
        self._bus = Gio.DBusConnection.new_for_address_sync(
            address,
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
            None,
            None,
        )
        interface = Gio.DBusNodeInfo.new_for_xml(self.XML).interfaces[0]
        self._bus.register_object(self.PATH, interface, self._on_call, None, None)
        self._ready.set()
        self._loop.run()
        self._bus.close_sync(None)
        self._context.pop_thread_default()

    def _bus_call(self, method, arguments):
        self._bus.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method, arguments, None,
            self._gio.DBusCallFlags.NONE, DEADLINE * 1000, None,
        )

    def present(self):
        self._bus_call("RequestName", self._glib.Variant("(su)", (self.NAME, 4)))

    def absent(self):
        self._bus_call("ReleaseName", self._glib.Variant("(s)", (self.NAME,)))

    def _on_call(self, bus, sender, path, interface, method, arguments, invocation):
        with self._changed:
            if method == "CancelCheckAuthorization":
                self.cancelled += 1
                held = None if self.is_deaf else self._held.pop((sender, arguments.unpack()[0]), None)
                if held:
                    self._answer(held, "cancelled")
                invocation.return_value(None)
            else:
                (kind, subject), action, details, flags, cancellation_id = arguments.unpack()
                self.checks.append(
                    {"subject": (kind, subject), "action": action, "details": details, "flags": flags, "by": sender}
                )
                verdict = self.verdicts.get(action, self.verdict)
                if verdict == "hold":
                    assert cancellation_id and (sender, cancellation_id) not in self._held
                    self._held[sender, cancellation_id] = invocation
                else:
                    self._answer(invocation, verdict)
            self._changed.notify_all()

    def _answer(self, invocation, verdict):
        if verdict == "error":
            invocation.return_dbus_error("org.freedesktop.PolicyKit1.Error.Failed", "no answer today")
        elif verdict == "cancelled":
            invocation.return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "taken back")
        else:
            answer = (verdict == "allow", verdict == "challenge", {})
            invocation.return_value(self._glib.Variant("((bba{ss}))", (answer,)))

    def wait_held(self, count=1):
        """Until that many questions wait for release()."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._held) >= count, DEADLINE):
                raise GuestError(f"polkit was asked {len(self._held)} times, not {count}")

    def wait_cancelled(self, count):
        """Until that many questions were taken back."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.cancelled >= count, DEADLINE):
                raise GuestError(f"{self.cancelled} questions were taken back, not {count}")

    @property
    def n_held(self):
        return len(self._held)

    def release(self, verdict="allow"):
        """Answer those that were held."""
        with self._changed:
            held, self._held = self._held, {}
        for invocation in held.values():
            self._answer(invocation, verdict)

    def close(self):
        self._loop.quit()
        self._thread.join(DEADLINE)


# The guest

_BUS_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{services}</servicedir>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
{limits}{policies}</busconfig>
"""


# sd_listen_fds(3): descriptor 3, and whose it is.
_PASS_LISTENER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
if sys.argv[1] != "3":
    os.close(int(sys.argv[1]))
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Unit:
    """A systemd system unit, as far as processes can tell."""

    def __init__(self, name, invocation, cgroup):
        self.name, self.invocation, self.cgroup = name, invocation, cgroup


class Guest:
    """See the module's documentation.

    build: the build directory; by default $ATTESTD_BUILD (meson's tests have it), else SOURCE/build
    tee: "tdx" or "snp"
    product: of SNP: "milan", "genoa" or "turin"
    floor: of SNP: the VMPL that this guest runs at
    svsm: of SNP: True when what runs at VMPL 0 attests its services
    settings: fields of the quotes or reports from the start, as tee.set(): {"version": 5}
    provider: None for a guest whose TEE driver is not loaded
    simulator: False for a machine without configfs
    bus: False for none, and no polkit either
    polkit: False for a bus without it
    arguments: more for tee-simulator, such as "--no-core"
    activatable: the bus starts both services when they are called
    direct: True for attestd.socket
    groups: True for a session of its own for each program: so Linux shares the processors among the programs, not
            among their threads (sched(7), autogroup), as systemd's control groups of equal weight have it; and for a
            simulator that waits for none of them, at real-time priority
    ima, rtmr, tpm: True for a guest with that; of tpm also the banks that it has; rtmr needs tee "tdx"
    """

    BUS_ADDRESS = "unix:path=/run/dbus/system_bus_socket"

    def __init__(self, build=None, tee="tdx", product="milan", floor=0, svsm=False, settings=(), provider="", delay_ms=0,
                 seed=1, simulator=True, bus=True, polkit=True, arguments=(), wrapper=(), bus_limits=(),
                 activatable=False, ima=False, rtmr=False, tpm=False, direct=False, groups=False):
        if not inside():
            raise GuestError("call private_guest.enter() first")
        self.build = pathlib.Path(build or os.environ.get("ATTESTD_BUILD") or SOURCE / "build").resolve()
        self.bus_limits = dict(bus_limits)  # of dbus-daemon(1), by name
        self.activatable = activatable
        self.wrapper = list(wrapper)  # before each of our programs: a debugger, valgrind
        self.kind, self.product = tee, product if tee == "snp" else None
        provider = provider if provider != "" else {"tdx": "tdx_guest", "snp": "sev_guest"}[tee]
        arguments = [*arguments, *(f"--set={name}={value}" for name, value in dict(settings).items())]
        if tee == "snp":
            arguments = [f"--set=product={product}", f"--privlevel-floor={floor}", *["--svsm"] * svsm, *arguments]
        self._options = (provider, delay_ms, seed, simulator, bus, bus and polkit, list(arguments))
        self.tee = self.bus = self.polkit = self.ima = self.tpm = None
        self._has_ima, self._has_rtmr, self._tpm_banks = ima, rtmr, tpm
        self._has_direct, self._listener, self.direct = direct, None, None
        self._has_groups = groups
        self.processes = []
        self._mounted_over = []
        self._made = []  # files of the private /dev

    # Set-up

    def __enter__(self):
        provider, delay_ms, seed, simulator, bus, polkit, arguments = self._options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="guest-", dir="/run"))
        self.directory.chmod(0o755)
        # AMD's keys are large: made once for all guests of this world.
        self.state = pathlib.Path("/run/snp-keys") if self.kind == "snp" else self.directory / "tee"
        self.state.mkdir(mode=0o755, exist_ok=True)
        self.configuration = self._sysconfdir() / "attestd"
        for folder in {self.configuration, pathlib.Path("/etc/attestd"), pathlib.Path("/run/attestd")}:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.parts[1] != "run":
                folder.mkdir(parents=True)
        try:
            if simulator:
                self._start_simulator(provider, delay_ms, seed, arguments)
            if bus:
                self._start_bus()
            if polkit:
                self.polkit = Polkit(self.BUS_ADDRESS)
            if self._has_direct:
                self._listen()
        except BaseException:
            self._tear_down()
            raise
        return self

    def _sysconfdir(self):
        try:
            options = json.loads((self.build / "meson-info/intro-buildoptions.json").read_text())
        except FileNotFoundError:
            return pathlib.Path("/etc")
        values = {o["name"]: o["value"] for o in options}
        return pathlib.Path(values["prefix"]) / values["sysconfdir"]

    def program(self, name):
        """Where a program of ours was built; GuestError if it was not."""
        for folder in "src", "examples", "tests/tee-simulator", "tests/system", "tests/lib", "tests/bench":
            if (self.build / folder / name).is_file():
                return str(self.build / folder / name)
        raise GuestError(f"{name} is not built in {self.build}")

    def _start_simulator(self, provider, delay_ms, seed, arguments):
        control = str(self.directory / "tee.socket")
        machine = self.directory / "machine"
        machine.mkdir()
        with contextlib.ExitStack() as stack:
            if self._has_ima or self._has_rtmr or self._tpm_banks:
                arguments = ["--machine", str(machine), *["--ima"] * self._has_ima,
                             *["--registers"] * self._has_rtmr, *arguments]
            pass_fds = [stack.enter_context(self._start_tpm()).fileno()] if self._tpm_banks else []
            argv = [self.program("tee-simulator"), "--control", control, "--state", str(self.state),
                    "--provider", provider or "none", "--delay", str(delay_ms), "--seed", str(seed),
                    *(f"--tpm={fd}" for fd in pass_fds), *arguments, "/sys/kernel/config"]
            if self._has_groups:
                argv = ["chrt", "--fifo", "1", *argv]
            self._simulator, line = self._start_infrastructure("tee-simulator", argv, pass_fds)
        self.root_spki_sha256 = line.split("=")[1]
        self.root_pem = self.state / (f"ark-{self.product}.pem" if self.product else "root.pem")
        if self.root_pem.exists():
            self.root_pem.chmod(0o644)
        self.tee = Simulator(control)
        self._show_machine(machine)

    def simulator_rss_kib(self):
        return self._simulator.rss_kib()

    def _start_tpm(self):
        """A swtpm; the other end of its socket."""
        state = self.directory / "swtpm"
        state.mkdir()
        if self._tpm_banks is not True:
            subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", state, "--pcr-banks", ",".join(self._tpm_banks)],
                           check=True, stdout=subprocess.DEVNULL)
        ours, its = socket.socketpair()
        with its:
            argv = ["swtpm", "socket", "--tpm2", f"--fd={its.fileno()}", "--tpmstate", f"dir={state}",
                    "--flags", "not-need-init,startup-clear", "--terminate"]
            self._add_infrastructure("swtpm", argv, [its.fileno()])
        return ours

    def _show_machine(self, machine):
        """Bind what the simulator shows to where the kernel has it."""
        if self._has_ima:
            self.ima = Ima(self.tee, self._hide_ima, lambda: self._show_ima(machine))
            self._show_ima(machine)
        if self._has_rtmr or self._tpm_banks:
            _private_dev()
            self._cover("/sys/class")
        if self._has_rtmr:
            self._bind_new(machine / "dev/tdx_guest", "/dev/tdx_guest")
            self._bind_new(machine / "measurements", "/sys/class/misc/tdx_guest/measurements")
        if self._tpm_banks:
            self.tpm = Tpm(self.tee)
            self._bind_new(machine / "dev/tpmrm0", "/dev/tpmrm0")
            self._bind_new(machine / "tpm0", "/sys/class/tpm/tpm0")

    def _show_ima(self, machine):
        self._bind(machine / "ima", self._security("integrity/ima"))
        (SECURITY / "ima").symlink_to("integrity/ima")

    def _hide_ima(self):
        folder = SECURITY / "integrity/ima"
        subprocess.run(["umount", "--lazy", folder], check=True)
        self._mounted_over.remove(str(folder))
        folder.rmdir()
        (SECURITY / "ima").unlink()

    def _bind(self, source, target):
        _mount("--bind", str(source), str(target))
        self._mounted_over.append(str(target))

    def _bind_new(self, source, target):
        """To a place that is made for it, and goes with it."""
        target = pathlib.Path(target)
        if source.is_dir():
            target.mkdir(parents=True)
        else:
            target.touch()
            self._made.append(target)
        self._bind(source, target)

    def _cover(self, folder):
        """A tmpfs over it, once."""
        if folder not in self._mounted_over:
            _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder)
            self._mounted_over.append(folder)

    def _security(self, path):
        """A folder of securityfs."""
        if not SECURITY.exists():
            SECURITY.mkdir()
        self._cover(str(SECURITY))
        folder = SECURITY / path
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @staticmethod
    def _write(path, data, mode):
        """In place: who has it open sees it."""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, mode), "wb") as f:
            f.write(data)
            f.truncate()

    def _start_bus(self):
        services = self.directory / "services"
        services.mkdir(exist_ok=True)
        for program, name in SERVICES.items() if self.activatable else ():
            argv = self._command([self.program(program)], VERIFIER_USER if "verifier" in program else None, (), None)
            command = " ".join([shutil.which(argv[0]), *argv[1:]])
            (services / f"{name}.service").write_text(f"[D-BUS Service]\nName={name}\nExec={command}\n")
        policies = "".join(
            f"  <include>{p}</include>\n"
            for folder in (SOURCE / "dbus", self.build / "dbus")
            for p in sorted(folder.glob("org.attestd.*.conf"))
        )
        limits = "".join(f'  <limit name="{name}">{value}</limit>\n' for name, value in self.bus_limits.items())
        configuration = self.directory / "bus.conf"
        configuration.write_text(
            _BUS_CONFIGURATION.format(services=services, policies=policies, limits=limits))
        if os.path.exists("/run/dbus/system_bus_socket"):
            os.unlink("/run/dbus/system_bus_socket")
        argv = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--nosyslog",
                "--print-address"]
        self._bus_process, _ = self._start_infrastructure("dbus-daemon", argv)
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = self.BUS_ADDRESS
        self.bus = self.connect()

    def _listen(self):
        os.mkdir("/run/attestd", 0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("/run/attestd/bus")
        os.chmod("/run/attestd/bus", 0o666)
        self._listener.listen(4096)
        self.direct = "unix:path=/run/attestd/bus"

    def connect_direct(self):
        """A connection of this program to the direct socket."""
        from gi.repository import Gio

        return Gio.DBusConnection.new_for_address_sync(
            self.direct, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)

    def stop_bus(self):
        """It is killed, as is polkit; who else was connected finds out."""
        if self.polkit:
            self.polkit.close()
        self._bus_process.kill()
        self.bus = None

    def start_bus(self):
        """Another one, at the same place, with a polkit that says what the last one would have."""
        self._start_bus()
        if self.polkit:
            old, self.polkit = self.polkit, Polkit(self.BUS_ADDRESS)
            self.polkit.verdict, self.polkit.verdicts = old.verdict, old.verdicts

    def _add_infrastructure(self, name, argv, pass_fds=()):
        log = self.directory / f"{name}.log"
        with open(log, "wb") as err:
            popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                                     pass_fds=pass_fds, start_new_session=self._has_groups)
        process = Process(name, popen, log)
        self.processes.append(process)
        process.is_infrastructure = True
        return process

    def _start_infrastructure(self, name, argv, pass_fds=()):
        """A program of ours that prints a line when it is ready; that line."""
        process = self._add_infrastructure(name, argv, pass_fds)
        popen = process.popen
        line = popen.stdout.readline().decode().strip() if _wait_fd(popen.stdout) else ""
        if not line:
            raise GuestError(f"{name} does not start:\n{process.log()}")
        return process, line

    # Programs

    def connect(self):
        """A new connection to the bus, as root of this program."""
        from gi.repository import Gio

        return Gio.DBusConnection.new_for_address_sync(
            self.BUS_ADDRESS,
            Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
            None,
            None,
        )

    def _command(self, argv, user, namespaces, unit):
        """argv, by programs that each change one thing and run the next."""
        chain = []
        if unit:
            chain += ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(unit.cgroup / "cgroup.procs")]
        if user is not None:
            entry = pwd.getpwuid(user) if isinstance(user, int) and _has_user(user) else None
            entry = pwd.getpwnam(user) if isinstance(user, str) else entry
            uid, gid = (entry.pw_uid, entry.pw_gid) if entry else (user, user)
            chain += ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--"]
        if namespaces:
            options = {
                "user": ["--user", "--map-root-user"],
                "pid": ["--pid", "--fork", "--kill-child", "--mount-proc"],
                "mount": ["--mount"],
                "network": ["--net"],
            }
            chain += ["unshare", *(o for n in namespaces for o in options[n])]
        return [*chain, *map(str, argv)]

    def spawn(self, argv, name=None, user=None, namespaces=(), unit=None, env=None, stdin=subprocess.DEVNULL,
              stdout=None, pass_fds=()):
        """Start a program. user: name or uid; namespaces: of "user", "pid", "mount", "network"; unit: of unit().

        Output goes to its log; with stdout=subprocess.PIPE only the errors do.
        """
        name = name or os.path.basename(str(argv[0]))
        number = sum(p.name == name for p in self.processes)
        log = self.directory / f"{name}{'.%d' % number if number else ''}.log"
        with open(log, "wb") as output:
            popen = subprocess.Popen(
                self._command(argv, user, namespaces, unit), stdin=stdin, stdout=stdout or output, stderr=output,
                env={**os.environ, **(env or {})}, pass_fds=pass_fds, start_new_session=self._has_groups,
            )
        process = Process(name, popen, log)
        process.is_infrastructure = False
        self.processes.append(process)
        return process

    def run(self, argv, user=None, namespaces=(), unit=None, env=None, input=None, check=False, timeout=DEADLINE):
        """A program to its end; stdout and stderr are in the result, as text."""
        return subprocess.run(
            self._command(argv, user, namespaces, unit), input=input, capture_output=True, text=True,
            env={**os.environ, **(env or {})}, check=check, timeout=timeout,
            **({} if input is not None else {"stdin": subprocess.DEVNULL}),
        )

    def start_attestd(self, *arguments, env=None, wait=True):
        return self._start_service("attestd", arguments, None, env, wait)

    def start_verifier(self, *arguments, env=None, wait=True, user=VERIFIER_USER):
        return self._start_service("attestd-verifier", arguments, user, env, wait)

    def _start_service(self, program, arguments, user, env, wait):
        argv, pass_fds = [*self.wrapper, self.program(program), *arguments], ()
        if program == "attestd" and self._listener:
            argv, pass_fds = [PYTHON, "-c", _PASS_LISTENER, self._listener.fileno(), *argv], (self._listener.fileno(),)
        process = self.spawn(argv, name=program, user=user, env=env, pass_fds=pass_fds)
        if wait:
            self.wait_for_name(SERVICES[program], process)
        return process

    def activated(self, program, start=True):
        """The Activated that serves now, started if need be; None if there is none and start is not set."""
        from gi.repository import GLib

        name = SERVICES[program]
        if start:
            self._ask_bus("StartServiceByName", "(su)", (name, 0))
        try:
            return Activated(program, self.pid_of(name), self._bus_process.log_path)
        except (GLib.Error, ProcessLookupError):
            return None

    def pid_of(self, name):
        """Of the process that owns `name` on the bus."""
        return self._ask_bus("GetConnectionUnixProcessID", "(s)", (name,))

    def _ask_bus(self, method, *arguments):
        from gi.repository import GLib

        return self.bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method,
                                  GLib.Variant(*arguments), None, 0, DEADLINE * 1000, None).unpack()[0]

    def wait_for_name(self, name, process=None, seconds=DEADLINE):
        """Until `name` has an owner on the bus; its unique name. Fails when `process` ends before."""
        return self._wait_for_owner(name, process, seconds, lambda owner: owner)

    def wait_for_no_name(self, name, seconds=DEADLINE):
        self._wait_for_owner(name, None, seconds, lambda owner: not owner)

    def _wait_for_owner(self, name, process, seconds, is_it):
        from gi.repository import Gio, GLib

        context = GLib.MainContext.new()
        state = {"owner": None, "late": False}
        context.push_thread_default()
        try:
            bus = self.connect()
            bus.signal_subscribe(
                "org.freedesktop.DBus", "org.freedesktop.DBus", "NameOwnerChanged", "/org/freedesktop/DBus", name,
                Gio.DBusSignalFlags.NONE, lambda *a: state.update(owner=a[5].unpack()[2]),
            )
            try:
                state["owner"] = bus.call_sync(
                    "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
                    GLib.Variant("(s)", (name,)), None, Gio.DBusCallFlags.NONE, -1, None,
                ).unpack()[0]
            except GLib.Error:
                state["owner"] = ""
            timer = GLib.timeout_source_new(int(seconds * 1000))
            timer.set_callback(lambda *_: state.update(late=True))
            timer.attach(context)
            if process:
                stop = self._watch_exit(process, context)
            try:
                while not is_it(state["owner"]) and not state["late"] and not (process and not process.is_running()):
                    context.iteration(True)
            finally:
                timer.destroy()
                if process:
                    stop()
            bus.close_sync(None)
        finally:
            context.pop_thread_default()

        if is_it(state["owner"]):
            return state["owner"]
        if process and not process.is_running():
            raise GuestError(f"{process.name} ended with {process.wait()} before it was on the bus:\n{process.log()}")
        raise GuestError(f"{name}: no change on the bus in {seconds} s" + (f"\n{process.log()}" if process else ""))

    @staticmethod
    def _watch_exit(process, context):
        """Wake the context when the process ends; a function that ends the watch."""
        event = os.eventfd(0)

        def watch():
            poll = select.poll()
            poll.register(process.pidfd, select.POLLIN)
            poll.register(event, select.POLLIN)
            poll.poll()
            context.wakeup()

        def stop():
            os.eventfd_write(event, 1)
            thread.join()
            os.close(event)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return stop

    # The machine

    def unit(self, name, invocation=None):
        """A system unit to spawn() into. Its cgroup is below system.slice of this world."""
        top = pathlib.Path("/sys/fs/cgroup")
        if not (top / "cgroup.procs").exists():
            raise GuestError("no cgroup2 hierarchy can be used here")
        cgroup = top / "system.slice" / name
        cgroup.mkdir(parents=True, exist_ok=True)
        invocation = invocation or uuid.uuid4().hex
        link = f"/run/systemd/units/invocation:{name}"
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(invocation, link)
        return Unit(name, invocation, cgroup)

    def set_boot_id(self, text=None):
        """Let the kernel's boot id be this; a new one without it. The id."""
        text = text or str(uuid.uuid4())
        path = self.directory / "boot_id"
        path.write_text(text + "\n")
        target = "/proc/sys/kernel/random/boot_id"
        if target not in self._mounted_over:
            _mount("--bind", str(path), target)
            self._mounted_over.append(target)
        return text

    def lockdown(self, level):
        """The kernel's lockdown: "none", "integrity" or "confidentiality"."""
        levels = "none", "integrity", "confidentiality"
        text = " ".join(f"[{name}]" if name == level else name for name in levels)
        self._write(self._security("") / "lockdown", f"{text}\n".encode(), 0o644)

    def refuse_probes(self):
        """The kernel has kprobes, as it says, and opens none: no PMU has this number."""
        folder = pathlib.Path("/sys/bus/event_source/devices")
        self._cover(str(folder))
        (folder / "kprobe/format").mkdir(parents=True)
        self._write(folder / "kprobe/type", b"4294967295\n", 0o444)
        self._write(folder / "kprobe/format/retprobe", b"config:0\n", 0o444)

    def selinux(self, enforcing=True, policy_loads=1):
        """What selinuxfs says: /sys/fs/selinux/enforce, and the kernel's status page."""
        folder = pathlib.Path("/sys/fs/selinux")
        if "/sys/fs" not in self._mounted_over:
            place = self.directory / "cgroup"  # where /sys/fs/cgroup is meanwhile
            place.mkdir()
            _mount("--rbind", "/sys/fs/cgroup", str(place))
            self._cover("/sys/fs")
            os.mkdir("/sys/fs/cgroup")
            _mount("--move", str(place), "/sys/fs/cgroup")
            self._mounted_over.append("/sys/fs/cgroup")
            folder.mkdir()
            self._selinux_sequence = 0
        self._selinux_sequence += 2  # odd while it changes
        self._write(folder / "status", struct.pack("=5I", 1, self._selinux_sequence, enforcing, policy_loads, 0), 0o444)
        self._write(folder / "enforce", b"%d" % enforcing, 0o644)

    def ccel(self, log, table=None):
        """A TD's boot event log. table: the ACPI table, by default one of a TD that fits."""
        head = struct.pack("<4sIBB6s8sI4sI", b"CCEL", 56, 1, 0, b"ATTEST", b"DOUBLE  ", 1, b"TEST", 1)
        table = table or head + struct.pack("<BBHQQ", 2, 0, 0, len(log), 0x7f000000)
        self._cover("/sys/firmware")
        folder = pathlib.Path("/sys/firmware/acpi/tables")
        (folder / "data").mkdir(parents=True, exist_ok=True)
        self._write(folder / "CCEL", table, 0o400)
        self._write(folder / "data/CCEL", log, 0o400)

    def bios_log(self, log):
        """The firmware's event log, as the kernel shows it beside a TPM."""
        self._write(self._security("tpm0") / "binary_bios_measurements", log, 0o440)

    def trust(self):
        """Lines for a policy, by what the simulator signs with now."""
        return f"tee {self.kind}\nroot {self.kind} {self.tee.command('root')}\n"

    def boot(self):
        """A line for a policy, while nobody has set another measurement."""
        name, of = {"tdx": ("mrtd", b"test mrtd"), "snp": ("measurement", b"test measurement")}[self.kind]
        return f"boot {name}={hashlib.sha384(of).hexdigest()}\n"

    def entries(self):
        """What is under tsm/report."""
        try:
            return sorted(os.listdir("/sys/kernel/config/tsm/report"))
        except FileNotFoundError:
            return []

    # The end

    def stop_services(self):
        """SIGTERM to what spawn() has started and still runs, last first; each has to end with 0."""
        for process in filter(None, [self.activated(p, start=False) for p in SERVICES] if self.activatable else ()):
            process.stop()
            process.close()
        for process in reversed(self.processes):
            if not process.is_infrastructure and process.is_running():
                process.stop()

    def check_left_behind(self, entries=()):
        """Fail if there are entries (but those), open files under tsm/report, or processes."""
        if self.tee:
            self.tee.wait("idle", seconds=self.patience)
            left = sorted(set(self.entries()) - set(entries))
            if left:
                raise GuestError(f"entries left behind: {', '.join(left)}")
        known = {os.getpid(), *self.foreign_processes, *(p.pid for p in self.processes if p.is_infrastructure)}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    name, state = re.match(r"\d+ \((.*)\) (\S)", f.read(), re.S).groups()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if pid not in known and state not in "ZX":
                raise GuestError(f"process {pid} ({name}) left behind")

    foreign_entries = ()  # made by the test, which knows that they are there
    foreign_processes = ()  # likewise; pids
    patience = DEADLINE  # for the last files to be closed

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None:
                self.stop_services()
                self.check_left_behind(self.foreign_entries)
                if self.tee:
                    self._simulator.stop()  # a double that is broken itself proves nothing
        except BaseException:
            self.print_logs()
            raise
        else:
            if kind is not None:
                self.print_logs()
        finally:
            self._tear_down()

    def print_logs(self, file=None):
        for process in self.processes:
            lines = process.log().splitlines()
            if len(lines) > LOG_LINES:
                print(f"  {process.name}: ({len(lines) - LOG_LINES} lines before)", file=file or sys.stderr)
            for line in lines[-LOG_LINES:]:
                print(f"  {process.name}: {line}", file=file or sys.stderr)

    def _tear_down(self):
        if self.polkit:
            self.polkit.close()
        if self.bus:
            self.bus.close_sync(None)
        if self.tee:
            self.tee.close()
        for process in reversed(self.processes):
            # A process in an uninterruptible wait for the simulator ends when that ends.
            process.send(signal.SIGKILL if not process.is_infrastructure else signal.SIGTERM)
        for process in reversed(self.processes):
            process.wait()
            if process.popen.stdout:
                process.popen.stdout.close()
            process._close()
        for target in reversed(self._mounted_over):
            subprocess.run(["umount", target], check=True)
        for path in self._made:
            path.unlink()
        if self._listener:
            self._listener.close()
        self.processes.clear()
        self._mounted_over.clear()
        self._made.clear()
        os.environ.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
        shutil.rmtree(self.directory, ignore_errors=True)


class GuestTest(unittest.TestCase):
    """A test with a Guest of its own, self.guest, made with the class's `guest_options`.

    What it left behind fails it; when it has failed anyway, the logs are printed.
    """

    guest_options = {}

    def setUp(self):
        self.guest = Guest(**self.guest_options).__enter__()
        self.addCleanup(self._leave)
        self.tee = self.guest.tee

    def _leave(self):
        self.guest.__exit__(None if self._outcome.success else AssertionError, None, None)


def _has_user(uid):
    try:
        pwd.getpwuid(uid)
        return True
    except KeyError:
        return False


def wait_until(condition, context=None, seconds=DEADLINE):
    """Run the main context, event by event, until condition() is true. Returns: is it?"""
    from gi.repository import GLib

    context = context or GLib.MainContext.default()
    state = {"late": False}
    timer = GLib.timeout_source_new(int(seconds * 1000))
    timer.set_callback(lambda *_: state.update(late=True))
    timer.attach(context)
    try:
        while not condition() and not state["late"]:
            context.iteration(True)
    finally:
        timer.destroy()
    return bool(condition())


def main():
    parser = argparse.ArgumentParser(description="Run a command, or a shell, in a simulated TDX or SNP guest.")
    parser.add_argument("--build", help="the build directory")
    parser.add_argument("--tee", choices=("tdx", "snp"), default="tdx")
    parser.add_argument("--product", choices=("milan", "genoa", "turin"), default="milan", help="of SNP")
    for name, what in ("ima", "the kernel measures"), ("rtmr", "registers can be extended"), ("tpm", "there is a TPM"):
        parser.add_argument(f"--{name}", action="store_true", help=what)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    enter()
    with Guest(build=arguments.build, tee=arguments.tee, product=arguments.product, ima=arguments.ima,
               rtmr=arguments.rtmr, tpm=arguments.tpm) as guest:
        for program, start in ("attestd", guest.start_attestd), ("attestd-verifier", guest.start_verifier):
            try:
                guest.program(program)
            except GuestError as e:
                print(f"{e}: not started", file=sys.stderr)
                continue
            start()
        os.environ["TEE_SIMULATOR_CONTROL"] = str(guest.directory / "tee.socket")
        status = subprocess.call(arguments.command or [os.environ.get("SHELL", "/bin/sh")])
    sys.exit(status)


if __name__ == "__main__":
    main()
