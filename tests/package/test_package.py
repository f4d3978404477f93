"""The installed library, used as a stranger uses it. Folders stay between runs: what did not change is not built again."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["TWINKEEPER_SOURCE"])
BUILD = pathlib.Path(os.environ["TWINKEEPER_BUILD"])
FOLDER = pathlib.Path(os.environ["TWINKEEPER_PACKAGE"])
PREFIX = FOLDER / "prefix"


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


def build(source, name, *options):
    folder = FOLDER / name
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={PREFIX}", *options)
    run("nice", "cmake", "--build", folder)  # other tests watch the clock
    return folder


def names(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


class Package(unittest.TestCase):
    maxDiff = None

    def test_installed(self):
        shutil.rmtree(PREFIX, ignore_errors=True)
        run("cmake", "--install", BUILD, "--prefix", PREFIX, "--component", "development")
        self.assertEqual(names(PREFIX / "include"), names(SOURCE / "include"))
        files = names(PREFIX)
        for layer in (folder.name for folder in (SOURCE / "include/twinkeeper").iterdir()):
            self.assertTrue(any(file.endswith(f"/libtwinkeeper_{layer}.a") for file in files), f"{layer}: {files}")
        self.assertFalse([file for file in files if file.startswith(("bin/", "lib/systemd/"))])
        for file in PREFIX.rglob("*.cmake"):  # a package that is moved finds itself
            self.assertNotIn(str(SOURCE), file.read_text(encoding="utf-8"), file)
            self.assertNotIn(str(PREFIX), file.read_text(encoding="utf-8"), file)

        runtime = FOLDER / "runtime"
        shutil.rmtree(runtime, ignore_errors=True)
        run("cmake", "--install", BUILD, "--prefix", runtime, "--component", "runtime")
        self.assertEqual([file for file in names(runtime) if not file.startswith("share/")],
                         ["bin/twinkeeper", "lib/systemd/system/twinkeeper.service"])

    def test_headers(self):
        build(SOURCE / "tests/package/headers", "headers")

    def test_version(self):
        source = FOLDER / "other_version"
        source.mkdir(exist_ok=True)
        (source / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(other LANGUAGES NONE)\n"
                                               "find_package(twinkeeper ${VERSION} REQUIRED)\n", encoding="utf-8")
        configure = ("cmake", "-S", source, "-B", source / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={PREFIX}")
        for version in ("0.0.1", "0.2", "1.0"):
            with self.assertRaisesRegex(AssertionError, "compatible with requested\\s+version"):
                run(*configure, f"-DVERSION={version}")
        run(*configure, "-DVERSION=0.1")

    def test_example(self):
        told = re.search(r"```text\n(.*?)```", (SOURCE / "docs/library.md").read_text(encoding="utf-8"), re.DOTALL).group(1)
        # The flags that decide about bits and about who owns an Eigen matrix come from the package: neither the processor's
        # own instructions nor a build without optimisation may make a difference.
        for name, flags in (("example", "-O3"), ("example_plain", "-O0"), ("example_native", "-O3 -march=native")):
            folder = build(SOURCE / "examples/embedded_twin", name, f"-DCMAKE_CXX_FLAGS_RELEASE={flags}")
            self.assertEqual(run(folder / "embedded_twin"), told, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
