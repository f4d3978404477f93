#include "aws/shadow_client.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::aws {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kAfterShadowRefusal = 5min;
constexpr std::size_t kLeastBytes = 1000;  // a document that is refused as too large is not cut further than this

}  // namespace

ShadowClient::ShadowClient(ShadowSettings settings)
    : settings_(std::move(settings)),
      topic_("$aws/things/" + settings_.thing + "/shadow/name/" + settings_.name + "/"),
      pause_(1s, 5min, settings_.seed),
      most_bytes_(settings_.most_bytes) {}

std::vector<std::string> ShadowClient::topics() const {
  std::vector<std::string> topics;
  for (const char* end : {"get/accepted", "get/rejected", "update/accepted", "update/rejected"}) {
    topics.push_back(topic_ + end);
  }
  if (settings_.with_desired) topics.push_back(topic_ + "update/delta");
  return topics;
}

void ShadowClient::connected(base::Instant now) {
  connected_ = true;
  known_ = false;
  version_ = 0;  // another endpoint counts by itself
  request_.reset();
  not_before_ = now;
  pause_.reset();
  told_.clear();
}

void ShadowClient::disconnected() {
  connected_ = false;
  request_.reset();
}

bool ShadowClient::take(const std::string& topic, const std::string& payload, base::Instant now) {
  if (topic.compare(0, topic_.size(), topic_) != 0) return false;
  const std::string what = topic.substr(topic_.size());
  const auto message = parse_object(payload);
  if (!message) return true;
  looked_at_ = false;
  if (what == "get/accepted") {
    got(*message, now);
  } else if (what == "update/accepted") {
    accepted(*message);
  } else if (what == "get/rejected" || what == "update/rejected") {
    rejected(*message, what == "update/rejected", now);
  } else if (what == "update/delta") {
    delta(*message);
  }
  return true;
}

void ShadowClient::report(const Json& reported) {
  wanted_ = tidied(reported);
  looked_at_ = false;
}

std::string ShadowClient::next_token() {
  return settings_.token + "-" + settings_.name.substr(0, 12) + std::to_string(++requests_);
}

bool ShadowClient::is_mine(const Json& answer, bool update) const {
  return request_ && request_->update == update && text(answer, "clientToken") == request_->token;
}

// Whoever asked for it: it is what the service holds, unless newer things are known. To an own request an older version
// may be the answer, too: that of a shadow that was deleted and begun anew.
void ShadowClient::got(const Json& answer, base::Instant now) {
  const auto version = natural(answer, "version");
  const bool mine = is_mine(answer, false);
  std::uint64_t version_asked_at = 0;
  if (mine) version_asked_at = std::exchange(request_, std::nullopt)->version;
  if (!version || (*version < version_ && *version >= version_asked_at)) {
    if (mine) not_before_ = now + pause_.next();
    return;
  }
  const Json state = object(answer, "state");
  version_ = *version;
  reported_ = object(state, "reported");
  set_desired(object(state, "desired"));
  known_ = true;
  pause_.reset();
}

void ShadowClient::accepted(const Json& answer) {
  const auto version = natural(answer, "version");
  const bool mine = is_mine(answer, true);
  std::optional<Request> request;
  if (mine) request = std::exchange(request_, std::nullopt);
  if (!version || *version <= version_) {
    known_ = known_ && !mine;
    return;
  }
  // Only then the part that changed makes the whole.
  const bool next = known_ && (*version == version_ + 1 || version_ == 0);
  version_ = *version;
  if (!next) {
    known_ = false;
    return;
  }
  if (mine) {
    reported_.merge_patch(request->patch);
    pause_.reset();
    told_.clear();
    return;
  }
  const Json state = answer.value("state", Json::object());
  if (!state.is_object()) {
    known_ = false;
    return;
  }
  const auto merge = [&state](const char* section, Json& into) {
    const auto found = state.find(section);
    if (found == state.end()) return;
    into.merge_patch(*found);  // null: the whole section goes
    if (!into.is_object()) into = Json::object();
  };
  merge("reported", reported_);
  Json desired = desired_;
  merge("desired", desired);
  set_desired(std::move(desired));
}

void ShadowClient::rejected(const Json& answer, bool update, base::Instant now) {
  if (!is_mine(answer, update)) return;
  request_.reset();
  updated_at_.reset();
  const std::uint64_t code = natural(answer, "code").value_or(500);
  const std::string message = text(answer, "message");
  const auto refused = [&] {
    known_ = false;
    not_before_ = now + kAfterShadowRefusal;
    tell("shadow_refused", "the shadow " + settings_.name + " can't be " + (update ? "updated" : "read") + ": " +
                               std::to_string(code) + " " + message);
  };
  if (code == 404 && !update) {
    version_ = 0;
    reported_ = Json::object();
    set_desired(Json::object());
    known_ = true;
  } else if (code == 409) {
    known_ = false;
    not_before_ = now + pause_.next();
  } else if (code == 413 && most_bytes_ > kLeastBytes) {
    most_bytes_ = std::max(kLeastBytes, most_bytes_ * 4 / 5);
    not_before_ = now + pause_.next();
  } else if (code == 429 || code >= 500) {
    not_before_ = now + pause_.next();
  } else {
    refused();
  }
}

// What differs is only a part of what is desired.
void ShadowClient::delta(const Json& message) {
  const auto version = natural(message, "version");
  if (!version || *version < version_) return;
  Json after = desired_;
  after.merge_patch(object(message, "state"));
  if (after != desired_ || *version > version_) known_ = false;
}

void ShadowClient::set_desired(Json desired) {
  if (desired_was_told_ && desired == desired_) return;
  desired_ = std::move(desired);
  desired_is_news_ = true;
}

std::optional<ShadowClient::Desired> ShadowClient::take_desired() {
  if (!std::exchange(desired_is_news_, false)) return std::nullopt;
  desired_was_told_ = true;
  return Desired{desired_, version_};
}

std::vector<Notice> ShadowClient::take_notices() { return std::exchange(notices_, {}); }

void ShadowClient::tell(const std::string& code, const std::string& text) {
  if (told_ == text) return;
  told_ = text;
  notices_.push_back({code, text});
}

bool ShadowClient::worth(const Json& old, const Json& now) const {
  if (old == now || settings_.same(old, now)) return false;
  if (!old.is_object() || !now.is_object()) return true;
  for (const auto& [key, value] : old.items()) {
    if (!now.contains(key)) return true;
  }
  return std::any_of(now.items().begin(), now.items().end(), [&](const auto& entry) {
    const auto found = old.find(entry.key());
    return found == old.end() || worth(*found, entry.value());
  });
}

Json ShadowClient::fitted() {
  Json out = *wanted_;
  const std::size_t beside = desired_.empty() ? 0 : desired_.dump().size();
  const auto too_large = [&] { return out.dump().size() + beside > most_bytes_; };
  std::size_t left_out = 0;
  for (const std::string& key : settings_.least_important) {
    const auto found = out.find(key);
    if (found == out.end()) continue;
    while (too_large() && out.contains(key)) {
      Json& value = out[key];
      ++left_out;
      if (value.is_structured() && value.size() > 1) {
        value.is_array() ? value.erase(value.size() - 1) : static_cast<void>(value.erase(std::prev(value.end())));
      } else {
        out.erase(key);
      }
      out["left_out"] = left_out;
    }
  }
  if (left_out > 0 && left_out_ == 0) {
    notices_.push_back({"shadow_cut", "the shadow " + settings_.name +
                                          " holds not all of its document, which is larger "
                                          "than " +
                                          std::to_string(most_bytes_) + " bytes"});
  }
  left_out_ = left_out;
  return out;
}

bool ShadowClient::settled() const { return known_ && !request_ && (!wanted_ || !worth(reported_, *wanted_)); }

bool ShadowClient::may_update(base::Instant now) const {
  return connected_ && known_ && !request_ && now >= not_before_ &&
         (!updated_at_ || now - *updated_at_ >= settings_.least_interval);
}

std::optional<Publication> ShadowClient::due(base::Instant now) {
  if (!connected_) return std::nullopt;
  if (request_) {
    if (now - request_->since < kAnswerWithin) return std::nullopt;
    request_.reset();  // whether it was done is not known
    updated_at_.reset();
    known_ = false;
    not_before_ = now + pause_.next();
  }
  if (now < not_before_) return std::nullopt;
  if (!known_) {
    request_ = Request{false, next_token(), {}, now, version_};
    return Publication{topic_ + "get", Json{{"clientToken", request_->token}}.dump()};
  }
  if (!wanted_ || looked_at_ || !may_update(now)) return std::nullopt;
  looked_at_ = true;
  if (reported_ == *wanted_) return std::nullopt;
  const Json document = fitted();
  if (version_ != 0 && !worth(reported_, document)) return std::nullopt;
  request_ = Request{true, next_token(), difference(reported_, document), now, version_};
  updated_at_ = now;
  Json message{{"state", {{"reported", request_->patch}}}, {"clientToken", request_->token}};
  if (version_ != 0) message["version"] = version_;
  return Publication{topic_ + "update", message.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace twinkeeper::aws
