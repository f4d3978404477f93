// Archive: puts what an object remembers into bytes, and takes it back, by one description for both.
//
//   template <class Archive> void archive(Archive& a) { a(x_, count_, since_); }
//
//   kind of value                 in the bytes
//   numbers, bool, enumerations   as they are in memory (one gateway writes and reads)
//   Duration                      nanoseconds
//   Instant                       nanoseconds; read shifted, so that it keeps its place on another boot's clock. The
//   ends of
//                                 the time scale mean "never" and stay
//   string                        length and bytes
//   optional, unique_ptr          whether there is one, and it
//   array, vector                 vector: its length, which must be that of the vector it is read into: an object of
//   another
//                                 shape is not the one that was written. list() takes any length
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

class ArchiveWriter {
 public:
  static constexpr bool kReading = false;

  explicit ArchiveWriter(std::vector<std::byte>& bytes) : bytes_(bytes) {}

  template <class... T>
  void operator()(T&... values);
  template <class T>
  void list(std::vector<T>& values);

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

class ArchiveReader {
 public:
  static constexpr bool kReading = true;

  // `shift` is added to every Instant.
  explicit ArchiveReader(std::span<const std::byte> bytes, Duration shift = {}) : bytes_(bytes), shift_(shift) {}

  template <class... T>
  void operator()(T&... values);
  template <class T>
  void list(std::vector<T>& values);

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
template <class Archive, class T>
void one(Archive& a, T& value);
template <class Archive, class T>
void one(Archive& a, std::optional<T>& value);
template <class Archive, class T>
void one(Archive& a, std::unique_ptr<T>& value);
template <class Archive, class T, std::size_t kSize>
void one(Archive& a, std::array<T, kSize>& values);
template <class Archive, class T>
void one(Archive& a, std::vector<T>& values);
template <class Archive>
void one(Archive& a, std::string& text);
template <class Archive>
void one(Archive& a, Instant& instant);
template <class Archive>
void one(Archive& a, Duration& duration);

template <class Archive, class T>
void one(Archive& a, std::optional<T>& value) {
  bool there = value.has_value();
  one(a, there);
  if constexpr (Archive::kReading) {
    if (there) value.emplace();
    if (!there) value.reset();
  }
  if (value) one(a, *value);
}

template <class Archive, class T>
void one(Archive& a, std::unique_ptr<T>& value) {
  bool there = value != nullptr;
  one(a, there);
  if constexpr (Archive::kReading) {
    if (there && !value) value = std::make_unique<T>();
    if (!there) value.reset();
  }
  if (value) one(a, *value);
}

template <class Archive, class T, std::size_t kSize>
void one(Archive& a, std::array<T, kSize>& values) {
  for (T& value : values) one(a, value);
}

template <class Archive, class T>
void each(Archive& a, std::vector<T>& values) {
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    a.raw(values.data(), values.size() * sizeof(T));
  } else {
    for (T& value : values) {
      if (a.ok()) one(a, value);
    }
  }
}

template <class Archive, class T>
void one(Archive& a, std::vector<T>& values) {
  a.fixed_length(values.size());
  each(a, values);
}

template <class Archive>
void one(Archive& a, std::string& text) {
  std::size_t size = text.size();
  a.length(size);
  if constexpr (Archive::kReading) text.resize(size);
  a.raw(text.data(), size);
}

template <class Archive>
void one(Archive& a, Instant& instant) {
  auto count = instant.time_since_epoch().count();
  a.raw(&count, sizeof count);
  if constexpr (Archive::kReading) {
    instant = Instant{Duration{count}};
    if (instant != Instant::min() && instant != Instant::max()) instant += a.shift();
  }
}

template <class Archive>
void one(Archive& a, Duration& duration) {
  auto count = duration.count();
  a.raw(&count, sizeof count);
  if constexpr (Archive::kReading) duration = Duration{count};
}

template <class Archive, class T>
void one(Archive& a, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    std::uint8_t byte = value ? 1 : 0;
    a.raw(&byte, 1);
    if constexpr (Archive::kReading) value = byte != 0;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    a.raw(&value, sizeof value);
  } else {
    value.archive(a);
  }
}

// Of any length. Each element takes a byte at least, so no length can ask for more memory than the bytes account for.
template <class Archive, class T>
void list(Archive& a, std::vector<T>& values) {
  std::size_t size = values.size();
  a.length(size);
  if constexpr (Archive::kReading) values.resize(size);
  each(a, values);
}

}  // namespace archive_detail

template <class... T>
void ArchiveWriter::operator()(T&... values) {
  (archive_detail::one(*this, values), ...);
}
template <class T>
void ArchiveWriter::list(std::vector<T>& values) {
  archive_detail::list(*this, values);
}
template <class... T>
void ArchiveReader::operator()(T&... values) {
  (archive_detail::one(*this, values), ...);
}
template <class T>
void ArchiveReader::list(std::vector<T>& values) {
  archive_detail::list(*this, values);
}

}  // namespace twinkeeper::base
