#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A confidential guest with a real kernel: Debian's Linux 6.12 in QEMU.

    with run_vm.Vm(tee="tdx") as vm:
        vm.run(["systemctl", "start", "attestd"], check=True)
        print(vm.run(["attestctl", "status"]).stdout)

The guest has the kernel's own configfs-tsm, a driver module of ours in place of
the hardware (module/), systemd as process 1, dbus-daemon, and what `meson install`
installs: units, bus policies, activation files, programs. It needs no disk, no
network, no KVM, and of the host only some packages; nothing of the kernel is
installed there.

    vm.run(argv, ...)      a program in the guest, to its end: subprocess.CompletedProcess
    vm.start(argv, ...)    the same, running: Program, with line(), until(), say(), wait()
    vm.put(path, data)     a file into the guest; vm.get(path) and vm.read(path): out of it
    vm.load_tee("snp")     our module as that TEE's driver, and what answers it
    vm.unload_tee()        and away with both
    Vm(ima=True)           the kernel measures: what is executed, and what user 77 owns and is read
    Vm(tpm=True)           /dev/tpmrm0 is a swtpm, with the banks sha1, sha256 and sha384
    Vm(cmdline="...")      more for the kernel: lockdown=, integrity_audit=1, ima_policy=
    vm.qmp("stop")         a command of QEMU's monitor: its "return"
    vm.suspend()           to RAM, for 3 s
    vm.measure(path, ...)  have the kernel measure a new file
    vm.tee.command(...)    a line to the responder: `tee-responder --help`
    vm.clock(text)         a line on standard error with the time since the VM was started

As a program: run_vm.py [--build DIR] [COMMAND...] runs COMMAND in such a guest, or
gives a shell on its console.
"""

import argparse
import base64
import contextlib
import fcntl
import io
import json
import lzma
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = "linux-image-6.12-cloud-amd64"  # empty: it depends on the current one
KERNEL_MODULES = "configfs", "tsm"
DOUBLES = "tee_double", "tee_double_tsm", "sev_guest"  # the device, its provider for configfs-tsm, SNP's node
TEES = "tdx", "snp"
DEADLINE = 60  # for one thing to happen in the guest, which is slow
LIMIT = 600    # for all that one guest does
SECURITY = "/sys/kernel/security"
MEASURED = 77  # the files of this user are measured when root reads them
# Programs and libraries are on a ramfs; what the kernel makes up is not looked at.
IMA_POLICY = (
    *(f"dont_measure fsmagic=0x{magic:x}" for magic in (0x9fa0, 0x62656572, 0x73636673, 0x62656570, 0x64626720)),
    "measure func=BPRM_CHECK mask=MAY_EXEC",
    "measure func=MMAP_CHECK mask=MAY_EXEC",
    f"measure func=FILE_CHECK mask=MAY_READ fowner={MEASURED}",
)
KEYS = "/root/keys"  # of the forge, in the guest
REPORTS = "/sys/kernel/config/tsm/report"


class VmError(Exception):
    """The VM, or what runs in it, is not as it has to be."""


# The kernel: packages are downloaded and unpacked, never installed


def cache_folder():
    """$ATTESTD_VM_CACHE, else attestd-vm in the user's cache folder."""
    default = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("ATTESTD_VM_CACHE") or pathlib.Path(default, "attestd-vm"))


class Kernel:
    """A kernel and what is needed to build modules for it, in a folder of the cache."""

    def __init__(self, folder):
        self.folder = folder
        self.version = folder.name
        self.image = folder / "vmlinuz"
        self.headers = folder / f"usr/src/linux-headers-{self.version}"

    def module(self, name):
        return self.folder / f"{name}.ko"


def _apt(*arguments, cwd=None):
    ran = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", *arguments], cwd=cwd,
                         capture_output=True, text=True)
    if ran.returncode != 0:
        raise VmError(f"apt-get {' '.join(arguments)}:\n{ran.stdout}{ran.stderr}")


def _current_version():
    """What the metapackage stands for today: 6.12.117+deb12-cloud-amd64, say. None: apt does not know it."""
    ran = subprocess.run(["apt-cache", "depends", PACKAGE], capture_output=True, text=True)
    found = re.search(r"Depends: linux-image-(\S+)$", ran.stdout, re.M)
    return found and found.group(1)


def _members(package):
    """The files of a .deb, one by one: (path without leading ./, TarInfo, tar)."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as dpkg:
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as tar:
            for member in tar:
                yield member.name.removeprefix("./"), member, tar
        dpkg.stdout.read()
    if dpkg.returncode != 0:
        raise VmError(f"{package} cannot be unpacked")


def _unpack_image(package, folder):
    for path, member, tar in _members(package):
        name = path.rsplit("/", 1)[-1]
        if name.startswith("vmlinuz-"):
            (folder / "vmlinuz").write_bytes(tar.extractfile(member).read())
        if name.removesuffix(".ko.xz") in KERNEL_MODULES and name.endswith(".ko.xz"):
            packed = tar.extractfile(member).read()
            (folder / name.removesuffix(".xz")).write_bytes(lzma.decompress(packed))


def _unpack_headers(package, folder):
    for path, member, tar in _members(package):
        # With vmlinux the build would want BTF, and with it one more tool.
        if path.startswith("usr/") and not path.endswith("/vmlinux"):
            tar.extract(member, folder)


def _unpack(packages, folder, version):
    """As if the packages were installed below that folder, where only make looks for them."""
    for package in packages:
        if package.name.startswith("linux-image-"):
            _unpack_image(package, folder)
        else:
            _unpack_headers(package, folder)
    common = version.removesuffix("-cloud-amd64") + "-common"
    makefile = folder / f"usr/src/linux-headers-{version}/Makefile"
    makefile.write_text(f"include $(dir $(lastword $(MAKEFILE_LIST)))../linux-headers-{common}/Makefile\n")


def _download(version, cache):
    base = version.removesuffix("-cloud-amd64")
    names = [f"linux-image-{version}", f"linux-headers-{version}", f"linux-headers-{base}-common",
             f"linux-kbuild-{base}"]
    with tempfile.TemporaryDirectory(dir=cache, prefix="part.") as scratch:
        scratch = pathlib.Path(scratch)
        try:
            _apt("download", *names, cwd=scratch)
        except VmError:
            _apt("update")  # the lists may name a version that is no longer there
            _apt("download", *names, cwd=scratch)
        kernel = scratch / "kernel"
        kernel.mkdir()
        _unpack(sorted(scratch.glob("*.deb")), kernel, version)
        for name in "vmlinuz", *(f"{m}.ko" for m in KERNEL_MODULES):
            if not (kernel / name).is_file():
                raise VmError(f"no {name} in the packages of {version}")
        kernel.rename(cache / version)


def fetch_kernel(cache=None):
    """The current kernel, from the cache or from Debian; without a network, the newest of the cache."""
    cache = pathlib.Path(cache or cache_folder())
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = sorted((p for p in cache.iterdir() if (p / "vmlinuz").is_file()), key=lambda p: p.stat().st_mtime)
        version = _current_version()
        if not version and not there:
            _apt("update")
            version = _current_version()
        if version and not (cache / version).is_dir():
            try:
                _download(version, cache)
            except VmError:
                if not there:
                    raise
                version = None
        if not version and not there:
            raise VmError(f"apt knows no {PACKAGE}: this needs Debian 12 with its security suite")
        return Kernel(cache / version if version else there[-1])


def build_modules(kernel, folder):
    """Our driver modules for that kernel, in a folder of its own for each version."""
    folder = pathlib.Path(folder) / kernel.version
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:  # another VM may want them at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        for source in (HERE / "module").iterdir():
            target = folder / source.name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copyfile(source, target)
        ran = subprocess.run(["make", "-C", str(kernel.headers), f"M={folder.resolve()}", "modules"],
                             capture_output=True, text=True)
    if ran.returncode != 0:
        raise VmError(f"the modules do not build:\n{ran.stdout}{ran.stderr}")
    return [folder / f"{name}.ko" for name in DOUBLES]


# What the guest boots into


class Archive:
    """An initramfs in the making: a cpio archive, not compressed, for unpacking is slow in there."""

    MERGED = "bin", "sbin", "lib", "lib64"

    def __init__(self):
        self._out = io.BytesIO()
        self._paths = set()
        for name in self.MERGED:
            self.link(f"/{name}", f"usr/{name}")

    def _put(self, path, mode, data=b""):
        name = path.lstrip("/").encode() + b"\0"
        fields = [len(self._paths), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        self._out.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name)
        self._pad()
        self._out.write(data)
        self._pad()

    def _pad(self):
        self._out.write(bytes(-self._out.tell() % 4))

    def _is_new(self, path):
        """Makes its folders. Returns the path where it belongs, or None."""
        if path.split("/")[1] in self.MERGED and path.count("/") > 1:
            path = f"/usr{path}"
        if path in self._paths:
            return None
        if path.count("/") > 1:
            self.folder(path.rsplit("/", 1)[0])
        self._paths.add(path)
        return path

    def folder(self, path, mode=0o755):
        if path := self._is_new(path):
            self._put(path, stat.S_IFDIR | mode)

    def file(self, path, data, mode=0o644):
        if path := self._is_new(path):
            self._put(path, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def link(self, path, target):
        if path := self._is_new(path):
            self._put(path, stat.S_IFLNK | 0o777, target.encode())

    def copy(self, source, path=None):
        """A file as it is on the host, a program with the libraries that it is linked with."""
        source = pathlib.Path(source)
        data = source.read_bytes()
        self.file(str(path or source), data, stat.S_IMODE(source.stat().st_mode) & 0o755)
        if data[:4] == b"\x7fELF":
            # Of a static program ldd prints nothing that has a path.
            ran = subprocess.run(["ldd", str(source)], capture_output=True, text=True)
            for found, library in re.findall(r"(?:=> )?((?:/\S*)*/(\S+)) \(0x", ran.stdout):
                if found.startswith(("/lib", "/usr/lib")):
                    self.file(found, pathlib.Path(found).read_bytes(), 0o755)
                else:  # of our build; where the linker looks without being told
                    self.file(f"/usr/lib/x86_64-linux-gnu/{library}", pathlib.Path(found).read_bytes(), 0o755)

    def tree(self, folder):
        """Everything below that folder, which stands for /."""
        for source in sorted(folder.rglob("*")):
            path = f"/{source.relative_to(folder)}"
            if source.is_symlink():
                self.link(path, os.readlink(source))
            elif source.is_dir():
                self.folder(path)
            else:
                self.copy(source, path)

    def finish(self):
        self._put("TRAILER!!!", 0)
        return self._out.getvalue()


# Of systemd, as far as it is needed to run services.
SYSTEMD_UNITS = """
    basic.target final.target local-fs.target local-fs-pre.target modprobe@.service paths.target poweroff.target
    shutdown.target slices.target sockets.target swap.target sys-kernel-config.mount sysinit.target
    systemd-poweroff.service timers.target umount.target
""".split()
HOST_PROGRAMS = """
    /lib/systemd/systemd /lib/systemd/systemd-shutdown /bin/systemctl /bin/systemd-run
    /usr/bin/dbus-daemon /usr/bin/dbus-send /usr/bin/setpriv /bin/busybox
""".split()
# Loaded while a program runs: ldd does not know them.
LOADED_LIBRARIES = "libtss2-tcti-device.so.0",
# Ours, which are not installed: folder of the build → names
BUILT_PROGRAMS = {
    "examples": ("attested-client", "attested-server"),
    "tests/bench": ("bus-client",),
    "tests/system": ("hostile-server",),
    "tests/vm": ("guest-probe", "many-files", "tee-responder", "tsm-probe"),
}
FILES = {
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/os-release": "ID=attestd-test-vm\nNAME=attestd-test-vm\n",
    "/etc/systemd/system.conf": "[Manager]\nDefaultStandardOutput=null\nDefaultStandardError=null\n",
    # What services say, where a test can read it; there is no journal.
    **{f"/etc/systemd/system/{unit}.service.d/log.conf":
       f"[Service]\nStandardOutput=append:/var/log/{unit}\nStandardError=append:/var/log/{unit}\n"
       for unit in ("attestd", "attestd-verifier", "dbus", "vm-agent")},
}


def _installed(build, scratch):
    """What `meson install` installs, and the users that it asks for."""
    folder = scratch / "installed"
    subprocess.run(["meson", "install", "-C", str(build), "--destdir", str(folder), "--no-rebuild", "--quiet",
                    "--strip"], check=True, stdout=subprocess.DEVNULL)
    for unwanted in "usr/share/man", "usr/include", "usr/share/bash-completion":
        shutil.rmtree(folder / unwanted, ignore_errors=True)
    etc = folder / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text("root:x:0:0:root:/root:/usr/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n")
    (etc / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    subprocess.run(["systemd-sysusers", f"--root={folder}"], check=True, capture_output=True)
    return folder


def _make_keys(build, folder):
    """Of the test roots; here, for RSA is slow in there."""
    for forge in "tdx-forge", "snp-forge":
        subprocess.run([build / "tests/tee-simulator" / forge, "--state", folder], check=True,
                       stdout=subprocess.DEVNULL)


def make_initramfs(build, kernel, modules, keys, scratch):
    archive = Archive()
    archive.tree(_installed(build, scratch))
    for path, text in FILES.items():
        archive.file(path, text)
    for folder in "/root", "/var/log", "/tmp", "/proc", "/sys", "/dev", "/var":
        archive.folder(folder)
    for program in HOST_PROGRAMS:
        archive.copy(program)
    for folder, names in BUILT_PROGRAMS.items():
        for name in names:
            archive.copy(build / folder / name, f"/usr/bin/{name}")
    for name in LOADED_LIBRARIES:
        archive.copy(pathlib.Path("/usr/lib/x86_64-linux-gnu", name))
    archive.copy(build / "tests/vm/vm-agent", "/usr/libexec/vm-agent")
    for unit in SYSTEMD_UNITS:
        archive.copy(f"/lib/systemd/system/{unit}")
    for source in (HERE / "guest").iterdir():
        folder = "/etc/dbus-1" if source.suffix == ".conf" else "/etc/systemd/system"
        archive.copy(source, f"{folder}/{source.name}")
    for path in *map(kernel.module, KERNEL_MODULES), *modules:
        archive.file(f"/modules/{path.name}", path.read_bytes())
    for path in keys.iterdir():
        archive.copy(path, f"{KEYS}/{path.name}")
    names = subprocess.run(["busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
    for name in names:
        archive.link(f"/usr/bin/{name}", "busybox")
    archive.link("/var/run", "/run")
    archive.link("/init", "usr/lib/systemd/systemd")
    return archive.finish()


# The guest


class Program:
    """A program that runs in the guest."""

    def __init__(self, vm, number, argv):
        self._vm, self._number = vm, number
        self.argv = argv
        self.name = os.path.basename(argv[0])
        self.pid = self.status = self._error = None
        self._output = {"out": b"", "err": b""}
        self._read = {"out": 0, "err": 0}  # of its output, by line()

    def _on_message(self, message):
        for stream in self._output:
            if stream in message:
                self._output[stream] += base64.b64decode(message[stream])
        self.pid = message.get("pid", self.pid)
        self.status = message.get("status", self.status)
        self._error = message.get("error", self._error)

    @property
    def stdout(self):
        return self._output["out"]

    @property
    def stderr(self):
        return self._output["err"]

    def log(self):
        return self.stdout.decode(errors="replace") + self.stderr.decode(errors="replace")

    def _wait_for(self, condition, what, seconds):
        if not self._vm._wait_for(lambda: self._error or condition(), seconds):
            raise VmError(f"{self.name}: no {what} in {seconds} s:\n{self.log()}")
        if self._error:
            raise VmError(f"{' '.join(self.argv)}: {self._error}")

    def is_running(self):
        return self.status is None

    def line(self, seconds=DEADLINE, stream="out"):
        """The next line of its standard output, or of its errors."""
        line = self.next_line(seconds, stream)
        if line is None:
            raise VmError(f"{self.name} ended with {self.status}:\n{self.log()}")
        return line

    def next_line(self, seconds=DEADLINE, stream="out"):
        """The same; None when it has ended."""
        def rest():
            return self._output[stream][self._read[stream]:]

        self._wait_for(lambda: b"\n" in rest() or self.status is not None, "line", seconds)
        line, end, _ = rest().partition(b"\n")
        if not end:
            return None
        self._read[stream] += len(line) + 1
        return line.decode(errors="replace")

    def until(self, text, seconds=DEADLINE, stream="out"):
        """Reads on until a line has `text` in it."""
        while text not in (line := self.line(seconds, stream)):
            pass
        return line

    def say(self, text):
        self._vm._send({"id": self._number, "input": base64.b64encode(text.encode() + b"\n").decode()})

    def write(self, data):
        self._vm._send({"id": self._number, "input": base64.b64encode(data).decode()})

    def end_input(self):
        self._vm._send({"id": self._number, "end": True})

    def send(self, number):
        """A signal, to it and what it has started."""
        self._vm._send({"id": self._number, "signal": int(number)})

    def wait(self, seconds=DEADLINE):
        """Its exit status, negative for a signal."""
        self._wait_for(lambda: self.status is not None, "end", seconds)
        return self.status

    def stop(self, seconds=DEADLINE):
        if self.is_running():
            self.send(signal.SIGTERM)
        return self.wait(seconds)


class Responder:
    """The program that answers the module's requests, and how it is told what to do wrong."""

    def __init__(self, vm, tee, arguments=()):
        self.program = vm.start(["tee-responder", "--state", KEYS, *arguments, tee])
        self.ready = dict(word.split("=", 1) for word in self.program.line().split() if "=" in word)

    def command(self, line):
        """The words after "ok"."""
        self.program.say(line)
        word, _, rest = self.program.line().partition(" ")
        if word != "ok":
            raise VmError(f"{line}: {rest}")
        return rest

    def event(self, text):
        """The next line about a request that has `text` in it."""
        return self.program.until(text, stream="err")


def content(path):
    """Of a file that is measured: a program, and like no other."""
    return f"#!/bin/sh\n# {path}\n"


class Vm:
    """See the module's documentation.

    build: the build directory; by default $ATTESTD_BUILD (meson's tests have it), else SOURCE/build/gcc
    tee: "tdx", "snp", or None: no driver is loaded
    configfs: False for a kernel without configfs-tsm
    console: True to have the guest's console on this terminal
    ima: True for IMA_POLICY, or lines of another one
    tpm: True for a TPM
    cmdline: more parameters of the kernel
    devices: more of them: arguments of QEMU
    """

    def __init__(self, build=None, tee="tdx", configfs=True, console=False, limit=LIMIT, memory=768, ima=False,
                 tpm=False, cmdline="", devices=()):
        self.build = pathlib.Path(build or os.environ.get("ATTESTD_BUILD") or HERE.parents[1] / "build/gcc").resolve()
        self.tee = None
        self._first_tee, self._has_configfs = tee, configfs
        self._console, self._limit, self._memory = console, limit, memory
        self._ima_policy = IMA_POLICY if ima is True else ima or ()
        self._has_tpm, self._cmdline, self._devices = tpm, cmdline, devices
        self._swtpm = None
        self._changed = threading.Condition()
        self._programs = {}
        self._is_ready = self._has_ended = False
        self._qemu = self._timer = None
        self._started = time.monotonic()

    def clock(self, text):
        print(f"vm: {time.monotonic() - self._started:6.1f} s  {text}", file=sys.stderr, flush=True)

    # Start and end

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attestd-vm-")))
            stack.callback(self._halt)
            self._boot()
            self._prepare()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None and not self._console:
            self.print_logs()
        self._stack.close()
        self.clock("the VM is gone")

    def _boot(self):
        kernel = fetch_kernel()
        modules = build_modules(kernel, self.build / "tests/vm/module")
        self.keys = self.scratch / "keys"
        self.keys.mkdir()
        _make_keys(self.build, self.keys)
        image = self.scratch / "initramfs"
        image.write_bytes(make_initramfs(self.build, kernel, modules, self.keys, self.scratch))
        self.clock(f"Linux {kernel.version}, {image.stat().st_size >> 20} MiB of initramfs")

        if self._has_tpm:
            self._start_tpm()
        self._timer = threading.Timer(self._limit, self._on_limit)
        self._timer.daemon = True
        self._timer.start()
        self._start_qemu(self._qemu_argv(kernel, image))
        if not self._wait_for(lambda: self._is_ready, DEADLINE):
            raise VmError(f"the guest does not start:\n{self.console()}")
        self.clock("the guest is up")

    def _start_qemu(self, argv):
        path = self.scratch / "agent"
        path.unlink(missing_ok=True)
        self._argv = argv
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(DEADLINE)
            self._qemu = subprocess.Popen([*argv, *self._devices], stdin=None if self._console else subprocess.DEVNULL)
            self._socket, _ = listener.accept()
        threading.Thread(target=self._listen, args=[self._socket], daemon=True).start()

    def clone(self, devices):
        """The guest goes on in another QEMU, which has these devices instead of those that it was told."""
        state = self.scratch / "state"
        self.qmp("migrate", uri=f"exec:cat >{state}")
        while (status := self.qmp("query-migrate").get("status")) != "completed":
            if status not in ("setup", "active", "device"):
                raise VmError(f"the guest cannot be migrated: {status}")
        before, self._socket = self._socket, None
        self._qemu.kill()
        self._qemu.wait()
        before.close()
        self._devices = devices
        argv = [word for word in self._argv if word not in ("-incoming", f"exec:cat {state}")]
        self._start_qemu([*argv, "-incoming", f"exec:cat {state}"])
        self._wait_for_status("running")

    def _qemu_argv(self, kernel, image):
        # KVM, several processors and cmpxchg16b are left out on purpose: README.md says why.
        return ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max,-cx16",
                "-smp", "1", "-m", str(self._memory), "-nodefaults", "-display", "none", "-no-reboot",
                "-serial", "mon:stdio" if self._console else f"file:{self.scratch}/console",
                "-kernel", str(kernel.image), "-initrd", str(image),
                "-append", "console=ttyS0 quiet loglevel=4 panic=-1 systemd.unit=vm.target systemd.show_status=0 "
                           "systemd.log_target=console systemd.log_level=notice rootfstype=ramfs " + self._cmdline,
                "-qmp", f"unix:{self.scratch}/qmp,server=on,wait=off",
                *(["-chardev", f"socket,id=tpm,path={self.scratch}/swtpm.socket",
                   "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"] * self._has_tpm),
                "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={self.scratch}/agent",
                "-device", "virtserialport,chardev=agent"]

    def _start_tpm(self):
        state = self.scratch / "swtpm"
        state.mkdir()
        subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", state, "--pcr-banks", "sha1,sha256,sha384"], check=True,
                       stdout=subprocess.DEVNULL)
        path = self.scratch / "swtpm.socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            self._swtpm = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--terminate",
                 "--ctrl", f"type=unixio,fd={listener.fileno()}"], pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL)

    def _prepare(self):
        if self._ima_policy:
            # The file is gone when it is closed.
            self.run(["sh", "-c", f"cat >{SECURITY}/ima/policy"], check=True,
                     input="".join(f"{line}\n" for line in self._ima_policy))
        if self._has_configfs:
            for name in KERNEL_MODULES:
                self.run(["insmod", f"/modules/{name}.ko"], check=True)
            self.run(["systemctl", "start", "sys-kernel-config.mount"], check=True)
        if self._first_tee:
            self.load_tee(self._first_tee)

    def _on_limit(self):
        self.clock(f"the time is over: {self._limit} s")
        self._qemu.kill()

    def _halt(self):
        if self._timer:
            self._timer.cancel()
        for process in filter(None, (self._qemu, self._swtpm)):
            process.kill()
            process.wait()

    # What the agent says

    def _listen(self, connection):
        with connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                with self._changed:
                    if "ready" in message:
                        self._is_ready = True
                    else:
                        self._programs[message["id"]]._on_message(message)
                    self._changed.notify_all()
        with self._changed:
            self._has_ended = connection is self._socket  # else it goes on in another one
            self._changed.notify_all()

    def _wait_for(self, condition, seconds):
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended or condition(), seconds)
            if self._has_ended and not condition():
                raise VmError(f"the VM has ended:\n{self.console()}")
            return bool(condition())

    def _send(self, message):
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise VmError(f"the VM has ended:\n{self.console()}") from None

    # Programs and files

    def start(self, argv, env=None, input=b""):
        """A program in the guest, which goes on. Its standard input stays open: say(), end_input()."""
        with self._changed:
            number = len(self._programs) + 1
            program = self._programs[number] = Program(self, number, [str(word) for word in argv])
        self._send({"id": number, "start": program.argv, "env": env or {}})
        if input:
            program.write(input)
        return program

    def run(self, argv, env=None, input=b"", check=False, seconds=DEADLINE):
        """A program to its end; stdout and stderr of the result are text."""
        program = self.start(argv, env, input.encode() if isinstance(input, str) else input)
        program.end_input()
        status = program.wait(seconds)
        if check and status != 0:
            raise VmError(f"{' '.join(program.argv)} ended with {status}:\n{program.log()}")
        return subprocess.CompletedProcess(program.argv, status, program.stdout.decode(errors="replace"),
                                           program.stderr.decode(errors="replace"))

    def put(self, path, data, mode=0o644):
        data = data.encode() if isinstance(data, str) else data
        self.run(["sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0" && chmod "$1" "$0"', path, f"{mode:o}"],
                 input=data, check=True)

    def get(self, path):
        program = self.start(["cat", path])
        program.end_input()
        if program.wait() != 0:
            raise VmError(program.log())
        return program.stdout

    def read(self, path):
        return self.get(path).decode(errors="replace")

    # What is measured

    def measure(self, path, data=None, run=False):
        """A file that the kernel measures: a program that is run, or one that root reads."""
        data = content(path) if data is None else data
        self.put(path, data, 0o755 if run else 0o644)
        if run:
            self.run([path], check=True)
        else:
            self.run(["sh", "-c", 'chown "$1" "$0" && cat "$0"', path, MEASURED], check=True)

    def violate(self, path):
        """A file that is written while it is read: a violation, and then an entry of what it held."""
        self.run(["sh", "-c", 'echo x >"$0" && chown "$1" "$0" && exec 3>>"$0" && cat "$0"', path, MEASURED],
                 check=True)

    def ima_log(self, bank="sha1"):
        return self.get(f"{SECURITY}/ima/binary_runtime_measurements_{bank}")

    def ima_count(self):
        return int(self.read(f"{SECURITY}/ima/runtime_measurements_count"))

    def pcr(self, number, bank="sha256"):
        return bytes.fromhex(self.read(f"/sys/class/tpm/tpm0/pcr-{bank}/{number}"))

    # QEMU

    def qmp(self, command, **arguments):
        """A command of its monitor, on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE)
            s.connect(str(self.scratch / "qmp"))
            with s.makefile("rw") as stream:
                for name, of in ("qmp_capabilities", {}), (command, arguments):
                    stream.write(json.dumps({"execute": name, "arguments": of}) + "\n")
                    stream.flush()
                    answer = {}
                    while "return" not in answer and "error" not in answer:
                        answer = json.loads(stream.readline())
        if "error" in answer:
            raise VmError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def _wait_for_status(self, wanted):
        """Of QEMU's machine; its monitor tells of each change, after which it is asked again."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE)
            s.connect(str(self.scratch / "qmp"))
            with s.makefile("rw") as stream:
                for command in "qmp_capabilities", "query-status":
                    stream.write(json.dumps({"execute": command}) + "\n")
                    stream.flush()
                while line := stream.readline():
                    told = json.loads(line)
                    if told.get("return", {}).get("status") == wanted:
                        return
                    if "event" in told:
                        stream.write(json.dumps({"execute": "query-status"}) + "\n")
                        stream.flush()
        raise VmError(f"QEMU has ended before its machine was {wanted}:\n{self.console()}")

    def suspend(self):
        """To RAM, until the guest's own alarm wakes it: 3 s, for its clock tells whole seconds of it.

        Without a TPM: of some sleeps swtpm does not come back, and with IMA nothing is run any more.
        """
        self.run(["sh", "-c", "echo +3 >/sys/class/rtc/rtc0/wakealarm && echo mem >/sys/power/state"], check=True)

    # The TEE

    def load_tee(self, tee, *arguments):
        """The device and what answers for it. arguments: of the module, such as "privlevel_floor=1"."""
        self.run(["insmod", f"/modules/{DOUBLES[0]}.ko", f"tee={tee}", *arguments], check=True)
        self.tee = Responder(self, tee)
        if self._has_configfs:
            self.load_provider()
        elif tee == "snp":
            self.load_node()

    def unload_tee(self):
        if self._has_configfs:
            self.unload_provider()
        elif self.has_node():
            self.unload_node()
        self.tee.program.stop()
        self.run(["rmmod", DOUBLES[0]], check=True)
        self.tee = None

    def load_provider(self):
        self.run(["insmod", f"/modules/{DOUBLES[1]}.ko"], check=True)

    def unload_provider(self):
        self.run(["rmmod", DOUBLES[1]], check=True)

    def load_node(self, *arguments):
        """/dev/sev-guest. Guests without configfs-tsm have it from the start. arguments: such as "vmpck_id=1"."""
        self.run(["insmod", f"/modules/{DOUBLES[2]}.ko", *arguments], check=True)

    def unload_node(self):
        self.run(["rmmod", DOUBLES[2]], check=True)

    def has_node(self):
        return self.run(["test", "-e", f"/sys/module/{DOUBLES[2]}"]).returncode == 0

    def parameter(self, name, value=None):
        """Of the device's module; with a value: set it."""
        if value is not None:
            self.tell_module(name, value)
        return self.read(f"/sys/module/{DOUBLES[0]}/parameters/{name}").strip()

    def tell_module(self, name, value):
        """extend_foreign N: another than sysfs extends an RTMR; svn2 N: the TDX module was updated."""
        self.run(["sh", "-c", f"echo {value} >/sys/module/{DOUBLES[0]}/parameters/{name}"], check=True)

    # What happened

    @property
    def pids(self):
        """Of what runs outside for it."""
        return [process.pid for process in (self._qemu, self._swtpm) if process]

    def console(self):
        path = self.scratch / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def print_logs(self, file=None):
        for line in self.console().splitlines()[-60:]:
            print(f"  console: {line}", file=file or sys.stderr)
        if self._has_ended:
            return
        for path in self.run(["ls", "/var/log"]).stdout.split():
            for line in self.read(f"/var/log/{path}").splitlines()[-60:]:
                print(f"  {path}: {line}", file=file or sys.stderr)


def main():
    parser = argparse.ArgumentParser(
        description="Run a command, or a shell, in a VM that is a TDX or SNP guest, as far as its kernel can tell.",
        epilog="The kernel comes from Debian's packages, which are kept in $ATTESTD_VM_CACHE or ~/.cache/attestd-vm. "
               "At the shell: `systemctl start attestd`, `attestctl status`; it ends the VM when it ends, and so does "
               "Ctrl-A X.")
    parser.add_argument("--build", help="the build directory; by default $ATTESTD_BUILD or build/gcc")
    parser.add_argument("--tee", choices=[*TEES, "none"], default="tdx", help="what the guest is (tdx)")
    parser.add_argument("--no-configfs", action="store_true", help="a kernel without configfs-tsm")
    parser.add_argument("--ima", action="store_true", help="the kernel measures what is executed")
    parser.add_argument("--tpm", action="store_true", help="with a TPM")
    parser.add_argument("--cmdline", default="", help="more parameters of the kernel")
    parser.add_argument("--file", action="append", default=[], metavar="HOST:GUEST", help="put a file into the guest")
    parser.add_argument("--limit", type=int, metavar="SECONDS",
                        help=f"end it after that time ({LIMIT}; a shell has no limit)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()

    is_shell = not arguments.command
    limit = arguments.limit or (10**6 if is_shell else LIMIT)
    tee = None if arguments.tee == "none" else arguments.tee
    try:
        with Vm(arguments.build, tee, not arguments.no_configfs, is_shell, limit, ima=arguments.ima,
                tpm=arguments.tpm, cmdline=arguments.cmdline) as vm:
            for pair in arguments.file:
                source, _, path = pair.partition(":")
                vm.put(path, pathlib.Path(source).read_bytes(), stat.S_IMODE(os.stat(source).st_mode))
            if is_shell:
                vm.run(["systemctl", "start", "vm-shell"], check=True)
                vm._qemu.wait()
                return 0
            ran = vm.run(arguments.command, seconds=limit)
    except VmError as e:
        print(f"run_vm.py: {e}", file=sys.stderr)
        return 125
    sys.stdout.write(ran.stdout)
    sys.stderr.write(ran.stderr)
    return ran.returncode if ran.returncode >= 0 else 128 - ran.returncode


if __name__ == "__main__":
    sys.exit(main())
