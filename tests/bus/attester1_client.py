# SPDX-License-Identifier: LGPL-2.1-or-later
"""The caller's side of org.attestd.Attester1, and what is in the evidence."""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

import private_guest  # noqa: E402

NAME = "org.attestd.Attester1"
PATH = "/org/attestd/Attester1"
SESSION = NAME + ".Session"
ERROR = "org.attestd.Error."
PROPERTIES = "org.freedesktop.DBus.Properties"

# Ed25519, RFC 8032 section 7.1, test 1
SPKI = bytes.fromhex("302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
EXPORTED = bytes(range(0x60, 0x80))
PROFILE = "tag:attestd.org,2026:evidence/1"
PAD = "tag:attestd.org,2026:expat-pad/1"
COCOS = "tag:attestd.org,2026:cocos/1"

# As the unit runs it: root, and nothing beyond.
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


class Evidence:
    """What Attest answered."""

    def __init__(self, evidence, info):
        import cbor2

        self.bytes, self.info = bytes(evidence), info
        self.report_data = bytes(info["report_data"])
        self.collection = cbor2.loads(self.bytes)
        self.tee = cbor2.loads(self.collection["tee"][1])
        self.c = self.collection["claims"][1] if "claims" in self.collection else None
        self.claims = cbor2.loads(self.c).value if self.c else None

    @property
    def caller(self):
        return self.claims.get(266, {}).get("caller", {})

    @property
    def generation(self):
        return self.claims[-78002][2]


class Bus:
    """A connection, and calls of the service on it."""

    def __init__(self, guest):
        from gi.repository import Gio, GLib

        self.Gio, self.GLib = Gio, GLib
        self.bus = self.connect(guest)
        self.n_contexts = 0

    @staticmethod
    def connect(guest):
        return guest.connect()

    def call(self, path, interface, method, arguments=None, timeout=60000):
        return self.bus.call_sync(
            NAME, path, interface, method, arguments, None, self.Gio.DBusCallFlags.NONE, timeout, None
        ).unpack()

    def open(self, role="server", hash="sha256", **more):
        parameters = {"role": role, "hash": hash, **more}
        return self.open_with({k: self.GLib.Variant("s", v) for k, v in parameters.items() if v is not None})

    def open_with(self, parameters):
        return self.call(PATH, NAME, "OpenSession", self.GLib.Variant("(a{sv})", (parameters,)))[0]

    def context(self):
        self.n_contexts += 1
        return b"context" + self.n_contexts.to_bytes(25, "big")

    def octets(self, data):
        """At once: byte by byte takes seconds for what is large."""
        return self.GLib.Variant.new_from_bytes(self.GLib.VariantType("ay"), self.GLib.Bytes.new(data), True)

    def arguments(self, context=None, exported=EXPORTED, spki=SPKI, **options):
        types = {"profile": "s", "timeout_ms": "u", "max_size": "u", "batch": "b", "split": "b"}
        context = self.context() if context is None else context
        options = {k: v if isinstance(v, self.GLib.Variant) else self.GLib.Variant(types[k], v)
                   for k, v in options.items()}
        return self.GLib.Variant.new_tuple(*map(self.octets, (exported, context, spki)),
                                           self.GLib.Variant("a{sv}", options))

    def attest(self, session, *args, **kwargs):
        return Evidence(*self.call(session, SESSION, "Attest", self.arguments(*args, **kwargs)))

    def ask(self, session, answers, *args, **kwargs):
        """The same without waiting: its Evidence, or name of the error, goes to answers."""

        def done(bus, result):
            try:
                answers.append(Evidence(*bus.call_finish(result).unpack()))
            except self.GLib.Error as e:
                answers.append(self.Gio.DBusError.get_remote_error(e) or f"local: {e.message}")

        self.bus.call(
            NAME, session, SESSION, "Attest", self.arguments(*args, **kwargs), None, self.Gio.DBusCallFlags.NONE,
            120000, None, done,
        )

    def get(self, name, path=PATH, interface=NAME):
        return self.call(path, PROPERTIES, "Get", self.GLib.Variant("(ss)", (interface, name)))[0]

    def close(self, session):
        self.call(session, SESSION, "Close")

    def listen(self, heard, path=None):
        """(path, member, arguments) of each signal that reaches this connection goes to heard."""
        self.bus.signal_subscribe(
            NAME, None, None, path, None, self.Gio.DBusSignalFlags.NONE,
            lambda bus, sender, path, interface, member, arguments: heard.append((path, member, arguments.unpack())),
        )
        # The bus has the match rule when it has answered the next call.
        self.bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", None, None, 0, -1, None)

    def leave(self):
        self.bus.flush_sync(None)
        self.bus.close_sync(None)


class Direct(Bus):
    """The same by the direct socket."""

    @staticmethod
    def connect(guest):
        return guest.connect_direct()

    def listen(self, heard, path=None):
        """There are no match rules: all that is told reaches it."""
        self.bus.signal_subscribe(
            None, None, None, path, None, self.Gio.DBusSignalFlags.NONE,
            lambda bus, sender, path, interface, member, arguments: heard.append((path, member, arguments.unpack())),
        )


class Caller:
    """caller.py somewhere else; with direct=True it has the direct socket. through: programs that run it."""

    def __init__(self, guest, direct=False, through=(), **where):
        program = pathlib.Path(__file__).with_name("caller.py")
        self.process = guest.spawn(
            [*through, private_guest.PYTHON, str(program)], name="caller", stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={"ATTESTD_DIRECT": guest.direct} if direct else None, **where
        )
        self.name = self.answer()[1]

    def answer(self):
        line = self.process.popen.stdout.readline().decode().rstrip("\n")
        if not line:
            raise private_guest.GuestError(f"the caller has ended:\n{self.process.log()}")
        return line.split(" ", 2)

    def tell(self, line):
        self.process.popen.stdin.write(line.encode() + b"\n")
        self.process.popen.stdin.flush()
        return self.answer()

    def call(self, path, interface, method, arguments="-"):
        """Its answer unpacked; RemoteError."""
        from gi.repository import GLib

        word, *rest = self.tell(f"{path} {interface} {method} {arguments}")
        if word == "error":
            raise RemoteError(*rest)
        return GLib.Variant.parse(None, " ".join(rest), None, None).unpack()

    def open(self, arguments="({'role': <'server'>, 'hash': <'sha256'>},)"):
        return self.call(PATH, NAME, "OpenSession", arguments)[0]

    def attest(self, session, bus, **options):
        return Evidence(*self.call(session, SESSION, "Attest", bus.arguments(**options).print_(True)))

    def end(self):
        self.process.popen.stdin.close()
        self.process.wait()


class RemoteError(Exception):
    def __init__(self, name, message=""):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


class AttesterTest(private_guest.GuestTest):
    """A guest with attestd in it, and a connection of root's."""

    guest_options = {"wrapper": UNPRIVILEGED}
    arguments = ()
    configuration = None  # of a drop-in

    def setUp(self):
        super().setUp()
        if self.configuration:
            self.configure(self.configuration)
        self.daemon = self.guest.start_attestd(*self.arguments)
        self.root = Bus(self.guest)

    def configure(self, text, name="50-test.conf"):
        folder = self.guest.configuration / "attestd.conf.d"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    @contextlib.contextmanager
    def refused(self, name, says=""):
        """With an error of ours, and with a sentence; the service goes on."""
        from gi.repository import Gio, GLib

        try:
            yield
        except GLib.Error as e:
            got = Gio.DBusError.get_remote_error(e)
            message = e.message.removeprefix(f"GDBus.Error:{got}: ")
        except RemoteError as e:
            got, message = e.name, e.message
        else:
            self.fail(f"not refused as {name}")
        self.assertEqual(got, ERROR + name if "." not in name else name, message)
        self.assertIn(says, message)
        self.assertGreater(len(message), 10)
        self.assertTrue(self.daemon.is_running())

    def logged(self, *words):
        """Is there a line of the log with all of them?"""
        return any(all(w in line for w in words) for line in self.daemon.log().splitlines())


def r_of(claims):
    return hashlib.sha512(b"attestd evidence/1\0" + claims).digest()


def wait_until(condition, seconds=private_guest.DEADLINE):
    return private_guest.wait_until(condition, seconds=seconds)


def source(*parts):
    return os.path.join(private_guest.SOURCE, *parts)
