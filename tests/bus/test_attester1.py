#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.attestd.Attester1 as it is shipped, over a simulated TEE."""

import fcntl
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest
import uuid
import xml.etree.ElementTree as ET

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import attester1_client as client  # noqa: E402
from attester1_client import (  # noqa: E402
    COCOS, EXPORTED, NAME, PAD, PATH, PROFILE, PROPERTIES, SESSION, SPKI, AttesterTest, Bus, Caller, private_guest,
    r_of, source, wait_until,
)

private_guest.enter()

import test_direct  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402


def members(node):
    """What of an interface a caller can rely on."""
    result = {}
    for interface in node.iter("interface"):
        name = interface.get("name")
        if not name.startswith("org.attestd."):
            continue
        for m in interface:
            if m.tag not in ("method", "signal", "property"):
                continue
            args = [(a.get("name"), a.get("type"), a.get("direction") if m.tag == "method" else None)
                    for a in m.findall("arg")]
            changes = [a.get("value") for a in m.findall("annotation")
                       if a.get("name") == "org.freedesktop.DBus.Property.EmitsChangedSignal"]
            key = m.tag, m.get("name")
            result.setdefault(name, {})[key] = (args, m.get("type"), m.get("access"), changes or ["true"])
    return result


class Contract(AttesterTest):
    def introspect(self, path):
        return ET.fromstring(self.root.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")[0])

    def test_introspection_is_the_xml(self):
        contract = members(ET.parse(source("dbus", f"{NAME}.xml")).getroot())
        self.assertEqual(set(contract), {NAME, SESSION})
        self.assertEqual(members(self.introspect(PATH))[NAME], contract[NAME])
        self.assertEqual(members(self.introspect(self.root.open()))[SESSION], contract[SESSION])

    def test_properties(self):
        values = self.root.call(PATH, PROPERTIES, "GetAll", GLib.Variant("(s)", (NAME,)))[0]
        boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        self.assertEqual(values["Tee"], "tdx")
        self.assertEqual(values["Provider"], "tdx_guest")
        self.assertEqual(values["ReportSource"], "configfs-tsm")
        self.assertEqual((values["State"], values["StateDetail"]), ("ready", ""))
        self.assertEqual(values["Profiles"], [PROFILE, PAD, COCOS])
        self.assertEqual(values["BootId"], boot_id)
        self.assertRegex(values["InstanceId"], "^[0-9a-f]{32}$")
        self.assertEqual(values["Generation"], 1)
        self.assertEqual((values["ImaCount"], values["ImaViolations"]), (0, 0))
        self.assertEqual((values["ImaState"], values["ImaListed"], values["ImaRoot"]), ("absent", "", "none"))
        self.assertGreater(len(values["ImaDetail"]), 10)
        self.assertEqual((values["EventSource"], values["RootDetail"]), ("timer", ""))
        self.assertGreater(len(values["EventDetail"]), 10)
        session = self.root.open()
        self.assertEqual(self.root.get("Generation", session, SESSION), 0)
        self.assertIs(self.root.get("Stale", session, SESSION), False)


class Evidence(AttesterTest):
    def test_info_says_what_the_evidence_says(self):
        session = self.root.open()
        e = self.root.attest(session)
        self.assertEqual(e.collection["__cmwc_t"], PROFILE)
        self.assertEqual(e.report_data, r_of(e.c))
        self.assertEqual(self.tee.reports(), [r_of(e.c)])
        self.assertIn(r_of(e.c), e.tee["outblob"] if "outblob" in e.tee else e.bytes)
        self.assertEqual(e.info["profile"], PROFILE)
        self.assertEqual(e.info["generation"], e.generation)
        self.assertEqual(bytes.fromhex(e.info["boot_id"]), e.claims[-78002][0])
        self.assertEqual(bytes.fromhex(e.info["instance_id"]), e.claims[-78002][1])
        self.assertEqual((e.info["tee"], e.info["provider"], e.info["batch"]), ("tdx", "tdx_guest", 1))
        self.assertIs(e.info["endorsements_left_out"], False)
        self.assertEqual(self.root.get("Generation", session, SESSION), 1)
        self.assertGreater(self.root.get("ReportInterval"), 0)

    def test_binding_and_key_hash_are_of_the_sessions_hash(self):
        for name, h, cose in ("sha256", hashlib.sha256, -16), ("sha384", hashlib.sha384, -43):
            for role, number in ("client", 0), ("server", 1):
                e = self.root.attest(self.root.open(role=role, hash=name))
                self.assertEqual(e.claims[10], h(SPKI + EXPORTED).digest())
                self.assertEqual(e.claims[-78000], [cose, h(SPKI).digest()])
                self.assertEqual(e.claims[-78001], number)

    def test_sc01_evidence_of_two_connections_with_one_key_differs(self):
        # Two TLS connections are two exported values, whatever else is alike.
        a, b = self.root.open(), self.root.open()
        context = self.root.context()
        first = self.root.attest(a, context=context)
        second = self.root.attest(b, context=context, exported=bytes(32))
        self.assertNotEqual(first.claims[10], second.claims[10])
        self.assertNotEqual(first.report_data, second.report_data)
        # The good twin: the same connection is bound to the same thing.
        again = self.root.attest(a)
        self.assertEqual(first.claims[10], again.claims[10])

    def test_sc05_the_role_of_the_session_is_in_what_is_signed(self):
        client_end, server_end = (self.root.attest(self.root.open(role=r)) for r in ("client", "server"))
        self.assertEqual(client_end.claims[10], server_end.claims[10])
        self.assertEqual((client_end.claims[-78001], server_end.claims[-78001]), (0, 1))
        self.assertNotEqual(client_end.report_data, server_end.report_data)

    def test_sc15b_evidence_is_never_from_a_cache(self):
        session = self.root.open()
        self.root.attest(session)
        self.root.attest(session)
        self.assertEqual(self.tee.stats()["reports"], 2)

    def test_a_report_under_way_costs_no_other_call_anything(self):
        session = self.root.open()
        answers = []
        self.tee.hold()
        self.root.ask(session, answers)
        self.tee.wait("held")
        self.assertEqual(self.root.get("State"), "ready")
        self.root.close(self.root.open())
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        self.assertIsInstance(answers[0], client.Evidence)


class Logs(AttesterTest):
    """GetLog, and what the properties say of the log."""

    guest_options = {"wrapper": client.UNPRIVILEGED, "ima": True}
    configuration = "[Ima]\nInterval=100\n"

    def get_log(self, log="ima", first=0, bus=None):
        """What is in the memfd, with its first and its count."""
        answer, fds = (bus or self.root).bus.call_with_unix_fd_list_sync(
            NAME, PATH, NAME, "GetLog", GLib.Variant("(st)", (log, first)), None, Gio.DBusCallFlags.NONE, 60000, None,
            None)
        index, first, count = answer.unpack()
        with open(fds.get(index), "rb") as f:
            self.assertEqual(os.lseek(f.fileno(), 0, os.SEEK_CUR), 0)
            seals = fcntl.fcntl(f.fileno(), fcntl.F_GET_SEALS)
            content = f.read()
        self.assertEqual(seals, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
        return content, first, count

    def test_the_log_is_as_it_stands_in_the_list(self):
        for n in range(5):
            self.guest.ima.measure(f"/usr/bin/program {n}")
        bank = self.root.get("ImaListed")
        whole = self.guest.ima.log(bank)
        self.assertEqual(self.get_log(), (whole, 0, 6))
        records = self.guest.ima.records(bank)
        self.assertEqual(len(records), 6)
        for first in range(7):
            content, start, count = self.get_log(first=first)
            self.assertEqual((start, count), (first, 6 - first))
            self.assertEqual([r.data for r in private_guest.ima_records(content, bank)], [r.data for r in records[first:]])
            self.assertTrue(whole.endswith(content))
        for first in 7, 2**32, 2**64 - 1:
            with self.refused("InvalidArgument", "6 entries"):
                self.get_log(first=first)

    def test_it_has_all_that_evidence_before_it_speaks_of(self):
        session = self.root.open()
        for n in range(10):
            self.guest.ima.measure(f"/usr/bin/program {n}")
            claims = self.root.attest(session).claims[266]["ima"]
            content, _, count = self.get_log()
            self.assertEqual((claims["count"], count), (n + 2, n + 2))
            records = list(private_guest.ima_records(content, self.root.get("ImaListed")))
            self.assertEqual(claims["aggregate"], private_guest.ima_aggregate(records, claims["bank"]))

    def test_a_long_log_comes_whole_and_holds_up_nobody(self):
        self.root.listen([])
        self.guest.ima.bulk(50000)
        self.assertTrue(wait_until(lambda: self.root.get("ImaCount") == 50001))
        before = self.guest.ima.stats()
        answers = []
        self.root.bus.call_with_unix_fd_list(
            NAME, PATH, NAME, "GetLog", GLib.Variant("(st)", ("ima", 0)), None, Gio.DBusCallFlags.NONE, 60000, None,
            None, lambda bus, result: answers.append(bus.call_with_unix_fd_list_finish(result)))
        other = Bus(self.guest)
        for n in range(10):  # in between
            self.assertEqual(other.get("ImaState"), "ok")
        self.assertTrue(wait_until(lambda: answers))
        self.assertEqual(answers[0][0].unpack()[1:], (0, 50001))
        after = self.guest.ima.stats()
        self.assertEqual(after["opens"] - before["opens"], 1)  # to open it again in between is to walk it again
        self.assertLess(after["bytes"] - before["bytes"], 1.01 * os.fstat(answers[0][1].get(0)).st_size + 4096)
        content, _, count = self.get_log(first=1)
        self.assertEqual(count, 50000)
        self.assertTrue(self.guest.ima.log(self.root.get("ImaListed")).endswith(content))

    def test_others_need_polkit(self):
        caller = Caller(self.guest, user=1000)
        self.guest.polkit.verdict = "deny"
        with self.refused("NotAuthorized", "get-log"):
            caller.call(PATH, NAME, "GetLog", "('ima', uint64 0)")
        check, = self.guest.polkit.checks
        self.assertEqual((check["action"], check["flags"]), ("org.attestd.Attester1.get-log", 0))
        self.assertTrue(self.logged("refused GetLog to", "uid 1000"))
        self.guest.polkit.verdict = "allow"
        self.assertEqual(caller.call(PATH, NAME, "GetLog", "('ima', uint64 1)")[1:], (1, 0))
        self.guest.polkit.absent()
        with self.refused("NotAuthorized"):
            caller.call(PATH, NAME, "GetLog", "('ima', uint64 0)")
        caller.end()

    def test_a_caller_in_namespaces_of_its_own_gets_none(self):
        caller = Caller(self.guest, namespaces=("pid",))
        with self.refused("NotAuthorized", "namespace"):
            caller.call(PATH, NAME, "GetLog", "('ima', uint64 0)")
        caller.end()

    def test_a_user_waits_for_four_at_most(self):
        self.guest.polkit.verdict = "hold"
        line = f"{PATH} {NAME} GetLog ('ima', uint64 0)\n".encode()
        callers = [Caller(self.guest, user=1000) for _ in range(5)]
        for caller in callers[:4]:
            caller.process.popen.stdin.write(line)
            caller.process.popen.stdin.flush()
        self.guest.polkit.wait_held(4)
        with self.refused("LimitReached", "4 logs"):
            callers[4].call(PATH, NAME, "GetLog", "('ima', uint64 0)")
        self.assertEqual(self.get_log()[2], 1)  # others do not wait for them
        callers[0].process.popen.stdin.close()
        callers[0].process.kill()  # nobody waits for its answer
        self.guest.polkit.wait_cancelled(1)
        self.guest.polkit.release("allow")
        for caller in callers[1:4]:
            self.assertEqual(caller.answer()[0], "ok")
        for caller in callers[1:]:
            caller.end()

    def ask(self, raw):
        raw.ask(PATH, NAME, "GetLog", GLib.Variant("(st)", ("ima", 0)))

    def test_who_does_not_read_keeps_nobody_from_anything(self):
        raw = test_direct.RawOnBus(self)
        raw.stop_reading()
        first = raw.serial + 1
        for _ in range(100):  # dbus-daemon reads no more of who has 64 descriptors on their way
            self.ask(raw)
            self.get_log()  # by its answer the one before is made
        self.assertEqual(self.root.attest(self.root.open()).generation, self.root.get("Generation"))
        errors = [raw.reply(serial).get_error_name() for serial in range(first, first + 100)]
        self.assertEqual(errors, [None] * 8 + [client.ERROR + "LimitReached"] * 92)
        self.ask(raw)  # now it has read them
        self.assertIsNone(raw.reply().get_error_name())

    def test_who_closes_none_gets_no_more(self):
        def get(bus):
            _, fds = bus.bus.call_with_unix_fd_list_sync(
                NAME, PATH, NAME, "GetLog", GLib.Variant("(st)", ("ima", 0)), None, 0, 60000, None, None)
            return fds.steal_fds()[0]

        buses = [Bus(self.guest) for _ in range(3)]
        fds = [get(buses[0]) for _ in range(8)]
        with self.refused("LimitReached", "this connection may have 8 desc"):
            get(buses[0])
        fds += [get(buses[1]) for _ in range(8)]
        with self.refused("LimitReached", "this user may have 16 desc"):
            get(buses[2])
        caller = Caller(self.guest, user=1000)
        self.assertEqual(caller.call(PATH, NAME, "GetLog", "('ima', uint64 0)")[1:], (0, 1))
        caller.end()
        os.close(fds.pop(0))
        fds.append(get(buses[0]))
        fcntl.flock(fds[0], fcntl.LOCK_UN)  # it goes on with that, and says so
        fds.append(get(buses[0]))
        with self.refused("LimitReached"):
            get(buses[0])
        # What is given back is not kept.
        for fd in fds:
            self.assertEqual(os.lseek(fd, 0, os.SEEK_CUR), 0)
            os.close(fd)
        while any("attestd-log" in f for f in self.daemon.fds()):
            self.root.get("State")

    def test_calls_that_wait_count_as_what_was_given(self):
        self.root.listen([])
        bus = Bus(self.guest).bus
        call = (NAME, PATH, NAME, "GetLog", GLib.Variant("(st)", ("ima", 0)), None, 0, 60000, None, None)
        given = [bus.call_with_unix_fd_list_sync(*call) for _ in range(7)]  # none is closed
        self.guest.ima.bulk(20000)  # the next one takes longer than it takes to ask for all four
        self.assertTrue(wait_until(lambda: self.root.get("ImaCount") == 20001))
        errors = []

        def on_answer(bus, result):
            try:
                given.append(bus.call_with_unix_fd_list_finish(result))
                errors.append(None)
            except GLib.Error as e:
                errors.append(Gio.DBusError.get_remote_error(e))

        for _ in range(4):
            bus.call_with_unix_fd_list(*call, on_answer)
        self.assertTrue(wait_until(lambda: len(errors) == 4))
        self.assertEqual((errors.count(None), errors.count(client.ERROR + "LimitReached")), (1, 3))

    def test_what_is_wrong_is_named(self):
        for log in "", "Ima", "evidence":
            with self.refused("InvalidArgument", "none of ima, boot, register"):
                self.get_log(log)
        with self.refused("Failed", "no event log"):
            self.get_log("boot")
        with self.refused("InvalidArgument", "from must be 0"):
            self.get_log("boot", 1)
        with self.refused("Failed", "RTMR"):
            self.get_log("register")
        for signature, value in ("(s)", ("ima",)), ("(su)", ("ima", 0)), ("(stt)", ("ima", 0, 0)):
            with self.refused("InvalidArgument"):
                self.root.call(PATH, NAME, "GetLog", GLib.Variant(signature, value))

    def test_a_bad_log_is_a_state_and_a_sentence(self):
        heard = []
        self.root.listen(heard)
        ima = self.guest.ima
        session = self.root.open()
        first = self.root.attest(session)
        self.assertEqual(first.claims[266]["ima"]["root"], "claimed")

        def state_is(name):
            self.assertTrue(wait_until(lambda: self.root.get("ImaState") == name))
            detail = self.root.get("ImaDetail")
            self.assertEqual(name == "ok", detail == "")
            e = self.root.attest(session)
            if name in ("ok", "absent"):
                self.assertEqual("ima" in e.claims.get(266, {}), name == "ok")
                self.assertNotIn("ima-state", e.claims.get(266, {}))
                return
            self.assertEqual(e.claims[266]["ima-state"], {"state": name})
            self.assertNotIn("ima", e.claims[266])
            self.assertEqual(self.root.get("ImaRoot"), "none")
            with self.refused("Failed", name):
                self.get_log()

        ima.measure("/bin/a")
        ima.garble("digest")
        state_is("garbled")
        ima.garble("none")
        ima.measure("/bin/b")
        state_is("ok")
        ima.trim(1)
        state_is("history-lost")
        ima.measure("/bin/c")
        state_is("history-lost")  # for good
        self.assertIn(["ima-state"], [a[1] for p, m, a in heard if m == "StateChanged"])
        self.assertTrue([a for p, m, a in heard if m == "PropertiesChanged" and "ImaState" in a[1]])


class UnreadableLog(AttesterTest):
    guest_options = {"wrapper": client.UNPRIVILEGED, "ima": True}
    configuration = "[Ima]\nInterval=100\n"

    def test_a_log_that_another_program_holds_is_unreadable(self):
        self.daemon.stop()
        self.guest.ima.deny("EBUSY")
        self.daemon = self.guest.start_attestd()
        self.assertEqual(self.root.get("ImaState"), "unreadable")
        self.assertEqual(self.root.attest(self.root.open()).claims[266]["ima-state"], {"state": "unreadable"})
        self.root.listen([])
        self.guest.ima.allow()
        self.assertTrue(wait_until(lambda: self.root.get("ImaState") == "ok"))
        self.assertEqual(self.root.attest(self.root.open()).claims[266]["ima"]["count"], 1)


class OtherProfiles(AttesterTest):
    configuration = "[Profile expat-pad]\nUids=0\n[Profile cocos]\nUnits=payroll.service\n"

    def test_only_whom_a_drop_in_names(self):
        session = self.root.open()
        binding = hashlib.sha256(SPKI + EXPORTED).digest()
        e = self.root.attest(session, profile=PAD)
        self.assertEqual(e.report_data, binding + bytes(32))
        self.assertIsNone(e.claims)
        self.assertEqual(e.collection["__cmwc_t"], PAD)
        with self.refused("ProfileNotGranted", "attestd.conf"):
            self.root.attest(session, profile=COCOS)

        payroll = Caller(self.guest, unit=self.guest.unit("payroll.service"), user=1000)
        session = payroll.open()
        e = payroll.attest(session, self.root, profile=COCOS)
        self.assertEqual(e.report_data, hashlib.sha512(binding).digest())
        with self.refused("ProfileNotGranted"):
            payroll.attest(session, self.root, profile=PAD)
        payroll.end()

    def test_stale_follows_evidence_that_was_overtaken(self):
        session = self.root.open()
        heard = []
        self.root.listen(heard)
        self.guest.foreign_entries = ["foreign"]
        self.tee.command("entry foreign")
        # The report shows that the device is shared, and this profile has no claims to say it.
        self.assertEqual(self.root.attest(session, profile=PAD).info["generation"], 1)
        self.assertTrue(wait_until(lambda: any(p == session and m == "PropertiesChanged" for p, m, a in heard)))
        self.assertEqual([(p, m, a) for p, m, a in heard if m != "PropertiesChanged"],
                         [(PATH, "StateChanged", (2, ["shared-device"])), (session, "Stale", (2, ["shared-device"]))])
        self.assertEqual([m for p, m, a in heard if p == session], ["Stale", "PropertiesChanged"])
        self.assertEqual(self.root.attest(session, profile=PAD).info["generation"], 2)
        self.assertIs(self.root.get("Stale", session, SESSION), False)

    def test_names_are_whole(self):
        session = self.root.open()
        for name in "", "cocos", "expat-pad", PROFILE + "x", PROFILE[:-1]:
            with self.refused("ProfileNotGranted", "Profiles"):
                self.root.attest(session, profile=name)


class Access(AttesterTest):
    def stranger(self, **where):
        caller = Caller(self.guest, **{"user": 1000, **where})
        self.addCleanup(caller.end)
        return caller

    def test_root_needs_no_polkit(self):
        self.guest.polkit.absent()
        self.assertTrue(self.root.open())
        self.assertEqual(self.guest.polkit.checks, [])

    def test_sc39a_an_unprivileged_caller_needs_polkits_yes(self):
        stranger = self.stranger()
        for verdict, says in ("deny", "polkit says no"), ("challenge", "authenticate"), ("error", "does not answer"):
            self.guest.polkit.verdict = verdict
            with self.refused("NotAuthorized", says):
                stranger.open()
        self.guest.polkit.absent()
        with self.refused("NotAuthorized", "polkit rule"):
            stranger.open()
        self.assertTrue(self.logged("refused OpenSession", stranger.name, "uid 1000", "polkit says no"))
        self.assertEqual(self.tee.stats()["reports"], 0)

        self.guest.polkit.present()
        self.guest.polkit.verdict = "allow"
        e = stranger.attest(stranger.open(), self.root)
        self.assertEqual(e.caller["peer"]["uid"], 1000)

    def test_polkit_is_asked_of_the_connection(self):
        stranger = self.stranger()
        stranger.open()
        check, = self.guest.polkit.checks
        self.assertEqual(check["subject"], ("system-bus-name", {"name": stranger.name}))
        self.assertEqual(check["action"], NAME + ".get-evidence")
        self.assertEqual(check["flags"], 0)

    def test_arguments_are_looked_at_before_polkit_is_asked(self):
        stranger = self.stranger()
        with self.refused("InvalidArgument", "role"):
            stranger.open("({'hash': <'sha256'>},)")
        with self.refused("UnknownOption", "x"):
            stranger.open("({'role': <'server'>, 'hash': <'sha256'>, 'x': <'y'>},)")
        self.assertEqual(self.guest.polkit.checks, [])

    def test_sc39b_a_session_is_there_for_its_owner_only(self):
        session = self.root.open()
        self.root.attest(session)
        others = Bus(self.guest), self.stranger()
        own = others[1].open()
        for other in others:
            get = "('%s', 'Generation')" % SESSION
            for interface, method, text in (
                (SESSION, "Attest", self.root.arguments().print_(True)), (SESSION, "Close", "()"),
                (PROPERTIES, "Get", get), (PROPERTIES, "GetAll", "('%s',)" % SESSION),
                ("org.freedesktop.DBus.Introspectable", "Introspect", "()"),
            ):
                arguments = GLib.Variant.parse(None, text, None, None) if isinstance(other, Bus) else text
                if text == "()":
                    arguments = None if isinstance(other, Bus) else "-"
                with self.refused("NoSuchSession"):
                    other.call(session, interface, method, arguments)
        self.assertTrue(self.logged("refused " + session, others[1].name, "uid 1000", "another connection's"))
        self.assertEqual(self.tee.stats()["reports"], 1)

        # It has lost nothing, and the others have what is theirs.
        self.root.attest(session)
        others[1].attest(own, self.root)

    def test_sc39c_a_caller_in_a_container_is_refused(self):
        for namespaces, says in (("pid",), "pid namespace"), (("mount",), "mount namespace"), \
                (("pid", "mount"), "pid namespace"):
            for user in None, 1000:
                caller = self.stranger(user=user, namespaces=namespaces) if user is None else None
                if caller is None:
                    continue
                with self.refused("NotAuthorized", says):
                    caller.open()
                self.assertTrue(self.logged("refused OpenSession", caller.name, "uid 0", says))
        self.assertEqual(self.guest.polkit.checks, [])
        # The good twin is the same user in no container.
        self.stranger(user=None).open()

    def test_sc39d_a_caller_in_a_user_namespace_is_refused(self):
        caller = self.stranger(user=None, namespaces=("user",))
        with self.refused("NotAuthorized", "user namespace"):
            caller.open()
        self.assertTrue(self.logged("refused OpenSession", caller.name, "user namespace"))
        self.stranger(user=None).open()

    def test_sc39e_nobody_chooses_report_data(self):
        session = self.root.open()
        chosen = bytes(range(64))
        for option in "report_data", "reportdata", "inblob", "nonce", "user_data", "raw":
            with self.refused("UnknownOption", option):
                self.root.attest(session, **{option: GLib.Variant("ay", chosen)})
        for exported in chosen, chosen + b"x":
            with self.refused("InvalidArgument", "exported_value must have exactly 32 bytes"):
                self.root.attest(session, exported=exported)
        with self.refused("org.freedesktop.DBus.Error.AccessDenied"):
            self.root.call(session, SESSION, "GetQuote", GLib.Variant("(ay)", (chosen,)))
        # What is signed is a digest of ours, whatever is passed in.
        e = self.root.attest(session, exported=chosen[:32], context=chosen)
        self.assertEqual(self.tee.reports(), [r_of(e.c)])

    def recycled(self, user):
        """What a caller is told whose own process has gone, and whose pid one of @user's has, a unit's."""
        caller = self.guest.spawn([private_guest.PYTHON, source("tests", "bus", "inherit.py")], user="nobody",
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pid = int(caller.popen.stdout.readline())
        self.assertTrue(caller.popen.stdout.readline().startswith(b"ready "))
        caller.wait()
        # attestd has heard of the connection; and processes have their age in ticks of the clock.
        self.root.call(PATH, "org.freedesktop.DBus.Peer", "Ping")
        later = time.clock_gettime(time.CLOCK_BOOTTIME) + 2 / os.sysconf("SC_CLK_TCK")
        while time.clock_gettime(time.CLOCK_BOOTTIME) < later:
            pass
        unit = self.guest.unit("payroll.service")
        for _ in range(100):
            pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
            service = self.guest.spawn(["sh", "-c", "echo up; exec sleep 1000"], user=user, unit=unit,
                                       stdout=subprocess.PIPE)
            if service.pid == pid:
                break
            service.kill()
        self.assertEqual(service.pid, pid)
        self.assertEqual(service.popen.stdout.readline(), b"up\n")
        caller.popen.stdin.write(b"\n")
        caller.popen.stdin.flush()
        answer = caller.popen.stdout.readline().decode()
        service.kill()
        caller.popen.stdin.close()
        self.assertEqual(caller.popen.stdout.read(), b"")  # the child has ended too
        return answer

    def test_sc39c_a_pid_that_is_used_again_names_nobody(self):
        self.assertIn("NotAuthorized: the calling process cannot be identified: its pid is another user's",
                      self.recycled(None))
        self.assertIn("NotAuthorized: the calling process cannot be identified: its pid is a younger process",
                      self.recycled("nobody"))

    def test_sc40a_every_member_answers_to_its_row(self):
        # tests/tree/check-bus-policy.py holds rows and XML together; here the bus has read them.
        stranger = self.stranger()
        session = stranger.open()
        for interface in ET.parse(source("dbus", f"{NAME}.xml")).getroot().iter("interface"):
            path = PATH if interface.get("name") == NAME else session
            for p in interface.findall("property"):
                stranger.call(path, PROPERTIES, "Get", f"('{interface.get('name')}', '{p.get('name')}')")
                with self.refused("org.freedesktop.DBus.Error.AccessDenied"):
                    stranger.call(path, PROPERTIES, "Set", f"('{interface.get('name')}', '{p.get('name')}', <''>)")
            for m in interface.findall("method"):
                with self.refused("InvalidArgument", m.get("name")):
                    stranger.call(path, interface.get("name"), m.get("name"), "('nonsense', 1)")

    def test_sc40b_what_has_no_row_does_not_get_through(self):
        session = self.root.open()
        for path, interface, method in (
            (PATH, NAME, "Reset"), (PATH, NAME, "Close"), (session, SESSION, "OpenSession"),
            (PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
            (PATH, "org.attestd.Attester2", "OpenSession"),
        ):
            with self.refused("org.freedesktop.DBus.Error.AccessDenied"):
                self.root.call(path, interface, method)
        without_interface = Gio.DBusMessage.new_method_call(NAME, PATH, None, "OpenSession")
        answer = self.root.bus.send_message_with_reply_sync(without_interface, 0, 10000, None)[0]
        self.assertEqual(answer.get_error_name(), "org.freedesktop.DBus.Error.AccessDenied")
        self.root.attest(session)

    def test_sc40c_nothing_changes_before_proof(self):
        self.daemon.stop()
        self.configure("[Limits]\nSessions=1\n")
        self.daemon = self.guest.start_attestd()
        stranger = self.stranger()
        self.guest.polkit.verdict = "deny"
        for _ in range(5):
            with self.refused("NotAuthorized"):
                stranger.open()
        self.guest.polkit.verdict = "allow"
        session = stranger.open()  # none of the five has taken the one place

        # Who may not, does not close it, use up its contexts, or ask the device.
        context = self.root.context()
        with self.refused("NoSuchSession"):
            self.root.call(session, SESSION, "Close")
        with self.refused("NoSuchSession"):
            self.root.attest(session, context=context)
        arguments = self.root.arguments(context=context, spki=SPKI[:-1]).print_(True)
        with self.refused("InvalidArgument"):
            stranger.call(session, SESSION, "Attest", arguments)
        self.assertEqual(self.tee.stats()["reports"], 0)
        stranger.call(session, SESSION, "Attest", self.root.arguments(context=context).print_(True))

    def test_sc40d_a_live_session_does_not_expire(self):
        session = self.root.open()
        other = Bus(self.guest)
        for _ in range(3):
            other.close(other.open())
        other.open()
        other.leave()
        self.assertTrue(wait_until(lambda: self.sees_no(other)))
        self.root.attest(session)

    def sees_no(self, other):
        names = self.root.bus.call_sync(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListNames", None, None, 0, -1, None).unpack()[0]
        return other.bus.get_unique_name() not in names

    def test_sc38a_a_user_who_floods_polkit_holds_up_nobody_else(self):
        self.guest.polkit.verdict = "hold"
        flood = [self.guest.spawn([private_guest.PYTHON, source("tests", "bus", "flood.py"), "100"], user="nobody", stdout=subprocess.PIPE)
                 for _ in range(2)]
        for process in flood:
            self.assertEqual(process.popen.stdout.readline(), b"sent\n")
        self.guest.polkit.wait_held(8)

        # The bus lets attestd wait for 128 answers; another user's question finds room.
        self.guest.polkit.verdict = "allow"
        stranger = self.stranger()
        stranger.attest(stranger.open(), self.root)
        self.assertEqual(len(self.guest.polkit.checks), 9)

        self.guest.polkit.release()  # each answer makes room for the next question
        answers = b"".join(process.popen.stdout.read() for process in flood).split()
        self.assertEqual(answers, [b"ok"] * 200)

    def come_and_go(self, times):
        """A user who opens 20 sessions, with polkit taking its time, and leaves; so often."""
        for n in range(times):
            flood = self.guest.spawn(
                [private_guest.PYTHON, source("tests", "bus", "flood.py"), "20"], user="nobody", stdout=subprocess.PIPE)
            self.assertEqual(flood.popen.stdout.readline(), b"sent\n")
            self.guest.polkit.wait_held(8)
            self.root.attest(self.root.open())
            self.assertEqual(self.guest.polkit.n_held, 8)
            flood.kill()
            self.guest.polkit.wait_cancelled(8 if self.guest.polkit.is_deaf else 8 * n + 8)

    def test_sc38a_a_question_of_a_caller_who_has_left_is_taken_back(self):
        self.guest.polkit.verdict = "hold"
        self.come_and_go(3)
        self.assertEqual((len(self.guest.polkit.checks), self.guest.polkit.cancelled), (24, 24))
        self.guest.polkit.verdict = "allow"
        self.assertTrue(self.stranger().open())

    def test_sc38a_a_question_counts_until_polkit_has_answered(self):
        self.guest.polkit.verdict, self.guest.polkit.is_deaf = "hold", True
        self.come_and_go(3)
        self.assertEqual(len(self.guest.polkit.checks), 8)

        # Each answer, wanted or not, makes room for the next question.
        self.guest.polkit.verdict = "allow"
        caller = Caller(self.guest, user="nobody")
        caller.process.popen.stdin.write(
            f"{PATH} {NAME} OpenSession ({{'role': <'server'>, 'hash': <'sha256'>}},)\n".encode())
        caller.process.popen.stdin.flush()
        self.root.attest(self.root.open())
        self.assertEqual(len(self.guest.polkit.checks), 8)
        self.guest.polkit.release()
        self.assertEqual(caller.answer()[0], "ok")
        caller.end()

    def test_a_caller_who_leaves_before_polkit_has_answered(self):
        self.guest.polkit.verdict = "hold"
        stranger = self.stranger()
        stranger.process.popen.stdin.write(
            f"{PATH} {NAME} OpenSession ({{'role': <'server'>, 'hash': <'sha256'>}},)\n".encode())
        stranger.process.popen.stdin.flush()
        self.guest.polkit.wait_held()
        stranger.process.kill()
        self.guest.polkit.release()
        self.assertTrue(self.root.open())


class NamedInADropIn(AttesterTest):
    configuration = "[Access]\nForeignNamespaces=payroll.service;1000\n"

    def test_a_unit_and_a_uid_may_have_namespaces(self):
        payroll = self.guest.unit("payroll.service")
        sandboxed = Caller(self.guest, unit=payroll, namespaces=("mount",))
        e = sandboxed.attest(sandboxed.open(), self.root)
        self.assertEqual(e.caller["unit"], {"kind": "system", "name": "payroll.service",
                                            "invocation": bytes.fromhex(payroll.invocation)})
        sandboxed.end()

        # What a unit runs in a pid namespace is not the unit.
        guest_of_it = Caller(self.guest, unit=payroll, namespaces=("pid",))
        e = guest_of_it.attest(guest_of_it.open(), self.root)
        self.assertEqual(e.caller["unit"], {"kind": "container", "name": "payroll.service"})
        guest_of_it.end()

        other = Caller(self.guest, unit=self.guest.unit("other.service"), namespaces=("mount",))
        with self.refused("NotAuthorized"):
            other.open()
        other.end()


class Identity(AttesterTest):
    def test_a_system_unit_is_named_with_its_invocation(self):
        unit = self.guest.unit("payroll.service")
        caller = Caller(self.guest, unit=unit, user=1000)
        session = caller.open()
        e = caller.attest(session, self.root)
        self.assertEqual(e.caller["peer"]["uid"], 1000)
        self.assertEqual(e.caller["peer"]["gids"], [1000])
        self.assertEqual(e.caller["unit"], {"kind": "system", "name": "payroll.service",
                                            "invocation": bytes.fromhex(unit.invocation)})
        self.assertTrue(self.logged("evidence", "uid 1000", "system unit payroll.service"))

        # Moved elsewhere after it was looked at: then it is not known any more.
        other = self.guest.unit("other.service")
        (other.cgroup / "cgroup.procs").write_text(str(caller.process.pid))
        e = caller.attest(session, self.root)
        self.assertNotIn("unit", e.caller)
        self.assertEqual(e.caller["peer"]["uid"], 1000)
        caller.end()

    def test_sc41a_who_a_connection_is_does_not_change(self):
        payroll, other = self.guest.unit("payroll.service"), self.guest.unit("other.service")
        caller = Caller(self.guest, unit=payroll)
        session = caller.open()
        first = caller.attest(session, self.root)
        self.assertEqual((first.caller["peer"]["uid"], first.caller["unit"]["name"]), (0, "payroll.service"))
        caller.tell(f"move {other.cgroup}/cgroup.procs")
        caller.tell("become 1000")
        for path in session, caller.open():
            e = caller.attest(path, self.root)
            self.assertEqual(e.caller["peer"], first.caller["peer"])
            self.assertNotEqual(e.caller.get("unit", {}).get("name"), "other.service")
        caller.end()
        # Another connection is somebody else.
        caller = Caller(self.guest, unit=other, user=1000)
        e = caller.attest(caller.open(), self.root)
        self.assertEqual((e.caller["peer"]["uid"], e.caller["unit"]["name"]), (1000, "other.service"))
        caller.end()

    def test_units_of_others_are_not_system_units(self):
        top = self.guest.unit("x.service").cgroup.parents[1]
        for below, kind, name in (
            ("user.slice/user-7.slice/user@7.service/app.slice/payroll.service", "user", "payroll.service"),
            ("user.slice/user-7.slice/session-3.scope", "scope", "session-3.scope"),
            ("system.slice/docker-0123.scope", "container", "docker-0123.scope"),
            ("mine/payroll.service", None, None),
        ):
            cgroup = top / below
            cgroup.mkdir(parents=True)
            caller = Caller(self.guest, unit=private_guest.Unit("", "", cgroup))
            e = caller.attest(caller.open(), self.root)
            expected = {"kind": kind, "name": name} if kind else None
            self.assertEqual(e.caller.get("unit"), expected)
            caller.end()

    def test_the_executable_is_absent_without_the_setting(self):
        self.assertNotIn("observed", self.root.attest(self.root.open()).caller)


class Observed(AttesterTest):
    guest_options = {}  # CAP_SYS_PTRACE, as its drop-in gives it
    configuration = "[Caller]\nObserved=yes\n"

    def test_the_executable_is_hashed_by_content(self):
        caller = Caller(self.guest, user=1000)
        digest = hashlib.sha256(pathlib.Path(f"/proc/{caller.process.pid}/exe").read_bytes()).digest()
        for _ in range(2):
            e = caller.attest(caller.open(), self.root)
            self.assertEqual(e.caller["observed"], {"exe": [-16, digest]})
        caller.end()

    def n_read(self):
        with open(f"/proc/{self.daemon.pid}/io") as f:
            return int(next(line for line in f if line.startswith("rchar:")).split()[1])

    def test_an_executable_is_read_once_and_for_whom_polkit_allows(self):
        size = os.path.getsize(os.path.realpath(private_guest.PYTHON))
        caller = Caller(self.guest, user=1000)
        self.guest.polkit.verdict = "deny"
        before = self.n_read()
        for _ in range(3):
            with self.refused("NotAuthorized"):
                caller.open()
        self.assertLess(self.n_read() - before, size)
        self.guest.polkit.verdict = "allow"
        before = self.n_read()
        for _ in range(3):
            caller.open()
        self.assertGreater(self.n_read() - before, size)
        self.assertLess(self.n_read() - before, 2 * size)
        caller.end()

    def test_it_stops_while_a_caller_is_looked_at(self):
        # Wherever it is by then: at the hash, or with an answer on its way.
        self.guest.polkit.verdict = "hold"
        caller = Caller(self.guest, user=1000)
        caller.process.popen.stdin.write(
            f"{PATH} {NAME} OpenSession ({{'role': <'server'>, 'hash': <'sha256'>}},)\n".encode())
        caller.process.popen.stdin.flush()
        self.guest.polkit.wait_held()
        self.guest.polkit.release()
        self.daemon.stop(seconds=10)
        self.assertIn(caller.answer()[0], ("ok", "error"))
        caller.end()


class ObservedWithoutCapability(AttesterTest):
    configuration = "[Caller]\nObserved=yes\n"

    def test_what_cannot_be_known_is_absent(self):
        caller = Caller(self.guest, user=1000)
        e = caller.attest(caller.open(), self.root)
        self.assertNotIn("observed", e.caller)
        self.assertEqual(e.caller["peer"]["uid"], 1000)
        caller.end()


class FewFields(AttesterTest):
    configuration = "[Caller]\nFields=unit\n"

    def test_only_what_is_listed_leaves_the_guest(self):
        caller = Caller(self.guest, unit=self.guest.unit("payroll.service"))
        e = caller.attest(caller.open(), self.root)
        self.assertEqual(set(e.caller), {"unit"})
        caller.end()
        self.assertNotIn(266, self.root.attest(self.root.open()).claims)


class BadInput(AttesterTest):
    """Each is refused by name, and the service and another session go on as if nothing had been."""

    def setUp(self):
        super().setUp()
        self.other = Bus(self.guest)
        self.bystander = self.other.open()

    def tearDown(self):
        self.other.attest(self.bystander)
        self.assertTrue(self.daemon.is_running())

    def test_wrong_lengths(self):
        session = self.root.open()
        for size in 0, 31, 33, 64, 65, 4096:
            with self.refused("InvalidArgument", "exported_value"):
                self.root.attest(session, exported=bytes(size))
        for size in 0, 256, 65536:
            with self.refused("InvalidArgument", "request_context"):
                self.root.attest(session, context=bytes(size))
        for spki in b"", SPKI[:-1], SPKI + b"\0", bytes(8192), bytes(8193), b"\x30\x80" + SPKI[2:] + b"\0\0":
            with self.refused("InvalidArgument", "public_key"):
                self.root.attest(session, spki=spki)
        self.assertEqual(self.tee.stats()["reports"], 0)
        # The good twins, at the ends of what is allowed.
        self.root.attest(session, context=b"x")
        self.root.attest(session, context=bytes(255))

    def test_an_oversized_request(self):
        session = self.root.open()
        with self.refused("InvalidArgument", "public_key"):
            self.root.attest(session, spki=bytes(4 << 20))
        with self.refused("UnknownOption"):
            self.root.attest(session, x=self.root.octets(bytes(4 << 20)))

    def test_wrong_types(self):
        session = self.root.open()
        for arguments in GLib.Variant("(s)", ("x",)), None, GLib.Variant("(a{ss})", ({},)), \
                GLib.Variant("(a{sv}s)", ({}, "")):
            with self.refused("InvalidArgument", "OpenSession takes arguments of type"):
                self.root.call(PATH, NAME, "OpenSession", arguments)
        for arguments in GLib.Variant("(ayayay)", (EXPORTED, b"x", SPKI)), GLib.Variant("(say)", ("x", b"")), None:
            with self.refused("InvalidArgument", "Attest takes arguments of type"):
                self.root.call(session, SESSION, "Attest", arguments)
        with self.refused("InvalidArgument", "Close takes"):
            self.root.call(session, SESSION, "Close", GLib.Variant("(s)", ("x",)))
        for option, value in ("timeout_ms", "s"), ("profile", "u"), ("batch", "s"), ("max_size", "t"), ("split", "u"):
            wrong = GLib.Variant(value, "1" if value == "s" else 1)
            with self.refused("InvalidArgument", option):
                self.root.attest(session, **{option: wrong})
        for parameters in {"role": GLib.Variant("u", 1)}, {"peer": GLib.Variant("ay", b"x")}, \
                {"hash": GLib.Variant("v", GLib.Variant("s", "sha256"))}:
            good = {"role": GLib.Variant("s", "server"), "hash": GLib.Variant("s", "sha256")}
            with self.refused("InvalidArgument", next(iter(parameters))):
                self.root.open_with({**good, **parameters})

    def test_wrong_values(self):
        for more, says in (
            ({"role": "both"}, "role"), ({"role": None}, "role"), ({"role": ""}, "role"),
            ({"hash": "sha512"}, "hash"), ({"hash": None}, "hash"), ({"hash": "SHA256"}, "hash"),
            ({"protocol": "x" * 65}, "protocol"), ({"protocol": "a\nb"}, "protocol"),
            ({"peer": "x" * 256}, "peer"), ({"peer": "\x1b[2J"}, "peer"),
        ):
            with self.refused("InvalidArgument", says):
                self.root.open(**more)
        session = self.root.open(protocol="x" * 64, peer="x" * 255)
        for options in {"timeout_ms": 0}, {"timeout_ms": 600001}, {"max_size": 0}:
            with self.refused("InvalidArgument", next(iter(options))):
                self.root.attest(session, **options)
        self.root.attest(session, timeout_ms=600000, max_size=65529, batch=True, profile=PROFILE)

    def test_unknown_and_double_options(self):
        session = self.root.open()
        for name in "timeout", "Profile", "", "x" * 5000, "é":
            with self.refused("UnknownOption"):
                self.root.attest(session, **{name: GLib.Variant("s", "x")})
        with self.refused("UnknownOption", "peername"):
            self.root.open(peername="x")
        builder = GLib.VariantBuilder(GLib.VariantType("a{sv}"))
        entry = GLib.Variant.new_dict_entry(GLib.Variant("s", "batch"), GLib.Variant("v", GLib.Variant("b", True)))
        builder.add_value(entry)
        builder.add_value(entry)
        arguments = [GLib.Variant("ay", b) for b in (EXPORTED, self.root.context(), SPKI)]
        with self.refused("InvalidArgument", "twice"):
            self.root.call(session, SESSION, "Attest", GLib.Variant.new_tuple(*arguments, builder.end()))

    def test_no_such_session(self):
        session = self.root.open()
        self.root.close(session)
        for path in session, PATH + "/session/0", PATH + "/session/99", PATH + "/session/x", PATH + "/session/1/1", \
                PATH + "/session/18446744073709551617", self.bystander:
            with self.refused("NoSuchSession"):
                self.root.attest(path)
            with self.refused("NoSuchSession"):
                self.root.call(path, SESSION, "Close")
        self.assertNotEqual(self.root.open(), session)

    def test_sc11f_a_context_is_used_once(self):
        session = self.root.open()
        context = self.root.context()
        self.root.attest(session, context=context)
        with self.refused("ContextUsed", "new request"):
            self.root.attest(session, context=context)
        self.assertEqual(self.tee.stats()["reports"], 1)
        self.root.attest(session)

    def test_too_large(self):
        session = self.root.open()
        with self.refused("TooLarge"):
            self.root.attest(session, max_size=100)
        self.root.attest(session)

    def test_nonsense_of_all_kinds_leaves_the_service_as_it_was(self):
        before = self.daemon.threads(), len(self.daemon.fds())
        for _ in range(50):
            other = Bus(self.guest)
            session = other.open()
            with self.refused("InvalidArgument"):
                other.attest(session, exported=b"")
            other.leave()
        self.assertTrue(wait_until(lambda: self.root.open() and len(self.daemon.fds()) <= before[1] + 1))
        self.assertEqual(self.daemon.threads(), before[0])


class Limits(AttesterTest):
    configuration = "[Limits]\nSessions=10\nSessionsPerUser=5\nSessionsPerConnection=3\n" \
                    "Requests=6\nRequestsPerUser=3\nRequestsPerSession=2\n"

    def test_sessions(self):
        for _ in range(3):
            session = self.root.open()
        with self.refused("LimitReached", "this connection"):
            self.root.open()
        second = Bus(self.guest)
        second.open(), second.open()
        with self.refused("LimitReached", "this user"):
            second.open()

        # Room is made by closing, and by leaving.
        self.root.close(session)
        session = self.root.open()
        second.leave()
        third, opened = Bus(self.guest), []
        self.assertTrue(wait_until(lambda: self.has(third, opened, 2)))

        # Nobody gets more than he leaves to others, and so the next one gets some.
        strangers = [Caller(self.guest, user=user) for user in (1000, "nobody", 1001)]
        for stranger, has in zip(strangers, (2, 1, 1)):
            for _ in range(has):
                stranger.open()
            with self.refused("LimitReached", "all users together have"):
                stranger.open()
        self.root.close(session)
        with self.refused("LimitReached", "all users together have"):
            self.root.open()
        for stranger in strangers:
            stranger.end()
        self.assertTrue(wait_until(lambda: self.has(self.root, opened, 3)))

    @staticmethod
    def has(bus, opened, n):
        """Opens until there are so many, or no room."""
        try:
            while len(opened) < n:
                opened.append(bus.open())
        except GLib.Error:
            return False
        return True

    def test_requests(self):
        sessions = [self.root.open() for _ in range(3)]
        answers = []
        self.tee.hold()
        for session in sessions[:2]:
            self.root.ask(session, answers)
        self.root.ask(sessions[0], answers)
        with self.refused("LimitReached", "this session"):
            self.root.attest(sessions[0])
        with self.refused("LimitReached", "this user"):
            self.root.attest(sessions[2])
        stranger = Caller(self.guest, user=1000)
        stranger.process.popen.stdin.write(
            f"{stranger.open()} {SESSION} Attest {self.root.arguments().print_(True)}\n".encode())
        stranger.process.popen.stdin.flush()
        same, third = Caller(self.guest, user=1000), Caller(self.guest, user="nobody")
        session = same.open()

        def is_full():
            try:
                same.attest(session, self.root, timeout_ms=1)
            except client.RemoteError as e:
                return e.name.endswith("LimitReached") and "all users together have" in e.message
            return False

        self.assertTrue(any(is_full() for _ in range(100)))
        session = third.open()
        with self.refused("TimedOut"):  # it waits: there is room for who has none
            third.attest(session, self.root, timeout_ms=1)
        self.tee.release()
        self.assertTrue(wait_until(lambda: len(answers) == 3))
        self.assertTrue(all(isinstance(a, client.Evidence) for a in answers))
        self.assertEqual(stranger.answer()[0], "ok")
        third.attest(session, self.root)
        for caller in stranger, same, third:
            caller.end()


class Sessions(AttesterTest):
    def test_closing_answers_what_waits(self):
        session, other = self.root.open(), self.root.open()
        answers, others = [], []
        self.tee.hold()
        self.root.ask(session, answers)
        self.root.ask(session, answers)
        self.root.ask(other, others)
        self.tee.wait("held")
        self.root.close(session)
        self.assertTrue(wait_until(lambda: len(answers) == 2))
        self.assertEqual(answers, [client.ERROR + "Cancelled"] * 2)
        self.tee.release()
        self.assertTrue(wait_until(lambda: others))
        self.assertIsInstance(others[0], client.Evidence)
        # The one that waited has never reached the device.
        self.assertEqual(self.tee.stats()["reports"], 2)

    def test_sc36b_a_caller_who_leaves_costs_the_others_nothing(self):
        leaver = Bus(self.guest)
        session = leaver.open()
        own = self.root.open()
        answers = []
        self.tee.hold()
        for _ in range(8):
            leaver.ask(session, [])
        leaver.bus.flush_sync(None)
        self.tee.wait("held")
        leaver.leave()
        self.root.ask(own, answers)
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        self.assertIsInstance(answers[0], client.Evidence)
        self.assertLessEqual(self.tee.stats()["reports"], 3)
        before = self.daemon.cpu_seconds()
        for _ in range(20):
            self.root.attest(own)
        self.assertLess(self.daemon.cpu_seconds() - before, 1)

    def test_sessions_end_with_their_connection(self):
        leaver = Bus(self.guest)
        leaver.open()
        leaver.leave()
        self.assertTrue(self.root.open())

    def test_stale_goes_to_its_owner_and_to_nobody_else(self):
        heard, others = [], []
        other = Bus(self.guest)
        without = other.open()
        other.listen(others)
        session = self.root.open()
        self.root.listen(heard)
        self.root.attest(session)
        self.assertTrue(wait_until(lambda: len(heard) == 1))
        self.assertEqual(heard.pop(), (session, "PropertiesChanged",
                                       (SESSION, {"Generation": 1, "Stale": False}, [])))

        self.tee.provider(None)
        with self.refused("DeviceLost"):
            self.root.attest(session)
        self.assertTrue(wait_until(lambda: [h for h in heard if h[1] == "StateChanged"]))
        told = [(p, m, a) for p, m, a in heard if m != "PropertiesChanged"]
        self.assertEqual(told, [(session, "Stale", (2, ["device"])), (PATH, "StateChanged", (2, ["device"]))])
        changed = [(p, a[1]) for p, m, a in heard if m == "PropertiesChanged"]
        self.assertIn((session, {"Generation": 1, "Stale": True}), changed)
        states = [a["State"] for p, a in changed if p == PATH and "State" in a]
        self.assertEqual(states[-1], "device-lost")
        self.assertIs(self.root.get("Stale", session, SESSION), True)

        # That it is back is found by the next report, which was sealed before: stale when it comes.
        heard.clear()
        self.tee.provider("tdx_guest")
        self.assertEqual(self.root.attest(session).generation, 2)
        self.assertTrue(wait_until(lambda: [h for h in heard if h[1] == "PropertiesChanged" and h[0] == session]))
        self.assertEqual([(m, a) for p, m, a in heard if p == session],
                         [("Stale", (3, ["device"])),
                          ("PropertiesChanged", (SESSION, {"Generation": 2, "Stale": True}, []))])

        heard.clear()
        self.assertEqual(self.root.attest(session).generation, 3)
        self.assertTrue(wait_until(lambda: [h for h in heard if h[1] == "PropertiesChanged" and h[0] == session]))
        self.assertEqual([m for p, m, a in heard if p == session], ["PropertiesChanged"])
        self.assertEqual(self.root.get("Generation"), 3)
        self.assertEqual(self.root.get("Generation", session, SESSION), 3)
        self.assertIs(self.root.get("Stale", session, SESSION), False)
        self.assertTrue(wait_until(lambda: (PATH, "StateChanged", (3, ["device"])) in others))
        self.assertEqual([h for h in others if h[0] != PATH], [])
        self.assertEqual(other.get("Generation", without, SESSION), 0)

    def test_sc33_evidence_says_that_the_device_is_shared(self):
        session = self.root.open()
        heard = []
        self.root.listen(heard)
        self.guest.foreign_entries = ["foreign"]
        self.tee.command("entry foreign")
        # What is signed is fixed before the device is looked at: what the first report shows, the second says.
        first = self.root.attest(session)
        self.assertIs(first.claims[-78004], True)
        self.assertEqual(first.generation, 2)
        self.assertEqual(self.tee.stats()["reports"], 2)
        self.assertTrue(wait_until(lambda: any(p == session for p, m, a in heard)))
        self.assertEqual([(p, m, a) for p, m, a in heard if m != "PropertiesChanged"],
                         [(PATH, "StateChanged", (2, ["shared-device"]))])
        self.assertEqual(self.root.get("State"), "shared-device")

        second = self.root.attest(session)
        self.assertIs(second.claims[-78004], True)
        self.assertEqual(self.tee.stats()["reports"], 3)
        self.assertIs(self.root.get("Stale", session, SESSION), False)

    def test_sc16d_a_restart_is_another_instance(self):
        first = self.root.attest(self.root.open())
        self.daemon.stop()
        self.daemon = self.guest.start_attestd()
        with self.refused("NoSuchSession"):
            self.root.attest(PATH + "/session/1")
        second = self.root.attest(self.root.open())
        self.assertEqual(first.claims[-78002][0], second.claims[-78002][0])
        self.assertNotEqual(first.claims[-78002][1], second.claims[-78002][1])
        self.assertEqual((first.generation, second.generation), (1, 2))  # and never goes back

    def test_sc16e_another_boot_is_another_boot_id(self):
        first = self.root.attest(self.root.open())
        self.daemon.stop()
        boot_id = self.guest.set_boot_id(str(uuid.uuid4()))
        self.daemon = self.guest.start_attestd()
        second = self.root.attest(self.root.open())
        self.assertNotEqual(first.claims[-78002][0], second.claims[-78002][0])
        self.assertEqual(second.claims[-78002][0].hex(), boot_id.replace("-", ""))


class Device(AttesterTest):
    def test_sc36a_every_caller_has_its_own_deadline(self):
        session, other = self.root.open(), self.root.open()
        self.tee.hold()
        with self.refused("TimedOut", "has not made the report"):
            self.root.attest(session, timeout_ms=50)
        with self.refused("TimedOut", "turn has not come"):
            self.root.attest(other, timeout_ms=50)
        self.assertEqual(self.tee.stats()["held"], 1)  # no second worker on the device
        self.assertEqual(self.root.get("State"), "ready")
        self.tee.release()

    def test_sc36c_the_next_request_is_served_after_a_stall(self):
        session = self.root.open()
        answers = []
        self.tee.hold()
        with self.refused("TimedOut"):
            self.root.attest(session, timeout_ms=50)
        self.root.ask(session, answers)
        self.tee.release()
        self.assertTrue(wait_until(lambda: answers))
        self.assertIsInstance(answers[0], client.Evidence)
        self.root.attest(session)

    def test_ft01_a_hanging_device_does_not_stop_the_stop(self):
        session = self.root.open()
        answers = []
        self.tee.hold()
        self.root.ask(session, answers)
        self.root.ask(session, answers)
        self.tee.wait("held")
        self.root.get("State")  # by its answer both are known to wait
        self.daemon.stop(seconds=10)
        self.assertTrue(wait_until(lambda: len(answers) == 2))
        self.assertEqual(answers, [client.ERROR + "Cancelled"] * 2)
        self.tee.release()
        self.daemon = self.guest.start_attestd()  # and cleans up what was left behind

    def test_ft02_a_busy_device_is_waited_for(self):
        session = self.root.open()
        self.tee.fault("ebusy", times=2)
        e = self.root.attest(session)
        self.assertEqual(e.report_data, r_of(e.c))
        self.assertEqual(self.root.get("State"), "ready")
        self.tee.fault("ebusy")
        with self.refused("DeviceBusy"):
            self.root.attest(session, timeout_ms=1000)
        self.assertEqual(self.root.get("State"), "degraded")
        self.assertTrue(self.root.get("StateDetail"))
        self.tee.clear()
        self.root.attest(session)
        self.assertEqual(self.root.get("State"), "ready")

    def test_ft05_a_lost_device_is_told_to_all(self):
        session = self.root.open()
        answers = []
        self.root.attest(session)
        self.tee.fault("enotty")
        for _ in range(4):
            self.root.ask(session, answers)
        self.assertTrue(wait_until(lambda: len(answers) == 4))
        self.assertEqual(answers, [client.ERROR + "DeviceLost"] * 4)
        self.assertEqual(self.root.get("State"), "device-lost")
        self.assertIs(self.root.get("Stale", session, SESSION), True)
        reads = self.tee.stats()
        with self.refused("DeviceLost"):
            self.root.attest(session)
        self.assertEqual(self.tee.stats()["reports"], reads["reports"])

    def test_ft09_a_wrong_report_never_leaves(self):
        session = self.root.open()
        self.tee.fault("reportdata", "bit")
        with self.refused("BadData"):
            self.root.attest(session)
        self.tee.clear()
        e = self.root.attest(session)
        self.assertEqual(e.report_data, r_of(e.c))


class NoTee(AttesterTest):
    guest_options = {"provider": None, "wrapper": client.UNPRIVILEGED}

    def test_is_said_at_once_and_ends_when_the_driver_comes(self):
        session = self.root.open()
        self.assertEqual((self.root.get("State"), self.root.get("Tee"), self.root.get("Provider")), ("no-tee", "", ""))
        detail = self.root.get("StateDetail")
        self.assertIn("driver", detail)
        with self.refused("NoTee", "driver"):
            self.root.attest(session)
        answers = []
        for _ in range(4):
            self.root.ask(session, answers)
        self.assertTrue(wait_until(lambda: len(answers) == 4))
        self.assertEqual(answers, [client.ERROR + "NoTee"] * 4)

        self.tee.provider("tdx_guest")
        self.root.attest(session)
        self.assertEqual(self.root.get("State"), "ready")
        self.assertEqual(self.root.get("Generation"), 1)  # nothing was said of a guest without it


class NoConfigfs(AttesterTest):
    guest_options = {"simulator": False, "wrapper": client.UNPRIVILEGED}

    def test_is_said_with_what_to_do(self):
        session = self.root.open()
        with self.refused("NoTee", "mount configfs"):
            self.root.attest(session)
        self.assertEqual(self.root.get("State"), "no-tee")


class Program(private_guest.GuestTest):
    def end(self, process, status, says):
        self.assertEqual(process.wait(), status, process.log())
        self.assertIn(says, process.log())

    def test_sc41a_a_second_instance_ends_and_the_first_does_not_notice(self):
        first = self.guest.start_attestd()
        bus = Bus(self.guest)
        session = bus.open()
        bus.attest(session)
        entries = self.guest.entries()
        calls = self.tee.stats()
        second = self.guest.start_attestd(wait=False)
        self.end(second, 3, "served by another instance already")
        self.assertEqual(self.guest.entries(), entries)
        self.assertEqual(self.tee.stats(), calls)
        bus.attest(session)
        self.assertTrue(first.is_running())

    def test_sc41b_of_many_that_start_one_serves(self):
        many = [self.guest.start_attestd(wait=False) for _ in range(5)]
        self.guest.wait_for_name(NAME)
        bus = Bus(self.guest)
        self.assertEqual([p.wait() for p in many if p.pid != self.guest.pid_of(NAME)], [3] * 4)
        instance = bus.get("InstanceId")
        e = bus.attest(bus.open())
        self.assertEqual(e.claims[-78002][1].hex(), instance)
        self.assertEqual(len(self.guest.entries()), 1)
        # What the others would have left to the next one is not there: it was not their turn.
        self.assertIn(f"instance {instance}\n", pathlib.Path("/run/attestd/state").read_text())

    def test_who_may_not_own_the_name_ends(self):
        process = self.guest.spawn([self.guest.program("attestd")], user=1000)
        self.end(process, 1, "policy file")

    def test_without_a_bus_it_does_not_start(self):
        os.rename("/run/dbus/system_bus_socket", "/run/dbus/elsewhere")
        self.addCleanup(os.rename, "/run/dbus/elsewhere", "/run/dbus/system_bus_socket")
        self.end(self.guest.start_attestd(wait=False), 1, "cannot reach the system bus")

    def test_a_wrong_configuration_is_named_and_nothing_starts(self):
        folder = self.guest.configuration / "attestd.conf.d"
        folder.mkdir()
        for text, says in (
            ("[Limits]\nSesions=5\n", "attestd.conf.d/50-x.conf: [Limits] Sesions="),
            ("[Limit]\nSessions=5\n", "attestd.conf.d/50-x.conf: [Limit]"),
            ("[Limits]\nSessions=many\n", "attestd.conf.d/50-x.conf: [Limits] Sessions="),
        ):
            (folder / "50-x.conf").write_text(text)
            self.end(self.guest.start_attestd(wait=False), 2, says)
        self.assertEqual(self.guest.entries(), [])
        (folder / "50-x.conf").write_text("[Limits]\nSessions=5\n")
        self.guest.start_attestd()

    def test_sc32a_a_configuration_that_others_can_write_is_refused(self):
        path = self.guest.configuration / "attestd.conf"
        path.write_text("[Access]\nForeignNamespaces=1000\n")
        path.chmod(0o666)
        self.end(self.guest.start_attestd(wait=False), 2, "others than root can write it")
        path.chmod(0o644)
        self.guest.start_attestd()

    def test_wrong_usage(self):
        self.end(self.guest.start_attestd("--fake-tee", wait=False), 2, "fake-tee")
        self.end(self.guest.start_attestd("extra", wait=False), 2, "no arguments")
        self.end(self.guest.start_attestd("--version", wait=False), 0, "attestd ")

    def test_sigterm_answers_who_waits_for_polkit(self):
        daemon = self.guest.start_attestd()
        self.guest.polkit.verdict = "hold"
        caller = Caller(self.guest, user=1000)
        caller.process.popen.stdin.write(
            f"{PATH} {NAME} OpenSession ({{'role': <'server'>, 'hash': <'sha256'>}},)\n".encode())
        caller.process.popen.stdin.flush()
        self.guest.polkit.wait_held()
        daemon.stop()
        self.assertEqual(caller.answer()[:2], ["error", client.ERROR + "Cancelled"])
        self.guest.polkit.release()
        caller.end()

    def test_the_service_manager_is_told(self):
        import socket

        path = str(self.guest.directory / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.settimeout(private_guest.DEADLINE)
            s.bind(path)
            self.tee.hold()
            daemon = self.guest.spawn(
                ["sh", "-c", 'WATCHDOG_PID=$$ exec "$0"', self.guest.program("attestd")], name="attestd",
                env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
            self.assertEqual(s.recv(4096), b"READY=1")
            bus = Bus(self.guest)
            bus.ask(bus.open(), [])
            self.tee.wait("held")
            for _ in range(3):  # also while the device hangs
                self.assertEqual(s.recv(4096), b"WATCHDOG=1")
            daemon.send(signal.SIGTERM)
            while (message := s.recv(4096)) == b"WATCHDOG=1":
                pass
            self.assertEqual(message, b"STOPPING=1")
            self.assertEqual(daemon.wait(), 0)
            self.tee.release()
        self.guest.start_attestd()  # which removes what was left behind


class BusGone(private_guest.GuestTest):
    guest_options = {"simulator": False, "polkit": False}

    def test_it_ends(self):
        daemon = self.guest.start_attestd()
        bus = next(p for p in self.guest.processes if p.name == "dbus-daemon")
        self.assertEqual(Bus(self.guest).get("State"), "no-tee")  # it serves
        self.guest.bus.set_exit_on_close(False)
        self.guest.bus = None
        bus.kill()
        self.assertEqual(daemon.wait(), 1)
        self.assertIn("the bus is gone", daemon.log())


class BusWithoutSignals(private_guest.GuestTest):
    guest_options = {"simulator": False, "polkit": False, "bus_limits": {"max_match_rules_per_connection": 0}}

    def test_who_is_not_told_that_callers_leave_ends(self):
        daemon = self.guest.start_attestd(wait=False)
        self.assertEqual(daemon.wait(), 1)
        self.assertIn("the bus does not tell of its connections", daemon.log())


if __name__ == "__main__":
    unittest.main()
