"""What the compiler and the linker were asked for is in the programs, not only in CMakeLists.txt."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ["BUILD_DIR"])
TOP = Path(__file__).resolve().parents[2]
PRODUCT = {"base", "bindings", "cli", "docker-api", "sidecar"}
LARGE = ["ochopod-sidecar", "ocho"]
PROGRAMS = [*LARGE, "ochopod-holder"]


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=PROGRAMS, scope="module")
def program(request):
    return str(BUILD / request.param)


@pytest.fixture(params=LARGE, scope="module")
def large(request):
    """One in which each kind of function is found."""
    return str(BUILD / request.param)


def test_is_position_independent(program):
    assert re.search(r"Type:\s+DYN", run("readelf", "-hW", program))
    assert re.search(r"FLAGS_1\).*\bPIE\b", run("readelf", "-dW", program))
    assert "TEXTREL" not in run("readelf", "-dW", program)


def test_all_is_bound_at_start_and_then_read_only(program):
    dynamic = run("readelf", "-dW", program)
    assert "BIND_NOW" in dynamic and re.search(r"FLAGS_1\).*\bNOW\b", dynamic)
    assert "GNU_RELRO" in run("readelf", "-lW", program)


def test_nothing_is_writable_and_executable(program):
    segments = run("readelf", "-lW", program)
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}(\w+)", segments)
    assert stack and "E" not in stack[1]
    loads = re.findall(r"^\s+LOAD\s+(?:0x\w+\s+){5}([RWE ]+?)\s+0x", segments, re.M)
    assert len(loads) >= 4 and not [flags for flags in loads if "W" in flags and "E" in flags]


def test_code_lies_in_pages_of_its_own(program):
    """separate-code: headers and constants are in no executable segment."""
    segments = run("readelf", "-lW", program)
    mapping = re.findall(r"^\s+(\d\d)\s+(.*)$", segments[segments.index("Section to Segment"):], re.M)
    code = [sections.split() for _, sections in mapping if ".text" in sections.split()]
    assert len(code) == 1
    assert not {".rodata", ".eh_frame", ".dynsym", ".dynstr", ".rela.dyn"} & set(code[0])


def symbols(program):
    return run("nm", "-D", "--undefined-only", program)


def test_the_stack_is_watched(program):
    assert "__stack_chk_fail" in symbols(program)


def test_the_stack_is_watched_everywhere(large):
    # Functions with arrays on the stack, by the thousand: not one that happens to have it.
    assert run("objdump", "-d", "--no-show-raw-insn", large).count("__stack_chk_fail@plt>") > 100


def test_copies_are_bounded(large):
    checked = set(re.findall(r"__(\w+)_chk\b", symbols(large))) - {"stack"}
    assert {"snprintf", "memcpy", "vsnprintf"} <= checked
    # What has a checked twin and takes a format from us is not there unchecked.
    assert not re.search(r"\b(sprintf|vsprintf|gets|strcpy|strcat)@", symbols(large))


def test_copies_are_bounded_by_what_is_known_at_run_time():
    """_FORTIFY_SOURCE 3 rather than 2: the programs call the same functions with either, so the compiler's calls are asked."""
    commands = {Path(c["file"]).relative_to(TOP): c["command"] for c in json.loads((BUILD / "compile_commands.json").read_text())}
    ours = {str(file): command for file, command in commands.items() if file.parts[0] in PRODUCT}
    assert {file.split("/")[0] for file in ours} == PRODUCT
    asked = {file: re.findall(r" -[DU]_FORTIFY_SOURCE\S*", command)[-1:] for file, command in ours.items()}
    assert [file for file, last in asked.items() if last != [" -D_FORTIFY_SOURCE=3"]] == []
    assert [file for file, command in ours.items() if not re.search(r" -O[123] ", command)] == []  # without it nothing is bounded


def test_calls_land_where_they_may(large):
    """-fcf-protection: functions begin with endbr64. The note of the whole program is absent: Debian's own start files
    carry none, and the linker keeps what all parts have."""
    code = run("objdump", "-d", "--no-show-raw-insn", large)
    begins = re.findall(r"^[0-9a-f]+ <(\w+)>:\n\s*[0-9a-f]+:\s+(\w+)", code, re.M)
    ours = [(name, first) for name, first in begins
            if not name.startswith("_") and not re.search(r"\.(cold|part|constprop|isra)", name)
            and name not in ("deregister_tm_clones", "register_tm_clones")]
    # What is only called directly needs none, and gcc leaves it out.
    assert len([name for name, first in ours if first == "endbr64"]) > len(ours) // 2
    assert ("main", "endbr64") in ours


def test_large_frames_are_probed(large):
    """-fstack-clash-protection: a frame of many pages is touched page by page."""
    assert re.search(r"sub\s+\$0x1000,%rsp\n\s*[0-9a-f]+:\s+or[ql]\s+\$0x0,", run("objdump", "-d", "--no-show-raw-insn",
                                                                                  large))


def test_no_search_path_and_no_place_of_building(program):
    assert not re.search(r"\((RPATH|RUNPATH)\)", run("readelf", "-dW", program))
    data = Path(program).read_bytes()
    assert str(TOP).encode() not in data and str(BUILD).encode() not in data


def test_only_libraries_of_debian(program):
    needed = re.findall(r"NEEDED\).*\[(.*)\]", run("readelf", "-dW", program))
    known = {"libuv", "libcurl-gnutls", "libjansson", "libmicrohttpd", "libseccomp", "libyaml-0", "liblua5.4",
             "libzookeeper_mt", "libnettle", "libhogweed", "libgnutls", "libc", "libm", "libpthread", "libz"}
    assert {name.split(".so")[0] for name in needed} <= known


def test_the_compiler_was_asked(program):
    """Of what leaves no trace of its own: gcc writes its options into the debug information."""
    options = set(re.findall(r"DW_AT_producer\s*:.*?(GNU C\S* .*)", run(
        "readelf", "--debug-dump=info", "--dwarf-depth=1", program)))
    ours = [line for line in options if "gnu11" in line]
    wanted = ["-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection=full",
              "-ftrivial-auto-var-init=zero", "-fno-delete-null-pointer-checks", "-fno-strict-overflow"]
    assert ours and not [(line, flag) for line in ours for flag in wanted if flag not in line]
