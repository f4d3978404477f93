#include "uplink/revocation.hpp"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <sstream>

#include "base/durable_file.hpp"

namespace twinkeeper::uplink {
namespace {

void check_revocation(bool on) {
  X509_VERIFY_PARAM_table_cleanup();
  if (!on) return;
  X509_VERIFY_PARAM* parameters = X509_VERIFY_PARAM_new();
  // What OpenSSL's own entry of this name holds, and the flag.
  X509_VERIFY_PARAM_set1_name(parameters, "ssl_server");
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_trust(parameters, X509_TRUST_SSL_SERVER);
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK);
  if (X509_VERIFY_PARAM_add0_table(parameters) != 1) X509_VERIFY_PARAM_free(parameters);
}

base::Result<std::string> content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  if (!text) return base::Error(base::ErrorCode::io, path + " can't be read", true);
  return text.str();
}

}  // namespace

base::Result<std::string> trust_file(const UplinkSettings& settings) {
  check_revocation(!settings.crl.empty());
  if (settings.crl.empty()) return settings.root_ca;
  auto authorities = content_of(settings.root_ca);
  if (!authorities.ok()) return authorities;
  auto list = content_of(settings.crl);
  if (!list.ok()) return list;
  const std::string path = settings.state_directory + "/trust.pem";
  const std::string wanted = authorities.value() + "\n" + list.value();
  if (const auto present = content_of(path); present.ok() && present.value() == wanted) return path;
  if (const auto written = base::replace_file(path, wanted); !written.ok()) return written.error();
  return path;
}

}  // namespace twinkeeper::uplink
