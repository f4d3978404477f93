"""The gateway's identity: systemd credentials, a key in a TPM, proxies of the environment."""
import os
import subprocess

from rig import RigTestCase, configuration, main
from rig.case import STATE
from rig.ports import free_port
from rig.service import command
from rig.tpm import Tpm


class Identity(RigTestCase):
    def test_key_in_a_tpm(self):
        self.start_line()
        tpm = Tpm(self)
        key, request, certificate = (self.pki.path(f"tpm.{kind}") for kind in ("key", "csr", "crt"))
        tpm.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", key)
        with open(key, encoding="ascii") as file:
            self.assertIn("BEGIN TSS2 PRIVATE KEY", file.read())
        tpm.openssl("req", "-new", "-key", key, "-subj", "/CN=gateway", "-out", request)
        done = subprocess.run(["/usr/bin/openssl", "x509", "-req", "-in", request, "-CA", self.pki.path("ca.crt"),
                               "-CAkey", self.pki.path("ca.key"), "-set_serial", "77", "-days", "30", "-out",
                               certificate], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.pki.put(certificate, "gateway.crt")
        self.pki.put(key, "gateway.key")

        done = command("check", "--config", self.configuration)
        self.assertEqual(done.returncode, 78, "without the provider the key is of no use")
        self.assertIn("it is in a TPM, which OPENSSL_CONF and TPM2OPENSSL_TCTI must name", done.stderr)
        done = command("check", "--config", self.configuration, environment=tpm.environment)
        self.assertEqual(done.returncode, 0, done.stderr)

        self.daemon = self.make_daemon(self.configuration, tpm.environment)
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "states sent with the TPM's key")
        self.broker.stop()
        mark = self.subscriber.count()
        self.broker.start()
        self.arrives(STATE, lambda m: m["step"] > 60 and not m["replay"], 60, "states after a reconnect", mark)
        self.daemon.stop()

    def test_systemd_credentials(self):
        """A key that the service manager put there: of root, with the mask of an access list as its group bits."""
        self.start_line()
        credentials = os.path.join(self.folder, "credentials")
        os.mkdir(credentials, 0o700)
        key = os.path.join(credentials, "gateway.key")
        os.rename(self.pki.path("gateway.key"), key)
        os.chown(key, 0, 12345)
        os.chmod(key, 0o440)
        text = configuration.plant_with_twin(**self.values)
        self.write_configuration(text.replace(self.pki.path("gateway.key"), "${CREDENTIALS_DIRECTORY}/gateway.key"))
        there = {"CREDENTIALS_DIRECTORY": credentials}

        def check(environment):
            return command("check", "--config", self.configuration, environment=environment)
        self.assertEqual(check(there).returncode, 0, check(there).stderr)
        self.assertEqual(check({}).returncode, 78, "an unset variable is a fault of the configuration")
        self.assertIn("CREDENTIALS_DIRECTORY", check({}).stderr)
        os.chmod(key, 0o444)
        self.assertEqual(check(there).returncode, 77, "modes alone are at fault")
        self.write_configuration(text.replace(self.pki.path("gateway.key"), key))
        os.chmod(key, 0o440)
        done = check({})
        self.assertEqual(done.returncode, 77, "the same file outside of a credentials folder is the group's")
        self.assertIn("lets the group 12345 read", done.stderr)

        self.write_configuration(text.replace(self.pki.path("gateway.key"), "${CREDENTIALS_DIRECTORY}/gateway.key"))
        self.daemon = self.make_daemon(self.configuration, there)
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "states sent with the credential")
        self.daemon.stop()

    def test_proxies_of_the_environment(self):
        self.start_line()
        nowhere = f"http://127.0.0.1:{free_port()}"
        self.daemon = self.make_daemon(self.configuration, {"https_proxy": nowhere, "http_proxy": nowhere,
                                                            "HTTPS_PROXY": nowhere})
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "states past a proxy that the environment names")
        self.daemon.stop()


if __name__ == "__main__":
    main()
