# SPDX-License-Identifier: LGPL-2.1-or-later
"""Event logs of firmware, as tests make them."""
import hashlib
import struct

ALGORITHMS = {"sha1": (0x4, 20), "sha256": (0xb, 32), "sha384": (0xc, 48), "sha512": (0xd, 64)}
NO_ACTION, SEPARATOR, ACTION, IPL = 3, 4, 5, 13


def header(*banks, register=0):
    spec = b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2" + struct.pack("<I", len(banks))
    spec += b"".join(struct.pack("<HH", *ALGORITHMS[bank]) for bank in banks) + b"\0"
    return struct.pack("<II20sI", register, NO_ACTION, bytes(20), len(spec)) + spec


def event(register, kind, data, *banks, of=None):
    """One whose digests are of @of, or of its data."""
    out = struct.pack("<III", register, kind, len(banks))
    for bank in banks:
        out += struct.pack("<H", ALGORITHMS[bank][0])
        out += hashlib.new(bank, data if of is None else of).digest() if kind != NO_ACTION else bytes(ALGORITHMS[bank][1])
    return out + struct.pack("<I", len(data)) + data


def extended(bank, *what):
    value = bytes(ALGORITHMS[bank][1])
    for data in what:
        value = hashlib.new(bank, value + hashlib.new(bank, data).digest()).digest()
    return value.hex()
