"""The base class of the tests of the test broker: one authority for all cases of a class."""
import os
import shutil
import tempfile
import unittest

from rig import RigTestCase
from rig.pki import Pki
from rig.strict_broker import StrictParts

from .clients import Client


class StrictTestCase(StrictParts, RigTestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="twinkeeper-rig-")
        cls.addClassCleanup(shutil.rmtree, folder, True)
        cls.pki = Pki(os.path.join(folder, "pki"))

    def start(self, part):
        """Starts a part that is stopped at the end of the case."""
        return self._started(self.keep(part))

    def client(self, port, *arguments, **options):
        """clients.Client, disconnected at the end of the case."""
        client = Client(port, *arguments, **options)
        self.addCleanup(client.close)
        return client


def main():
    unittest.main(verbosity=2)
