#include "uplink/envelope.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/crc32c.hpp"
#include "uplink/gap_list.hpp"
#include "uplink/outgoing.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;

namespace {

StoredMessage stored(std::uint64_t seq, std::size_t bytes, base::Instant time) {
  StoredMessage message;
  message.row = static_cast<std::int64_t>(seq);
  message.epoch = 7;
  message.seq = seq;
  message.message = test::state_message(time, bytes);
  message.made = time;
  message.boot_id = "boot";
  message.wall = base::WallTime{std::chrono::seconds{1'772'352'930}};
  message.clock_synced = true;
  return message;
}

}  // namespace

TEST_CASE("an envelope puts its members in front and keeps the text of the message") {
  Envelope envelope;
  envelope.schema = "twinkeeper.state/1";
  envelope.gateway = "gw1";
  envelope.stream = "twins.tanks.state";
  envelope.epoch = 1772352000;
  envelope.seq = 42;
  envelope.time = base::WallTime{std::chrono::milliseconds{1'772'352'930'042}};
  envelope.clock_synced = true;
  envelope.boot_id = "b-1";
  envelope.replay = true;
  CHECK(to_json(envelope, "\"step\":17") ==
        R"({"schema":"twinkeeper.state/1","gateway":"gw1","stream":"twins.tanks.state","epoch":1772352000,"seq":42,)"
        R"("id":"gw1/twins.tanks.state/1772352000/42","time":"2026-03-01T08:15:30.042Z","time_ms":1772352930042,)"
        R"("clock_synced":true,"boot_id":"b-1","replay":true,"step":17})");
}

TEST_CASE("an envelope without members is a whole JSON object") {
  const auto document = nlohmann::json::parse(to_json({}, ""));
  CHECK(document["seq"] == 0);
  CHECK(document["replay"] == false);
}

TEST_CASE("a JSON string is escaped so that any bytes give a valid text") {
  std::string out;
  append_json_string(out, "a\"b\\c\n\x01 \xC3\xA4 \xFF \xED\xA0\x80");
  const auto text = nlohmann::json::parse(out).get<std::string>();
  CHECK(text.substr(0, 10) == "a\"b\\c\n\x01 \xC3\xA4");
  CHECK(out.find('\xFF') == std::string::npos);
}

TEST_CASE("the topic of a stream is its name below the prefix") {
  CHECK(topic_of_stream("twinkeeper/gw", "twins.tanks.state") == "twinkeeper/gw/twins/tanks/state");
  CHECK(topic_of_stream("site.1/gw", "gap") == "site.1/gw/gap");
}

TEST_CASE("the checksum is CRC-32C") {
  CHECK(crc32c("123456789") == 0xE3069283u);            // the check value of the catalogue of CRCs
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  CHECK(crc32c("6789", crc32c("12345")) == crc32c("123456789"));
}

TEST_CASE("a backlog packet holds whole messages of one stream and stays within its bounds") {
  test::StandingClock clock;
  const base::Instant before = clock.now() - std::chrono::minutes{1};
  const StoredMessage first = stored(1, 1000, before);
  BacklogPacket packet("gw1", first);
  std::uint64_t seq = 1;
  while (packet.try_add(stored(seq, 1000, before), clock)) ++seq;
  const std::string text = packet.text();
  CHECK(text.size() <= kPacketBytes);
  CHECK(text.size() > kPacketBytes - 2000);
  const auto document = nlohmann::json::parse(text);
  CHECK(document["schema"] == "twinkeeper.backlog/1");
  CHECK(document["stream"] == "twins.tanks.state");
  CHECK(document["first_seq"] == 1);
  CHECK(document["last_seq"] == seq - 1);
  REQUIRE(document["messages"].size() == seq - 1);
  for (std::size_t i = 0; i < document["messages"].size(); ++i) {
    CHECK(document["messages"][i]["seq"] == i + 1);
    CHECK(document["messages"][i]["replay"] == true);
  }

  BacklogPacket small("gw1", first);
  seq = 1;
  while (small.try_add(stored(seq, 1, before), clock)) ++seq;
  CHECK(small.size() <= kPacketMessages);
  StoredMessage other = stored(1000, 1, before);
  other.message.stream = "twins.other.state";
  BacklogPacket one("gw1", first);
  CHECK(one.try_add(first, clock));
  CHECK_FALSE(one.try_add(first, clock));
  CHECK_FALSE(one.try_add(other, clock));
}

TEST_CASE("a message is a replay once it is older than five seconds or of another boot") {
  test::StandingClock clock;
  StoredMessage message = stored(1, 10, clock.now());
  CHECK_FALSE(is_replay(message, clock));
  clock.advance(std::chrono::milliseconds{5001});
  CHECK(is_replay(message, clock));
  message = stored(1, 10, clock.now());
  message.this_boot = false;
  CHECK(is_replay(message, clock));
}

TEST_CASE("contiguous losses grow one range and far too many ranges are merged") {
  GapList list;
  for (std::uint64_t seq = 1; seq <= 100; ++seq) {
    list.add(
        {.stream = "s", .epoch = 3, .first_seq = seq, .last_seq = seq, .first_time = {}, .last_time = {}, .count = 1});
  }
  REQUIRE(list.gaps().size() == 1);
  CHECK(list.gaps().front().first_seq == 1);
  CHECK(list.gaps().front().last_seq == 100);
  CHECK(list.gaps().front().count == 100);
  const auto told = nlohmann::json::parse("{" + gap_members(list.gaps().front()) + "}");
  CHECK(told["stream"] == "s");
  CHECK(told["count"] == 100);
  CHECK(told["reason"] == "size");
  CHECK(told["first_time"].is_null());

  for (std::uint64_t seq = 1000; seq < 3000; seq += 2) {
    list.add(
        {.stream = "s", .epoch = 3, .first_seq = seq, .last_seq = seq, .first_time = {}, .last_time = {}, .count = 1});
  }
  CHECK(list.gaps().size() <= GapList::kMostRanges);
  std::uint64_t count = 0;
  for (const Gap& gap : list.gaps()) count += gap.count;
  CHECK(count == 1100);
}

TEST_CASE("a gap that nobody can name has null for what is unknown") {
  Gap gap;
  gap.reason = GapReason::corrupt;
  const auto told = nlohmann::json::parse("{" + gap_members(gap) + "}");
  for (const char* member : {"stream", "epoch", "first_seq", "last_seq", "first_time", "last_time", "count"}) {
    CAPTURE(member);
    CHECK(told[member].is_null());
  }
  CHECK(told["reason"] == "corrupt");
}
