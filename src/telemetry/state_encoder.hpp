// One step of a twin as a `state` message, nested or flat.
//
//   nested  twinkeeper.state/1       states, inputs, outputs as objects by name
//   flat    twinkeeper.state_flat/1  v: {x_<state>, sd_<state>, u_<input>, y_<output>, yhat_<output>, nu_<output>} and
//                                    bad: {<input or output>: reason}
//
// Numbers without a value (NaN in the step) are null. A value that is not good always has a reason: `stale` if the step
// names none. Models with ranges of validity tell `valid` and, in `outside`, the names of the signals that are not
// within theirs. A virtual output carries "virtual":true and does not appear in `bad`, since nothing is wrong with it.
// Errors: none. The step must have the shape of the description, otherwise the process aborts (a broken invariant).
// Thread rule: one thread. Allocation: none once `out` has held a message of this twin; all fixed text is prepared.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "telemetry/description.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

// The anomalies of the twin that stand while the step is published.
struct AnomalySummary {
  std::vector<std::string> active;                           // ids, acknowledged ones included
  std::vector<std::string> shelved;                          // ids
  diagnosis::Priority priority = diagnosis::Priority::none;  // the highest of the active ones
};

class StateEncoder {
 public:
  StateEncoder(const TwinDescription& twin, int digits, StateLayout layout);

  void encode(const estimation::TwinStep& step, const AnomalySummary& anomalies, signals::Message& out) const;

 private:
  struct SignalText {  // what stands before the signal's numbers, and after them
    std::string before;
    std::string after;
    bool is_virtual = false;
  };
  struct FlatText {  // keys with their quotes and colon
    std::vector<std::string> x, sd, u, y, yhat, nu;
    std::vector<std::string> bad_inputs, bad_outputs;
    std::vector<std::optional<std::size_t>> same_named_input;  // of each output
  };

  void prepare_nested(const TwinDescription& twin);
  void prepare_flat(const TwinDescription& twin);
  void append_validity(const estimation::TwinStep& step, std::string& out) const;
  void append_nested(const estimation::TwinStep& step, std::string& out) const;
  void append_flat(const estimation::TwinStep& step, std::string& out) const;

  int digits_;
  StateLayout layout_;
  std::string stream_;
  std::string head_;  // up to the step's number
  std::string model_;
  std::vector<std::string> regimes_;                       // as JSON
  std::vector<std::string> valid_inputs_, valid_outputs_;  // names as JSON
  bool has_validity_ = false;
  std::vector<SignalText> states_, inputs_, outputs_;
  FlatText flat_;
};

}  // namespace twinkeeper::telemetry
