#include "uplink/preflight.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <utility>

#include "twinkeeper/base/private_file.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/owned.hpp"
#include "uplink/revocation.hpp"
#include "uplink/secret.hpp"

namespace twinkeeper::uplink {
namespace {

using Certificate = Owned<X509, X509_free>;
using RevocationList = Owned<X509_CRL, X509_CRL_free>;
using Context = Owned<SSL_CTX, SSL_CTX_free>;
using File = Owned<std::FILE, std::fclose>;

constexpr std::int64_t kFarOff = 9'000'000'000;  // s: the year 2255

// "2026-03-01 08:15:30 UTC"
std::string date(base::WallTime time) {
  std::string text = base::format_rfc3339(time).substr(0, 19);
  text[10] = ' ';
  return text + " UTC";
}

std::optional<base::WallTime> time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  // 9999-12-31 is the word for "never" (RFC 5280), and beyond what a WallTime holds.
  return base::WallTime{std::chrono::seconds{std::clamp<std::int64_t>(::timegm(&parts), -kFarOff, kFarOff)}};
}

std::string ssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "not PEM" : reason;
}

// The fault of a file that can't be opened, or nothing.
std::optional<LinkFault> unreadable(const std::string& path, const char* what, const char* code) {
  if (path.empty()) return LinkFault{code, std::string(what) + " is not configured"};
  const File file(std::fopen(path.c_str(), "re"));
  if (!file) return LinkFault{code, std::string(what) + " " + path + " can't be read: " + std::strerror(errno)};
  struct stat status {};
  if (::fstat(::fileno(file.get()), &status) != 0 || !S_ISREG(status.st_mode)) {
    return LinkFault{code, std::string(what) + " " + path + " is not a regular file"};
  }
  return std::nullopt;
}

Certificate read_certificate(const std::string& path) {
  const File file(std::fopen(path.c_str(), "re"));
  return Certificate(file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
}

void check_validity(const UplinkSettings& settings, X509* certificate, base::WallTime now,
                    std::vector<LinkFault>& faults) {
  const auto from = time_of(X509_get0_notBefore(certificate));
  const auto to = time_of(X509_get0_notAfter(certificate));
  if (now < base::kClockIsSet) {
    faults.push_back({"clock_not_set",
                      "the clock is not set (" + date(now) + "): no certificate can be judged, connecting may fail",
                      false});
  } else if (to && *to < now) {
    // Worth a try all the same: the clock may be wrong and the broker's right.
    faults.push_back({"certificate_expired", "certificate " + settings.cert + " has expired on " + date(*to), false});
  } else if (from && now < *from) {
    faults.push_back({"certificate_not_yet_valid",
                      "certificate " + settings.cert + " is not valid before " + date(*from) + "; is the clock right?",
                      false});
  }
}

void check_crl(const UplinkSettings& settings, base::WallTime now, std::vector<LinkFault>& faults) {
  if (settings.crl.empty()) return;
  if (auto fault = unreadable(settings.crl, "crl", "crl_missing")) {
    faults.push_back(*std::move(fault));
    return;
  }
  const auto expiry = crl_expiry(settings.crl);
  if (!expiry.ok()) {
    faults.push_back({"crl_invalid", "crl " + expiry.error().message()});
  } else if (now >= base::kClockIsSet && expiry.value() && *expiry.value() < now) {
    // Worth a try all the same, for the sake of a wrong clock.
    faults.push_back({"crl_expired", "crl " + settings.crl + " is out of date since " + date(*expiry.value()), false});
  }
}

void check_password(const UplinkSettings& settings, std::vector<LinkFault>& faults) {
  if (settings.password_file.empty()) return;
  if (auto fault = unreadable(settings.password_file, "password_file", "password_missing")) {
    faults.push_back(*std::move(fault));
  } else if (const auto open = base::private_file_fault(settings.password_file)) {
    faults.push_back({"password_permissions", "password_file " + open->what + "; accepted: " + open->accepted});
  } else if (!read_secret(settings.password_file).ok()) {
    faults.push_back({"password_missing", "password_file " + settings.password_file + " holds no line of text"});
  }
}

std::string subject_of(X509* certificate) {
  const Owned<BIO, BIO_free_all> memory(BIO_new(BIO_s_mem()));
  if (!memory) return {};
  X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<std::size_t>(std::clamp<long>(size, 0, 200)));
}

// Of the first `most` certificates of a file.
base::Result<Expiry> earliest(const std::string& path, std::size_t most) {
  const File file(std::fopen(path.c_str(), "re"));
  std::optional<Expiry> earliest;
  for (std::size_t i = 0; file && i < most; ++i) {
    const Certificate certificate(PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
    if (!certificate) break;
    const auto end = time_of(X509_get0_notAfter(certificate.get()));
    if (!end) return base::Error(base::ErrorCode::corrupt, path + " has no readable end of validity");
    if (!earliest || *end < earliest->at) earliest = Expiry{*end, subject_of(certificate.get())};
  }
  ERR_clear_error();
  if (!earliest) return base::Error(base::ErrorCode::not_found, path + " holds no certificate");
  return *std::move(earliest);
}

}  // namespace

std::vector<LinkFault> check_certificates(const UplinkSettings& settings, base::WallTime now) {
  std::vector<LinkFault> faults;
  ERR_clear_error();
  const Context context(SSL_CTX_new(TLS_client_method()));
  if (!context) return {{"tls_failed", "OpenSSL can't make a TLS context: " + ssl_reason()}};

  if (auto fault = unreadable(settings.root_ca, "root_ca", "ca_missing")) {
    faults.push_back(*std::move(fault));
  } else if (SSL_CTX_load_verify_locations(context.get(), settings.root_ca.c_str(), nullptr) != 1) {
    faults.push_back(
        {"ca_invalid", "root_ca " + settings.root_ca + " holds no usable certificate (" + ssl_reason() + ")"});
  }

  bool certificate_good = false;
  if (auto fault = unreadable(settings.cert, "certificate", "certificate_missing")) {
    faults.push_back(*std::move(fault));
  } else if (SSL_CTX_use_certificate_chain_file(context.get(), settings.cert.c_str()) != 1) {
    faults.push_back({"certificate_invalid",
                      "certificate " + settings.cert + " holds no usable certificate chain (" + ssl_reason() + ")"});
  } else {
    certificate_good = true;
  }

  if (auto fault = unreadable(settings.key, "key", "key_missing")) {
    faults.push_back(*std::move(fault));
  } else {
    if (const auto open = base::private_file_fault(settings.key)) {
      faults.push_back({"key_permissions", "key " + open->what + "; accepted: " + open->accepted});
    }
    // Through the TLS context, as the connection does it: keys in a TPM load this way only. It compares the key with
    // the certificate that is loaded already.
    if (SSL_CTX_use_PrivateKey_file(context.get(), settings.key.c_str(), SSL_FILETYPE_PEM) != 1) {
      const int reason = ERR_GET_REASON(ERR_peek_last_error());
      const bool mismatch =
          certificate_good && (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
      if (mismatch) {
        ERR_clear_error();
        faults.push_back({"key_mismatch", "key " + settings.key + " does not match certificate " + settings.cert});
      } else {
        const std::string why = ssl_reason();
        faults.push_back({"key_invalid", "key " + settings.key + " can't be used (" +
                                             (is_in_tpm(settings.key) ? kTpmHint : why) + ")"});
      }
    } else if (certificate_good && SSL_CTX_check_private_key(context.get()) != 1) {
      ERR_clear_error();
      faults.push_back({"key_mismatch", "key " + settings.key + " does not match certificate " + settings.cert});
    }
  }
  ERR_clear_error();
  check_password(settings, faults);
  check_crl(settings, now, faults);
  if (certificate_good) {
    if (const Certificate certificate = read_certificate(settings.cert)) {
      check_validity(settings, certificate.get(), now, faults);
    }
  }
  return faults;
}

base::Result<Expiry> certificate_expiry(const std::string& path) { return earliest(path, 1); }

base::Result<Expiry> first_expiry(const std::string& path) {
  return earliest(path, std::numeric_limits<std::size_t>::max());
}

base::Result<std::optional<base::WallTime>> crl_expiry(const std::string& path) {
  const auto lists = revocation_lists(path);
  if (!lists.ok()) return lists.error();
  const Owned<BIO, BIO_free_all> text(BIO_new_mem_buf(lists.value().data(), static_cast<int>(lists.value().size())));
  std::optional<base::WallTime> earliest;
  while (text) {
    const RevocationList list(PEM_read_bio_X509_CRL(text.get(), nullptr, nullptr, nullptr));
    if (!list) break;
    const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(list.get());
    const auto time = next == nullptr ? std::nullopt : time_of(next);
    if (time && (!earliest || *time < *earliest)) earliest = time;
  }
  ERR_clear_error();
  return earliest;
}

}  // namespace twinkeeper::uplink
