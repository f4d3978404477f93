"""A case that runs the executable in a folder of its own; where the public data are, and their scorers."""
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("TWINKEEPER_DATA", ROOT.parent / "shared" / "data"))


def run_scorer(name, *arguments):
    """What a scorer of the data says."""
    return subprocess.run([sys.executable, DATA.parent / "score" / name, *arguments], stdout=subprocess.PIPE, text=True,
                          check=True).stdout


class CommandCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twinkeeper-case-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def need_data(self, folder=DATA):
        """Skips, saying so, where the public data are not there."""
        if not folder.is_dir():
            self.skipTest(f"no public data at {folder}")

    def run_command(self, *arguments, code=0, folder=None):
        folder = folder or self.folder
        done = subprocess.run([os.environ["TWINKEEPER_EXECUTABLE"], *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, cwd=folder, timeout=280)
        self.assertEqual(done.returncode, code, f"{folder.name}: {arguments}: {done.stdout}{done.stderr}")
        return done

    def run_on_terminal(self, *arguments, code=0):
        """What the terminal on standard error is shown."""
        near, far = pty.openpty()
        with subprocess.Popen([os.environ["TWINKEEPER_EXECUTABLE"], *map(str, arguments)], stdout=subprocess.DEVNULL,
                              stderr=far, cwd=self.folder) as process:
            os.close(far)
            shown = b""
            while True:
                try:
                    part = os.read(near, 65536)
                except OSError:  # nobody writes there any more
                    break
                if not part:
                    break
                shown += part
            self.assertEqual(process.wait(timeout=60), code, shown)
        os.close(near)
        return shown.decode()

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def write_rows(self, rows, names, period=1.0, times=None, name="log.csv"):
        """A log; None is a value that is missing."""
        lines = [",".join(["time[s]", *names])]
        for k, row in enumerate(rows):
            time = times[k] if times else k * period
            lines.append(",".join([repr(time)] + ["" if v is None else repr(v) for v in row]))
        return self.write(name, "\n".join(lines) + "\n")
