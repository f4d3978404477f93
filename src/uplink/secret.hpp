// A secret in a file: its first line. Errors name the file, never its content. Thread rule: free of state.
#pragma once

#include <fstream>
#include <string>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::uplink {

[[nodiscard]] inline base::Result<std::string> read_secret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  if (!file || !std::getline(file, line)) {
    return base::Error(base::ErrorCode::not_found, path + " holds no line of text, or can't be read", true);
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

// A key that a TPM has wrapped (tpm2-openssl): of no use unless OpenSSL knows that provider.
[[nodiscard]] inline bool is_in_tpm(const std::string& key_file) {
  const auto line = read_secret(key_file);
  return line.ok() && line.value() == "-----BEGIN TSS2 PRIVATE KEY-----";
}
constexpr const char* kTpmHint = "it is in a TPM, which OPENSSL_CONF and TPM2OPENSSL_TCTI must name";

}  // namespace twinkeeper::uplink
