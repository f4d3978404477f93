"""Certificates: the throwaway authority of scripts/make-pki, its faulty certificates included."""
import os
import shutil
import subprocess

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


class Pki:
    """Files in `folder`: see scripts/make-pki --faults."""

    def __init__(self, folder):
        self.folder = folder
        script = os.path.join(SOURCE, "scripts", "make-pki")
        done = subprocess.run([script, folder, "--faults"], capture_output=True, text=True)
        assert done.returncode == 0, f"scripts/make-pki failed with {done.returncode}:\n{done.stdout}{done.stderr}"

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, source, name):
        """Replaces `name` by a copy of the file `source` in one step, as a certificate manager does."""
        fresh = self.path(name + ".new")
        shutil.copyfile(source, fresh)
        os.chmod(fresh, 0o600 if name.endswith(".key") else 0o644)
        os.replace(fresh, self.path(name))
