/* Preloaded into the daemon. While the file named by TWINKEEPER_FAULT_SWITCH exists, fsync and fdatasync fail with EIO,
 * as they do on a disk that dies or a card that was pulled. And before libfaketime: it takes the deadlines of
 * clock_nanosleep for times of the wall clock it fakes whatever their clock is, so they go past it. And what the kernel
 * says of the wall clock (adjtimex) is the number in the file named by TWINKEEPER_CLOCK_STATE. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static int fails(void) {
  const char* path = getenv("TWINKEEPER_FAULT_SWITCH");
  return path != NULL && access(path, F_OK) == 0;
}

static int real(const char* name, int descriptor) {
  int (*function)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  return function(descriptor);
}

int fdatasync(int descriptor) {
  if (!fails()) return real("fdatasync", descriptor);
  errno = EIO;
  return -1;
}

int fsync(int descriptor) {
  if (!fails()) return real("fsync", descriptor);
  errno = EIO;
  return -1;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec* request, struct timespec* remain) {
  return syscall(SYS_clock_nanosleep, clock, flags, request, remain) == 0 ? 0 : errno;
}

int adjtimex(struct timex* state) {
  const char* path = getenv("TWINKEEPER_CLOCK_STATE");
  FILE* file = path == NULL ? NULL : fopen(path, "r");
  if (file == NULL) return ((int (*)(struct timex*))dlsym(RTLD_NEXT, "adjtimex"))(state);
  const int said = fgetc(file) - '0';
  fclose(file);
  return said;
}
