#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-man.py SOURCE MESON BUILD CC...: the man pages of libattestd against its header.

Each function that the header declares has one prototype in one page of section 3,
with the same types, is in its NAME, and can be looked up by its own name once it is
installed; so can each member of the public enumerations be found. The program of
libattestd(3) compiles and links against nothing but what `meson install` puts there.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile


def plain(text):
    """A C declaration without what its layout adds."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s*([*(),;])\s*", r"\1", text)


def declared(header):
    """name → prototype."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    text = re.sub(r"(?m)^#.*$|^G_DEFINE_.*$|^G_BEGIN_DECLS$", "", text)
    found = {}
    for statement in text.split(";"):
        match = re.fullmatch(r"\s*(.*?)\b(attestd_\w+)\((.*)\)\s*", statement, re.S)
        if match and "typedef" not in statement:
            found[match[2]] = plain(f"{match[1]}{match[2]}({match[3]})")
    return found


def words(line):
    """Arguments of a macro line."""
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', line)]


def documented(page):
    """name → prototype, of a page's SYNOPSIS."""
    synopsis = page[page.index(".Sh SYNOPSIS"):page.index(".Sh DESCRIPTION")]
    found, kind, name, arguments = {}, None, None, []
    for line in synopsis.splitlines():
        macro, rest = line[:3], words(line[4:])
        if macro == ".Ft":
            kind = rest[0]
        elif macro == ".Fn":
            found[rest[0]] = plain(f"{kind} {rest[0]}({','.join(rest[1:])})")
        elif macro == ".Fo":
            name, arguments = rest[0], []
        elif macro == ".Fa":
            arguments.append(rest[0])
        elif macro == ".Fc":
            found[name] = plain(f"{kind} {name}({','.join(arguments)})")
    return {name: text for name, text in found.items() if name.startswith("attestd_")}


def names(page):
    section = page[page.index(".Sh NAME"):page.index(".Sh SYNOPSIS")]
    return set(re.findall(r"(?m)^\.Nm (attestd_\w+)", section))


def check_pages(source, problem):
    header = (source / "src/lib/attestd.h").read_text()
    pages = {p.name: p.read_text() for p in sorted((source / "src/lib").glob("*.3"))}
    prototypes = declared(header)
    where = {}
    for file, page in pages.items():
        found = documented(page)
        for name, text in found.items():
            if name in where:
                problem(f"{name} is in {where[name]} and in {file}")
            where[name] = file
            if name not in prototypes:
                problem(f"{file}: the header has no {name}")
            elif text != prototypes[name]:
                problem(f"{file}: {text}\n  the header: {prototypes[name]}")
        if set(found) != names(page):
            problem(f"{file}: NAME and SYNOPSIS differ: {set(found) ^ names(page)}")
    for name in prototypes.keys() - where.keys():
        problem(f"{name} is in no page")
    for constant in re.findall(r"(?m)^        (ATTESTD_\w+),", header):
        if not any(re.search(rf"(?m)^\.It Dv {constant}$", page) for page in pages.values()):
            problem(f"{constant} is in no page")
    return where


def check_installed(top, where, problem):
    for name, file in where.items():
        link = top / "share/man/man3" / f"{name}.3"
        if not link.exists():
            problem(f"{name}.3 is not installed")
        elif link.resolve().name != file:
            problem(f"{name}.3 is {link.resolve().name}, not {file}")


def example(page):
    """The first display of EXAMPLES, as a reader sees it."""
    section = page[page.index(".Sh EXAMPLES"):]
    text = section[section.index(".Bd -literal\n") + len(".Bd -literal\n"):section.index("\n.Ed")]
    return text.replace("\\e", "\\") + "\n"


def compile_example(source, scratch, top, compiler, problem):
    pc = next(top.rglob("libattestd.pc"))
    libraries = pc.parent.parent
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libattestd"], check=True, capture_output=True, text=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent)}).stdout.split()
    code, program = scratch / "example.c", scratch / "example"
    code.write_text(example((source / "src/lib/libattestd.3").read_text()))
    # The installation is below another root than its paths say.
    argv = [*compiler, "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{top / 'include'}", f"-L{libraries}",
            str(code), "-o", str(program), *flags]
    ran = subprocess.run(argv, capture_output=True, text=True)
    if ran.returncode != 0:
        problem(f"the example of libattestd(3) does not compile:\n{ran.stderr}")
        return
    ran = subprocess.run([str(program)], capture_output=True, text=True,
                         env={**os.environ, "LD_LIBRARY_PATH": str(libraries), "ASAN_OPTIONS": "detect_leaks=0"})
    if ran.returncode != 1 or "usage:" not in ran.stderr:
        problem(f"the example of libattestd(3) ended with {ran.returncode}:\n{ran.stderr}")


def main():
    source, meson, build, *compiler = sys.argv[1:]
    source = pathlib.Path(source)
    problems = []
    where = check_pages(source, problems.append)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        subprocess.run([meson, "install", "-C", build, "--no-rebuild", "--destdir", str(scratch / "root")], check=True,
                       stdout=subprocess.DEVNULL)
        top = next((scratch / "root").rglob("share/man")).parent.parent
        check_installed(top, where, problems.append)
        compile_example(source, scratch, top, compiler, problems.append)
    print("\n".join(problems))
    sys.exit(bool(problems))


main()
