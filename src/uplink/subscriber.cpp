#include "uplink/subscriber.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::uplink {
namespace {

using SubscribeAnswer = PahoConnection::Subscribed::Answer;

constexpr base::Duration kAgainAfter = std::chrono::minutes{5};
constexpr base::Duration kAgainAfterSilence = std::chrono::seconds{15};
constexpr base::Duration kShortly = std::chrono::seconds{3};  // nothing is published meanwhile

constexpr const char* kHangsUp = "the broker hangs up at its SUBSCRIBE; it is left out for some minutes";

}  // namespace

Subscriber::Subscriber(Inbox* inbox, const UplinkSettings& settings, const base::Clock& clock,
                       signals::EventSink& events)
    : inbox_(inbox),
      session_expiry_(settings.session_expiry),
      clock_(clock),
      events_(events),
      subscriptions_(settings.state_directory.empty() ? std::string{} : settings.state_directory + "/session",
                     settings.client_id) {}

void Subscriber::Refused::add(const std::string& topic, const std::string& reason) {
  if (cause.empty()) cause = "nothing arrives on " + topic + ": " + reason;
  topics.push_back(topic);
}

void Subscriber::prepare(Connect& request) {
  if (inbox_ != nullptr) topics_ = inbox_->topics();
  if (!topics_.empty()) request.session_expiry = session_expiry_;
  const std::string endpoint = request.endpoint.name();
  request.fresh = request.session_expiry == base::Duration::zero() || !subscriptions_.session_serves(endpoint, topics_);
  subscriptions_.doubt(endpoint);
}

void Subscriber::began_no_session() { subscriptions_.began_none(); }

void Subscriber::subscribe(PahoConnection& connection, const std::string& endpoint, bool session_present,
                           const std::function<bool()>& alive) {
  if (inbox_ == nullptr) return;
  const auto plan =
      subscriptions_.plan(endpoint, topics_, session_present, PahoConnection::kTopicsInPacket, clock_.now());
  Refused refused;
  for (const std::string& topic : plan.left_out) refused.add(topic, kHangsUp);
  if (!ask(connection, endpoint, plan, alive, std::nullopt, refused)) return;
  subscriptions_.settled();
  subscriptions_.store(endpoint);
  again_at_ = clock_.now() + (refused.silent ? kAgainAfterSilence : kAgainAfter);
  tell(refused);
  refused_ = refused.topics;
  inbox_->connected(refused_);
}

void Subscriber::again(PahoConnection& connection, const std::string& endpoint, const std::function<bool()>& alive) {
  if (refused_.empty() || clock_.now() < again_at_) return;
  again_at_ = clock_.now() + kAgainAfter;
  Refused refused;
  std::vector<std::string> wanted;
  for (const std::string& topic : topics_) {
    if (subscriptions_.hung_up_at(topic)) {
      refused.add(topic, kHangsUp);
    } else {
      wanted.push_back(topic);
    }
  }
  const auto plan = subscriptions_.plan(endpoint, wanted, true, PahoConnection::kTopicsInPacket, clock_.now());
  if (plan.packets.empty() || !ask(connection, endpoint, plan, alive, kShortly, refused)) return;
  subscriptions_.settled();
  subscriptions_.store(endpoint);
  tell(refused);
  if (refused.topics == refused_) return;
  refused_ = refused.topics;
  inbox_->connected(refused_);
}

bool Subscriber::ask(PahoConnection& connection, const std::string& endpoint, const Subscriptions::Plan& plan,
                     const std::function<bool()>& alive, std::optional<base::Duration> limit, Refused& refused) {
  for (const auto& packet : plan.packets) {
    // Not answered once: the others are waited for only shortly.
    const auto subscribed = connection.subscribe(packet, alive, refused.silent ? kShortly : limit);
    if (subscribed.answer == SubscribeAnswer::none && !alive()) return false;  // about to stop: no fault of anybody
    if (subscribed.answer == SubscribeAnswer::broke) {
      if (const auto culprit = subscriptions_.broke(packet, clock_.now())) {
        refused.add(*culprit, kHangsUp);
        tell(refused);
      }
      return false;
    }
    const bool silent = subscribed.answer == SubscribeAnswer::none;
    refused.silent = refused.silent || silent;
    for (const auto& [topic, reason] : subscribed.refused) refused.add(topic, reason);
    std::vector<std::string> granted;
    for (const std::string& topic : packet) {
      if (silent) {
        refused.add(topic, "the broker did not answer in time");
      } else if (std::find(refused.topics.begin(), refused.topics.end(), topic) == refused.topics.end()) {
        granted.push_back(topic);
      }
    }
    subscriptions_.granted(endpoint, granted);
  }
  return true;
}

void Subscriber::tell(const Refused& refused) {
  if (std::exchange(told_, refused.cause) == refused.cause || refused.cause.empty()) return;
  const std::size_t more = refused.topics.size() - 1;
  events_.raise({signals::EventLevel::error, "uplink", "subscription_refused",
                 refused.cause + (more > 0 ? " (and on " + std::to_string(more) + " more)" : std::string{})});
}

}  // namespace twinkeeper::uplink
