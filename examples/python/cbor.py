# SPDX-License-Identifier: LGPL-2.1-or-later
"""The little CBOR that frames are made of, in deterministic encoding (RFC 8949 section 4.2.1): integers
from 0, bytes, text, lists, maps, true and false. A decoder for everything does more than
frames need, with the bytes of a peer that nobody knows yet."""

DEPTH_MAX = 16


def encode(value):
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(sorted(encode(k) + encode(v) for k, v in value.items()))
    raise TypeError(f"no {type(value).__name__} in a frame")


def decode(data):
    """ValueError for anything but one item in this very encoding."""
    value, end = _decode(data, 0, DEPTH_MAX)
    if end != len(data) or encode(value) != data:
        raise ValueError("not one item in deterministic encoding")
    return value


def _head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for i, size in enumerate((1, 2, 4, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | 24 + i]) + n.to_bytes(size, "big")
    raise ValueError("a number over 64 bits")


def _take(data, at, size):
    if size > len(data) - at:
        raise ValueError("cut short")
    return data[at:at + size], at + size


def _decode(data, at, depth):
    (head,), at = _take(data, at, 1)
    major, n = head >> 5, head & 31
    if head in (0xf4, 0xf5):
        return head == 0xf5, at
    if major in (1, 6, 7) or n > 27 or depth == 0:
        raise ValueError("nothing that is in a frame")
    if n >= 24:
        argument, at = _take(data, at, 1 << n - 24)
        n = int.from_bytes(argument, "big")

    if major == 0:
        return n, at
    if major in (2, 3):
        text, at = _take(data, at, n)
        return (text if major == 2 else text.decode()), at
    items = []
    for _ in range(n if major == 4 else 2 * n):  # each takes a byte at least, so this ends where the data does
        item, at = _decode(data, at, depth - 1)
        items.append(item)
    if major == 4:
        return items, at
    keys = items[::2]
    if any(isinstance(key, (list, dict, bool)) for key in keys):
        raise ValueError("no key of a frame")
    return dict(zip(keys, items[1::2])), at  # a key twice does not encode to the same again
