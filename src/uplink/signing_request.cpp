#include "uplink/signing_request.hpp"

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "base/durable_file.hpp"
#include "uplink/owned.hpp"
#include "uplink/secret.hpp"

namespace twinkeeper::uplink {
namespace {

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Request = Owned<X509_REQ, X509_REQ_free>;
using Certificate = Owned<X509, X509_free>;
using Memory = Owned<BIO, BIO_free>;
using File = Owned<std::FILE, std::fclose>;

base::Error openssl_error(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return base::Error(base::ErrorCode::invalid_argument, what + ": " + (reason == nullptr ? "not PEM" : reason));
}

std::string content_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

base::Result<Key> read_key(const std::string& file) {
  const File stream(std::fopen(file.c_str(), "re"));
  if (!stream) return base::system_error(file, errno);
  // An encrypted key has nobody to ask for its password.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  Key key(PEM_read_PrivateKey(stream.get(), nullptr, no_password, nullptr));
  if (!key && is_in_tpm(file)) {
    ERR_clear_error();
    return base::Error(base::ErrorCode::invalid_argument, file + " can't be used: " + kTpmHint);
  }
  if (!key) return openssl_error(file + " holds no private key");
  return key;
}

// The default properties that OpenSSL's configuration gives; OpenSSL itself has no way to ask for them.
std::string configured_properties() {
  char* const file = CONF_get1_default_config_file();
  const Owned<CONF, NCONF_free> all(NCONF_new(nullptr));
  std::string properties;
  if (file != nullptr && all && NCONF_load(all.get(), file, nullptr) == 1) {
    const auto text = [&](const char* section, const char* name) { return NCONF_get_string(all.get(), section, name); };
    const char* const root = text(nullptr, "openssl_conf");
    const char* const algorithms = root == nullptr ? nullptr : text(root, "alg_section");
    const char* const found = algorithms == nullptr ? nullptr : text(algorithms, "default_properties");
    if (found != nullptr) properties = found;
  }
  OPENSSL_free(file);
  ERR_clear_error();
  return properties;
}

}  // namespace

base::Status make_private_key(const std::string& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) == 0) {
    return base::Error(base::ErrorCode::invalid_argument, file + " exists");
  }
  const Key key(EVP_EC_gen("P-256"));
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!key || !memory ||
      PEM_write_bio_PKCS8PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_error("a key can't be made");
  }
  return base::replace_file(file, content_of(memory.get()));
}

base::Result<std::string> signing_request(const std::string& key_file, const std::string& common_name) {
  auto key = read_key(key_file);
  if (!key) return std::move(key).error();
  const Request request(X509_REQ_new());
  const Memory memory(BIO_new(BIO_s_mem()));
  const bool made =
      request && memory && X509_REQ_set_version(request.get(), 0) == 1 &&
      X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0) == 1 &&
      X509_REQ_set_pubkey(request.get(), key.value().get()) == 1 &&
      X509_REQ_sign(request.get(), key.value().get(), EVP_sha256()) > 0 &&
      PEM_write_bio_X509_REQ(memory.get(), request.get()) == 1;
  if (!made) return openssl_error("a signing request can't be made");
  return content_of(memory.get());
}

base::Result<bool> is_for_key(const std::string& certificate_pem, const std::string& key_file) {
  auto key = read_key(key_file);
  if (!key) return std::move(key).error();
  const Memory memory(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const Certificate certificate(memory ? PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!certificate) return openssl_error("not a certificate");
  const bool fits = X509_check_private_key(certificate.get(), key.value().get()) == 1;
  ERR_clear_error();
  return fits;
}

KeysInSoftware::KeysInSoftware(const std::string& key_file) {
  static constexpr std::string_view kTpm = "?provider=tpm2";
  std::string properties = configured_properties();
  const auto at = properties.find(kTpm);
  if (at == std::string::npos || is_in_tpm(key_file)) return;
  before_ = properties;
  EVP_set_default_properties(nullptr, properties.replace(at, kTpm.size(), "?provider=default").c_str());
}

KeysInSoftware::~KeysInSoftware() {
  if (!before_.empty()) EVP_set_default_properties(nullptr, before_.c_str());
}

}  // namespace twinkeeper::uplink
