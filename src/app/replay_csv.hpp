// The results of a replay as CSV, one file per kind. Numbers are the shortest that read back to the same double; what
// is absent is an empty cell.
//
//   steps    time,step,mode,regime, x.<state>,sd.<state> …, u.<input> …, y.<output>,yhat.<output>,nu.<output>,
//            fused.<output>,q.<output> …, nis,nis_dof,anomaly: one row per step given. `anomaly` is 1 from the row at
//            which an anomaly of kind sensor, process or model is raised until the row at which it clears.
//   samples  time,monotonic_ns,tag,value,raw,quality,reason: one row per sample, before validation
// Errors: not_found, permission_denied, io of open(); io of close(), which writes what is left.
// Thread rule: one thread. Allocates.
#pragma once

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

class CsvFile {
 public:
  [[nodiscard]] static base::Result<CsvFile> open(const std::string& file);
  [[nodiscard]] base::Status close();
  void row(const std::string& line) { out_ << line << '\n'; }

 private:
  CsvFile(std::string name, std::ofstream out) : name_(std::move(name)), out_(std::move(out)) {}
  std::string name_;
  std::ofstream out_;
};

class StepTable {
 public:
  StepTable(const Plan& plan, std::size_t twin) : plan_(plan), twin_(twin) {}
  [[nodiscard]] std::string header() const;
  void take(const diagnosis::AnomalyEvent& event);
  [[nodiscard]] std::string row(const estimation::TwinStep& step, base::WallTime time) const;

 private:
  const Plan& plan_;
  const std::size_t twin_;
  std::set<std::string> raised_;
};

class SampleTable {
 public:
  explicit SampleTable(const Plan& plan) : names_(tag_names(plan.config)) {}
  [[nodiscard]] static std::string header() { return "time,monotonic_ns,tag,value,raw,quality,reason"; }
  [[nodiscard]] std::string row(const signals::Sample& sample, base::WallTime time) const;

 private:
  const std::vector<std::string> names_;
};

}  // namespace twinkeeper::app
