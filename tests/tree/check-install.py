#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-install.py MESON BUILD: what `meson install` puts where, and that it holds together.

Installs into an empty directory and looks: the files are those that are listed
here, none of them can be written by others, none is of a simulator (SC-44), and
each unit, bus name, user and path that one of them names is in another one.
"""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

EXPECTED = """
    libexec/attestd
    lib/systemd/system/attestd.service
    lib/systemd/system/attestd.socket
    lib/systemd/system/attestd-verifier.service
    lib/sysusers.d/attestd-verifier.conf
    lib/udev/rules.d/70-attestd.rules
    share/dbus-1/interfaces/org.attestd.Attester1.xml
    share/dbus-1/interfaces/org.attestd.Verifier1.xml
    share/dbus-1/system-services/org.attestd.Attester1.service
    share/dbus-1/system-services/org.attestd.Verifier1.service
    share/dbus-1/system.d/org.attestd.Attester1.conf
    share/dbus-1/system.d/org.attestd.Verifier1.conf
    share/polkit-1/actions/org.attestd.Attester1.policy
    share/man/man5/attestd.conf.5
    share/man/man5/org.attestd.Attester1.5
    share/man/man5/org.attestd.Verifier1.5
    share/man/man8/attestd.8
""".split()


def check(top, problem):
    files = {str(p.relative_to(top)): p for p in top.rglob("*") if not p.is_dir()}
    for name in EXPECTED:
        if name not in files:
            problem(f"{name} is not installed")
    for name, path in files.items():
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o022:
            problem(f"{name} can be written by others")
        if re.search(r"simulat|forge|fake|hostile|(?<!at)test", name, re.I):
            problem(f"sc44: {name} is of a test")
        if path.is_file() and b"tee-simulator" in path.read_bytes():
            problem(f"sc44: {name} names the simulator")

    def text(name):
        return files[name].read_text()

    for service, unit in ("org.attestd.Attester1", "attestd"), ("org.attestd.Verifier1", "attestd-verifier"):
        unit_text = text(f"lib/systemd/system/{unit}.service")
        activation = text(f"share/dbus-1/system-services/{service}.service")
        policy = ET.fromstring(text(f"share/dbus-1/system.d/{service}.conf"))
        owner, = [p.get("user") for p in policy.findall("policy") if p.find("allow[@own]") is not None]
        user = dict(re.findall(r"(?m)^(\w+)=(.*)$", unit_text)).get("User", "root")
        if f"BusName={service}\n" not in unit_text:
            problem(f"{unit}.service does not own {service}")
        if f"SystemdService={unit}.service\n" not in activation or f"User={user}\n" not in activation:
            problem(f"{service} is not activated as {unit}.service and {user}")
        if owner != user:
            problem(f"{service} is owned by {owner}, {unit}.service runs as {user}")
        program = re.search(r"(?m)^ExecStart=/(\S+)$", unit_text).group(1)
        if not any(program.endswith("/" + name) for name in files):
            problem(f"{unit}.service starts /{program}, which is not installed")
        if user != "root" and not re.search(rf"(?m)^u {user} ", text(f"lib/sysusers.d/{unit}.conf")):
            problem(f"no sysusers file makes {user}")

    if 'ENV{SYSTEMD_WANTS}+="attestd.service"' not in text("lib/udev/rules.d/70-attestd.rules"):
        problem("udev does not start attestd.service")
    action = ET.fromstring(text("share/polkit-1/actions/org.attestd.Attester1.policy")).find("action")
    if action.get("id") != "org.attestd.Attester1.get-evidence":
        problem("polkit has another action than attestd asks for")
    if any("yes" in (d.text or "") for d in action.find("defaults")):
        problem("polkit says yes by default")
    return files


def analyze(top, files, problem):
    """What systemd makes of the units; nothing where it is not there."""
    program = shutil.which("systemd-analyze")
    if not program:
        return
    # attestd's is that of its first moment: it drops capabilities and network by itself.
    for name, limit in ("attestd.service", 2.7), ("attestd-verifier.service", 1.0):
        unit = str(files[f"lib/systemd/system/{name}"])
        # Only what is wrong with the unit itself: the rest of a system is not there.
        p = subprocess.run([program, "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True, text=True)
        for line in p.stderr.splitlines():
            if name in line and "is not executable" not in line:
                problem(line)
        p = subprocess.run([program, "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True)
        exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", p.stdout)
        if exposure and float(exposure.group(1)) > limit:
            problem(f"{name} has an exposure of {exposure.group(1)}, over {limit}")


def lint(files, problem):
    mandoc = shutil.which("mandoc")
    for name, path in files.items() if mandoc else ():
        if "/man/" in name:
            p = subprocess.run([mandoc, "-Tlint", "-Wwarning", str(path)], capture_output=True, text=True)
            for line in p.stdout.splitlines():
                problem(line.replace(str(path), name))


def main():
    meson, build = sys.argv[1:]
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        subprocess.run([meson, "install", "-C", build, "--no-rebuild", "--destdir", scratch], check=True,
                       stdout=subprocess.DEVNULL)
        top = next(p for p in pathlib.Path(scratch).rglob("libexec")).parent
        files = check(top, problems.append)
        if not problems:
            analyze(top, files, problems.append)
            lint(files, problems.append)
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
