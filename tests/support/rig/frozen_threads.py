"""Threads of a process that stand still while the others run: a debugger's stop, which SIGSTOP can't give."""
import contextlib
import ctypes
import os

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000


def _ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of thread {thread}: {os.strerror(ctypes.get_errno())}")


def _named(pid):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
            yield file.read().strip(), int(thread)


@contextlib.contextmanager
def frozen_threads(pid, names):
    """Of those names, which must all be there."""
    threads = dict(_named(pid))
    stopped = []
    try:
        for name in names:
            _ptrace(PTRACE_SEIZE, threads[name])
            _ptrace(PTRACE_INTERRUPT, threads[name])
            os.waitpid(threads[name], WALL)
            stopped.append(threads[name])
        yield names
    finally:
        for thread in stopped:
            _ptrace(PTRACE_DETACH, thread)
