// Objects of C libraries that are freed by a function of theirs: Owned<X509, X509_free>.
#pragma once

#include <memory>

namespace twinkeeper::uplink {

template <auto Free>
struct FreedBy {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

template <class T, auto Free>
using Owned = std::unique_ptr<T, FreedBy<Free>>;

}  // namespace twinkeeper::uplink
