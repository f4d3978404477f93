// Archive: puts what an object remembers into bytes, and takes it back, by one description for both.
//
//   template <class Archive> void archive(Archive& a) { a(x_, count_, since_); }
//
//   numbers, bool, enumerations   as they are in memory (one gateway writes and reads; sizes are as wide as its words)
//   Duration                      nanoseconds
//   Instant                       nanoseconds; read shifted, so that it keeps its place on another boot's clock; the
//                                 ends of the time scale mean "never" and stay
//   string                        length and bytes
//   optional, unique_ptr          whether there is one, and it
//   array                         its elements
//   vector                        its length, which must be that of the vector it is read into, and its elements: an
//                                 object of another shape is not the one that was written. list() takes any length
//   objects                       by their own archive()
// What an object is built from (models, settings) is not archived: it is read into one that was built from the same.
// Errors: reading never goes beyond the bytes; after what does not fit nothing more is read, ok() is false, and the
// object is of no use. Thread rule: one thread. Allocation: writing only where the bytes' capacity ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::base {

// What writer and reader are called by.
template <class Self>
class ArchiveCalls {
 public:
  template <class... T>
  void operator()(T&... values);
  // A vector of any length.
  template <class T>
  void list(std::vector<T>& values);
};

class ArchiveWriter : public ArchiveCalls<ArchiveWriter> {
 public:
  static constexpr bool kReading = false;

  explicit ArchiveWriter(std::vector<std::byte>& bytes) : bytes_(bytes) {}

  void raw(const void* from, std::size_t size) {
    if (size == 0) return;
    const std::size_t before = bytes_.size();
    bytes_.resize(before + size);
    std::memcpy(bytes_.data() + before, from, size);
  }
  // A length that may be anything, and one that must be `size`.
  void length(std::size_t& size) { raw(&size, sizeof size); }
  void fixed_length(std::size_t size) { raw(&size, sizeof size); }
  [[nodiscard]] Duration shift() const { return Duration{0}; }
  void require(bool) {}
  [[nodiscard]] bool ok() const { return true; }

 private:
  std::vector<std::byte>& bytes_;
};

class ArchiveReader : public ArchiveCalls<ArchiveReader> {
 public:
  static constexpr bool kReading = true;

  // `shift` is added to every Instant.
  explicit ArchiveReader(std::span<const std::byte> bytes, Duration shift = {}) : bytes_(bytes), shift_(shift) {}

  void raw(void* to, std::size_t size) {
    if (!ok_ || size > bytes_.size()) {
      ok_ = false;
      return;
    }
    if (size == 0) return;
    std::memcpy(to, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
  }
  // 0 if there cannot be so many.
  void length(std::size_t& size) {
    size = 0;
    raw(&size, sizeof size);
    if (size > bytes_.size()) {
      ok_ = false;
      size = 0;
    }
  }
  void fixed_length(std::size_t size) {
    std::size_t found = 0;
    raw(&found, sizeof found);
    if (found != size) ok_ = false;
  }
  [[nodiscard]] Duration shift() const { return shift_; }
  // What was read must make sense before it is used to read more.
  void require(bool sensible) { ok_ = ok_ && sensible; }
  [[nodiscard]] bool ok() const { return ok_; }
  // Whether all was read, and fitted.
  [[nodiscard]] bool done() const { return ok_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  Duration shift_;
  bool ok_ = true;
};

namespace archive_detail {

// All kinds of values are declared before the first that holds others.
template <class A, class T>
void one(A& a, T& value);
template <class A, class T>
void one(A& a, std::optional<T>& value);
template <class A, class T>
void one(A& a, std::unique_ptr<T>& value);
template <class A, class T, std::size_t kSize>
void one(A& a, std::array<T, kSize>& values);
template <class A, class T>
void one(A& a, std::vector<T>& values);
template <class A>
void one(A& a, std::string& text);
template <class A>
void one(A& a, Instant& instant);
template <class A>
void one(A& a, Duration& duration);

template <class A, class T>
void one(A& a, std::optional<T>& value) {
  bool there = value.has_value();
  one(a, there);
  if constexpr (A::kReading) {
    if (there) value.emplace();
    if (!there) value.reset();
  }
  if (value) one(a, *value);
}

template <class A, class T>
void one(A& a, std::unique_ptr<T>& value) {
  bool there = value != nullptr;
  one(a, there);
  if constexpr (A::kReading) {
    if (there && !value) value = std::make_unique<T>();
    if (!there) value.reset();
  }
  if (value) one(a, *value);
}

template <class A, class T, std::size_t kSize>
void one(A& a, std::array<T, kSize>& values) {
  for (T& value : values) one(a, value);
}

template <class A, class T>
void each(A& a, std::vector<T>& values) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    a.raw(values.data(), values.size() * sizeof(T));
  } else {
    for (T& value : values) {
      if (a.ok()) one(a, value);
    }
  }
}

template <class A, class T>
void one(A& a, std::vector<T>& values) {
  a.fixed_length(values.size());
  each(a, values);
}

template <class A>
void one(A& a, std::string& text) {
  std::size_t size = text.size();
  a.length(size);
  if constexpr (A::kReading) text.resize(size);
  a.raw(text.data(), size);
}

template <class A>
void one(A& a, Instant& instant) {
  auto count = instant.time_since_epoch().count();
  a.raw(&count, sizeof count);
  if constexpr (A::kReading) {
    instant = Instant{Duration{count}};
    if (instant != Instant::min() && instant != Instant::max()) instant += a.shift();
  }
}

template <class A>
void one(A& a, Duration& duration) {
  auto count = duration.count();
  a.raw(&count, sizeof count);
  if constexpr (A::kReading) duration = Duration{count};
}

template <class A, class T>
void one(A& a, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    std::uint8_t byte = value ? 1 : 0;
    a.raw(&byte, 1);
    if constexpr (A::kReading) value = byte != 0;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    a.raw(&value, sizeof value);
  } else {
    value.archive(a);
  }
}

}  // namespace archive_detail

template <class Self>
template <class... T>
void ArchiveCalls<Self>::operator()(T&... values) {
  (archive_detail::one(static_cast<Self&>(*this), values), ...);
}

// Each element takes a byte at least, so no length can ask for more memory than the bytes account for.
template <class Self>
template <class T>
void ArchiveCalls<Self>::list(std::vector<T>& values) {
  auto& self = static_cast<Self&>(*this);
  std::size_t size = values.size();
  self.length(size);
  if constexpr (Self::kReading) values.resize(size);
  archive_detail::each(self, values);
}

}  // namespace twinkeeper::base
