// Whether a time source sets the wall clock, as somebody else says: where a sandbox keeps the process from asking the kernel
// itself (adjtimex), SystemClock::synchronised() is what was told here last; until then, that it is set.
// Thread rule: any.
#pragma once

namespace twinkeeper::base {

// Whether the kernel answers: then nobody else is asked.
[[nodiscard]] bool kernel_tells_synchronised();
void tell_synchronised(bool synchronised);

}  // namespace twinkeeper::base
