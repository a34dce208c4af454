# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists of IMA as the kernel writes them (binary_runtime_measurements), for tests and measurements.

    ima_log.py ENTRIES FILE     a list that is the same each time
"""
import hashlib
import struct
import sys

SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


def field(data):
    return struct.pack("<I", len(data)) + data


def digest_field(digest, algorithm="sha256", kind=""):
    return field(f"{kind}{algorithm}:".encode() + b"\0" + digest)


def record(data, template="ima-ng", bank="sha1", pcr=10, violation=False):
    """A record of this template data."""
    digest = bytes(SIZES[bank]) if violation else hashlib.new(bank, data).digest()
    return struct.pack("<I", pcr) + digest + field(template.encode()) + field(data)


def legacy(path, digest=b"\x22" * 20, bank="sha1", pcr=10):
    """A record of template "ima"."""
    listed = hashlib.new(bank, digest + path.encode().ljust(256, b"\0")).digest()
    return struct.pack("<I", pcr) + listed + field(b"ima") + digest + field(path.encode())


def entry(path, template="ima-sig", bank="sha1", pcr=10, digest=None, violation=False):
    """A file that was measured: ima-ng, or ima-sig without a signature."""
    digest = bytes(32) if violation else digest or hashlib.sha256(path.encode()).digest()
    data = digest_field(digest) + field(path.encode() + b"\0") + (field(b"") if template == "ima-sig" else b"")
    return record(data, template, bank, pcr, violation)


def entries(n, bank="sha1"):
    """boot_aggregate and n - 1 files."""
    for i in range(n):
        yield entry(f"/usr/lib/x86_64-linux-gnu/p{i:07}.so" if i else "boot_aggregate", bank=bank)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], "wb") as f:
        f.writelines(entries(int(sys.argv[1])))
