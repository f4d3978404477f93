// The members of a tag's source, the same in `anomaly` and in `info`.
#pragma once

#include "telemetry/description.hpp"
#include "telemetry/json_writer.hpp"

namespace twinkeeper::telemetry {

// Where in the device; what a LINE tag does not have is null.
inline void write_place(JsonWriter& writer, const TagSource& source) {
  if (source.group.empty()) {
    writer.integer("slave_id", source.slave_id);
    writer.text("register", source.register_kind);
    writer.integer("address", source.address);
    return;
  }
  for (const char* absent : {"slave_id", "register", "address"}) writer.null(absent);
  writer.text("group", source.group);
}

inline void write_tag_source(JsonWriter& writer, const TagSource& source) {
  writer.text("device", source.device);
  writer.text("controller", source.controller);
  write_place(writer, source);
}

}  // namespace twinkeeper::telemetry
