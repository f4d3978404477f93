"""Certificates: the throwaway authority of scripts/make-pki, its faulty certificates included."""
import os
import shutil
import subprocess

LOCALHOST = ("DNS:localhost", "IP:127.0.0.1")
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


_EXTENSIONS = {
    "client": "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n",
    "server": "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n",
    "authority": "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n",
}


def openssl(*arguments):
    """The program's standard output; fails with what it said."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}:\n{done.stderr}"
    return done.stdout


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

    def issue(self, name, common_name, kind="client", names=LOCALHOST, authority="ca", days=365):
        """NAME.crt and NAME.key, signed by `authority`. `kind`: client, server (of `names`) or authority."""
        key, request = self.path(name + ".key"), self.path(name + ".csr")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                "-out", request, "-subj", "/CN=" + common_name)
        os.chmod(key, 0o600)
        self.sign(request, self.path(name + ".crt"), kind, names, authority, days)
        os.remove(request)

    def sign(self, request, certificate, kind="client", names=LOCALHOST, authority="ca", days=365):
        """Makes the file `certificate` of the signing request in the file `request`, whose key nobody else has."""
        extensions = certificate + ".ext"
        with open(extensions, "w", encoding="ascii") as file:
            file.write(_EXTENSIONS[kind])
            if kind == "server":
                file.write("subjectAltName=" + ",".join(names) + "\n")
        openssl("x509", "-req", "-in", request, "-CA", self.path(authority + ".crt"), "-CAkey",
                self.path(authority + ".key"), "-set_serial", str(int.from_bytes(os.urandom(15), "big") | 1), "-days",
                str(days), "-extfile", extensions, "-out", certificate)
        os.remove(extensions)

    def issue_large_server(self, name="large_server", factor=1.2):
        """A server certificate that is at least `factor` times as large as `server`: it has many more names."""
        names = list(LOCALHOST)
        while True:
            names += [f"DNS:alias-{number:04}.example" for number in range(len(names), len(names) + 8)]
            self.issue(name, "localhost", "server", names)
            if os.path.getsize(self.path(name + ".crt")) >= factor * os.path.getsize(self.path("server.crt")):
                return

    def issue_chained_server(self, name="chained_server", authorities=2):
        """A server certificate below so many authorities below `ca`; NAME.crt holds the whole chain."""
        above = "ca"
        chain = ""
        for number in range(authorities):
            authority = f"{name}_authority_{number}"
            self.issue(authority, f"throwaway authority {number}", "authority", authority=above)
            with open(self.path(authority + ".crt"), encoding="ascii") as file:
                chain = file.read() + chain
            above = authority
        self.issue(name, "localhost", "server", authority=above)
        with open(self.path(name + ".crt"), "a", encoding="ascii") as file:
            file.write(chain)
