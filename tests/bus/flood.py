# SPDX-License-Identifier: LGPL-2.1-or-later
"""flood.py COUNT: so many OpenSession calls at once, which all allow interaction.

Says "sent" when the last is on its way, then the name of each error, or "ok"."""

import os
import sys

from gi.repository import Gio, GLib

NAME, PATH = "org.attestd.Attester1", "/org/attestd/Attester1"


def main():
    left = int(sys.argv[1])
    loop = GLib.MainLoop()
    bus = Gio.DBusConnection.new_for_address_sync(
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"],
        Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION,
        None,
        None,
    )

    def done(source, result):
        nonlocal left
        try:
            source.call_finish(result)
            print("ok", flush=True)
        except GLib.Error as e:
            print(Gio.DBusError.get_remote_error(e), flush=True)
        left -= 1
        if left == 0:
            loop.quit()

    parameters = {"role": GLib.Variant("s", "server"), "hash": GLib.Variant("s", "sha256")}
    for _ in range(left):
        bus.call(NAME, PATH, NAME, "OpenSession", GLib.Variant("(a{sv})", (parameters,)), None,
                 Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION, 60000, None, done)
    bus.flush_sync(None)
    print("sent", flush=True)
    loop.run()


main()
