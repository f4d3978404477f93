#include "twinkeeper/base/archive.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

enum class Colour : std::uint8_t { red, green };

struct Inner {
  int count = 0;
  std::optional<base::Instant> since;

  template <class Archive>
  void archive(Archive& a) {
    a(count, since);
  }
};

struct Outer {
  double number = 0.0;
  bool flag = false;
  Colour colour = Colour::red;
  std::string text;
  std::vector<double> fixed = std::vector<double>(3);
  std::vector<Inner> any;
  std::array<Inner, 2> pair;
  std::unique_ptr<Inner> perhaps;
  base::Instant time, never = base::Instant::min();
  base::Duration length{};

  template <class Archive>
  void archive(Archive& a) {
    a(number, flag, colour, text, fixed, pair, perhaps, time, never, length);
    a.list(any);
  }
};

Outer example() {
  Outer object;
  object.number = -0.1;
  object.flag = true;
  object.colour = Colour::green;
  object.text = std::string("a\0b", 3);
  object.fixed = {1.0, std::numeric_limits<double>::infinity(), 3.0};
  object.any = {{4, base::Instant{5s}}, {6, std::nullopt}};
  object.pair[1].count = 7;
  object.perhaps = std::make_unique<Inner>(Inner{8, std::nullopt});
  object.time = base::Instant{9s};
  object.length = 10ms;
  return object;
}

std::vector<std::byte> bytes_of(Outer& object) {
  std::vector<std::byte> bytes;
  base::ArchiveWriter writer(bytes);
  writer(object);
  return bytes;
}

}  // namespace

TEST_CASE("What was archived is read back as it was, instants on another clock") {
  Outer object = example();
  const auto bytes = bytes_of(object);
  Outer read;
  read.perhaps = std::make_unique<Inner>();
  base::ArchiveReader reader(bytes, 100s);
  reader(read);
  CHECK(reader.done());
  CHECK(read.number == -0.1);
  CHECK(read.flag);
  CHECK(read.colour == Colour::green);
  CHECK(read.text == object.text);
  CHECK(read.fixed == object.fixed);
  REQUIRE(read.any.size() == 2);
  CHECK(read.any[0].count == 4);
  CHECK(read.any[0].since == base::Instant{105s});
  CHECK_FALSE(read.any[1].since);
  CHECK(read.pair[1].count == 7);
  CHECK(read.perhaps->count == 8);
  CHECK(read.time == base::Instant{109s});
  CHECK(read.never == base::Instant::min());
  CHECK(read.length == 10ms);
  Outer again;
  base::ArchiveReader unshifted(bytes);
  unshifted(again);
  CHECK(bytes_of(again) == bytes);
}

TEST_CASE("A vector of another length and bytes that are cut short or left over are noticed") {
  Outer object = example();
  auto bytes = bytes_of(object);
  Outer longer;
  longer.fixed.resize(4);
  base::ArchiveReader other_shape(bytes);
  other_shape(longer);
  CHECK_FALSE(other_shape.ok());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Outer read;
    base::ArchiveReader reader(std::span<const std::byte>(bytes).first(size));
    reader(read);
    CHECK_FALSE(reader.done());
  }
  bytes.push_back(std::byte{0});
  Outer read;
  base::ArchiveReader reader(bytes);
  reader(read);
  CHECK(reader.ok());
  CHECK_FALSE(reader.done());
}

TEST_CASE("A length beyond the bytes takes no memory") {
  std::vector<std::byte> bytes(sizeof(std::size_t), std::byte{0xFF});
  std::vector<Inner> any;
  std::string text;
  base::ArchiveReader list(bytes), string(bytes);
  list.list(any);
  string(text);
  CHECK_FALSE(list.ok());
  CHECK_FALSE(string.ok());
  CHECK(any.empty());
  CHECK(text.empty());
}
