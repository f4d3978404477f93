// What `provision` has made, noted beside the certificate, so that it and nothing else can be removed again.
//
// Thread rule: free functions. Waits for the disk.
#pragma once

#include <string>
#include <vector>

#include "uplink/settings.hpp"

namespace twinkeeper::app {

// What an attempt that was cut off is to go on with.
[[nodiscard]] std::string progress_of_provisioning(const uplink::UplinkSettings& settings);
// `file`: certificate or key. What can't be noted is left in its place later.
void note_provisioned(const uplink::UplinkSettings& settings, const std::string& file);
// Removes certificate and key, as far as they are noted, and both notes; what was removed.
std::vector<std::string> take_provisioned(const uplink::UplinkSettings& settings);

}  // namespace twinkeeper::app
