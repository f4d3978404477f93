// The results of a replay as CSV, one file per kind. Numbers are the shortest that read back to the same double; what
// is absent is an empty cell.
//
//   steps    time,step,mode,regime, x.<state>,sd.<state> …, u.<input> …, y.<output>,yhat.<output>,nu.<output>,
//            fused.<output>,q.<output> …, nis,nis_dof,anomaly: one row per step given. y is there only where it was
//            measured in this step; `anomaly` is 1 while an anomaly of the twin stands.
//   samples  time,monotonic_ns,tag,value,raw,quality,reason: one row per sample, before validation
// Errors: not_found, permission_denied, io of open(); io of close(), which writes what is left.
// Thread rule: one thread. Allocation: none per step once the buffers have grown.
#pragma once

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "app/plan.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::app {

class CsvFile {
 public:
  [[nodiscard]] static base::Result<CsvFile> open(const std::string& file);
  [[nodiscard]] base::Status close();
  void row(std::string_view line);
  void flush();                                            // what was written so far can be read by others
  [[nodiscard]] bool good() const { return out_.good(); }  // all that was flushed was written

 private:
  CsvFile(std::string name, std::ofstream out) : name_(std::move(name)), out_(std::move(out)) {}
  std::string name_;
  std::ofstream out_;
  std::string buffer_;
};

// Whether writing `output` would destroy `input`.
[[nodiscard]] bool is_same_file(const std::string& output, const std::string& input);

// The shortest text that reads back to the same double; nothing for NaN.
void append_shortest(std::string& out, double value);

[[nodiscard]] std::string step_header(const model::StateSpace& model);
// Replaces the content of `line`. `time` is written as it is.
void write_step(std::string& line, std::string_view time, std::int64_t step, const estimation::TwinStep& content,
                std::string_view regime, bool anomaly);

class SampleTable {
 public:
  explicit SampleTable(const Plan& plan) : names_(tag_names(plan.config)) {}
  [[nodiscard]] static std::string header() { return "time,monotonic_ns,tag,value,raw,quality,reason"; }
  [[nodiscard]] std::string row(const signals::Sample& sample, base::WallTime time) const;

 private:
  const std::vector<std::string> names_;
};

}  // namespace twinkeeper::app
