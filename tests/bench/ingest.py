# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast a list of IMA is read, each hash of it compared, and PCR 10 computed: bench.py --ingest ENTRIES

attestctl ima replay beside evmctl ima_measurement, in turn, on one file that evmctl takes:
SHA-1 digests, ima-sig. evmctl computes PCR 10 of sha1 and sha256 at once, as it always does, and
must find the value that attestctl has found. Then the source of attestd over the simulator's
files: the whole list, and what one more entry costs at a thousand entries and at the end.
"""
import json
import os
import statistics
import subprocess
import tempfile

import ima_log
import private_guest

ROUNDS = 3
MORE = 50  # entries, one at a time


class Ran:
    """A program that has run to its end; needs the program `timed`."""

    def __init__(self, build, argv):
        with tempfile.NamedTemporaryFile() as figures:
            ran = subprocess.run([os.path.join(build, "tests", "bench", "timed"), figures.name, *argv],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.figures = json.load(figures)
        self.out = ran.stdout
        if ran.returncode != 0:
            raise SystemExit(f"{argv}: {self.out}")


def files(build, entries):
    with tempfile.TemporaryDirectory(prefix="attestd-") as directory:
        log, pcrs = os.path.join(directory, "list"), os.path.join(directory, "pcrs")
        with open(log, "wb") as f:
            f.writelines(ima_log.entries(entries))
        attestctl = os.path.join(build, "src", "attestctl")
        commands = {
            "attestctl sha256": [attestctl, "ima", "replay", "--json", "--bank", "sha256", log],
            "attestctl sha1": [attestctl, "ima", "replay", "--json", "--bank", "sha1", log],
            "evmctl": ["evmctl", "ima_measurement", "--pcrs", f"sha256,{pcrs}sha256", "--pcrs", f"sha1,{pcrs}sha1", log],
        }
        ran = {name: [] for name in commands}
        for _ in range(ROUNDS):  # in turn, so that a drift of the machine meets all
            for bank in "sha256", "sha1":
                one = Ran(build, commands[f"attestctl {bank}"])
                found = json.loads(one.out)
                assert found["entries"] == entries
                ran[f"attestctl {bank}"].append(one)
                value = " ".join(f"{b:02x}" for b in bytes.fromhex(found["aggregate"]))
                with open(pcrs + bank, "w", encoding="ascii") as f:
                    f.writelines(f"PCR-{i:02}: {value if i == 10 else '00'}\n" for i in range(24))
            one = Ran(build, commands["evmctl"])
            if "Matched per TPM bank calculated digest" not in one.out:
                raise SystemExit(f"evmctl comes to another value: {one.out}")
            ran["evmctl"].append(one)
        size = os.path.getsize(log)

    result = {"list bytes": size}
    for name, rounds in ran.items():
        result[name] = {key: statistics.median(one.figures[key] for one in rounds) for key in rounds[0].figures}
        result[name]["entries_per_s"] = entries / result[name]["seconds"]
    return result


def look(tool):
    tool.stdin.write("look\n")
    tool.stdin.flush()
    words = tool.stdout.readline().split()
    assert words[2] == "ok", words
    return int(words[3]), int(words[7]) / 1e6


def one_more(guest, tool, name):
    seconds = []
    for i in range(MORE):
        guest.ima.measure(f"/usr/bin/{name}-{i}")
        seconds.append(look(tool)[1])
    return statistics.median(seconds)


def source(build, entries):
    with private_guest.Guest(build=build, ima=True) as guest:
        tool = subprocess.Popen([os.path.join(build, "tests", "tee", "ima-tool")], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        guest.ima.bulk(1000, "/usr/bin/first-")
        look(tool)
        early = one_more(guest, tool, "early")
        guest.ima.bulk(entries - 1001 - MORE, "/usr/bin/rest-")
        count, whole = look(tool)
        assert count == entries
        late = one_more(guest, tool, "late")
        with open(f"/proc/{tool.pid}/status", encoding="ascii") as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        tool.communicate()
    return {"whole list s": whole, "one more at 1,000 us": early * 1e6, f"one more at {entries:,} us": late * 1e6,
            "one more, late / early": late / early, "peak RSS KiB": peak}


def measure(build, entries):
    result = files(build, entries)
    for name in "attestctl sha256", "attestctl sha1":
        result[name]["evmctl / it"] = result["evmctl"]["seconds"] / result[name]["seconds"]
        result[name]["evmctl / it, processor"] = result["evmctl"]["cpu_seconds"] / result[name]["cpu_seconds"]
    result["source"] = source(build, entries)
    return result


def show(result):
    print(f"{'':18}{'s':>8}{'cpu s':>8}{'entries/s':>12}{'peak KiB':>10}{'evmctl/it':>11}{'by cpu':>8}")
    for name in "attestctl sha256", "attestctl sha1", "evmctl":
        f = result[name]
        print(f"{name:18}{f['seconds']:>8.3f}{f['cpu_seconds']:>8.3f}{f['entries_per_s']:>12.0f}{f['peak_rss_kib']:>10}"
              f"{f.get('evmctl / it', 1):>11.1f}{f.get('evmctl / it, processor', 1):>8.1f}")
    for name, figure in result["source"].items():
        print(f"source: {name} = {figure:.2f}")
