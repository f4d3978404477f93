#include <thread>

#include "app/doctor.hpp"
#include "uplink/preflight.hpp"

namespace twinkeeper::app::doctor {
namespace {

std::string mend_of_server(const std::string& code, const uplink::UplinkSettings& uplink,
                           const uplink::Endpoint& endpoint) {
  const uplink::Endpoint& peer = uplink.proxy.value_or(endpoint);
  const std::string shown = "openssl s_client -connect " + endpoint.name() + " -servername " + endpoint.host;
  if (code == "name_not_resolved") {
    return "getent hosts " + peer.host + "; correct uplink." + (uplink.proxy ? "proxy" : "endpoint") +
           ", or the name server in /etc/resolv.conf";
  }
  if (code == "refused" || code == "timeout" || code == "unreachable" || code == "proxy_refused") {
    return "nc -vz " + peer.host + " " + std::to_string(peer.port) +
           "; is the port right and the broker up, and do firewall and route let it through?";
  }
  if (code == "not_tls") return "set uplink.endpoint to the broker's TLS port, mostly 8883";
  if (code == "wrong_host")
    return "set uplink.endpoint to a name of the certificate, or have one made for " + endpoint.host;
  if (code == "unknown_issuer") {
    return "put the authority that signed the broker's certificate into " + shell_quoted(uplink.root_ca) + "; " +
           shown + " shows who it is";
  }
  if (code == "client_certificate_refused") {
    return "have " + shell_quoted(uplink.cert) +
           " made by an authority that the broker trusts, or registered and active there";
  }
  if (code.rfind("crl_", 0) == 0)
    return "put the newest list of the broker certificate's issuer into " + shell_quoted(uplink.crl);
  if (code == "server_certificate_not_yet_valid") return "timedatectl set-ntp true";
  if (code.rfind("server_certificate_", 0) == 0)
    return "renew the broker's certificate; timedatectl shows whether the clock is right";
  return shown + " -CAfile " + shell_quoted(uplink.root_ca) + " -cert " + shell_quoted(uplink.cert) + " -key " +
         shell_quoted(uplink.key);
}

}  // namespace

Group examine_broker(const Plan& plan, base::Duration timeout) {
  Group group("broker");
  if (!plan.config.uplink) return group;
  const auto& uplink = *plan.config.uplink;
  std::vector<uplink::LinkFault> found(uplink.endpoints.size());
  {
    std::vector<std::jthread> askers;
    for (std::size_t i = 0; i < found.size(); ++i) {
      askers.emplace_back(
          [&uplink, &found, i, timeout] { found[i] = uplink::probe_server(uplink, uplink.endpoints[i], timeout); });
    }
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& endpoint = uplink.endpoints[i];
    if (found[i].code == "tls_works") {
      group.ok("broker", endpoint.name(),
               "TLS works both ways; CONNECT was not tried, it would end the service's session");
    } else {
      group.failure("broker", endpoint.name(), found[i].message, mend_of_server(found[i].code, uplink, endpoint),
                    kExitUnavailable, found[i].code);
    }
  }
  return group;
}

}  // namespace twinkeeper::app::doctor
