"""Build the wheel, install it beside nothing of ours, import all of it, and run tests against it: `make wheel-test`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAPPED = ("agents", "configs", "envs", "experiments", "theory")
# What could fail beside a wheel alone: reading shipped files, and what users call. All modules are imported, too.
TESTS = ("contract", "frameworks", "golden", "lrpilot", "configs", "envs/data", "agents", "test_cli.py", "test_docs.py")
IMPORTS = """
from importlib import import_module
from pkgutil import walk_packages
import lrpilot
names = [found.name for found in walk_packages(lrpilot.__path__, "lrpilot.") if found.name != "lrpilot.__main__"]
print(len([import_module(name) for name in names]), "modules from", lrpilot.__file__)
"""


def expected() -> set[str]:
    """Every file of the tree that belongs into the wheel."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "lrpilot", *MAPPED]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    files = {name for name in listed if name and not (ROOT / name).is_symlink()}
    return {name if name.startswith("lrpilot/") else f"lrpilot/{name}" for name in files}


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "source"
        shutil.copytree(
            ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".venv*", "runs", ".git", "*.egg-info")
        )
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        wheel = next(folder.glob("*.whl"))
        names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
        inside = {name for name in names if ".dist-info/" not in name}
        assert inside == expected(), f"wheel and tree differ: {sorted(inside ^ expected())}"
        print(f"{wheel.name}: {len(inside)} files, all under lrpilot/, the same as in the tree")
        run_tests(wheel, folder)


def run_tests(wheel: Path, folder: Path) -> None:
    """The tests in a new environment that sees the installed packages, but of lrpilot only the wheel."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "venv" / "lib" / f"python{here}" / "site-packages"
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    tests = folder / "checkout"
    for name in ("tests", "examples", "docs"):
        shutil.copytree(ROOT / name, tests / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tests)
    environment = {**os.environ, "PYTHONPATH": ""}
    imports = [str(python), "-c", IMPORTS]
    found = subprocess.run(imports, cwd=tests, env=environment, capture_output=True, text=True, check=True).stdout
    print(found, end="")
    assert str(site) in found, f"the tests would not see the wheel but {found}"
    chosen = [f"tests/{name}" for name in TESTS]
    subprocess.run([str(python), "-m", "pytest", "-q", "-n", "2", *chosen], cwd=tests, env=environment, check=True)


if __name__ == "__main__":
    main()
