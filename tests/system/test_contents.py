"""What is in the package, without installing it."""
import json
import os
import re
import subprocess
import tempfile
import unittest

PACKAGE = os.environ["TWINKEEPER_PACKAGE"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPLETE = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
compopt() { echo "files"; }
_twinkeeper
printf '%s\n' "${COMPREPLY[@]}"
"""


class Contents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        subprocess.run(["dpkg-deb", "-x", PACKAGE, cls.folder], check=True)
        cls.executable = os.path.join(cls.folder, "usr/bin/twinkeeper")

    def commands(self):
        told = subprocess.run([self.executable, "--help"], check=True, capture_output=True, text=True).stdout
        return re.findall(r"^  ([a-z-]+) ", told[told.index("Subcommands:"):], re.M)

    def manual(self, section, name):
        """As a terminal shows it, without bold."""
        page = os.path.join(self.folder, f"usr/share/man/man{section}/{name}.{section}.gz")
        return re.sub(".\b", "", subprocess.run(["man", "--local-file", page], check=True, capture_output=True, text=True,
                                                env={**os.environ, "MANWIDTH": "120", "LC_ALL": "C.UTF-8"}).stdout)

    def complete(self, *words):
        script = os.path.join(self.folder, "usr/share/bash-completion/completions/twinkeeper")
        done = subprocess.run(["bash", "-c", COMPLETE, "bash", script, self.executable, *words], check=True,
                              capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_policy(self):
        done = subprocess.run(["lintian", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs", PACKAGE],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_size(self):
        self.assertLessEqual(os.path.getsize(PACKAGE), 2e6)

    def test_hardened(self):
        """What a hole in the executable would meet; its stripped symbols are gone, those of the libraries are named."""
        def read(option):
            return subprocess.run(["readelf", option, "--wide", self.executable], check=True, capture_output=True, text=True).stdout
        self.assertRegex(read("--file-header"), r"Type: +DYN \(Position-Independent Executable file\)")
        self.assertIn("BIND_NOW", read("--dynamic"))
        self.assertIn("GNU_RELRO", read("--program-headers"))
        self.assertRegex(read("--program-headers"), r"GNU_STACK .* RW ")
        symbols = read("--dyn-syms")
        self.assertIn("__stack_chk_fail@", symbols)
        self.assertRegex(symbols, r"__\w+_chk@")

    def test_manuals(self):
        page = self.manual(1, "twinkeeper")
        for command in self.commands():
            self.assertRegex(page, rf"(?m)^ +{command}\b", command)
        page = self.manual(5, "twinkeeper.yaml")
        for key in ("state_directory", "poll_interval", "latch_severity"):
            self.assertIn(key, page)

    def test_parts(self):
        """The list of parts is CycloneDX, and names every library that the executable loads and no other."""
        path = os.path.join(self.folder, "usr/share/doc/twinkeeper/twinkeeper.cdx.json")
        subprocess.run(["node", os.path.join(ROOT, "tests/peers/cyclonedx/validate.js"), path], check=True)
        with open(path, encoding="utf-8") as file:
            parts = {part["name"]: part for part in json.load(file)["components"]}
        for package in ("libssl3", "libpaho-mqttpp3-1", "libmodbus5", "libsqlite3-0", "libeigen3-dev", "nlohmann-json3-dev"):
            self.assertIn(package, parts)
        self.assertTrue(parts["libssl3"]["purl"].startswith("pkg:deb/debian/libssl3@3."))
        depends = subprocess.run(["dpkg-deb", "-f", PACKAGE, "Depends"], check=True, capture_output=True, text=True).stdout
        depends = {part.split()[0] for part in depends.strip().split(", ")} - {"systemd"}
        loaded = {name for name, part in parts.items() if part["properties"][1]["value"] == "loaded"}
        # An ABI has a name of its own that a package provides: libspdlog1.10-fmt9.
        self.assertEqual(loaded, {next((one for one in loaded if name.startswith(one + "-")), name) for name in depends})

    def test_template(self):
        """What is commented out of the configuration is one, but for the files that only a site has."""
        with open(os.path.join(self.folder, "etc/twinkeeper/twinkeeper.yaml"), encoding="utf-8") as file:
            lines = [re.sub("^# ?", "", line) for line in file]
        path = os.path.join(self.folder, "template.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(lines[next(i for i, line in enumerate(lines) if line.startswith("gateway:")):])
        done = subprocess.run([self.executable, "check", "--config", path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 78)
        for line in done.stderr.splitlines():
            self.assertIn("no such file", line)

    def test_completion(self):
        self.assertEqual(sorted(self.complete("")), sorted(self.commands()))
        self.assertEqual(self.complete("ident"), ["identify"])
        self.assertEqual(sorted(self.complete("spool", "")), ["export", "purge", "status"])
        self.assertIn("--config", self.complete("run", "--c"))
        self.assertIn("--method", self.complete("identify", "--input", "log.csv", "--m"))
        self.assertEqual(self.complete("run", "--config", "twin"), ["files"])


if __name__ == "__main__":
    unittest.main()
