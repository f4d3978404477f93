// What a twin expects under inputs to come, from the state it has now on: the content of the answer to `what-if`.
//
// Bounded: kMostForecastSteps, and the time that they take (steps · n³), beyond which the question is refused; an answer
// has at most kMostForecastBytes, for which points are left out evenly. The first point told is one stride from now, the
// last is the horizon's or at most one stride before it.
// Thread rule: free functions, of any thread. Allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "telemetry/command.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

inline constexpr std::int64_t kMostForecastSteps = 100'000;
inline constexpr double kMostForecastWork = 1e9;  // steps · n³, n at least 10
inline constexpr std::size_t kMostForecastBytes = 100'000;

// Why the question can't be answered; empty: it can. `twin` is its place in the plan.
[[nodiscard]] std::string what_if_objection(const Plan& plan, std::size_t twin,
                                            const telemetry::CommandArguments& asked);

// JSON members. Errors: invalid_argument if the twin does not know its state yet.
[[nodiscard]] base::Result<std::string> what_if(const Plan& plan, std::size_t twin, const CheckpointRecord& record,
                                                const telemetry::CommandArguments& asked, const base::Clock& clock);

}  // namespace twinkeeper::app
