# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the tests find things; what the tests of this folder share."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import cbor2  # noqa: F401
    import cryptography  # noqa: F401
except ImportError as e:
    print(f"skipped: needs python3-cbor2 and python3-cryptography: {e}")
    sys.exit(77)

ROOT = Path(os.environ["SOURCE_ROOT"])
VECTORS = ROOT / "docs" / "vectors"
MAKE_VECTORS = os.environ["MAKE_VECTORS"]
DECODE_LINES = os.environ["DECODE_LINES"]
ATTESTCTL = os.environ["ATTESTCTL"]


def index():
    return json.loads((VECTORS / "index.json").read_text())


def vector(name):
    return (VECTORS / name).read_bytes()


def verify(evidence, *options):
    """attestctl verify --json -> exit status, result"""
    got = subprocess.run([ATTESTCTL, "verify", "--json", *map(str, options), "-"], input=evidence,
                         capture_output=True, timeout=60)
    return got.returncode, json.loads(got.stdout) if got.stdout else None


def decode(lines):
    """[(kind, bytes)] -> what our decoders make of each: None, or JSON"""
    text = "".join(f"{kind} {data.hex()}\n" for kind, data in lines)
    got = subprocess.run([DECODE_LINES], input=text, capture_output=True, text=True, timeout=100, check=True)
    answers = got.stdout.splitlines()
    assert len(answers) == len(lines)
    return [None if a == "no" else json.loads(a) for a in answers]


def temporary():
    return tempfile.TemporaryDirectory(prefix="attestd-")
