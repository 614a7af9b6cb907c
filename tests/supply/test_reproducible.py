"""Two builds, in directories of other names and lengths: the same programs, byte for byte."""
import os
import re
import shutil
import subprocess
from pathlib import Path

BUILD = Path(os.environ["BUILD_DIR"])
TOP = Path(__file__).resolve().parents[2]
PARTS = ["CMakeLists.txt", "CMakePresets.json", "base", "bindings", "cli", "docker-api", "docs", "sidecar", "tests"]


def cached(name):
    return re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)[1]


def test_two_builds_are_the_same(tmp_path):
    source = tmp_path / "another-place-with-a-longer-name" / "src"
    source.mkdir(parents=True)
    for part in PARTS:
        if (TOP / part).is_dir():  # other tests write and remove __pycache__ meanwhile
            shutil.copytree(TOP / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(TOP / part, source / part)
    build = tmp_path / "out"
    env = {name: value for name, value in os.environ.items() if not name.startswith("CMAKE_")}
    env |= {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "CCACHE_DISABLE": "1"}
    subprocess.run(["cmake", "-S", source, "-B", build, "-G", "Ninja",
                    f"-DCMAKE_C_COMPILER={cached('CMAKE_C_COMPILER')}",
                    f"-DCMAKE_BUILD_TYPE={cached('CMAKE_BUILD_TYPE') or 'RelWithDebInfo'}"],
                   check=True, env=env, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build, "--target", "ochopod-sidecar", "ochopod-holder", "ocho", "-j", "2"], check=True, env=env,
                   stdout=subprocess.DEVNULL)
    for program in ("ochopod-sidecar", "ochopod-holder", "ocho"):
        ours, again = (BUILD / program).read_bytes(), (build / program).read_bytes()
        assert len(ours) == len(again), program
        differ = [at for at, (a, b) in enumerate(zip(ours, again)) if a != b]
        assert not differ, f"{program}: {len(differ)} bytes differ, the first at {differ[0]}"
