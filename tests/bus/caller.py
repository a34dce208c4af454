# SPDX-License-Identifier: LGPL-2.1-or-later
"""A caller in a process of its own: another user, another unit, another namespace.

With ATTESTD_DIRECT in its environment it has that direct socket instead of the bus.
It answers each line "PATH INTERFACE METHOD ARGUMENTS" (a GVariant as text, or "-")
with "ok RESULT" or "error NAME MESSAGE". "move FILE" puts it into a control group;
"become UID" makes it another user's process.
"""

import os
import sys

from gi.repository import Gio, GLib


def call(bus, path, interface, method, arguments):
    arguments = None if arguments == "-" else GLib.Variant.parse(None, arguments, None, None)
    answer = bus.call_sync(
        "org.attestd.Attester1", path, interface, method, arguments, None, Gio.DBusCallFlags.NONE, 60000, None
    )
    return answer.print_(True)


def main():
    direct = os.environ.get("ATTESTD_DIRECT")
    bus = Gio.DBusConnection.new_for_address_sync(
        direct or os.environ["DBUS_SYSTEM_BUS_ADDRESS"],
        Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
        | (Gio.DBusConnectionFlags.NONE if direct else Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION),
        None,
        None,
    )
    bus.set_exit_on_close(False)
    print(f"ready {bus.get_unique_name()}", flush=True)
    for line in sys.stdin:
        words = line.rstrip("\n").split(" ", 3)
        if words[0] == "move":
            with open(words[1], "w") as f:
                f.write("0")
            print("ok", flush=True)
            continue
        if words[0] == "become":
            os.setresuid(*[int(words[1])] * 3)
            print("ok", flush=True)
            continue
        try:
            print("ok", call(bus, *words), flush=True)
        except GLib.Error as e:
            name = Gio.DBusError.get_remote_error(e) or "local"
            print("error", name, e.message.removeprefix(f"GDBus.Error:{name}: ").replace("\n", " "), flush=True)


main()
