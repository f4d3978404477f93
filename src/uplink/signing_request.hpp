// The gateway's own key and the request for a certificate over it. The key is made here and never leaves.
// Errors: not_found, permission_denied, io, invalid_argument (not a private key). Thread rule: free functions.
// Source: RFC 2986 (PKCS #10), RFC 5480 (P-256).
#pragma once

#include <string>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::uplink {

// A new P-256 key at `file` (wrapped by a TPM if OpenSSL is configured to prefer its provider), mode 0600, durable when
// this returns. Fails if there is a file already.
[[nodiscard]] base::Status make_private_key(const std::string& file);
// PEM, signed by the key in `key_file`.
[[nodiscard]] base::Result<std::string> signing_request(const std::string& key_file, const std::string& common_name);
// Whether the first certificate of the text is for the key in the file.
[[nodiscard]] base::Result<bool> is_for_key(const std::string& certificate_pem, const std::string& key_file);

// As long as it lives, keys of files are used in software, unless the one in `key_file` is in a TPM: where OpenSSL's
// configuration prefers a TPM (`?provider=tpm2`), a key that it does not hold fails there.
// Thread rule: nothing of the process may sign in another thread while it is made or goes.
class KeysInSoftware {
 public:
  explicit KeysInSoftware(const std::string& key_file);
  ~KeysInSoftware();
  KeysInSoftware(const KeysInSoftware&) = delete;
  KeysInSoftware& operator=(const KeysInSoftware&) = delete;

 private:
  std::string before_;  // the default properties; empty: nothing was changed
};

}  // namespace twinkeeper::uplink
