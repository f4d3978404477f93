"""Checks that nothing calls a function of libm that a C library may round in its own way, or choose by the processor.

Usage: check_libm.py ROOT [ARCHIVE...]. What IEEE 754 rounds correctly (sqrt) or is exact anyway (floor, round, frexp,
ldexp, abs, fmin, fmod, ...) is free to use; for the rest include/twinkeeper/base/elementary.hpp has functions of our own.
Two nets: the sources of every layer are read for calls by name, and the layers' static libraries are asked with nm for
what they leave to the linker, which finds calls that a library's template has made (std::abs of a complex number calls
hypot). Prints every call as file:line or archive and exits 1 if there is one.
"""
import pathlib
import re
import subprocess
import sys

FUNCTIONS = ("exp exp2 exp10 expm1 log log2 log10 log1p pow cbrt hypot sin cos tan sincos asin acos atan atan2 "
             "sinh cosh tanh asinh acosh atanh erf erfc lgamma tgamma").split()
COMPLEX = "arg polar".split()  # of std, and those above of complex numbers
OWN = {"src/base/elementary.cpp", "include/twinkeeper/base/elementary.hpp"}  # define what they name

NAMES = "|".join(sorted(FUNCTIONS + COMPLEX, key=len, reverse=True))
QUALIFIED = re.compile(rf"(?:\bstd|\bnumext|(?<![\w>]))::({NAMES})\b(?!::)")
UNQUALIFIED = re.compile(rf"(?:(?<=\breturn )|(?<![\w:.>])(?<!\w ))({'|'.join(FUNCTIONS)})\s*\(")
COMMENT_OR_TEXT = re.compile(r'//.*|"(?:\\.|[^"\\])*"')
SYMBOL = re.compile(rf"^\s*U (c?(?:{'|'.join(FUNCTIONS + ['abs', 'arg', 'sqrt'])})[fl]?)(?:@\S*)?$")
EXACT = {"abs", "sqrt", "sqrtf", "sqrtl"}


def calls_in_sources(root: pathlib.Path):
    for folder in (root / "src", root / "include"):
        for file in sorted(folder.rglob("*.[ch]pp")):
            name = file.relative_to(root).as_posix()
            if name in OWN:
                continue
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                code = COMMENT_OR_TEXT.sub("", line)
                for match in (*QUALIFIED.finditer(code), *UNQUALIFIED.finditer(code)):
                    yield f"{name}:{number}: {match.group(1)} is libm's; accepted: base/elementary.hpp"


def calls_in(archive: str):
    listing = subprocess.run(["nm", "--undefined-only", archive], check=True, capture_output=True, text=True).stdout
    member = ""
    for line in listing.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        match = SYMBOL.match(line)
        if match and match.group(1) not in EXACT:
            yield f"{pathlib.Path(archive).name}({member}) calls {match.group(1)} of libm"


if __name__ == "__main__":
    faults = list(calls_in_sources(pathlib.Path(sys.argv[1])))
    for library in sys.argv[2:]:
        faults += calls_in(library)
    print("\n".join(faults) if faults else "nothing calls libm for more than what is exact")
    sys.exit(1 if faults else 0)
