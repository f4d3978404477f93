#include "uplink/revocation.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/durable_file.hpp"
#include "uplink/owned.hpp"

namespace twinkeeper::uplink {
namespace {

using MemoryText = Owned<BIO, BIO_free_all>;

constexpr const char* kParameters = "ssl_server";

void free_blocks(STACK_OF(X509_INFO) * blocks) { sk_X509_INFO_pop_free(blocks, X509_INFO_free); }

// `flags`: X509_V_FLAG_CRL_…, 0 for no revocation. False: what OpenSSL goes by is not what was asked for.
bool check_revocation(unsigned long flags) {
  const X509_VERIFY_PARAM* before = X509_VERIFY_PARAM_lookup(kParameters);
  if ((X509_VERIFY_PARAM_get_flags(before) & X509_V_FLAG_CRL_CHECK) != 0) {  // ours: OpenSSL frees it without its name
    X509_VERIFY_PARAM_set1_name(const_cast<X509_VERIFY_PARAM*>(before), nullptr);
  }
  X509_VERIFY_PARAM_table_cleanup();
  if (flags == 0) return true;
  X509_VERIFY_PARAM* parameters = X509_VERIFY_PARAM_new();
  if (parameters == nullptr) return false;
  // What OpenSSL's own entry of this name holds, and the flags.
  const bool set = X509_VERIFY_PARAM_set1_name(parameters, kParameters) == 1 &&
                   X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER) == 1 &&
                   X509_VERIFY_PARAM_set_trust(parameters, X509_TRUST_SSL_SERVER) == 1 &&
                   X509_VERIFY_PARAM_set_flags(parameters, flags) == 1;
  if (set && X509_VERIFY_PARAM_add0_table(parameters) == 1) return true;
  X509_VERIFY_PARAM_free(parameters);
  return false;
}

// One block of a PEM file.
struct Block {
  Block() = default;
  ~Block() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
};

// Whether each certificate of a PEM text has a list beside it that it could have made.
bool each_has_a_list(const std::string& text) {
  const MemoryText in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const Owned<STACK_OF(X509_INFO), free_blocks> blocks(in ? PEM_X509_INFO_read_bio(in.get(), nullptr, nullptr, nullptr)
                                                          : nullptr);
  ERR_clear_error();
  if (!blocks) return false;
  const int count = sk_X509_INFO_num(blocks.get());
  const auto has_a_list = [&](const X509* authority) {
    for (int i = 0; i < count; ++i) {
      const X509_CRL* const list = sk_X509_INFO_value(blocks.get(), i)->crl;
      if (list != nullptr && X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(authority)) == 0)
        return true;
    }
    return false;
  };
  for (int i = 0; i < count; ++i) {
    const X509* const authority = sk_X509_INFO_value(blocks.get(), i)->x509;
    if (authority != nullptr && !has_a_list(authority)) return false;
  }
  return true;
}

}  // namespace

base::Result<std::string> revocation_lists(const std::string& path) {
  const auto content = base::content_of(path);
  if (!content.ok()) return content;
  ERR_clear_error();
  const MemoryText in(BIO_new_mem_buf(content.value().data(), static_cast<int>(content.value().size())));
  const MemoryText out(BIO_new(BIO_s_mem()));
  if (!in || !out) return base::Error(base::ErrorCode::internal, path + " can't be read: no memory", true);
  std::size_t lists = 0;
  while (true) {
    Block block;
    if (PEM_read_bio(in.get(), &block.name, &block.header, &block.data, &block.size) != 1) break;
    if (std::strcmp(block.name, PEM_STRING_X509_CRL) != 0) {
      return base::Error(base::ErrorCode::corrupt, path + " holds a block that is no revocation list (" +
                                                       std::string(block.name).substr(0, 40) +
                                                       "); there must be only lists in it");
    }
    const unsigned char* data = block.data;
    const Owned<X509_CRL, X509_CRL_free> list(d2i_X509_CRL(nullptr, &data, block.size));
    if (!list || PEM_write_bio_X509_CRL(out.get(), list.get()) != 1) {
      ERR_clear_error();
      return base::Error(base::ErrorCode::corrupt, path + " holds a revocation list that can't be read");
    }
    ++lists;
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return base::Error(base::ErrorCode::corrupt, path + " holds a block that is no PEM");
  if (lists == 0) return base::Error(base::ErrorCode::corrupt, path + " holds no revocation list (PEM)");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

TrustFile::TrustFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
TrustFile::TrustFile(TrustFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}
TrustFile::~TrustFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

base::Result<TrustFile> TrustFile::open(const UplinkSettings& settings) {
  std::string text;
  unsigned long flags = 0;
  if (!settings.crl.empty()) {
    const auto authorities = base::content_of(settings.root_ca);
    if (!authorities.ok()) return authorities.error();
    const auto lists = revocation_lists(settings.crl);
    if (!lists.ok()) return lists.error();
    text = authorities.value() + "\n" + lists.value();
    flags = X509_V_FLAG_CRL_CHECK | (each_has_a_list(text) ? X509_V_FLAG_CRL_CHECK_ALL : 0UL);
  }
  if (!check_revocation(flags)) {
    return base::Error(base::ErrorCode::internal, "OpenSSL can't be made to check revocation", true);
  }
  if (flags == 0) return TrustFile(-1, settings.root_ca);
  // In memory: a disk that is full must not keep the gateway from connecting.
  const int descriptor = ::memfd_create("trust", MFD_CLOEXEC);
  TrustFile file(descriptor, "/proc/self/fd/" + std::to_string(descriptor));
  if (descriptor < 0 || !base::write_all(descriptor, text)) {
    return base::Error(base::ErrorCode::internal, std::string("no file in memory: ") + std::strerror(errno), true);
  }
  return file;
}

}  // namespace twinkeeper::uplink
