// Refuses revoked server certificates, with a library that has no switch for it.
//
// paho takes one file of trusted certificates and leaves everything else to OpenSSL. OpenSSL reads revocation lists from
// the same file, and every check of a TLS server's certificate starts from the parameters that the process has registered
// by the name of "ssl_server". So the authorities and the lists are put into one file, and the parameters demand that
// the issuer of the server's own certificate has an up-to-date list there; if there is one of each authority in root_ca,
// every issuer in the chain. This holds for each handshake itself, not before or after it: without a list that is asked
// for, with an expired one, or with a certificate on it there is no connection. A connection that stands ends when the
// file is replaced, like with every renewed file.
// Thread rule: no TLS handshake of the process may be under way in another thread.
#pragma once

#include <string>

#include "twinkeeper/base/result.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

// The revocation lists of a PEM file, written anew, and nothing else: a certificate among them would be trusted.
// Errors: io, corrupt (no list, one that can't be read, or a block that is none).
[[nodiscard]] base::Result<std::string> revocation_lists(const std::string& path);

// What is trusted: root_ca, or a file in memory that holds the lists of `crl` as well, as long as the object lives.
class TrustFile {
 public:
  // From then on revocation is checked by all TLS clients of the process if there is a list, and by none if there is not.
  // Errors: those of revocation_lists; internal if OpenSSL or the system can't (then nobody may connect).
  [[nodiscard]] static base::Result<TrustFile> open(const UplinkSettings& settings);
  ~TrustFile();
  TrustFile(TrustFile&& other) noexcept;
  TrustFile& operator=(TrustFile&&) = delete;
  TrustFile(const TrustFile&) = delete;
  TrustFile& operator=(const TrustFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TrustFile(int descriptor, std::string path);

  int descriptor_;  // -1: none of our own
  std::string path_;
};

}  // namespace twinkeeper::uplink
