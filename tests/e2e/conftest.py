"""One engine for the session, in a network namespace of its own, with the images on it. tests/run hands it over in
OCHOPOD_TEST_BED; a run by hand starts one and ends it. Each test begins and ends with no container."""
import os
import subprocess
import tempfile

import pytest
from bed import BUSYBOX, ENGINE, TOP, ZOOKEEPER, Bed


@pytest.fixture(scope="session")
def engine():
    directory = os.environ.get("OCHOPOD_TEST_BED")
    own = None
    if not directory:
        own = directory = tempfile.mkdtemp(prefix="ochopod-e2e.")
        subprocess.run([TOP / "tests/lib/testbed", directory], check=True)
    bed = Bed(directory)
    # What the examples name, as a registry would give it: always the images built here.
    bed.docker("tag", ZOOKEEPER, "zookeeper:3.9")
    bed.docker("tag", BUSYBOX, "busybox:1")
    yield bed
    if own:
        subprocess.run([ENGINE, "destroy", own], check=True)


@pytest.fixture(scope="module")
def module_bed(engine):
    """For the tests of a module that share what is running."""
    engine.clear()
    yield engine
    engine.clear()


@pytest.fixture
def bed(engine):
    engine.clear()
    yield engine
    engine.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail"):
        # A test that cannot run has failed.
        report.outcome = "failed"
    if report.failed and call.when in ("setup", "call"):
        for name in ("bed", "module_bed", "engine"):
            if name in item.funcargs:
                report.sections.append(("containers", item.funcargs[name].logs()))
                break
