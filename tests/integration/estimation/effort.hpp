// How much of a long test a build can afford: sanitizers and emulated processors make it ten to thirty times slower, and
// look for other faults.
#pragma once

namespace twinkeeper::test {

#if defined(TWINKEEPER_SANITIZED) || defined(TWINKEEPER_EMULATED)
inline constexpr int kEffort = 20;
#else
inline constexpr int kEffort = 1;
#endif

}  // namespace twinkeeper::test
