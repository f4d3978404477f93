// What a person writes after --fault, and the names it may use.
//
//   disturbance:TWIN.STATE@T+D=V   V in the state's unit per second is added to that state's derivative (a leak: V < 0)
//   stuck:TAG@T+D                  the register's raw words freeze as they are at T
//   bias:TAG@T+D=V                 V in the tag's unit is added to the served value
//   drift:TAG@T+D=V                V · (t − T) is added to it, V in the tag's unit per second; gone after T + D
//   noise:TAG@T+D=F                the tag is a twin's output: its noise has F ≥ 0 times its own standard deviation
//   dropout:DEVICE@T+D             the device stops answering
//   parameter:TWIN.NAME@T=V        from T on the plant of a template has this parameter, V in its unit and within the
//                                  limits of the augmented state that it may be; not with foh or parts of a step of
//                                  dead time, with which the plant is run by matrices alone
//
// T ≥ 0 and D > 0 in seconds from the start of the simulation; a fault acts while T ≤ t < T + D.
// Errors (invalid_argument) name the whole spec, what is wrong with it and what is accepted; for an unknown name the
// known ones are listed.
// Thread rule: free functions.
#pragma once

#include <string>
#include <string_view>

#include "simulation/settings.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::simulation {

// `settings` gives the names: its devices and twins must be filled in already.
[[nodiscard]] base::Result<Fault> parse_fault(std::string_view spec, const Settings& settings);

}  // namespace twinkeeper::simulation
