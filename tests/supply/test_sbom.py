"""The list of what is in the image (compose/sbom): SPDX 2.3, complete, true, and the same whenever it is made."""
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ["BUILD_DIR"])
TOP = Path(__file__).resolve().parents[2]
PROGRAMS = [BUILD / "ochopod-sidecar", BUILD / "ochopod-holder", BUILD / "ocho"]


def make(**env):
    return subprocess.run([TOP / "compose/sbom", "0.1.0", *PROGRAMS], check=True, capture_output=True, text=True,
                          env={**os.environ, **env}).stdout


@pytest.fixture(scope="module")
def sbom():
    return json.loads(make(), object_pairs_hook=lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else 1 / 0)


def test_is_spdx(sbom):
    assert sbom["spdxVersion"] == "SPDX-2.3" and sbom["dataLicense"] == "CC0-1.0"
    assert sbom["SPDXID"] == "SPDXRef-DOCUMENT" and sbom["name"]
    assert re.fullmatch(r"https://\S+-[0-9a-f]{32}", sbom["documentNamespace"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", sbom["creationInfo"]["created"])
    assert all(re.match(r"(Tool|Person|Organization): ", who) for who in sbom["creationInfo"]["creators"])
    for package in sbom["packages"]:
        assert package["name"] and package["versionInfo"] and package["downloadLocation"] == "NOASSERTION"
        assert package["filesAnalyzed"] is False and package["licenseConcluded"] and package["copyrightText"]
    for file in sbom["files"]:
        assert file["fileName"] and [c["algorithm"] for c in file["checksums"]] == ["SHA256"]


def test_its_names_are_unique_and_its_relations_lead_somewhere(sbom):
    names = [sbom["SPDXID"]] + [it["SPDXID"] for it in sbom["packages"] + sbom["files"]]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", name) for name in names)
    known = {"DESCRIBES", "CONTAINS"}
    for relation in sbom["relationships"]:
        assert relation["relationshipType"] in known
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= set(names)
    contained = {r["relatedSpdxElement"] for r in sbom["relationships"]}
    assert contained == set(names) - {"SPDXRef-DOCUMENT"}
    assert sbom["documentDescribes"] == ["SPDXRef-ochopod-sidecar"]


def test_names_every_package_with_its_version(sbom):
    listed = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n"],
                            check=True, capture_output=True, text=True).stdout
    there = {tuple(line.split("\t")[1:]) for line in listed.splitlines() if line.startswith("ii")}
    said = set()
    for package in sbom["packages"][1:]:
        purl = package["externalRefs"][0]["referenceLocator"]
        match = re.fullmatch(r"pkg:deb/debian/([a-z0-9.%A-F-]+)@([\w.~%-]+)\?arch=(\w+)&distro=debian-12", purl)
        assert match, purl
        said.add((package["name"], package["versionInfo"], match[3]))
        assert match[2].replace("%3A", ":").replace("%2B", "+") == package["versionInfo"]
    assert said == there


def test_names_what_the_programs_stand_on(sbom):
    named = {package["name"] for package in sbom["packages"]}
    libraries = set()
    for program in PROGRAMS:
        libraries |= set(re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], check=True, capture_output=True,
                                                                 text=True).stdout))
    assert len(libraries) > 10
    # Where /lib is a link to /usr/lib, dpkg knows a file by either name.
    paths = sorted({spelt for path in libraries for real in (path, os.path.realpath(path))
                    for spelt in (real, real.removeprefix("/usr"), "/usr" + real)})
    found = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True).stdout
    owners = {path: line.split(":")[0] for line in found.splitlines() for path in [line.rpartition(": ")[2]]}
    for library in libraries:
        owner = {owners.get(path) for path in paths if os.path.realpath(path) == os.path.realpath(library)} - {None}
        assert owner and owner <= named, library


def test_has_the_programs_own_digests(sbom):
    said = {file["fileName"]: file["checksums"][0]["checksumValue"] for file in sbom["files"]}
    assert said == {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in PROGRAMS}


def test_is_the_same_whenever_it_is_made():
    assert make() == make(TZ="Pacific/Kiritimati", LC_ALL="C")
    assert '"created": "2001-09-09T01:46:40Z"' in make(SOURCE_DATE_EPOCH="1000000000")
