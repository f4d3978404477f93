// A checkpoint: what a twin remembers, in a file, so that a restart of the service is no restart of the twin.
//
//   line 1   JSON: schema, version, twin, hashes of model and setup, the clocks at the newest step, states and inputs
//            with their units and values, the number of bytes that follow
//   then     the archive of the validator's tags and the twin run (base/archive.hpp)
//   last     CRC-32C of all before it, four bytes, the lowest first
//
// A file is replaced as a whole (base/durable_file.hpp).
// Errors: read_checkpoint: not_found, io, permission_denied; corrupt if the file is not whole. What another version
// has written is read as far as its line goes.
// Thread rule: free functions. Allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

struct CheckpointState {
  std::string name;
  std::string unit;
  double value = 0.0;  // x(k|k), absolute
  double std = 0.0;    // NaN: the model gives none
};

struct CheckpointInput {
  std::string name;
  std::string unit;
  double value = 0.0;  // that drove the newest step, absolute
};

struct CheckpointHeader {
  std::string twin;
  std::string model_name, model_hash;
  std::string setup_hash;  // app/plan.hpp
  std::string boot_id;
  base::Instant time;   // of the newest step, on the clock of that boot
  base::WallTime wall;  // the same
  bool clock_synchronised = false;
  std::int64_t tick = 0;  // the newest step, as the run counts
  std::string mode;
  std::vector<CheckpointState> states;
  std::vector<CheckpointInput> inputs;
};

struct Checkpoint {
  CheckpointHeader header;
  std::string other_schema;  // that another version writes, of whose archive nothing is known: it is empty
  std::vector<std::byte> archive;
};

// "<state directory>/checkpoints/<twin>.checkpoint"
[[nodiscard]] std::string checkpoint_file(const std::string& state_directory, const std::string& twin);

[[nodiscard]] std::string encode_checkpoint(const CheckpointHeader& header, std::span<const std::byte> archive);
[[nodiscard]] base::Result<Checkpoint> decode_checkpoint(std::string_view content);

[[nodiscard]] base::Result<Checkpoint> read_checkpoint(const std::string& file);
// Makes the folder if it is not there.
[[nodiscard]] base::Status write_checkpoint(const std::string& file, const std::string& content);

}  // namespace twinkeeper::app
