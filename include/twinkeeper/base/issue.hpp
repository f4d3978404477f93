// One fault in something a person wrote (configuration, model, argument), found by any layer.
//
// A layer that checks values knows their path but not the file they came from; the config layer turns a path into
// file, line and column. All issues are collected and reported together.
#pragma once

#include <string>
#include <vector>

namespace twinkeeper::base {

struct Issue {
  std::string path;      // e.g. "model.noise.Q" or "devices[0].registers[2].address"
  std::string what;      // what is wrong, with the offending value
  std::string accepted;  // what would be accepted
};

using Issues = std::vector<Issue>;

}  // namespace twinkeeper::base
