"""What the libraries show to a program that links them: the names of trajlog.h, all of them and nothing else."""

import re

import pytest


def declared_names(root):
    header = (root / "include" / "trajlog.h").read_text()
    names = set(re.findall(r"^TRAJLOG_API[^;]*?\b(trajlog_\w+)\(", header, re.MULTILINE))
    assert len(names) > 50
    return names


def version(root):
    header = (root / "include" / "trajlog.h").read_text()
    return re.findall(r"#define TRAJLOG_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)


# A sanitizer puts names of its own into everything that it instruments.
def without_sanitizer(names):
    return {name for name in names if not re.match(r"__(asan|odr_asan|ubsan|tsan|sancov)|_?asan\.", name)}


def global_names(run, *command):
    return without_sanitizer(line.split()[-1] for line in run(*command).splitlines() if re.search(r" [A-Zuvw] ", line))


def test_shared_library_exports_the_header_and_nothing_else(run, build, root):
    exported = global_names(run, "nm", "--dynamic", "--defined-only", build / "libtrajlog.so")
    assert exported == declared_names(root)


def test_static_library_defines_the_header_and_nothing_else(run, build, root):
    defined = global_names(run, "nm", "--extern-only", "--defined-only", build / "libtrajlog.a")
    assert defined == declared_names(root)


def test_internal_names_do_not_meet_those_of_a_host(run, build, tmp_path):
    """A program may have a queue_push of its own; it is linked with every internal name taken."""
    internal = global_names(run, "nm", "--extern-only", "--defined-only", build / "libtrajlog-internal.a")
    internal = sorted(name for name in internal if not name.startswith("trajlog_"))
    assert internal
    source = tmp_path / "host.c"
    source.write_text("".join(f"int {name} = 1;\n" for name in internal) + "int main(void) { return 0; }\n")
    link = ["cc", "-fno-builtin", source, "-o", tmp_path / "host", "-Wl,--whole-archive"]
    run(*link, build / "libtrajlog.a", "-Wl,--no-whole-archive", "-Wl,--unresolved-symbols=ignore-all")
    with pytest.raises(AssertionError, match="multiple definition"):
        run(*link, build / "libtrajlog-internal.a", "-Wl,--no-whole-archive", "-Wl,--unresolved-symbols=ignore-all")


def test_soname_and_links_carry_the_version_of_the_header(run, build, root):
    major, minor, patch = version(root)
    assert f"[libtrajlog.so.{major}]" in run("readelf", "--dynamic", build / "libtrajlog.so")
    assert (build / "libtrajlog.so").resolve().name == f"libtrajlog.so.{major}.{minor}.{patch}"
    assert (build / f"libtrajlog.so.{major}").resolve() == (build / "libtrajlog.so").resolve()


@pytest.mark.parametrize("function", ["printf", "puts", "putchar", "perror", "fputs", "vprintf", "abort", "exit",
                                      "_exit", "signal", "sigaction", "__printf_chk", "__assert_fail"])
def test_library_does_not_print_exit_or_take_signals(run, build, function):
    undefined = run("nm", "--dynamic", "--undefined-only", build / "libtrajlog.so")
    assert not re.search(rf"\bU {function}(@|$)", undefined, re.MULTILINE)
