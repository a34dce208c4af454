#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-bus-policy.py ROOT: contract, bus policy, man page and error table say the same.

For both services: what has no row in the bus policy is denied, each member of the
XML has its row, no row is for a member that is not there; the man page has each
member with its types, and each error with an entry; and each error has a name in
the one table of them. Before that, the check proves on damaged copies that it
would notice.
"""

import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

SERVICES = "org.attestd.Attester1", "org.attestd.Verifier1"
# What every service answers, beside its own interfaces.
STANDARD = {
    ("org.freedesktop.DBus.Properties", "Get"),
    ("org.freedesktop.DBus.Properties", "GetAll"),
    ("org.freedesktop.DBus.Introspectable", "Introspect"),
    ("org.freedesktop.DBus.Peer", "Ping"),
}


def contract(xml):
    """(methods, properties, signals): each {(interface, name): types}."""
    found = {"method": {}, "property": {}, "signal": {}}
    for interface in ET.fromstring(xml).iter("interface"):
        for m in interface:
            if m.tag in found:
                types = [(a.get("type"), a.get("name")) for a in m.findall("arg")] or m.get("type")
                found[m.tag][interface.get("name"), m.get("name")] = types
    return found["method"], found["property"], found["signal"]


def policy_problems(name, xml, conf):
    methods, properties, _ = contract(xml)
    root = ET.fromstring(conf)
    default, = [p for p in root.findall("policy") if p.get("context") == "default"]
    rules = list(default)
    if not rules or rules[0].tag != "deny" or rules[0].attrib != {"send_destination": name}:
        yield "the default is not: deny all that goes to the service"
    rows = set()
    for rule in rules[1:]:
        if rule.tag != "allow" or set(rule.attrib) != {"send_destination", "send_interface", "send_member"} or \
                rule.get("send_destination") != name:
            yield f"a rule that does not allow one member: {rule.attrib}"
        rows.add((rule.get("send_interface"), rule.get("send_member")))
    for interface, member in sorted(methods.keys() - rows):
        yield f"{interface}.{member} has no row"
    for interface, member in sorted(rows - methods.keys() - STANDARD, key=str):
        yield f"a row for {interface}.{member}, which the contract does not have"

    named = set(re.findall(r"^\s*property (\S+) (\w+)", conf, re.M))
    for interface, member in sorted(properties.keys() - named):
        yield f"property {interface} {member} has no row"
    for interface, member in sorted(named - properties.keys()):
        yield f"a row for property {interface} {member}, which the contract does not have"
    for policy in root.findall("policy"):
        if policy is not default and [(r.tag, dict(r.attrib)) for r in policy] != [("allow", {"own": name})]:
            yield f"a policy for {policy.attrib} that is not just to own the name"


def errors_of(xml):
    names = set()
    for text in re.findall(r"Errors: ([A-Za-z, \n]+?)\s*-->", xml):
        names |= set(re.findall(r"\w+", text))
    return names


def page_problems(xml, page):
    methods, properties, signals = contract(xml)
    documented = collections.Counter(re.findall(r"^\.It Va (\w+) (?:No|Pq) (\S+)$", page, re.M))
    wanted = collections.Counter((name, type_) for (_, name), type_ in properties.items())
    for name, type_ in sorted((wanted - documented)):
        yield f"property {name} {type_} is not in the man page"
    for name, type_ in sorted((documented - wanted)):
        yield f"the man page has a property {name} {type_}, which the contract has not"

    functions = {}
    for name, rest in re.findall(r"^\.(?:It )?Fn (\w+)((?: \"[^\"]*\")*(?:\n\\\(->(?:\n\.Fa .*)+)?)$", page, re.M):
        functions.setdefault(name, "")
        functions[name] += rest
    wanted = {name for _, name in [*methods, *signals]}
    for name in sorted(wanted - functions.keys()):
        yield f"{name} is not in the man page"
    for name in sorted(functions.keys() - wanted):
        yield f"the man page has {name}, which the contract has not"
    for (_, name), arguments in [*methods.items(), *signals.items()]:
        for type_, argument in arguments or []:
            if f"{type_} {argument}" not in functions.get(name, ""):
                yield f"{name}: argument \"{type_} {argument}\" is not in the man page"

    entries = set(re.findall(r"^\.It Er (\w+)", page, re.M))
    for name in sorted(errors_of(xml) - entries):
        yield f"error {name} has no entry in the man page"


def error_problems(xml, page, table):
    names = set(re.findall(r'NAME\("(\w+)"\)', table))
    for name in sorted((errors_of(xml) | set(re.findall(r"^\.It Er (\w+)", page, re.M))) - names):
        yield f"error {name} is not in the table of bus-error.c"


def problems(name, xml, conf, page, table):
    yield from policy_problems(name, xml, conf)
    yield from page_problems(xml, page)
    yield from error_problems(xml, page, table)


def check_the_check(name, xml, conf, page, table):
    """Each damage has to be noticed."""
    def damaged(what, *files):
        if not list(problems(name, *files)):
            sys.exit(f"the check does not notice: {what}")

    for row in re.findall(r"^.*<allow send_destination.*\n", conf, re.M):
        if "org.freedesktop.DBus" not in row:
            damaged("a row less", xml, conf.replace(row, ""), page, table)
    for row in re.findall(r"^ +property \S+ \w+", conf, re.M):
        damaged("a property less", xml, re.sub(re.escape(row) + r"\b", "", conf), page, table)
    damaged("no deny", xml, re.sub(r"<deny.*/>", "", conf), page, table)
    damaged("a rule for all", xml, conf.replace(
        "</policy>\n</busconfig>", f'<allow send_destination="{name}"/></policy>\n</busconfig>'), page, table)
    damaged("a new method", xml.replace("</interface>", '<method name="Reset"/></interface>', 1), conf, page, table)
    damaged("a new property", xml.replace(
        "</interface>", '<property name="Secret" type="s" access="read"/></interface>', 1), conf, page, table)
    damaged("a new type", xml.replace('type="a{sv}" direction="in"', 'type="a{ss}" direction="in"', 1), conf, page, table)
    damaged("an error without entry", xml.replace("Errors: ", "Errors: NewOne, ", 1), conf, page, table)
    damaged("an error without name", xml, conf, page, table.replace('NAME("InvalidArgument")', '""'))


def main():
    root = pathlib.Path(sys.argv[1])
    table = (root / "src/bus/bus-error.c").read_text()
    status = 0
    for name in SERVICES:
        files = [(root / "dbus" / f"{name}.{ending}").read_text() for ending in ("xml", "conf", "5")]
        found = list(problems(name, *files, table))
        for problem in found:
            print(f"{name}: {problem}")
            status = 1
        if not found:
            check_the_check(name, *files, table)
    sys.exit(status)


main()
