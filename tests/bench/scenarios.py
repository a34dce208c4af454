#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""scenarios.py [--build DIR] [--scenario NAME]... [--seconds N] [--json | --markdown] [--list | --names]

What thousands of sessions cost, scenario by scenario. Each is a guest of its own
(tests/system/private_guest.py) with attestd as it is shipped and a device of the simulator
that takes so long, and prints rows: median and p99 of an answer, sessions per second, reports
that the device made, what attestd's memory was before, at its peak and after, how many
descriptors it had open at most, and its processor time for an answer.

--markdown prints a table of the rows that matter most, as README.md has it.

Latencies of an open loop count from when a request was due. Machines are noisy, and the load
runs on the same processors as the service: the ratios of one run are what to quote.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import private_guest  # noqa: E402
import storm  # noqa: E402

ADDRESSES = {"bus": "system", "direct": "unix:path=/run/attestd/bus"}
STORM_MS = 39
REPLIES = 128    # that dbus-daemon lets a connection wait for, by default
CONNECTIONS = 100  # of one user, of the 256 that it allows
# What a guest that renews ten thousands of sessions at once configures: one user gets half of all.
LIMITS = """[Limits]
Sessions=131072
SessionsPerUser=65536
SessionsPerConnection=65536
Requests=262144
RequestsPerUser=131072
"""
SCENARIOS = {}


def scenario(seconds):
    """@seconds: that each of its rows takes when nobody says otherwise"""
    def register(function):
        name = function.__name__.replace("_", "-")
        SCENARIOS[name] = function
        function.title = function.__doc__.splitlines()[0]
        function.seconds = seconds
        return function
    return register


class World:
    """A guest in which attestd runs, and loads on it."""

    def __init__(self, bench, delay_ms=0, configuration=LIMITS, **options):
        self.bench = bench
        self.guest = private_guest.Guest(build=bench.build, delay_ms=delay_ms, direct=True, **options)
        self.configuration = configuration

    def __enter__(self):
        self.guest.__enter__()
        self.bus = next(p for p in self.guest.processes if p.name == "dbus-daemon")
        try:
            (self.guest.configuration / "attestd.conf").write_text(self.configuration)
            self.guest.tee.command("witness keep 0")
            self.attestd = self.guest.start_attestd()
        except BaseException:
            self.guest.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exception):
        self.guest.__exit__(*exception)

    def spawn(self, *arguments, program="load", **options):
        argv = [self.guest.program(program), *arguments]
        return self.guest.spawn(argv, name=program, stdout=subprocess.PIPE, **options)

    def load(self, what, transport, *arguments, **options):
        """A row, of one load."""
        return self.loads(what, {"": [f"--address={ADDRESSES[transport]}", *arguments]}, **options)[0]

    def loads(self, what, loads, user=None, matters=False):
        """A row for each of these loads, {name: arguments}, which run at the same time."""
        before = Sample(self)
        self._forget_peak()
        running = {name: self.spawn(*arguments, user=user) for name, arguments in loads.items()}
        return self._rows(what, running, before, matters)

    def renewal(self, what, transport, sessions, matters=False):
        """A row, of that many sessions which have evidence, when the kernel has measured one more file."""
        load = self.spawn(f"--address={ADDRESSES[transport]}", "--sessions", sessions, "--renew", "--batch=on",
                          "--split")
        if load.popen.stdout.readline() != b"ready\n":
            raise private_guest.GuestError(f"load is not ready:\n{load.log()}")
        before = Sample(self)
        self._forget_peak()
        self.guest.ima.measure("/usr/bin/program", content=what.encode())
        return self._rows(what, {"": load}, before, matters)[0]

    def open(self, loads, user=None):
        """The same loads, with their sessions open, until run()."""
        running = {name: self.spawn("--wait", *arguments, user=user, stdin=subprocess.PIPE)
                   for name, arguments in loads.items()}
        for process in running.values():
            if process.popen.stdout.readline() != b"ready\n":
                raise private_guest.GuestError(f"load cannot open its sessions:\n{process.log()}")
        return running

    def run(self, what, running, more, user=None, matters=False):
        """Rows of what open() has given, and of @more, loads that come only now."""
        before = Sample(self)
        self._forget_peak()
        for process in running.values():
            process.popen.stdin.write(b"\n")
            process.popen.stdin.close()
        more = {name: self.spawn(*arguments, user=user) for name, arguments in more.items()}
        return self._rows(what, running | more, before, matters)

    def _rows(self, what, running, before, matters):
        """What has become of these loads, when they have ended."""
        most, began = before.fds, time.monotonic()
        while any(p.is_running() for p in running.values()):
            private_guest._wait_fd(next(p for p in running.values() if p.is_running()).pidfd, 0.1)
            now = Sample(self)
            most = max(most, now.fds)
            self.bench.progress(f"{what}: {time.monotonic() - began:.0f} s, {now.reports - before.reports} reports, "
                                f"{now.rss_kib >> 10} MiB")
        after = Sample(self)
        rows = []
        for name, process in running.items():
            output, status = process.popen.stdout.read(), process.wait()
            if status != 0:
                raise private_guest.GuestError(f"load ended with {status}:\n{process.log()}")
            rows.append(self.bench.row(f"{what}{', ' * bool(name)}{name}", json.loads(output), before, after, most,
                                       matters))
        return rows

    @contextlib.contextmanager
    def hostile(self, transport, callers, user):
        """So many of them meanwhile; what became of them is in the dict that this gives, afterwards."""
        process, result = self.spawn(ADDRESSES[transport], callers, program="hostile", user=user), {}
        yield result
        process.send(signal.SIGTERM)
        result.update(json.loads(process.popen.stdout.read()))
        process.wait()

    def descriptors(self, at_most=None):
        """How many attestd has open once that does not change for half a second: it has seen that the load is gone. With
        @at_most: once there are no more, as it looks once a second for who has closed what it has lent. Or after 10 s."""
        last, began = None, time.monotonic()
        while time.monotonic() - began < 10:
            n = Sample(self).fds
            if n != last:
                last, since = n, time.monotonic()
            elif n <= at_most if at_most is not None else time.monotonic() - since >= 0.5:
                break
            private_guest._wait_fd(self.attestd.pidfd, 0.05)
        return last

    def _forget_peak(self):
        with open(f"/proc/{self.attestd.pid}/clear_refs", "w") as f:
            f.write("5")


class Sample:
    """attestd, and the device, as they are now."""

    def __init__(self, world):
        self.rss_kib = world.attestd.rss_kib()
        self.peak_rss_kib = world.attestd.peak_rss_kib()
        self.fds = len(os.listdir(f"/proc/{world.attestd.pid}/fd"))
        self.cpu_seconds = world.attestd.cpu_seconds()
        self.bus_cpu_seconds = world.bus.cpu_seconds()
        self.reports = world.guest.tee.stats()["reports"]


class Bench:
    """Runs scenarios and collects their rows and ratios."""

    def __init__(self, build, seconds, is_quiet=False):
        self.build, self.asked_seconds, self.is_quiet = build, seconds, is_quiet
        self.results = {}
        self.current = None
        self.failures = []

    def run(self, name):
        function = SCENARIOS[name]
        self.current = self.results[name] = {"title": function.title, "rows": [], "ratios": {}}
        self.seconds = self.asked_seconds or function.seconds
        try:
            function(self)
        except private_guest.GuestError as e:  # the others are worth having all the same
            self.current["ended"] = str(e)
            self.failures.append(f"{name}: {e}")
        self.progress("")
        if not self.is_quiet:
            show(name, self.current)

    def progress(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def world(self, *arguments, **options):
        return World(self, *arguments, **options)

    def row(self, what, load, before, after, fds, matters):
        latency = load["latency"]
        row = {
            "what": what,
            "count": latency["count"],
            "p50_ms": latency["p50_us"] / 1000,
            "p99_ms": latency["p99_us"] / 1000,
            "max_ms": latency["max_us"] / 1000,
            "per_second": load["rate"],
            "reports": after.reports - before.reports,
            "rss_before_kib": before.rss_kib,
            "rss_peak_kib": after.peak_rss_kib,
            "rss_after_kib": after.rss_kib,
            "fds_before": before.fds,
            "fds_most": fds,
            "fds_after": after.fds,
            "cpu_us": (after.cpu_seconds - before.cpu_seconds) * 1e6 / max(1, load["answers"]),
            "bus_cpu_us": (after.bus_cpu_seconds - before.bus_cpu_seconds) * 1e6 / max(1, load["answers"]),
            "errors": load["errors"],
            "load": load,
            "matters": matters,
        }
        self.current["rows"].append(row)
        return row

    def ratio(self, what, value, goal=None):
        """@goal: what it is to be, in words"""
        self.current["ratios"][what] = {"value": value, "goal": goal}

    def must(self, what, value, most):
        """A ratio that no machine excuses: above that the program ends with 1."""
        self.ratio(what, value, f"at most {most}")
        if value > most:
            self.failures.append(f"{what} = {value:.2f}, but {most} at most")


def show(name, result):
    print(f"{name}: {result['title']}")
    if "ended" in result:
        print(f"  ended before its end: {result['ended']}")
    if "storms" in result:
        storm.show(result["storms"], STORM_MS, "direct")
    for line in result.get("verified", ()):
        print(f"  {line['what']:<16}{line['form']:<8}{'memo' if line['memo'] else 'no memo':<10}"
              f"{line['per_second']:>8} a second")
    if result["rows"]:
        show_rows(result["rows"])
    for behaviour, tally in result.get("hostile", {}).items():
        errors = "".join(f", {n} x {name}" for name, n in sorted(tally["errors"].items()))
        print(f"  {behaviour}: sent {tally['sent']}, answered {tally['answers']}, closed {tally['closed']}{errors}")
    for what, ratio in result["ratios"].items():
        print(f"  {what} = {ratio['value']:.2f}" + (f" ({ratio['goal']})" if ratio["goal"] else ""))
    print(flush=True)


def show_rows(rows):
    print(f"  {'':<46}{'median ms':>10}{'p99 ms':>10}{'a second':>10}{'reports':>9}{'RSS MiB':>16}{'fds':>6}"
          f"{'CPU us':>8}")
    for row in rows:
        memory = "/".join(f"{row[f'rss_{when}_kib'] / 1024:.0f}" for when in ("before", "peak", "after"))
        print(f"  {row['what']:<46}{row['p50_ms']:>10.3f}{row['p99_ms']:>10.3f}{row['per_second']:>10.0f}"
              f"{row['reports']:>9}{memory:>16}{row['fds_most']:>6}{row['cpu_us']:>8.1f}")
        for error, count in row["errors"].items():
            print(f"    {count} x {error}")
        if row["load"]["opening_seconds"] >= 1:
            print(f"    its sessions were open after {row['load']['opening_seconds']:.1f} s")


def print_markdown(results):
    print("| scenario | load | median | p99 | sessions a second | reports | RSS at most |")
    print("|---|---|---|---|---|---|---|")
    for name, result in results.items():
        for row in filter(lambda r: r["matters"], result["rows"]):
            times = ("none" if not row["count"] else f"{t:.0f} ms" if t >= 100 else f"{t:.1f} ms" if t >= 1
                     else f"{t * 1000:.0f} µs" for t in (row["p50_ms"], row["p99_ms"]))
            print(f"| `{name}` | {row['what']} | {' | '.join(times)} | {row['per_second']:,.0f} | {row['reports']:,} "
                  f"| {row['rss_peak_kib'] / 1024:.0f} MiB |")


# ----- scenarios


def sessions_on(transport, sessions):
    """That many, each with a request under way, as far as one user can have them there."""
    if transport == "direct":
        return ["--sessions", sessions]
    return ["--sessions", sessions, "--connections", -(-sessions // REPLIES), "--window", REPLIES]


def closed_loop(world, what, transport, sessions, *more, **options):
    return world.load(what, transport, *sessions_on(transport, sessions), *more, "--seconds", world.bench.seconds,
                      **options)


ONE_SECOND = "--batch=on", "--split", "--warmup=4"


def compare_one_second(bench, what, row):
    bench.ratio(f"{what}: p99 / what the device takes", row["p99_ms"] / 1000, "at most 2.5, direct")
    bench.ratio(f"{what}: sessions a second / 20,000", row["per_second"] / 20000, "at least 1, direct")
    bench.ratio(f"{what}: peak RSS / 256 MiB", row["rss_peak_kib"] / 1024 / 256, "below 1")


@scenario(seconds=30)
def one_second_direct(bench):
    """A report takes 1 s; one direct connection"""
    s = [*ONE_SECOND, "--seconds", bench.seconds]
    with bench.world(delay_ms=1000) as world:
        row = world.load("20,500 arrivals a second", "direct", "--sessions=20500", "--rate=20500", *s, matters=True)
        compare_one_second(bench, "open loop", row)
    with bench.world(delay_ms=1000) as world:
        row = world.load("50,000 sessions, closed loop", "direct", "--sessions=50000", *s, matters=True)
        compare_one_second(bench, "closed loop", row)


@scenario(seconds=30)
def one_second_bus(bench):
    """A report takes 1 s; over dbus-daemon, which lets a connection wait for 128 replies"""
    with bench.world(delay_ms=1000) as world:
        for count in REPLIES, REPLIES + 1:
            world.load(f"{count} sessions on one connection", "bus", f"--sessions={count}", *ONE_SECOND,
                       "--seconds", bench.seconds, matters=count == REPLIES)
        row = closed_loop(world, f"{REPLIES} on each of {CONNECTIONS} connections", "bus", REPLIES * CONNECTIONS,
                          *ONE_SECOND, matters=True)
        compare_one_second(bench, "closed loop", row)


@scenario(seconds=60)
def open_39_ms(bench):
    """A report takes 39 ms; open loop, 10,000 arrivals a second from 1,000 sessions, direct"""
    with bench.world(delay_ms=39) as world:
        row = world.load("10,000 arrivals a second", "direct", "--sessions=1000", "--rate=10000", "--poisson",
                         "--batch=on", "--split", "--warmup=5", "--seconds", bench.seconds, matters=True)
        bench.ratio("p99 / 100 ms", row["p99_ms"] / 100, "at most 1")


@scenario(seconds=10)
def open_loops(bench):
    """A report takes 39 ms; arrivals at random, more and more a second, direct and over dbus-daemon"""
    with bench.world(delay_ms=39) as world:
        for transport, rates in ("direct", (10, 100, 1000, 5000, 20000)), ("bus", (10, 100, 1000, 5000)):
            for rate in rates:
                world.load(f"{rate:,} a second, {transport}", transport, *sessions_on(transport, 1000),
                           "--rate", rate, "--poisson", "--batch=on", "--split", "--warmup=1", "--seconds",
                           bench.seconds)


@contextlib.contextmanager
def one_processor():
    """All that is started runs on one: a message to another costs an interrupt, on a virtual machine 50 us to 100 us,
    which each call of the simulator (FUSE) would pay or not as the scheduler likes, and which no kernel's configfs
    knows."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)


def same_shape(world, attest, window, *arguments):
    """What bare sd-bus does for this client with answers like those of the row `attest`; see shape.c"""
    bench, size = world.bench, round(attest["load"]["bytes_per_answer"])
    address = world.guest.directory / "shape.socket"
    peer = world.spawn(address, size, program="shape")
    peer.popen.stdout.readline()
    what = f"bare sd-bus, {size}-byte answers, {window:,} under way"
    row = world.loads(what, {"": [f"--address=unix:path={address}", "--batch=on", "--split", *arguments]})[0]
    row["cpu_us"] = peer.cpu_seconds() * 1e6 / max(1, row["load"]["answers"])  # it ends with its client
    peer.wait()
    bench.ratio("batched sessions a second / answers of the same shape by bare sd-bus a second",
                attest["per_second"] / row["per_second"])
    bench.ratio("attestd's CPU for an answer / bare sd-bus's of the same shape", attest["cpu_us"] / row["cpu_us"])


def zero(bench, transport):
    s = ["--seconds", bench.seconds, "--warmup=0.5"]
    with one_processor(), bench.world() as world:
        ping = world.load("Ping, one after the other", transport, "--call=ping", *s, matters=True)
        attest = world.load("Attest, one after the other", transport, *s, matters=True)
        world.attestd.stop()
        ran = world.guest.run([world.guest.program("bare-configfs"), 1000], check=True, timeout=600)
        bare = bench.current["bare-configfs"] = json.loads(ran.stdout)
        floor = 2 * ping["p50_ms"] + bare["p50_us"] / 1000
        bench.ratio("bare-configfs p50, ms", bare["p50_us"] / 1000)
        bench.ratio("Attest p50 / (2 Ping p50 + bare-configfs p50)", attest["p50_ms"] / floor, "at most 1, direct")

    window = 100 if transport == "bus" else 10000
    s += [f"--sessions={window}", "--inspect=16"]  # as a Ping's answer, which has nothing to read
    with bench.world() as world:
        single = world.load("Ping, one after the other, two processors", transport, "--call=ping", *s[:3])
        many = world.load(f"Ping, {window:,} under way", transport, "--call=ping", *s, matters=True)
        batched = world.load(f"Attest, batched, {window:,} sessions", transport, "--batch=on", "--split", *s,
                             matters=True)
        if transport == "direct":  # on the bus no answer is split
            whole = world.load("Attest, batched, not split", transport, "--batch=on", *s)
            bench.ratio("split / whole answers, sessions a second", batched["per_second"] / whole["per_second"])
        if transport == "direct":
            same_shape(world, batched, window, *s)
        world.load("Attest, not batched", transport, *s)
        bench.ratio("batched sessions a second / Pings a second", batched["per_second"] / many["per_second"],
                    "at least 0.5, direct")
        bench.ratio("batched sessions a second / Pings a second, one after the other, one processor",
                    batched["per_second"] / ping["per_second"])
        bench.ratio("batched sessions a second / Pings a second, one after the other, two processors",
                    batched["per_second"] / single["per_second"])
        bench.ratio("attestd's CPU for an answer / for a Ping", batched["cpu_us"] / many["cpu_us"])


@scenario(seconds=5)
def zero_direct(bench):
    """A report takes no time; latency and throughput beside Ping's on the same connection, direct"""
    zero(bench, "direct")


@scenario(seconds=5)
def zero_bus(bench):
    """A report takes no time; latency and throughput beside Ping's on the same connection, over dbus-daemon"""
    zero(bench, "bus")


@scenario(seconds=10)
def devices(bench):
    """1,000 sessions in a closed loop, over devices of each kind, direct and over dbus-daemon"""
    for transport in ADDRESSES:
        for delay in 0, 8, 39, 1000:
            with bench.world(delay_ms=delay) as world:
                closed_loop(world, f"{delay} ms, {transport}", transport, 1000, "--batch=on", "--split",
                            "--warmup", max(0.5, 3 * delay / 1000), matters=transport == "direct")


@scenario(seconds=30)
def throttled(bench):
    """A host that lends ten reports in 10 s, of 39 ms; 1,000 sessions in a closed loop, direct"""
    with bench.world(delay_ms=39) as world:
        world.guest.tee.fault("token-bucket", 10, 10000)
        closed_loop(world, "batched", "direct", 1000, "--batch=on", "--split", "--warmup=2", matters=True)
        closed_loop(world, "one session, not batched", "direct", 1, matters=True)


@scenario(seconds=5)
def sessions(bench):
    """A report takes 39 ms; 1 to 10,000 sessions in a closed loop, direct"""
    with bench.world(delay_ms=39) as world:
        for count in 1, 10, 100:
            closed_loop(world, f"{count}, not batched", "direct", count, "--warmup=0.5")
        for count in 1, 10, 100, 1000, 10000:
            closed_loop(world, f"{count:,}, batched", "direct", count, "--batch=on", "--split", "--warmup=0.5",
                        matters=True)


@scenario(seconds=10)
def growth(bench):
    """A report takes 39 ms; 10 to 10,000 sessions, all renewed once, all at once, direct"""
    for sessions in 10, 100, 1000, 10000:
        with bench.world(delay_ms=39) as world:
            row = world.load(f"{sessions:,} sessions", "direct", "--sessions", sessions, "--rounds=1", "--batch=on",
                             "--split", matters=True)
            bench.ratio(f"seconds, {sessions:,} sessions", row["load"]["seconds"])
            bench.ratio(f"KiB a session at the peak, {sessions:,} sessions",
                        (row["rss_peak_kib"] - row["rss_before_kib"]) / sessions)


@scenario(seconds=10)
def mixed(bench):
    """A report takes 39 ms; callers that batch beside one that does not, direct"""
    with bench.world(delay_ms=39) as world:
        s = [f"--address={ADDRESSES['direct']}", "--seconds", bench.seconds, "--warmup=1"]
        world.loads("alone", {"one that does not batch": s})
        world.loads("alone", {"1,000 that batch": [*s, "--sessions=1000", "--batch=on", "--split"]})
        world.loads("together", {
            "one that does not batch": s,
            "1,000 that batch": [*s, "--sessions=1000", "--batch=on", "--split"],
        }, matters=True)


HONEST, HOSTILE = private_guest.CALLERS
HOSTILES = 200
HONEST_LOADS = {
    "one session": [],
    "30 requests a second": ["--sessions=30", "--rate=30", "--poisson"],
}
# What of it the bus costs whoever is on it: calls that attestd answers at once, and some that it never hears of.
BUS_LOADS = {
    "30 Pings of attestd a second": ["--call=ping", "--rate=30", "--poisson"],
    "30 GetIds of dbus-daemon a second": ["--call=driver", "--rate=30", "--poisson"],
}


def hostile_world(bench):
    """As systemd would run it: attestd, the bus, the honest caller, and the hostile ones, all 200 of them together, share
    the processors in groups of equal weight, one for each service and each user (CPUWeight= of whom nobody gives any).
    The device's double has real-time priority: no device of a host waits for a guest's processors."""
    return bench.world(delay_ms=39, groups=True, configuration=f"[Access]\nDirectUsers={HONEST};{HOSTILE}\n")


@scenario(seconds=15)
def hostile_direct(bench):
    """A report takes 39 ms; one caller beside 200 that flood, cancel, disconnect and hang, direct"""
    with hostile_world(bench) as world:
        s = ["--batch=on", "--warmup=1", "--seconds", bench.seconds]
        alone = [world.load(f"{name}, alone", "direct", *a, *s, user=HONEST, matters=True)
                 for name, a in HONEST_LOADS.items()]
        few = world.descriptors()
        with world.hostile("direct", HOSTILES, HOSTILE) as tally:
            beside = [world.load(f"{name}, beside {HOSTILES} hostile ones", "direct", *a, *s, user=HONEST,
                                 matters=True)
                      for name, a in HONEST_LOADS.items()]
        bench.current["hostile"] = tally
        again = [world.load(f"{name}, after them", "direct", *a, *s, user=HONEST) for name, a in HONEST_LOADS.items()]
        for name, without, with_them, after in zip(HONEST_LOADS, alone, beside, again):
            compare_hostile(bench, name, without, with_them, after)
        bench.ratio("descriptors left behind", world.descriptors(few) - few, "0")


def compare_hostile(bench, name, without, with_them, after, goal="at most 2"):
    bench.ratio(f"p99 beside them / without, {name}", with_them["p99_ms"] / without["p99_ms"], goal)
    bench.ratio(f"p99 after them / before, {name}", after["p99_ms"] / without["p99_ms"])


@scenario(seconds=15)
def hostile_bus(bench):
    """A report takes 39 ms; one caller beside 200 that flood, cancel, disconnect and hang, over dbus-daemon

    Whom the daemon is to let through first is not attestd's to say: beside the honest caller, who had his sessions
    before the hostile ones came, there is one on the same bus who asks attestd next to nothing, and one who asks the
    daemon itself. And one who comes meanwhile."""
    s = ["--address=system", "--batch=on", "--warmup=1", "--seconds", bench.seconds]
    loads = {name: [*s, *a] for name, a in (HONEST_LOADS | BUS_LOADS).items()}
    late = {"one session, come meanwhile": [*s, "--patient"]}
    with hostile_world(bench) as world:
        alone = world.run("alone", world.open(loads, user=HONEST), late, user=HONEST, matters=True)
        few = world.descriptors()
        running = world.open(loads, user=HONEST)
        with world.hostile("bus", HOSTILES, HOSTILE) as tally:
            beside = world.run(f"beside {HOSTILES} hostile ones", running, late, user=HONEST, matters=True)
        bench.current["hostile"] = tally
        after = world.run("after them", world.open(loads, user=HONEST), late, user=HONEST)
        for name, *rows in zip(loads | late, alone, beside, after):
            compare_hostile(bench, name, *rows, goal=None)
            bench.ratio(f"p50 beside them / without, {name}", rows[1]["p50_ms"] / rows[0]["p50_ms"])
        bench.ratio("descriptors left behind", world.descriptors(few) - few, "0")


@scenario(seconds=100)
def leaks(bench):
    """A report takes no time; 1,000,000 requests (or 10,000 for each of --seconds), direct"""
    with bench.world() as world:
        world.load("one request", "direct", "--count=1")  # what the first report opens stays
        few = world.descriptors()
        rows = [world.load(f"{n} tenth of the requests", "direct", "--sessions=1000", "--batch=on", "--split",
                           f"--count={bench.seconds * 1000:.0f}", matters=n == "last")
                for n in ("first", "second", "third", "4th", "5th", "6th", "7th", "8th", "9th", "last")]
        growth = rows[-1]["rss_after_kib"] / rows[1]["rss_after_kib"]
        if private_guest.is_sanitized(world.attestd.pid):
            bench.ratio("RSS after the last / after the second tenth", growth)
        else:
            bench.must("RSS after the last / after the second tenth", growth, 1.1)
        bench.must("descriptors left behind", world.descriptors(few) - few, 0)
        bench.must("requests that were refused", sum(sum(row["errors"].values()) for row in rows), 0)


@scenario(seconds=5)
def verify(bench):
    """Batched evidence verified in a second of one core, with and without the memo of signatures; see verify.c"""
    lines = bench.current["verified"] = []
    for arguments in [], ["--without-memo"], ["--connections"], ["--connections", "--without-memo"], ["--plain"]:
        ran = subprocess.run([f"{bench.build}/tests/bench/verify", "--seconds", str(bench.seconds), *arguments],
                             check=True, capture_output=True, text=True)
        lines.append(json.loads(ran.stdout))
    bench.ratio("verified with the memo / 5,000", lines[0]["per_second"] / 5000, "at least 1")
    bench.ratio("with the memo / without", lines[0]["per_second"] / lines[1]["per_second"])


@scenario(seconds=30)
def renewal_storm(bench):
    """Live TLS sessions of libattestd on loopback, all renewed after one event; see storm.py"""
    rows = bench.current["storms"] = []
    for count in (10, 100, 1000, 10000) if bench.seconds >= 10 else (10, 100, 1000):
        bench.progress(f"{count} sessions")
        rows.append(storm.storm(bench.build, count, STORM_MS))
        bench.ratio(f"renewed / sessions, {count:,}", rows[-1]["renewed"] / count, "1")


@scenario(seconds=10)
def renewal_direct(bench):
    """Live sessions of one direct connection, all renewed after one event; no TLS"""
    for delay in 1000, 39:
        for sessions in 10, 100, 1000, 10000:
            with bench.world(delay_ms=delay, configuration=f"{LIMITS}[Ima]\nInterval=100\n", ima=True) as world:
                row = world.renewal(f"{sessions:,} sessions, {delay} ms", "direct", sessions, matters=True)
                bench.ratio(f"renewed / sessions, {sessions:,}, {delay} ms", row["count"] / sessions, "1")
        bench.ratio(f"reports used, 10,000 sessions, {delay} ms", row["reports"], "1" if delay == 1000 else None)
        bench.ratio(f"p99 / what the device takes, 10,000 sessions, {delay} ms", row["p99_ms"] / delay)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/gcc")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), metavar="NAME")
    parser.add_argument("--seconds", type=float, help="of each row; a scenario has its own")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--names", action="store_true")
    arguments = parser.parse_args()

    if arguments.names:
        print(*SCENARIOS)
        return
    if arguments.list:
        for name, function in SCENARIOS.items():
            print(f"{name:20}{function.title}")
        return
    bench = Bench(arguments.build, arguments.seconds, arguments.json or arguments.markdown)
    for name in arguments.scenario or SCENARIOS:
        bench.run(name)
    if arguments.json:
        print(json.dumps(bench.results, indent=2))
    if arguments.markdown:
        print_markdown(bench.results)
    if bench.failures:
        sys.exit("\n".join(bench.failures))


if __name__ == "__main__":
    if not {"--list", "--names"} & {*sys.argv}:
        private_guest.enter()
    main()
