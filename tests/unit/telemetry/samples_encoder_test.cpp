#include "telemetry/samples_encoder.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "unit/telemetry/allocation_counter.hpp"
#include "unit/telemetry/example_messages.hpp"

using namespace twinkeeper;
using namespace twinkeeper::telemetry;
using nlohmann::json;

namespace {

json encoded(const signals::DeviceSnapshot& snapshot) {
  signals::Message message;
  SamplesEncoder(example::device(), example::to_wall).encode(snapshot, message);
  return json::parse("{" + message.members + "}");
}

}  // namespace

TEST_CASE("samples carry the time of the newest sample and name that of the oldest") {
  signals::Message message;
  SamplesEncoder(example::device(), example::to_wall).encode(example::snapshot(), message);
  CHECK(message.stream == "devices.tank_plc.samples");
  CHECK(message.schema == "twinkeeper.samples/1");
  CHECK(message.message_class == signals::MessageClass::samples);
  CHECK(message.time == example::snapshot().last);
  CHECK(json::parse("{" + message.members + "}").at("first") == "2026-03-01T08:01:37.800Z");
}

TEST_CASE("samples list every published register and no other") {
  const json samples = encoded(example::snapshot());
  CHECK(samples.at("tags") == json{{"level_1", 0.1253},
                                   {"level_2", nullptr},
                                   {"pump_voltage", 3.02},
                                   {"pump_on", 1},
                                   {"serial_number", "TK-00417"}});
  CHECK(samples.at("bad") == json{{"level_2", "stuck"}});
  CHECK(samples.at("age_ms") == json{{"pump_on", 2540}});
  CHECK_FALSE(samples.contains("uncertain"));
}

TEST_CASE("samples of a register never read are null and stale without an age") {
  signals::DeviceSnapshot snapshot = example::snapshot();
  snapshot.tags[0] = {};
  const json samples = encoded(snapshot);
  CHECK(samples.at("tags").at("level_1").is_null());
  CHECK(samples.at("bad").at("level_1") == "stale");
  CHECK_FALSE(samples.at("age_ms").contains("level_1"));
}

TEST_CASE("samples keep an uncertain value and say so") {
  signals::DeviceSnapshot snapshot = example::snapshot();
  snapshot.tags[0].last.quality = signals::Quality::uncertain;
  snapshot.tags[0].last.reason = signals::Reason::stale;
  const json samples = encoded(snapshot);
  CHECK(samples.at("tags").at("level_1") == 0.1253);
  CHECK(samples.at("uncertain") == json{{"level_1", "stale"}});
  CHECK_FALSE(samples.at("bad").contains("level_1"));
}

TEST_CASE("samples never write a number that JSON cannot hold") {
  signals::DeviceSnapshot snapshot = example::snapshot();
  snapshot.tags[0].last.raw.real = std::numeric_limits<double>::infinity();
  snapshot.tags[2].last.value = std::numeric_limits<double>::quiet_NaN();
  const json samples = encoded(snapshot);
  CHECK(samples.at("tags").at("level_1").is_null());
  CHECK(samples.at("tags").at("pump_voltage").is_null());
  CHECK(samples.at("bad") == json{{"level_1", "not_finite"}, {"level_2", "stuck"}, {"pump_voltage", "not_finite"}});
}

TEST_CASE("a value exactly one interval old has no age") {
  signals::DeviceSnapshot snapshot = example::snapshot();
  snapshot.tags[0].age = std::chrono::seconds{1};
  snapshot.tags[2].age = std::chrono::milliseconds{1001};
  const json samples = encoded(snapshot);
  CHECK_FALSE(samples.at("age_ms").contains("level_1"));
  CHECK(samples.at("age_ms").at("pump_voltage") == 1001);
}

TEST_CASE("encoding samples allocates nothing once its message has been used") {
  const SamplesEncoder encoder(example::device(), example::to_wall);
  const signals::DeviceSnapshot snapshot = example::snapshot();
  signals::Message message;
  encoder.encode(snapshot, message);
  const std::uint64_t before = allocations();
  for (int i = 0; i < 100; ++i) encoder.encode(snapshot, message);
  CHECK(allocations() == before);
}
