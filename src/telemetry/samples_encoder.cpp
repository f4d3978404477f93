#include "telemetry/samples_encoder.hpp"

#include <cstdlib>
#include <utility>

#include "telemetry/json_writer.hpp"

namespace twinkeeper::telemetry {
SamplesEncoder::SamplesEncoder(const DeviceDescription& device, ToWall to_wall)
    : to_wall_(std::move(to_wall)),
      interval_(device.publish_interval.value_or(base::Duration::max())),
      stream_("devices." + device.name + ".samples") {
  JsonWriter(head_).text("device", device.name);
  for (const RegisterDescription& description : device.registers) {
    if (!description.publish) continue;
    Register entry{{}, description.scaled};
    append_string(entry.key, description.name);
    entry.key += ':';
    registers_.push_back(std::move(entry));
  }
}

void SamplesEncoder::encode(const signals::DeviceSnapshot& snapshot, signals::Message& out) const {
  if (snapshot.tags.size() != registers_.size()) std::abort();
  out.stream = stream_;
  out.schema = "twinkeeper.samples/1";
  out.message_class = signals::MessageClass::samples;
  out.time = snapshot.last;
  out.retain = false;
  std::string& text = out.members;
  text = head_;
  JsonWriter writer(text);
  writer.timestamp("first", to_wall_(snapshot.first));

  const auto each = [&](auto&& visit) {
    for (std::size_t i = 0; i < registers_.size(); ++i) visit(registers_[i], snapshot.tags[i]);
  };
  const auto write_key = [&](const Register& entry) {
    writer.comma();
    text += entry.key;
  };
  // NaN with good quality can only come from the device itself.
  const auto has_value = [](const Register& entry, const signals::Sample& sample) {
    if (sample.quality == signals::Quality::bad || sample.raw.kind == signals::RawKind::none) return false;
    if (sample.raw.kind == signals::RawKind::text) return true;
    const bool real = sample.raw.kind >= signals::RawKind::float16;
    return std::isfinite(entry.scaled || !real ? sample.value : sample.raw.real);
  };

  writer.open_object("tags");
  each([&](const Register& entry, const signals::TagSnapshot& tag) {
    write_key(entry);
    if (has_value(entry, tag.last)) {
      append_register_value(text, tag.last.raw, tag.last.value, entry.scaled);
    } else {
      text += "null";
    }
  });
  writer.close_object();

  bool any_uncertain = false;
  writer.open_object("bad");
  each([&](const Register& entry, const signals::TagSnapshot& tag) {
    if (has_value(entry, tag.last)) {
      any_uncertain = any_uncertain || tag.last.quality == signals::Quality::uncertain;
      return;
    }
    write_key(entry);
    const bool unusable = tag.last.quality != signals::Quality::bad && tag.last.raw.kind != signals::RawKind::none;
    text += '"';
    text += unusable ? signals::to_string(signals::Reason::not_finite) : reason_text(tag.last.reason);
    text += '"';
  });
  writer.close_object();

  if (any_uncertain) {
    writer.open_object("uncertain");
    each([&](const Register& entry, const signals::TagSnapshot& tag) {
      if (tag.last.quality != signals::Quality::uncertain || !has_value(entry, tag.last)) return;
      write_key(entry);
      text += '"';
      text += reason_text(tag.last.reason);
      text += '"';
    });
    writer.close_object();
  }

  writer.open_object("age_ms");
  each([&](const Register& entry, const signals::TagSnapshot& tag) {
    if (tag.age <= interval_) return;
    write_key(entry);
    append_integer(text, std::chrono::floor<std::chrono::milliseconds>(tag.age).count());
  });
  writer.close_object();
}

}  // namespace twinkeeper::telemetry
