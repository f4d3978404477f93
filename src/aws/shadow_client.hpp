// One named shadow of a thing: what is reported becomes what the service holds, with as few requests as do it.
//
//   connected        `get`; 404 means that there is none yet: the first update creates it
//   report()         what is to be held; updated at most every `least_interval`, and only if `same` finds a value that
//                    changed beyond its dead-band. An update carries what differs, null for what disappeared, and the
//                    version it rests on
//   accepted         what was sent is what is held; what somebody else changed is merged, or fetched if a version is
//                    missing in between
//   no answer, 409   `get` again: after it is known what is held, only what still differs is sent
//   429, 5xx         the same again after a pause that doubles
//   413              the document is cut further; what was cut is told
//   other 4xx        told once, tried again after 5 minutes
//
// One request at a time. Answers are told from those to others by their clientToken, old ones by their version, which
// counts within a connection only: each endpoint has shadows of its own. Too
// large a document loses entries of `least_important`, first named first, until it has `most_bytes` together with the
// desired part; `left_out` then counts them.
// Thread rule: one thread. No I/O: topics and payloads go out and come in. Allocates.
// Source: AWS IoT Core developer guide, device-shadow-mqtt, device-shadow-document, device-shadow-error-messages.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "aws/document.hpp"

namespace twinkeeper::aws {

struct ShadowSettings {
  std::string thing;
  std::string name;
  std::string token;  // start of every clientToken, another one for each start of the service; at most 40 bytes
  base::Duration least_interval = std::chrono::seconds{60};
  std::size_t most_bytes = 7500;  // the service takes 8192 without counting metadata
  bool with_desired = false;      // whether somebody asks for the desired part
  std::vector<std::string> least_important{};
  // Whether a value of the document is as good as the old one; called from the top down for values that differ.
  std::function<bool(const Json& old, const Json& now)> same = [](const Json&, const Json&) { return false; };
  std::uint64_t seed = 1;
};

class ShadowClient {
 public:
  struct Desired {
    Json state;  // the whole section, empty if there is none
    std::uint64_t version = 0;
  };

  explicit ShadowClient(ShadowSettings settings);

  [[nodiscard]] std::vector<std::string> topics() const;
  void connected(base::Instant now);
  void disconnected();
  // False: not a topic of this shadow.
  bool take(const std::string& topic, const std::string& payload, base::Instant now);
  void report(const Json& reported);
  // Whether due() would look at what is reported.
  [[nodiscard]] bool may_update(base::Instant now) const;
  // What is to be sent now, if anything; it then counts as sent.
  [[nodiscard]] std::optional<Publication> due(base::Instant now);
  [[nodiscard]] bool waiting() const { return request_.has_value(); }

  // Each time it may have changed.
  [[nodiscard]] std::optional<Desired> take_desired();
  [[nodiscard]] std::vector<Notice> take_notices();
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] const Json& held() const { return reported_; }  // of what the service is known to hold
  [[nodiscard]] bool settled() const;                           // nothing differs, but for what the dead-band allows

 private:
  struct Request {
    bool update = false;
    std::string token;
    Json patch;
    base::Instant since;
    std::uint64_t version = 0;  // known when it was sent
  };

  [[nodiscard]] std::string next_token();
  [[nodiscard]] bool is_mine(const Json& answer, bool update) const;
  void got(const Json& answer, base::Instant now);
  void accepted(const Json& answer);
  void rejected(const Json& answer, bool update, base::Instant now);
  void delta(const Json& message);
  void set_desired(Json desired);
  [[nodiscard]] bool worth(const Json& old, const Json& now) const;
  // `wanted_` as it fits.
  [[nodiscard]] Json fitted();
  void tell(const std::string& code, const std::string& text);

  const ShadowSettings settings_;
  const std::string topic_;
  Pause pause_;
  bool connected_ = false;
  bool known_ = false;  // what the service holds
  Json reported_ = Json::object();
  Json desired_ = Json::object();
  std::uint64_t version_ = 0;  // 0: there is no shadow
  std::optional<Json> wanted_;
  bool looked_at_ = false;  // by due(), since it was reported and a message came
  std::size_t most_bytes_;
  std::size_t left_out_ = 0;
  std::optional<Request> request_;
  std::optional<base::Instant> updated_at_;
  base::Instant not_before_{};
  std::uint64_t requests_ = 0;
  bool desired_is_news_ = false;
  bool desired_was_told_ = false;
  std::vector<Notice> notices_;
  std::string told_;
};

}  // namespace twinkeeper::aws
