"""Waiting by condition: the only place of the rig that sleeps."""
import time

POLL_S = 0.02


class Overdue(AssertionError):
    """A condition that did not come true in time."""


def wait_until(condition, deadline_s, what):
    """Returns the first true value of condition(); fails once deadline_s seconds are over.

    `what` is the text of the failure, or a function that makes it at that moment.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Overdue(f"not within {deadline_s} s: {what() if callable(what) else what}")
        time.sleep(POLL_S)


def let_run(seconds, *processes):
    """Lets the world go on for `seconds`, but fails at once if one of `processes` ends meanwhile."""
    end = time.monotonic() + seconds

    def over():
        for process in processes:
            if not process.running():
                raise AssertionError(f"{process.name} ended by itself with {process.exit_code()}\n{process.tail()}")
        return time.monotonic() > end

    wait_until(over, seconds + 60, "time to pass")
