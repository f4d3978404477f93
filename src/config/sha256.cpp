#include "config/sha256.hpp"

#include <openssl/evp.h>

#include <array>

namespace twinkeeper::config {

void Sha256::Closer::operator()(void* context) const noexcept { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context)); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  good_ = context_ && EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), EVP_sha256(), nullptr) == 1;
}

void Sha256::add(std::string_view text) {
  good_ = good_ && EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), text.data(), text.size()) == 1;
}

std::string Sha256::text() {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  std::string out = "sha256:";
  if (!good_ || EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), digest.data(), &length) != 1) return out;
  for (unsigned i = 0; i < length; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

std::string sha256(const std::string& text) {
  Sha256 hash;
  hash.add(text);
  return hash.text();
}

}  // namespace twinkeeper::config
