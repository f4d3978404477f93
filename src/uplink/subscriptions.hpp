// Which topics are asked for on a connection.
//
// The broker may keep a session over connections. What it holds of each endpoint's session is remembered, in a file
// also over restarts, so that with a session present only what is missing is asked for: AWS IoT Core counts a needless
// SUBSCRIBE as a fault. Topics that the session holds and nobody wants any more are left behind with a fresh session.
//
// Not every broker has a word for "refused": AWS IoT Core hangs up at a SUBSCRIBE that it doesn't allow. After two
// connections in a row that broke while a SUBSCRIBE was unanswered, its topics are asked for one by one, and the one at
// which it breaks again is left out for five minutes.
// Errors: a file that can't be written costs a needless SUBSCRIBE after the next start, nothing else.
// Thread rule: one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

class Subscriptions {
 public:
  // `file`: may be empty, then nothing outlives the object.
  Subscriptions(std::string file, std::string client_id);

  // To be called before a CONNECT: any CONNECT may begin an empty session, which the next one finds present. So from here
  // to store() nobody is sure of any session, neither this object nor, after a restart, the file's reader: endpoints may
  // be doors to one broker.
  void doubt(const std::string& endpoint);
  // That CONNECT began no session: it did not get so far, or it found the session present. What was sure is so again.
  void began_none();
  // The session of that endpoint holds nothing but what is wanted: it may go on.
  [[nodiscard]] bool session_serves(const std::string& endpoint, const std::vector<std::string>& wanted) const;

  // Asking for it may cost the connection.
  [[nodiscard]] bool hung_up_at(const std::string& topic) const { return left_out_.contains(topic); }

  struct Plan {
    std::vector<std::vector<std::string>> packets;  // at most `most` topics in each, suspects alone
    std::vector<std::string> left_out;
  };
  [[nodiscard]] Plan plan(const std::string& endpoint, const std::vector<std::string>& wanted, bool session_present,
                          std::size_t most, base::Instant now);

  void granted(const std::string& endpoint, const std::vector<std::string>& topics);
  // The connection broke while this packet was unanswered. Returns the topic that is left out from now on.
  std::optional<std::string> broke(const std::vector<std::string>& packet, base::Instant now);
  // Every packet of the plan was answered, or in vain waited for.
  void settled() noexcept { losses_ = 0; }
  // What was asked for on that endpoint is answered: the session is known.
  void store(const std::string& endpoint);

 private:
  static constexpr base::Duration kLeftOutFor = std::chrono::minutes{5};
  static constexpr int kLossesInCompany = 2;

  void write();
  [[nodiscard]] bool suspected(const std::string& topic) const;

  const std::string file_;
  const std::string client_id_;
  std::map<std::string, std::set<std::string>> held_;  // by endpoint; what is sure of it, `certain_` says
  std::set<std::string> certain_;                      // endpoints
  std::set<std::string> certain_before_;               // the CONNECT under way
  bool believe_ = true;                                // the session of the CONNECT under way, if present
  std::string stored_;
  std::vector<std::string> suspects_;
  int losses_ = 0;
  std::map<std::string, base::Instant> left_out_;  // until
};

}  // namespace twinkeeper::uplink
