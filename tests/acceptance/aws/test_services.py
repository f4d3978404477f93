"""AWS IoT Device Advisor's list, shadow and job: what the services behind `$aws/` get to see."""
import os
import unittest

from rig import RigTestCase, configuration, wait_until
from rig.strict_broker import ServiceParts

THING = configuration.GATEWAY
CLIENT_TOKEN = "DeviceAdvisorShadowTestCaseSetup"  # as the service marks its own updates


class Services(ServiceParts, RigTestCase):
    def test_reported_state(self):
        """Once connected it publishes its state, in an update that reports and desires nothing."""
        self.begin()
        reported = self.reported("twin-tanks", lambda d: "states" in d, 30)
        self.assertEqual(set(reported["states"]), {"level_1", "level_2"})
        self.reported("config", lambda d: d.get("config_result") == "applied", 30)
        for request in self.service.requested("/update"):
            self.assertEqual(set(request.document()["state"]), {"reported"}, request.topic)
        self.end()

    def test_desired_state(self):
        """Each desired state that comes while it runs is taken, and then reported: no delta is left."""
        self.begin()
        self.reported("config", lambda d: d.get("config_result") == "applied", 30)
        for interval in ("1s", "2s"):
            desired = {"twins": {"tanks": {"publish": {"state_interval": interval}}}}
            self.service.set_desired(THING, desired, "config", clientToken=CLIENT_TOKEN)
            reported = self.reported("config", lambda d: d.get("twins") == desired["twins"])
            self.assertEqual(reported["config_result"], "applied")
            self.assertEqual(self.delta("config"), {})
        self.end()

    def test_job_succeeds(self):
        self.begin()
        job = self.run_job("advisor-1", {"operation": "reload-config"}, "SUCCEEDED")
        self.assertEqual(job.history, ["QUEUED", "IN_PROGRESS", "SUCCEEDED"])
        self.assertRegex(job.details["config_hash"], "^sha256:")
        self.end()

    def test_job_fails(self):
        """A job that can't be carried out fails with the reason, and the next one is not kept from succeeding."""
        kept = os.path.join(self.folder, "state", "job.json")
        self.begin()
        os.mkdir(kept)  # where the job under way has to be written
        job = self.run_job("advisor-1", {"operation": "reload-config"}, "FAILED")
        self.assertEqual(job.history, ["QUEUED", "IN_PROGRESS", "FAILED"])
        self.assertEqual(job.details["reason"], "the job can't be kept on disk")
        os.rmdir(kept)
        self.run_job("advisor-2", {"operation": "collect-logs"}, "SUCCEEDED")
        wait_until(lambda: not os.path.exists(kept), 20, "the job to be forgotten")
        self.end()

    def test_job_is_rejected(self):
        """The service's own example of a job, which this gateway does not know."""
        self.begin()
        files = {"fileName": "install.py", "url": "https://bucket-name.s3.amazonaws.com/key"}
        job = self.run_job("advisor-1", {"operation": "reboot", "files": files}, "REJECTED")
        self.assertEqual(job.history, ["QUEUED", "IN_PROGRESS", "REJECTED"])
        self.assertIn("reboot is not supported", job.details["reason"])
        self.end()


if __name__ == "__main__":
    unittest.main(verbosity=2)
