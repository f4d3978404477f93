// The true states as CSV: time[s] (Unix seconds of the wall clock, 6 decimals), then <twin>.<state>[unit] for every
// twin in order. Values are the shortest that read back to the same double; cells of twins that have nothing to tell
// are empty. Flushed at least once a second of the time that is written.
// Errors: open() not_found, permission_denied, io; write() io, after which nothing more is written.
// Thread rule: one thread.
#pragma once

#include <Eigen/Core>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "simulation/settings.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::simulation {

class TruthWriter {
 public:
  [[nodiscard]] static base::Result<TruthWriter> open(const std::string& file, const std::vector<TwinSettings>& twins);

  // `states`: one per twin, nullptr for one that does not step at this instant.
  [[nodiscard]] base::Status write(base::WallTime time, const std::vector<const Eigen::VectorXd*>& states);
  [[nodiscard]] base::Status flush();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  TruthWriter(std::string name, std::FILE* file, std::vector<std::size_t> counts);
  [[nodiscard]] base::Status put();

  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<std::size_t> counts_;  // states per twin
  std::string line_;
  base::WallTime flushed_{};
};

}  // namespace twinkeeper::simulation
