# SPDX-License-Identifier: LGPL-2.1-or-later
"""CBOR, RFC 8949: one item and nothing after it, as strictly as section 4.2.1 has it."""
from typing import NamedTuple, Any

from . import Refused, need

SIZE_MAX = 1024 * 1024
DEPTH_MAX = 16  # containers in containers
ITEMS_MAX = 16384


class Tag(NamedTuple):
    number: int
    value: Any


UNDEFINED = object()


class Reader:
    def __init__(self, data, deterministic):
        self.data = data
        self.at = 0
        self.deterministic = deterministic
        self.items = 0

    def take(self, n):
        need(n <= len(self.data) - self.at, "ends inside an item")
        self.at += n
        return self.data[self.at - n:self.at]

    def head(self):
        """-> major type, argument (None: indefinite), additional information"""
        self.items += 1
        need(self.items <= ITEMS_MAX, "too many items")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info, info
        if info <= 27:
            size = 1 << (info - 24)
            value = int.from_bytes(self.take(size), "big")
            if self.deterministic and major != 7:
                need(value >= (24, 1 << 8, 1 << 16, 1 << 32)[info - 24], "a head is not the shortest")
            return major, value, info
        need(info == 31 and major in (2, 3, 4, 5), "a reserved head, or a stray break")
        need(not self.deterministic, "indefinite length")
        return major, None, info

    def chunks(self, major):
        """A string of indefinite length: definite chunks of the same type, then a break."""
        all_of_it = b""
        while self.data[self.at:self.at + 1] != b"\xff":
            inner, size, info = self.head()
            need(inner == major and info != 31, "a chunk of another type")
            chunk = self.take(size)
            if major == 3:
                text(chunk)
            all_of_it += chunk
        self.take(1)
        return all_of_it

    def times(self, n):
        """Yields n times, or until the break."""
        if n is not None:
            need(n <= len(self.data) - self.at, "claims more items than there are bytes")
            yield from range(n)
            return
        while self.data[self.at:self.at + 1] != b"\xff":
            yield
        self.take(1)

    def item(self, depth):
        major, value, info = self.head()
        need(depth <= DEPTH_MAX or major not in (4, 5, 6), "too deep")
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major in (2, 3):
            raw = self.chunks(major) if value is None else self.take(value)
            return raw if major == 2 else text(raw)
        if major == 4:
            return [self.item(depth + 1) for _ in self.times(value)]
        if major == 5:
            return self.map(value, depth)
        if major == 6:
            need(not 6 <= value <= 20, "a tag that is not taken")
            return Tag(value, self.item(depth + 1))
        need(20 <= info <= 23, "a float, or an unassigned simple value")
        return (False, True, None, UNDEFINED)[info - 20]

    def map(self, n, depth):
        pairs = {}
        last = None
        for _ in self.times(n):
            start = self.at
            need(self.data[start:start + 1] < b"\x80", "a key that is neither an integer nor a string")
            key = self.item(depth + 1)
            raw = self.data[start:self.at]
            if self.deterministic:
                need(last is None or raw > last, "keys are not in order, or twice")
            last = raw
            need(key not in pairs, "a key twice")
            pairs[key] = self.item(depth + 1)
        return pairs


def text(raw):
    need(b"\0" not in raw, "a NUL in a text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("text that is not UTF-8") from None


def load(data, deterministic=True):
    need(0 < len(data) <= SIZE_MAX, "no bytes, or too many")
    reader = Reader(data, deterministic)
    item = reader.item(1)
    need(reader.at == len(data), "bytes after the item")
    return item


def head(major, n):
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << (8 * size):
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise ValueError(n)


def dump(item):
    """The deterministic encoding."""
    if isinstance(item, bool):
        return b"\xf5" if item else b"\xf4"
    if item is None:
        return b"\xf6"
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        raw = item.encode()
        return head(3, len(raw)) + raw
    if isinstance(item, Tag):
        return head(6, item.number) + dump(item.value)
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(map(dump, item))
    if isinstance(item, dict):
        pairs = sorted((dump(k), dump(v)) for k, v in item.items())
        return head(5, len(pairs)) + b"".join(k + v for k, v in pairs)
    raise TypeError(item)
