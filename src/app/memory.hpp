// What a start has touched and running does not need goes back to the kernel: free pieces of the heap, and pages of code and
// constants. Of these the kernel maps sixteen around each that is touched, whether they are used or not; what is still
// used comes back from the page cache when it is touched again. Memory that is locked stays as it is.
//
// Errors: none; what can't be given back stays. Thread rule: any; other threads may run meanwhile, at the price of such a fault.
// Source: malloc_trim(3), madvise(2) MADV_DONTNEED, dl_iterate_phdr(3).
#pragma once

namespace twinkeeper::app {

void give_back_memory();

}  // namespace twinkeeper::app
