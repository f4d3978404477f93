// SHA-256 of a text, whole or piece by piece, as provenance and hashes of models have it.
//
// Thread rule: one thread. Allocation: one context. Errors: none; where OpenSSL has no SHA-256 the text is "sha256:".
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace twinkeeper::config {

class Sha256 {
 public:
  Sha256();
  void add(std::string_view text);
  // "sha256:…" in lower-case hexadecimal of all that was added; ends it.
  [[nodiscard]] std::string text();

 private:
  struct Closer {
    void operator()(void* context) const noexcept;
  };
  std::unique_ptr<void, Closer> context_;  // an EVP_MD_CTX
  bool good_ = false;
};

[[nodiscard]] std::string sha256(const std::string& text);

}  // namespace twinkeeper::config
