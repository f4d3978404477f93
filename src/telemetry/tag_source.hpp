// The members of a tag's source, the same in `anomaly` and in `info`.
#pragma once

#include "telemetry/description.hpp"
#include "telemetry/json_writer.hpp"

namespace twinkeeper::telemetry {

inline void write_tag_source(JsonWriter& writer, const TagSource& source) {
  writer.text("device", source.device);
  writer.text("controller", source.controller);
  writer.integer("slave_id", source.slave_id);
  writer.text("register", source.register_kind);
  writer.integer("address", source.address);
}

}  // namespace twinkeeper::telemetry
