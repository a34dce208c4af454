# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example programs in other languages, and how each is built.

Everything that is built or fetched goes below the build directory, also the package
clients' caches: a second build asks nobody. What is fetched is pinned by go.sum,
Cargo.lock and package-lock.json.
"""

import os
import pathlib
import re
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "examples"
BUILD = pathlib.Path(os.environ["ATTESTD_BUILD"])
PLACE = BUILD / "examples"  # of what is built here


class Missing(Exception):
    """What it needs is not on this machine."""


class Broken(Exception):
    """It does not build."""


def _run(argv, cwd, env=None, error=Broken):
    ran = subprocess.run(argv, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ran.returncode != 0:
        raise error(f"{' '.join(map(str, argv))}:\n{ran.stdout[-4000:]}")
    return ran.stdout


def _toolchain(program, least, *version):
    """Its path, if it is there and not older than `least`."""
    path = shutil.which(program)
    if not path:
        raise Missing(f"there is no {program}")
    found = re.search(r"(\d+)\.(\d+)", _run([path, *version], "/"))
    if tuple(map(int, found.groups())) < least:
        raise Missing(f"{program} {found.group()} is older than {'.'.join(map(str, least))}")
    return path


def _place(name, *files):
    """A folder to build in, with copies of the sources where they have to be beside what is built."""
    place = PLACE / name
    place.mkdir(parents=True, exist_ok=True)
    for pattern in files:
        for path in (SOURCE / name).glob(pattern):
            shutil.copy(path, place)
    return place


def _fetch_once(place, key, argv, cwd, env=None):
    """Dependencies, unless those of this very `key` are there. Without a network they are missing, not broken."""
    mark = place / "fetched"
    if not mark.exists() or mark.read_bytes() != key:
        _run(argv, cwd, env, Missing)
        mark.write_bytes(key)


def go():
    program = _toolchain("go", (1, 19), "version")
    place = _place("go")
    env = {"GOMODCACHE": str(place / "mod"), "GOCACHE": str(place / "cache"), "GOTOOLCHAIN": "local",
           "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false", "CGO_ENABLED": "0"}
    _fetch_once(place, (SOURCE / "go/go.sum").read_bytes(), [program, "mod", "download"], SOURCE / "go", env)
    _run([program, "build", "-o", place / "attested", "."], SOURCE / "go", {**env, "GOPROXY": "off"})
    return [str(place / "attested")]


def node():
    program = _toolchain("node", (18, 3), "--version")
    npm = _toolchain("npm", (8, 0), "--version")
    place = _place("node", "*.mjs", "package*.json")
    _fetch_once(place, (SOURCE / "node/package-lock.json").read_bytes(),
                [npm, "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund",
                 "--cache", place / "cache"], place)
    return [program, str(place / "attested.mjs")]


def rust():
    program = _toolchain("cargo", (1, 85), "--version")
    place = _place("rust")
    env = {"CARGO_HOME": str(place / "home"), "CARGO_TARGET_DIR": str(place / "target"),
           "CARGO_INCREMENTAL": "0", "CARGO_PROFILE_DEV_DEBUG": "0"}  # sooner done
    _fetch_once(place, (SOURCE / "rust/Cargo.lock").read_bytes(), [program, "fetch", "--locked"], SOURCE / "rust", env)
    _run([program, "build", "--locked", "--offline"], SOURCE / "rust", env)
    return [str(place / "target/debug/attested")]


def gnutls():
    program = BUILD / "examples/attested-gnutls"
    if not program.exists():
        raise Missing("GnuTLS was not there when the project was configured")
    return [str(program)]


def python():
    # Debian's, with Debian's modules; nothing is written beside the source.
    argv = ["/usr/bin/python3", "-B"]
    _run([*argv, "-c", "import OpenSSL, cryptography, gi"], "/", error=Missing)
    return [*argv, str(SOURCE / "python/attested.py")]


ALL = {"python": python, "go": go, "node": node, "rust": rust, "gnutls": gnutls}


def build(name):
    """argv of the program; Missing or Broken."""
    return ALL[name]()
