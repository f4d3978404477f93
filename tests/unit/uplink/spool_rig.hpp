// A spool in a folder of its own, on a clock that the test moves.
#pragma once

#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::test {

struct SpoolRig {
  TemporaryFolder folder;
  StandingClock clock;
  RememberingSink events;
  uplink::SpoolSettings settings;

  SpoolRig() { settings.directory = folder.path(); }
  uplink::Spool open(const std::string& boot = "boot-1") {
    auto opened = uplink::Spool::open(settings, "gw1", clock, boot, events);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
};

}  // namespace twinkeeper::test
