#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The direct socket: org.attestd.Attester1 without a bus between."""

import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import attester1_client as client  # noqa: E402
from attester1_client import (  # noqa: E402
    NAME, PATH, PROPERTIES, SESSION, AttesterTest, Bus, Caller, Direct, private_guest, source, wait_until,
)

private_guest.enter()

from gi.repository import Gio, GLib  # noqa: E402

PEER = "org.freedesktop.DBus.Peer"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
UNIT = "payroll.service"


class DirectTest(AttesterTest):
    guest_options = {"wrapper": client.UNPRIVILEGED, "direct": True}
    configuration = "[Access]\nDirectUsers=1000\n"

    def setUp(self):
        super().setUp()
        self.direct = Direct(self.guest)

    def caller(self, **where):
        caller = Caller(self.guest, **where)
        self.addCleanup(caller.end)
        return caller


class Raw:
    """A client that minds no rules."""

    def __init__(self, test, authenticate=True, address=None, takes_fds=False):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(private_guest.DEADLINE)
        self.socket.connect((address or test.guest.direct).removeprefix("unix:path="))
        test.addCleanup(self.socket.close)
        self.received = b""
        if authenticate:
            negotiate = b"NEGOTIATE_UNIX_FD\r\n" if takes_fds else b""
            self.send(b"\0AUTH EXTERNAL %s\r\n" % str(os.getuid()).encode().hex().encode() + negotiate + b"BEGIN\r\n")
            assert self.line().startswith(b"OK "), "not authenticated"
            assert not takes_fds or self.line() == b"AGREE_UNIX_FD\r\n", "no descriptors"

    def take(self, size):
        while len(self.received) < size:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError
            self.received += more
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def line(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.take(1)
        return line

    def message(self):
        head = self.take(16)
        endian = "<" if head[:1] == b"l" else ">"
        body, fields = struct.unpack_from(endian + "I", head, 4)[0], struct.unpack_from(endian + "I", head, 12)[0]
        rest = self.take((fields + 7) // 8 * 8 + body)
        return Gio.DBusMessage.new_from_blob(head + rest, Gio.DBusCapabilityFlags.UNIX_FD_PASSING)

    def send(self, data):
        self.socket.sendall(data)

    def is_closed(self):
        """All that was sent to it, and then its end."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


class RawOnBus(Raw):
    """The same on the system bus. It takes descriptors, which are closed as they are read."""

    def __init__(self, test):
        super().__init__(test, address=test.guest.BUS_ADDRESS, takes_fds=True)
        self.serial = 0
        self.ask("/", "org.freedesktop.DBus", "Hello", destination="org.freedesktop.DBus")
        self.reply()

    def ask(self, path, interface, member, body=None, destination=NAME):
        self.serial += 1
        self.send(blob(path, interface, member, body, self.serial, destination))

    def reply(self, serial=None):
        """What answers that call, else the last one."""
        while True:
            message = self.message()
            if message.get_reply_serial() == (serial or self.serial):
                return message

    def stop_reading(self):
        """From now on the bus keeps what is for it: its socket is full."""
        for _ in range(100):
            self.ask("/", INTROSPECTABLE, "Introspect", destination="org.freedesktop.DBus")


def blob(path=PATH, interface=PEER, member="Ping", body=None, serial=1, destination=None, sender=None):
    message = Gio.DBusMessage.new_method_call(destination, path, interface, member)
    message.set_serial(serial)
    if sender:
        message.set_sender(sender)
    if body:
        message.set_body(body)
    return message.to_blob(Gio.DBusCapabilityFlags.NONE)


class Objects(DirectTest):
    def test_they_are_those_of_the_bus(self):
        for connection in self.root, self.direct:
            self.assertEqual(connection.call(PATH, PEER, "Ping"), ())
        ours = {}
        for connection in self.root, self.direct:
            session = connection.open()
            for path in PATH, session:
                xml = connection.call(path, INTROSPECTABLE, "Introspect")[0]
                ours.setdefault(connection, []).append(
                    [ET.tostring(i) for i in ET.fromstring(xml).iter("interface")])
            ours[connection].append(connection.call(PATH, PROPERTIES, "GetAll", GLib.Variant("(s)", (NAME,))))
            ours[connection].append(connection.call(session, PROPERTIES, "GetAll", GLib.Variant("(s)", (SESSION,))))
        self.assertEqual(ours[self.root], ours[self.direct])
        machine = self.direct.call(PATH, PEER, "GetMachineId")[0]
        self.assertEqual(machine, pathlib.Path("/etc/machine-id").read_text().strip())

    def test_evidence_is_that_of_the_bus(self):
        e = self.direct.attest(self.direct.open())
        self.assertEqual(e.report_data, client.r_of(e.c))
        self.assertEqual(self.tee.reports(), [e.report_data])
        on_bus = self.root.attest(self.root.open())
        self.assertEqual(set(e.info), set(on_bus.info))
        self.assertEqual(e.caller, on_bus.caller)

    def test_polkit_is_not_asked(self):
        self.guest.polkit.absent()
        caller = self.caller(direct=True, user=1000)
        self.assertEqual(caller.attest(caller.open(), self.root).caller["peer"]["uid"], 1000)
        self.assertEqual(self.guest.polkit.checks, [])


class Identity(DirectTest):
    configuration = "[Access]\nDirectUsers=1000\nDirectGroups=caller-1001\n"

    def same_on_both(self, **where):
        """What C says of a caller, by either way."""
        callers = []
        for direct in False, True:
            caller = self.caller(direct=direct, **where)
            callers.append(caller.attest(caller.open(), self.root).caller)
        self.assertEqual(callers[0], callers[1])
        return callers[1]

    def test_it_is_what_the_bus_says(self):
        unit = self.guest.unit(UNIT)
        c = self.same_on_both(user=1000, unit=unit)
        self.assertEqual(c["peer"]["uid"], 1000)
        self.assertEqual((c["unit"]["name"], bytes(c["unit"]["invocation"]).hex()), (UNIT, unit.invocation))
        self.same_on_both()
        through = "setpriv", "--reuid=1000", "--regid=1000", "--groups=7,1001,5,1000"
        self.assertEqual(self.same_on_both(through=through)["peer"]["gids"], [5, 7, 1000, 1001])
        through = "setpriv", "--reuid=1000", "--regid=1001", "--groups=7"
        self.assertEqual(self.same_on_both(through=through)["peer"]["gids"], [7, 1001])

    def test_who_may_is_named_by_user_and_by_group(self):
        for groups, may in ("--groups=1001", True), ("--clear-groups", False):
            caller = self.caller(direct=True, through=("setpriv", "--reuid=1001", "--regid=1000", groups))
            if may:
                caller.open()
                continue
            with self.refused("NotAuthorized", "use the system bus"):
                caller.open()
        self.caller(direct=True, through=("setpriv", "--reuid=1001", "--regid=1001", "--clear-groups")).open()

    def test_sc39_foreign_namespaces_are_refused_as_on_the_bus(self):
        for namespaces, says in (("pid",), "pid namespace"), (("mount",), "mount namespace"), \
                (("user",), "user namespace"):
            with self.refused("NotAuthorized", says):
                self.caller(direct=True, namespaces=namespaces).open()
        self.caller(direct=True).open()

    def test_who_has_connected_is_who_it_is(self):
        # A unit connects and hands the socket to a process without one: the kernel knows who has connected.
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        program = ("import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                   "socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b'x'], [s.fileno()]); sys.stdin.read()")
        with ours, its:
            ours.settimeout(private_guest.DEADLINE)
            unit = self.guest.unit(UNIT)
            holder = self.guest.spawn(
                [private_guest.PYTHON, "-c", program, self.guest.direct.removeprefix("unix:path="), its.fileno()],
                name="holder", user=1000, unit=unit, stdin=subprocess.PIPE, pass_fds=(its.fileno(),))
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        # Root's process has it now. It may not say that it is root, and is not.
        stream = Gio.Socket.new_from_fd(fds[0]).connection_factory_create_connection()
        with self.assertRaises(GLib.Error):
            Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        holder.popen.stdin.close()
        holder.wait()

    def recycled(self):
        return self.guest.spawn([private_guest.PYTHON, source("tests", "bus", "inherit.py")],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"ATTESTD_DIRECT": self.guest.direct})

    def test_who_is_gone_is_nobody(self):
        caller = self.recycled()
        pid = int(caller.popen.stdout.readline())
        self.assertTrue(caller.popen.stdout.readline().startswith(b"ready "))
        caller.wait()
        # Its pid is used again, by a unit of the same user.
        for _ in range(100):
            pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
            service = self.guest.spawn(["sleep", "1000"], unit=self.guest.unit(UNIT))
            if service.pid == pid:
                break
            service.kill()
        self.assertEqual(service.pid, pid)
        caller.popen.stdin.write(b"\n")
        caller.popen.stdin.flush()
        self.assertIn(b"NotAuthorized: the calling process cannot be identified", caller.popen.stdout.readline())
        service.kill()
        caller.popen.stdin.close()
        self.assertEqual(caller.popen.stdout.read(), b"")


class Access(DirectTest):
    def test_others_are_told_to_use_the_bus_and_are_closed(self):
        stranger = self.caller(direct=True, user=1001)
        for path, interface, method in (PATH, PEER, "Ping"), (PATH, INTROSPECTABLE, "Introspect"), (PATH, NAME, "x"):
            with self.refused("NotAuthorized", "use the system bus"):
                stranger.call(path, interface, method)
            stranger = self.caller(direct=True, user=1001)
        self.assertTrue(self.logged("refused the direct socket", "uid 1001", "use the system bus"))

        program = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                   "s.sendall(b'\\0AUTH EXTERNAL\\r\\nDATA\\r\\nBEGIN\\r\\n' + bytes.fromhex(sys.argv[2]));"
                   "data = b''.join(iter(lambda: s.recv(65536), b'')); print(data.count(b'use the system bus'))")
        calls = b"".join(blob(serial=n) for n in range(1, 6))
        answer = self.guest.run([private_guest.PYTHON, "-c", program, self.guest.direct.removeprefix("unix:path="),
                                 calls.hex()], user=1001, check=True)
        self.assertEqual(answer.stdout, "5\n")  # each call, and then the end
        self.assertEqual(self.tee.stats()["reports"], 0)

    def test_sessions_are_for_who_has_opened_them(self):
        sessions = {c: c.open() for c in (self.root, self.direct, Direct(self.guest))}
        for owner in sessions:
            for other, session in sessions.items():
                if other is owner:
                    owner.attest(session)
                    continue
                for method in "Attest", "Close":
                    with self.refused("NoSuchSession"):
                        owner.call(session, SESSION, method, owner.arguments() if method == "Attest" else None)
                with self.refused("NoSuchSession"):
                    owner.get("Generation", session, SESSION)
        # Nor by saying in a message who else one is.
        raw = Raw(self)
        name = self.root.bus.get_unique_name()
        raw.send(blob(sessions[self.root], SESSION, "Close", sender=name))
        self.assertEqual(raw.message().get_error_name(), client.ERROR + "NoSuchSession")
        self.root.attest(sessions[self.root])

    def test_the_end_of_a_connection_ends_its_sessions(self):
        self.daemon.stop()
        self.configure("[Limits]\nSessionsPerUser=1\n", "60-limits.conf")
        self.daemon = self.guest.start_attestd()
        for _ in range(3):
            direct = self.open_when_there_is_room()
            with self.refused("LimitReached"):
                direct.open()
            direct.leave()
        answers = []
        self.tee.hold()
        direct = self.open_when_there_is_room()
        direct.ask(direct.session, answers)
        self.tee.wait("held")
        direct.leave()
        self.open_when_there_is_room()
        self.tee.release()

    def open_when_there_is_room(self):
        """A new connection with a session: as soon as attestd has seen that another one has ended."""
        direct = Direct(self.guest)
        direct.session = None

        def opens():
            try:
                direct.session = direct.session or direct.open()
            except GLib.Error as e:
                self.assertIn("LimitReached", e.message)
                GLib.idle_add(lambda: False)
                return False
            return True

        self.assertTrue(wait_until(opens))
        return direct

    def test_logs_are_for_root(self):
        caller = self.caller(direct=True, user=1000)
        with self.refused("NotAuthorized", "use the system bus"):
            caller.call(PATH, NAME, "GetLog", "('ima', uint64 0)")
        self.assertEqual(self.guest.polkit.checks, [])
        with self.refused("Failed"):
            self.direct.call(PATH, NAME, "GetLog", GLib.Variant("(st)", ("ima", 0)))

    def test_no_log_goes_where_no_descriptors_are_taken(self):
        raw = Raw(self)
        raw.send(blob(interface=NAME, member="GetLog", body=GLib.Variant("(st)", ("boot", 0))))
        answer = raw.message()
        self.assertEqual(answer.get_error_name(), client.ERROR + "Failed")
        self.assertIn("NEGOTIATE_UNIX_FD", answer.get_body().unpack()[0])

    def test_who_may_not_have_a_log_is_told_so_whatever_he_takes(self):
        program = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                   "s.sendall(b'\\0AUTH EXTERNAL\\r\\nDATA\\r\\nBEGIN\\r\\n' + bytes.fromhex(sys.argv[2]));"
                   "data = b'';\nwhile b'attestd.Error.' not in data: data += s.recv(65536)\n"
                   "print(b'NotAuthorized' in data)")
        call = blob(interface=NAME, member="GetLog", body=GLib.Variant("(st)", ("ima", 0)))
        answer = self.guest.run([private_guest.PYTHON, "-c", program, self.guest.direct.removeprefix("unix:path="),
                                 call.hex()], user=1000, check=True)
        self.assertEqual(answer.stdout, "True\n")

    def test_nobody_else_is_there(self):
        raw = Raw(self)
        for name in "org.freedesktop.DBus", "org.freedesktop.login1", ":1.1", "org.attestd.Verifier1":
            raw.send(blob(destination=name))
            self.assertEqual(raw.message().get_error_name(), "org.freedesktop.DBus.Error.ServiceUnknown")
        raw.send(blob(destination=NAME))
        self.assertEqual(raw.message().get_message_type(), Gio.DBusMessageType.METHOD_RETURN)


class Signals(DirectTest):
    def test_a_move_is_told_to_all_and_stale_to_its_owner_first(self):
        heard, others, on_bus = [], [], []
        other, stranger = Direct(self.guest), Direct(self.guest)
        session, theirs = self.direct.open(), other.open()
        self.direct.attest(session)
        self.direct.listen(heard)
        other.listen(others)
        self.root.listen(on_bus)
        self.tee.provider(None)
        with self.refused("DeviceLost"):
            self.root.attest(self.root.open())
        for h in heard, others, on_bus:
            self.assertTrue(wait_until(lambda: [x for x in h if x[1] == "PropertiesChanged" and x[0] == PATH
                                                and "Generation" in x[2][1]]))
        told = [(p, m, a) for p, m, a in heard if m != "PropertiesChanged"]
        self.assertEqual(told, [(session, "Stale", (2, ["device"])), (PATH, "StateChanged", (2, ["device"]))])
        self.assertIn((session, "PropertiesChanged", (SESSION, {"Generation": 1, "Stale": True}, [])), heard)
        self.assertEqual([h for h in others if h[0] != PATH], [])
        self.assertIn((PATH, "StateChanged", (2, ["device"])), others)
        self.assertEqual([h for h in on_bus if h[0] in (session, theirs)], [])
        self.assertEqual(stranger.get("Generation"), 2)


class Hostile(DirectTest):
    def goes_on(self):
        self.assertEqual(self.direct.call(PATH, PEER, "Ping"), ())
        self.assertEqual(self.root.call(PATH, PEER, "Ping"), ())

    def test_garbage_ends_the_connection(self):
        good = blob()
        for data in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0BEGIN\r\n",
            b"\0AUTH EXTERNAL 30\n",
            b"\0AUTH EXTERNAL 30\0\r\n",
            b"\0" + b"AUTH\r\n" * 1000,
            b"\0" + b"x" * 5000,
        ):
            raw = Raw(self, authenticate=False)
            raw.send(data)
            self.assertTrue(raw.is_closed(), data)
        for data in (b"\0" * 64, b"x" * 64, good[:4] + b"\xff" * 4 + good[8:], good[:12] + b"\xff" * 4 + good[16:],
                     good[:4] + struct.pack("<I", 128 * 1024) + good[8:], good[:4] + bytes(4) + good[8:12] + bytes(4)):
            raw = Raw(self)
            raw.send(data)
            self.assertTrue(raw.is_closed(), data)
            self.goes_on()

    def test_who_is_refused_too_often_is_not_read_for_a_while(self):
        """64 refusals of what is over a limit in a tenth of a second, and the rest of it is the others'."""
        other, answers, began = self.caller(direct=True, user=1000), [], []
        session = self.direct.open()
        self.tee.hold()
        for i in range(1100):  # of which a session may have some waiting
            self.direct.ask(session, answers, context=str(i).encode())
        self.assertTrue(wait_until(lambda: answers))
        began = time.monotonic()
        other.call(PATH, PEER, "Ping")
        self.assertTrue(wait_until(lambda: len(answers) >= 1000))
        self.assertEqual(set(answers), {client.ERROR + "LimitReached"})
        self.assertGreater(time.monotonic() - began, 0.2)  # fifteen rests
        self.tee.release()
        self.goes_on()

    def test_rejected_may_try_again(self):
        raw = Raw(self, authenticate=False)
        for line, answer in (
            (b"\0AUTH\r\n", b"REJECTED EXTERNAL"), (b"AUTH ANONYMOUS 61\r\n", b"REJECTED EXTERNAL"),
            (b"AUTH EXTERNAL 31303031\r\n", b"REJECTED EXTERNAL"), (b"hello\r\n", b"ERROR"),
            (b"AUTH EXTERNAL\r\n", b"DATA"), (b"DATA\r\n", b"OK "), (b"NEGOTIATE_UNIX_FD\r\n", b"AGREE_UNIX_FD"),
            (b"CANCEL\r\n", b"REJECTED"), (b"AUTH EXTERNAL 30\r\n", b"OK "),
        ):
            raw.send(line)
            self.assertTrue(raw.line().startswith(answer), line)
        raw.send(b"BEGIN\r\n" + blob())
        self.assertEqual(raw.message().get_reply_serial(), 1)

    def test_wrong_calls_are_answered(self):
        raw = Raw(self)
        for arguments in "(s)", "(a{ss})", "(tt)":
            with self.refused("InvalidArgument"):
                value = GLib.Variant(arguments, {"(s)": ("x",), "(a{ss})": ({},), "(tt)": (1, 2)}[arguments])
                self.direct.call(PATH, NAME, "OpenSession", value)
        with self.refused("org.freedesktop.DBus.Error.UnknownMethod"):
            self.direct.call(PATH, NAME, "GetQuote")
        # The same serial twice is answered twice; what is no call, never.
        reply = Gio.DBusMessage.new_from_blob(blob(), Gio.DBusCapabilityFlags.NONE).new_method_reply()
        reply.set_serial(5)
        raw.send(reply.to_blob(Gio.DBusCapabilityFlags.NONE) + blob(serial=7) + blob(serial=7))
        self.assertEqual([raw.message().get_reply_serial() for _ in range(2)], [7, 7])

    def test_bytes_may_come_one_by_one(self):
        raw = Raw(self, authenticate=False)
        for byte in b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + blob():
            raw.send(bytes([byte]))
        raw.line()
        self.assertEqual(raw.message().get_reply_serial(), 1)

    def test_descriptors_are_not_taken(self):
        raw = Raw(self)
        raw.send(blob())
        raw.message()
        before = len(self.daemon.fds())
        with open("/dev/null") as f:
            for n in range(1, 20):
                socket.send_fds(raw.socket, [blob(serial=n)], [f.fileno()] * 10)
        for n in range(1, 20):
            self.assertEqual(raw.message().get_reply_serial(), n)
        self.assertEqual(len(self.daemon.fds()), before)

    def test_no_answer_is_long_but_for_evidence(self):
        raw = Raw(self)
        calls = [blob(path, INTROSPECTABLE, "Introspect") for path in ("/", PATH, PATH + "/session")]
        calls.append(blob(interface="org.freedesktop.DBus.Properties", member="GetAll",
                          body=GLib.Variant("(s)", (NAME,))))
        for call in calls:
            raw.send(call)
            self.assertLess(len(raw.message().to_blob(Gio.DBusCapabilityFlags.NONE)), 16 << 10)

    def test_a_long_message_leaves_nothing_behind(self):
        long = blob(body=GLib.Variant("(s)", ("x" * 120000,)))
        idle = []
        rss = None
        for n in range(120):
            raw = Raw(self)
            for at in range(0, len(long), 40000):
                raw.send(long[at:at + 40000])
                self.direct.call(PATH, PEER, "Ping")
            raw.message()
            idle.append(raw)
            if n == 20:
                rss = self.daemon.rss_kib()
        if not private_guest.is_sanitized(self.daemon.pid):
            self.assertLess(self.daemon.rss_kib() - rss, 4 << 10)

    def test_who_never_reads_is_not_read_from(self):
        rss = self.daemon.rss_kib()
        calls = b"".join(blob(interface=INTROSPECTABLE, member="Introspect", serial=n + 1) for n in range(1000))
        for _ in range(5):
            raw = Raw(self)
            raw.socket.setblocking(False)
            sent = 0
            while True:
                try:
                    sent += raw.socket.send(calls[sent % len(calls):])
                except BlockingIOError:
                    self.goes_on()  # so it has had its turn since
                    try:
                        sent += raw.socket.send(calls[sent % len(calls):])
                    except BlockingIOError:
                        break
            self.assertLess(sent, 10 << 20)
        self.goes_on()
        self.assertLess(self.daemon.rss_kib() - rss, 50 << 10)
        # It has lost nothing: when it reads, it is answered.
        raw.socket.setblocking(True)
        raw.socket.settimeout(private_guest.DEADLINE)
        for n in range(sent // len(blob(interface=INTROSPECTABLE, member="Introspect"))):
            self.assertEqual(raw.message().get_reply_serial(), n % 1000 + 1)

    def test_a_flood_holds_up_nobody(self):
        raw = Raw(self)
        calls = b"".join(blob(serial=n + 1) for n in range(500))
        with self.flood(raw, calls):
            for _ in range(50):
                self.goes_on()

    def flood(self, raw, calls):
        import contextlib
        import threading

        @contextlib.contextmanager
        def flooding():
            stop = threading.Event()

            def send():
                raw.socket.setblocking(True)
                try:
                    while not stop.is_set():
                        raw.socket.sendall(calls)
                except OSError:
                    pass

            def read():
                try:
                    while raw.socket.recv(1 << 20):
                        pass
                except OSError:
                    pass

            threads = [threading.Thread(target=f) for f in (send, read)]
            for thread in threads:
                thread.start()
            yield
            stop.set()
            raw.socket.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()

        return flooding()


class Limits(DirectTest):
    configuration = "[Access]\nDirectUsers=1000 1001 1002 1003 1004\n" \
                    "[Limits]\nDirectConnections=10\nDirectConnectionsPerUser=4\n"

    def test_a_user_has_so_many(self):
        mine = [self.direct, *(Direct(self.guest) for _ in range(3))]
        for c in mine:
            c.call(PATH, PEER, "Ping")
        with self.refused("LimitReached", "this user may have 4 direct connections"):
            Direct(self.guest).open()
        mine.pop().leave()
        self.root.call(PATH, PEER, "Ping")
        again = Direct(self.guest)
        self.assertTrue(wait_until(lambda: self.answers(again) or self.renew(again)))

    def test_a_fifth_user_gets_one_when_four_have_all_they_may(self):
        mine = [self.direct, *(Direct(self.guest) for _ in range(3))]
        for c in mine:
            c.call(PATH, PEER, "Ping")
        for user, has, all_have in (1000, 3, 7), (1001, 1, 8), (1002, 1, 9):
            for _ in range(has):
                self.caller(direct=True, user=user).open()
            with self.refused("LimitReached", f"all users together have {all_have} of 10 direct connections"):
                self.caller(direct=True, user=user).open()
        self.caller(direct=True, user=1003).open()
        with self.refused("LimitReached", "all users together have 10 of 10 direct connections"):
            self.caller(direct=True, user=1004).open()

    def answers(self, connection):
        try:
            connection.call(PATH, PEER, "Ping")
            return True
        except GLib.Error:
            return False

    def renew(self, connection):
        connection.bus = self.guest.connect_direct()
        return False


class Many(DirectTest):
    configuration = "[Limits]\nDirectConnections=2048\nDirectConnectionsPerUser=1024\n"

    def test_a_thousand_connections(self):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.daemon.stop()
        self.daemon = self.guest.start_attestd()
        before, rss = len(self.daemon.fds()), self.daemon.rss_kib()
        many = [Raw(self) for _ in range(1000)]
        for n, raw in enumerate(many):
            raw.send(blob(serial=n + 1))
        for n, raw in enumerate(many):
            self.assertEqual(raw.message().get_reply_serial(), n + 1)
        self.assertLess(self.daemon.rss_kib() - rss, 64 << 10)
        for raw in many:
            raw.socket.close()
        Direct(self.guest).call(PATH, PEER, "Ping")
        self.assertLess(len(self.daemon.fds()), before + 20)


class Activation(private_guest.GuestTest):
    guest_options = {"direct": True}

    def test_who_connects_while_it_is_down_is_served_when_it_is_up(self):
        first = self.guest.start_attestd()
        Direct(self.guest).call(PATH, PEER, "Ping")
        first.stop()
        sockets = []
        for _ in range(3):
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.connect(self.guest.direct.removeprefix("unix:path="))
            s.sendall(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n" + blob())
            sockets.append(s)
        self.guest.start_attestd()
        for s in sockets:
            s.settimeout(private_guest.DEADLINE)
            self.assertTrue(s.recv(4096).startswith(b"OK "))

    def test_a_connection_starts_it(self):
        path = self.guest.directory / "bus"
        env = {"DBUS_SYSTEM_BUS_ADDRESS": self.guest.BUS_ADDRESS}
        self.guest.spawn(["systemd-socket-activate", "-l", path, "-E", "DBUS_SYSTEM_BUS_ADDRESS",
                          self.guest.program("attestd")], name="activate", env=env)
        bus = self.connect_when_it_listens(f"unix:path={path}")
        arguments = GLib.Variant("(ss)", (NAME, "State"))
        answer = bus.call_sync(None, PATH, PROPERTIES, "Get", arguments, None, 0, 30000, None)
        self.assertEqual(answer.unpack(), ("ready",))
        self.guest.wait_for_name(NAME)

    def connect_when_it_listens(self, address):
        connected = []

        def connects():
            try:
                connected.append(Gio.DBusConnection.new_for_address_sync(
                    address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None))
            except GLib.Error:
                GLib.idle_add(lambda: False)
            return connected

        self.assertTrue(wait_until(connects))
        return connected[0]

    def test_what_is_no_listening_socket_ends_it(self):
        with socket.socket(socket.AF_UNIX) as s:
            program = [private_guest.PYTHON, "-c", private_guest._PASS_LISTENER, s.fileno(),
                       self.guest.program("attestd")]
            process = self.guest.spawn(program, name="attestd", pass_fds=(s.fileno(),))
            self.assertEqual(process.wait(), 1)
        self.assertIn("no listening stream socket", process.log())


if __name__ == "__main__":
    unittest.main()
