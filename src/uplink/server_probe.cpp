#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "twinkeeper/base/timestamp.hpp"
#include "uplink/owned.hpp"
#include "uplink/preflight.hpp"
#include "uplink/proxy_tunnel.hpp"
#include "uplink/revocation.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kVerdictWithin = std::chrono::milliseconds{1500};

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// A peer that hangs up while we write must not end the process, whoever calls.
class PipeSignalBlocked {
 public:
  PipeSignalBlocked() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~PipeSignalBlocked() {
    const timespec none{};
    if (sigismember(&before_, SIGPIPE) == 0) {
      while (sigtimedwait(&pipe_, nullptr, &none) > 0) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  PipeSignalBlocked(const PipeSignalBlocked&) = delete;
  PipeSignalBlocked& operator=(const PipeSignalBlocked&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

bool ready_for(int descriptor, short events, base::Instant deadline) {
  const base::SystemClock clock;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.now()).count();
    if (left <= 0) return false;
    pollfd entry{descriptor, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

LinkFault unreachable(const std::string& server, int number) {
  if (number == ECONNREFUSED) return {"refused", server + " refused the connection: nobody listens there"};
  if (number == ETIMEDOUT) return {"timeout", server + " does not answer"};
  return {"unreachable", server + " can't be reached: " + std::strerror(number)};
}

// A connected descriptor, or the reason why there is none.
int connect_to(const Endpoint& endpoint, const std::string& server, base::Instant deadline, LinkFault& fault) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(endpoint.port);
  const int code = ::getaddrinfo(endpoint.host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) {
    fault = {"name_not_resolved", "the name " + endpoint.host + " can't be resolved: " + ::gai_strerror(code)};
    return -1;
  }
  const Owned<addrinfo, ::freeaddrinfo> addresses(found);
  int number = EHOSTUNREACH;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    const int descriptor = ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
      number = errno;
      continue;
    }
    if (::connect(descriptor, address->ai_addr, address->ai_addrlen) == 0) return descriptor;
    number = errno;
    if (number == EINPROGRESS) {
      if (ready_for(descriptor, POLLOUT, deadline)) {
        socklen_t size = sizeof number;
        ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size);
        if (number == 0) return descriptor;
      } else {
        number = ETIMEDOUT;
      }
    }
    ::close(descriptor);
  }
  fault = unreachable(server, number);
  return -1;
}

std::string names_of(X509* certificate) {
  std::string names;
  auto* alternatives =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; alternatives != nullptr && i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type != GEN_DNS) continue;
    if (!names.empty()) names += ", ";
    names.append(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                 static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  GENERAL_NAMES_free(alternatives);
  for (char& c : names) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  }
  return names.substr(0, 200);
}

std::string end_of(X509* certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return "an unreadable date";
  const base::WallTime time{std::chrono::seconds{::timegm(&parts)}};
  return base::format_rfc3339(time).substr(0, 10);
}

// The certificate at which the verification failed.
struct Judged {
  Owned<X509, X509_free> certificate;
  int depth = 0;  // 0: the server's own
};

// A handshake that fails leaves no peer certificate behind, so the verification keeps the one it looks at.
int keep_certificate(int good, X509_STORE_CTX* store) {
  auto* connection = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* kept = static_cast<Judged*>(SSL_get_app_data(connection));
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  if (good == 0 && certificate != nullptr && X509_up_ref(certificate) == 1) {
    kept->certificate.reset(certificate);
    kept->depth = X509_STORE_CTX_get_error_depth(store);
  }
  return good;
}

LinkFault judge(const UplinkSettings& settings, const Endpoint& endpoint, const std::string& server,
                const Judged& judged, long verdict) {
  X509* const certificate = judged.certificate.get();
  const std::string which =
      (judged.depth > 0 ? "an authority in the chain of " : "the server certificate of ") + server;
  switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      const std::string names = certificate != nullptr ? names_of(certificate) : std::string{};
      return {"wrong_host", "the certificate of " + server + " is not valid for host name " + endpoint.host +
                                (names.empty() ? std::string{} : " (it is for " + names + ")")};
    }
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return {"server_certificate_expired",
              which + " has expired" + (certificate != nullptr ? " on " + end_of(certificate) : std::string{}) +
                  ", or the clock is wrong"};
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {"server_certificate_not_yet_valid", which + " is not valid yet; is the clock right?"};
    case X509_V_ERR_CERT_REVOKED:
      return {"server_certificate_revoked", which + " is revoked, says crl " + settings.crl};
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return {"crl_expired", "crl " + settings.crl + " is out of date, so that " + server + " can't be judged by it"};
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return {"crl_of_another", "crl " + settings.crl + " holds no list of the issuer of " + which};
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return {"unknown_issuer",
              "the certificate of " + server + " is not signed by an authority in root_ca " + settings.root_ca};
    default:
      return {"server_certificate_invalid",
              "the certificate of " + server + " can't be accepted: " + X509_verify_cert_error_string(verdict)};
  }
}

bool about_our_certificate(int reason) {
  switch (reason) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return true;
    default: return false;
  }
}

LinkFault explain_failure(const UplinkSettings& settings, const std::string& server, int number) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const int reason = ERR_GET_REASON(code);
  const char* text = ERR_reason_error_string(code);
  if (code != 0 && about_our_certificate(reason)) {
    return {"client_certificate_refused",
            server + " refused the certificate " + settings.cert + " (" + (text == nullptr ? "no reason" : text) + ")"};
  }
  if (code != 0 && (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_UNKNOWN_PROTOCOL ||
                    reason == SSL_R_PACKET_LENGTH_TOO_LONG || reason == SSL_R_HTTP_REQUEST)) {
    return {"not_tls", server + " does not speak TLS"};
  }
  if (code == 0 || text == nullptr) {
    return {"tls_failed", server + " closed the connection during the TLS handshake" +
                              (number == 0 ? std::string{} : std::string(" (") + std::strerror(number) + ")")};
  }
  return {"tls_failed", "the TLS handshake with " + server + " failed: " + text};
}

}  // namespace

LinkFault probe_server(const UplinkSettings& settings, const Endpoint& endpoint, base::Duration timeout) {
  const PipeSignalBlocked blocked;
  const base::SystemClock clock;
  const base::Instant deadline = clock.now() + timeout;
  const std::string server = endpoint.name();
  LinkFault fault;
  const Endpoint& peer = settings.proxy.value_or(endpoint);
  const Socket socket(connect_to(peer, settings.proxy ? "proxy " + peer.name() : server, deadline, fault));
  if (socket.descriptor() < 0) return fault;
  if (settings.proxy) {
    if (const auto refusal = open_tunnel(socket.descriptor(), server, deadline)) {
      return {"proxy_refused", "proxy " + peer.name() + " opens no tunnel to " + server + ": " + *refusal};
    }
  }

  const auto trusted = TrustFile::open(settings);
  if (!trusted.ok()) return {"tls_failed", "the certificate files can't be loaded: " + trusted.error().message()};
  ERR_clear_error();
  const Owned<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_load_verify_locations(context.get(), trusted.value().path().c_str(), nullptr) != 1 ||
      SSL_CTX_use_certificate_chain_file(context.get(), settings.cert.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), settings.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    ERR_clear_error();
    return {"tls_failed", "the certificate files can't be loaded"};
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, keep_certificate);
  Judged judged;
  const Owned<SSL, SSL_free> connection(SSL_new(context.get()));
  SSL_set_app_data(connection.get(), &judged);
  X509_VERIFY_PARAM* parameters = SSL_get0_param(connection.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(parameters, endpoint.host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(parameters, endpoint.host.c_str(), 0);
    SSL_set_tlsext_host_name(connection.get(), endpoint.host.c_str());
  }
  ERR_clear_error();
  SSL_set_fd(connection.get(), socket.descriptor());

  const auto wants = [&](int result) -> short {
    const int error = SSL_get_error(connection.get(), result);
    return error == SSL_ERROR_WANT_READ ? POLLIN : error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
  };
  int result = 0;
  while ((result = SSL_connect(connection.get())) != 1) {
    const int number = errno;
    const short events = wants(result);
    if (events != 0) {
      if (ready_for(socket.descriptor(), events, deadline)) continue;
      return {"timeout", server + " accepted the connection but did not answer the TLS handshake"};
    }
    const long verdict = SSL_get_verify_result(connection.get());
    if (verdict != X509_V_OK) return judge(settings, endpoint, server, judged, verdict);
    return explain_failure(settings, server, number);
  }
  // With TLS 1.3 the server judges our certificate only after our side of the handshake is complete.
  const base::Instant verdict_by = std::min(deadline, clock.now() + kVerdictWithin);
  char byte = 0;
  while ((result = SSL_peek(connection.get(), &byte, 1)) <= 0) {
    const int number = errno;
    const short events = wants(result);
    if (events == 0) return explain_failure(settings, server, number);
    if (!ready_for(socket.descriptor(), events, verdict_by)) break;
  }
  return {"tls_works", "TLS with " + server + " works"};
}

}  // namespace twinkeeper::uplink
