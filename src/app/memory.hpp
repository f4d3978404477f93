// What was needed once goes back to the kernel. Memory that is locked stays as it is.
//
// Errors: none; what can't be given back stays. Thread rule: any, while other threads run.
// Source: malloc_trim(3), madvise(2) MADV_DONTNEED, dl_iterate_phdr(3).
#pragma once

namespace twinkeeper::app {

// Free pieces of the heap, wherever they lie: less than a millisecond for 25 MB, in which who allocates waits.
void give_back_heap();

// Pages of code and constants. Around each that is touched the kernel maps fifteen more, whether they are used or not; what
// is still used comes back from the page cache when it is touched again, at the price of a minor fault.
void give_back_code();

}  // namespace twinkeeper::app
