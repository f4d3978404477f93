// Refuses revoked server certificates, with a library that has no switch for it.
//
// paho takes one file of trusted certificates and leaves everything else to OpenSSL. OpenSSL reads revocation lists from
// the same file, and every check of a TLS server's certificate starts from the parameters that the process has registered
// by the name of "ssl_server". So the authorities and the list are written into one file, and the parameters demand that
// the issuer of the server's own certificate has an up-to-date list there. This holds for each handshake itself, not
// before or after it: without a list of the issuer, with an expired one, or with the certificate on it there is no
// connection. A connection that stands ends when the file is replaced, like with every renewed file.
// Thread rule: no TLS handshake of the process may be under way in another thread.
#pragma once

#include <string>

#include "twinkeeper/base/result.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

// The file with what is trusted: root_ca, or a file in the state directory that holds the list of `crl` as well. From then
// on revocation is checked by all TLS clients of the process if there is such a list, and by none if there is not.
[[nodiscard]] base::Result<std::string> trust_file(const UplinkSettings& settings);

}  // namespace twinkeeper::uplink
