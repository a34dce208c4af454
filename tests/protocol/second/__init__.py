# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second implementation of docs/protocol.md, for the tests.

It shares no code with the first: where the two part, one of them is wrong, or
the document is. Written for the reader, not for speed, and for nothing but tests.
"""


class Refused(Exception):
    """Bytes that are not what they should be; the message says why."""


def need(condition, why):
    if not condition:
        raise Refused(why)
