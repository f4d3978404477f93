// Says in one sentence what is wrong with the certificate files or the server, where the MQTT library says only that
// connecting failed.
//
// Codes: ca_missing ca_invalid certificate_missing certificate_invalid certificate_expired certificate_not_yet_valid
// certificate_chain key_missing key_invalid key_mismatch key_permissions crl_missing crl_invalid crl_expired
// password_missing password_permissions clock_not_set; from the server
// name_not_resolved unreachable refused timeout not_tls unknown_issuer wrong_host server_certificate_expired
// server_certificate_not_yet_valid server_certificate_invalid client_certificate_refused tls_failed tls_works
// server_certificate_revoked crl_of_another proxy_refused.
// Thread rule: free of state; probe_server blocks for `timeout` at most, plus the resolver's own limit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

struct LinkFault {
  std::string code;
  std::string message;
  bool fatal = true;  // false: connecting may still work (an expired certificate while the clock may be wrong)
};

// Every fault of the files named in `settings`, the most basic first; empty: all is well.
[[nodiscard]] std::vector<LinkFault> check_certificates(const UplinkSettings& settings, base::WallTime now);

struct Expiry {
  base::WallTime at;
  std::string subject;  // "CN=Plant Root CA,O=Plant" (RFC 2253), printable ASCII, cut at 200 bytes
};

// Of the first certificate in a PEM file: of a chain, the gateway's own.
[[nodiscard]] base::Result<Expiry> certificate_expiry(const std::string& path);
// Of the certificate in a PEM file that ends first: of authorities, each may be the one that the broker's hangs on.
[[nodiscard]] base::Result<Expiry> first_expiry(const std::string& path);

// The earliest nextUpdate of the lists in a PEM file; absent if none has one. Errors: those of revocation_lists.
[[nodiscard]] base::Result<std::optional<base::WallTime>> crl_expiry(const std::string& path);

// Connects, shakes hands with the client certificate, and says why that fails; code `tls_works` if it does not fail.
[[nodiscard]] LinkFault probe_server(const UplinkSettings& settings, const Endpoint& endpoint, base::Duration timeout);

}  // namespace twinkeeper::uplink
