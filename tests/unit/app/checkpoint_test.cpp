#include "app/checkpoint.hpp"

#include <sys/stat.h>

#include <cmath>
#include <fstream>
#include <random>

#include "app/checkpoint_keeper.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "uplink/crc32c.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Instant kThen{1000s};
constexpr base::WallTime kWall{1'772'000'000s};

app::CheckpointHeader header() {
  app::CheckpointHeader header;
  header.twin = "tank";
  header.model_name = "tank";
  header.model_hash = "sha256:model";
  header.setup_hash = "sha256:setup";
  header.boot_id = "boot";
  header.time = kThen;
  header.wall = kWall;
  header.clock_synchronised = true;
  header.tick = 41;
  header.mode = "tracking";
  header.inputs = {{"pump", "V", 3.5}};
  header.states = {{"level", "m", 0.1, 0.002}, {"flow", "", std::nan(""), std::nan("")}};
  return header;
}

std::vector<std::byte> some_bytes() {
  std::vector<std::byte> bytes(300);
  std::mt19937 random(1);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xFFU);
  return bytes;
}

// x(k+1) = pole · x(k), every 100 ms.
model::StateSpace model_with(double pole) {
  model::StateSpace model;
  model.A = Eigen::MatrixXd::Constant(1, 1, pole);
  model.B = Eigen::MatrixXd::Zero(1, 0);
  model.C = Eigen::MatrixXd::Identity(1, 1);
  model.sample_time = 0.1;
  model.hash = "sha256:model";
  return model;
}

app::Resumption judge(const app::CheckpointHeader& header, double pole, const app::PresentTime& present) {
  return app::judge_checkpoint(header, "sha256:setup", 100ms, model_with(pole), present);
}

// So long after the checkpoint; the grid begins 50 ms later.
app::PresentTime present(base::Duration after) {
  return {"boot", kThen + after, kWall + after, true, kThen + after + 50ms};
}

}  // namespace

TEST_CASE("A checkpoint is read as it was written, in a file that only its owner reads") {
  const test::TemporaryFolder folder;
  const std::string file = app::checkpoint_file(folder.path(), "tank");
  const auto bytes = some_bytes();
  for (int time = 0; time < 2; ++time) {
    REQUIRE(app::write_checkpoint(file, app::encode_checkpoint(header(), bytes)).ok());
    const auto read = app::read_checkpoint(file);
    REQUIRE(read.ok());
    CHECK(read.value().archive == bytes);
    const app::CheckpointHeader& found = read.value().header;
    CHECK(found.twin == "tank");
    CHECK(found.model_hash == "sha256:model");
    CHECK(found.time == kThen);
    CHECK(found.wall == kWall);
    CHECK(found.clock_synchronised);
    CHECK(found.tick == 41);
    REQUIRE(found.inputs.size() == 1);
    CHECK(found.inputs[0].value == 3.5);
    REQUIRE(found.states.size() == 2);
    CHECK(found.states[0].value == 0.1);
    CHECK(std::isnan(found.states[1].std));
  }
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(app::read_checkpoint(folder.path()).error().code() == base::ErrorCode::io);  // what a broken disk says, too
  CHECK(app::read_checkpoint(file + ".none").error().code() == base::ErrorCode::not_found);
}

TEST_CASE("A checkpoint with any byte changed, or cut short anywhere, is corrupt") {
  const std::string content = app::encode_checkpoint(header(), some_bytes());
  REQUIRE(app::decode_checkpoint(content).ok());
  for (std::size_t i = 0; i < content.size(); ++i) {
    std::string changed = content;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    CHECK(app::decode_checkpoint(changed).error().code() == base::ErrorCode::corrupt);
    CHECK(app::decode_checkpoint(content.substr(0, i)).error().code() == base::ErrorCode::corrupt);
  }
}

TEST_CASE("Of a checkpoint that another version has written the line is read, and nothing else") {
  std::string content = app::encode_checkpoint(header(), some_bytes());
  content.resize(content.size() - 4);
  const std::string ours = "twinkeeper.checkpoint/";
  const std::size_t version = content.find(ours) + ours.size();
  const auto summed = [](std::string text) {
    const std::uint32_t sum = uplink::crc32c(text);
    for (int i = 0; i < 4; ++i) text.push_back(static_cast<char>(sum >> (8 * i) & 0xFFU));
    return text;
  };
  content[version] = '9';
  const auto read = app::decode_checkpoint(summed(content));
  REQUIRE(read.ok());
  CHECK(read.value().other_schema.starts_with("twinkeeper.checkpoint/9"));
  CHECK(read.value().archive.empty());
  REQUIRE(read.value().header.states.size() == 2);
  CHECK(read.value().header.states[0].value == 0.1);
  content.replace(content.find("twinkeeper"), 10, "somebodys_");
  CHECK(app::decode_checkpoint(summed(content)).error().code() == base::ErrorCode::corrupt);
}

TEST_CASE("A checkpoint of the same model and setup is taken whole, and the ticks in between are counted") {
  for (const base::Duration after : {base::Duration{0}, base::Duration{140ms}, base::Duration{5min}}) {
    const app::PresentTime now = present(after);
    const app::Resumption found = judge(header(), 0.9, now);
    CHECK(found.kind == app::Resumption::Kind::whole);
    CHECK(found.missed >= 1);
    // The instant of the newest step is on the new grid, as many ticks before it begins, and no more than half a period
    // off.
    CHECK(kThen + found.shift == now.origin - found.missed * 100ms);
    if (after > 0ms) CHECK(std::chrono::abs(found.shift) <= 50ms);
  }
}

TEST_CASE("The gap is measured by the monotonic clock of one boot and by synchronised wall clocks across boots") {
  app::PresentTime now = present(60s);
  now.wall += 24h;  // somebody set the clock
  CHECK(judge(header(), 0.9, now).missed == 601);
  // A stop while the grid has not begun yet: the newest step is ahead of the clock, but not of the next grid.
  app::PresentTime soon = present(-800ms);
  soon.origin = kThen + 100ms;
  CHECK(judge(header(), 0.9, soon).kind == app::Resumption::Kind::whole);
  CHECK(judge(header(), 0.9, soon).missed == 1);
  now.boot_id = "another";
  now.now = base::Instant{20s};
  now.origin = base::Instant{20s};
  now.wall = kWall + 30s;
  const app::Resumption found = judge(header(), 0.9, now);
  CHECK(found.kind == app::Resumption::Kind::whole);
  CHECK(found.missed == 300);
  CHECK(kThen + found.shift == base::Instant{20s} - 30s);

  for (const bool then : {true, false}) {
    app::CheckpointHeader old = header();
    old.clock_synchronised = then;
    now.synchronised = !then;
    CHECK(judge(old, 0.9, now).kind == app::Resumption::Kind::none);
  }
  now.synchronised = true;
  now.wall = kWall - 1s;  // and the grid begins at once
  CHECK(judge(header(), 0.9, now).reason == "it is of the future");
}

TEST_CASE("A gap is short up to ten minutes or five time constants of the slowest stable mode") {
  using Kind = app::Resumption::Kind;
  const auto kind = [](double pole, base::Duration after) { return judge(header(), pole, present(after)).kind; };
  CHECK(kind(0.5, 9min) == Kind::whole);
  CHECK(kind(0.5, 11min) == Kind::none);
  CHECK(kind(1.0, 9min) == Kind::whole);  // never comes to rest
  CHECK(kind(1.0, 11min) == Kind::none);
  const double slow = std::exp(-0.1 / 1000.0);  // τ = 1000 s
  CHECK(kind(slow, 80min) == Kind::whole);
  CHECK(kind(slow, 85min) == Kind::none);
}

TEST_CASE("Of another model or setup only the states are taken") {
  app::CheckpointHeader other = header();
  other.model_hash = "sha256:other";
  CHECK(judge(other, 0.9, present(1s)).kind == app::Resumption::Kind::states);
  other = header();
  other.setup_hash = "sha256:other";
  CHECK(judge(other, 0.9, present(1s)).kind == app::Resumption::Kind::states);
}
