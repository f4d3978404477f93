"""What one compiler's build of the maths prints, another's prints, too. Builds stay: what did not change is not built again.

Exits 125 (skipped, for ctest) where there is no clang++; scripts/test installs it.
"""
import os
import pathlib
import shutil
import subprocess
import sys

NUMBERS = os.environ["TWINKEEPER_NUMBERS"]
SOURCE = os.environ["TWINKEEPER_SOURCE"]
FOLDER = pathlib.Path(os.environ["TWINKEEPER_VARIANTS"])
# clang decides in its front end what may be contracted, so this also shows that nothing is.
VARIANTS = {"clang_O0_native": "-O0 -march=native"}
PLAIN_PROCESSOR = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"}


def run(*command, **environment):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def build(name, flags):
    folder = FOLDER / name
    run("cmake", "-S", SOURCE, "-B", folder, "-G", "Ninja", "-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_UNITY_BUILD=ON", f"-DCMAKE_CXX_FLAGS_RELEASE={flags}", CXXFLAGS="")
    run("nice", "cmake", "--build", folder, "--target", "determinism_numbers")
    return folder / "tests/acceptance/determinism/determinism_numbers"


def compare(name, expected, text):
    if text == expected:
        print(f"same bits: {name}")
        return True
    for here, there in zip(expected.splitlines(), text.splitlines()):
        if here != there:
            print(f"OTHER BITS: {name}; the first line of them\n  {here}\n  {there}")
            break
    else:
        print(f"OTHER BITS: {name}; one has more lines")
    return False


def main():
    if not shutil.which("clang++"):
        print("skipped: there is no clang++")
        return 125
    expected = run(NUMBERS)
    for needed in ("gate raised", "cusum raised", "degraded", "tracking", "heat_exchanger", "chain_12 consistency"):
        if needed not in expected:
            sys.exit(f"the numbers do not reach {needed}")
    same = [compare("again", expected, run(NUMBERS)),
            compare("without FMA and AVX2", expected, run(NUMBERS, **PLAIN_PROCESSOR))]
    same += [compare(name, expected, run(build(name, flags))) for name, flags in VARIANTS.items()]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
