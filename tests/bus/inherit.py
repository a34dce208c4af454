# SPDX-License-Identifier: LGPL-2.1-or-later
"""inherit.py: connects, and leaves the connection to a child: its pid is free again.

Says that pid, then "ready NAME" when the child is on the bus; for each line it reads it
asks for a session and says "ok" or the error."""

import os
import socket
import sys

s = socket.socket(socket.AF_UNIX)
direct = os.environ.get("ATTESTD_DIRECT")  # as in caller.py
s.connect((direct or os.environ["DBUS_SYSTEM_BUS_ADDRESS"]).removeprefix("unix:path=").split(",")[0])
pid = os.getpid()
if os.fork():
    print(pid, flush=True)
    os._exit(0)

from gi.repository import Gio, GLib  # noqa: E402

NAME, PATH = "org.attestd.Attester1", "/org/attestd/Attester1"
stream = Gio.Socket.new_from_fd(s.detach()).connection_factory_create_connection()
bus = Gio.DBusConnection.new_sync(
    stream, None,
    Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
    | (Gio.DBusConnectionFlags.NONE if direct else Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION), None, None)
print("ready", bus.get_unique_name(), flush=True)
for _ in sys.stdin:
    parameters = {"role": GLib.Variant("s", "server"), "hash": GLib.Variant("s", "sha256")}
    try:
        bus.call_sync(NAME, PATH, NAME, "OpenSession", GLib.Variant("(a{sv})", (parameters,)), None, 0, 60000, None)
        print("ok", flush=True)
    except GLib.Error as e:
        print(e.message, flush=True)
