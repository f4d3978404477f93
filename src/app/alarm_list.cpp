#include "app/alarm_list.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include <nlohmann/json.hpp>

#include "app/file_change.hpp"
#include "base/durable_file.hpp"
#include "telemetry/json_writer.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using diagnosis::AnomalyEvent;
using diagnosis::AnomalyEventKind;
using diagnosis::AnomalyState;
using diagnosis::OperatorWord;
using nlohmann::json;

constexpr const char* kListSchema = "twinkeeper.operator_words/1";
constexpr const char* kAnyListSchema = "twinkeeper.operator_words/";
constexpr std::uintmax_t kMostListBytes = 4 << 20;

std::string member_text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

void OperatorWords::restore(diagnosis::AlarmBook& book) const {
  for (const auto& [id, said] : acknowledged) book.restore_acknowledgement(id, said.occurrence, said.word);
  for (const auto& [id, word] : shelved) book.restore_shelf(id, word);
  for (const auto& [owner, word] : maintenance) book.restore_suppression(owner, word);
}

AlarmList::AlarmList(std::string file, const base::Clock& clock, signals::EventSink& events)
    : file_(std::move(file)), clock_(clock), events_(events), started_(clock.now()) {
  read();
  saved_ = text();
}

void AlarmList::read() {
  const auto content = base::content_of(file_);
  if (!content) return;
  const bool fits = content.value().size() <= kMostListBytes;
  const json document = fits ? json::parse(content.value(), nullptr, false) : json();
  const std::string schema = document.is_object() ? member_text(document, "schema") : std::string();
  if (schema != kListSchema) {
    const bool other_version = schema.starts_with(kAnyListSchema);
    events_.raise({signals::EventLevel::error, "alarms", other_version ? "words_of_other_version" : "words_damaged",
                   file_ + (other_version ? " is of another version of twinkeeper" : " is damaged") +
                       ": what operators have acknowledged or shelved is forgotten" +
                       kept_aside(file_, other_version ? ".other_version" : ".damaged")});
    return;
  }
  const base::Instant now = clock_.now();
  const base::WallTime wall = clock_.wall_now();
  const auto each = [&](const char* list, const auto& take) {
    const auto found = document.find(list);
    if (found == document.end() || !found->is_array()) return;
    for (const json& entry : *found) {
      if (!entry.is_object()) continue;
      OperatorWord word{member_text(entry, "by"), member_text(entry, "comment"), now + kAcknowledgedAnew};
      const auto until = base::parse_rfc3339(member_text(entry, "until"));
      if (until) word.until = now + std::min<base::Duration>(*until - wall, kLongestShelving);
      if (word.until > now) take(member_text(entry, "name"), entry, std::move(word));
    }
  };
  each("acknowledged", [&](std::string name, const json& entry, OperatorWord word) {
    const auto occurrence = entry.find("occurrence");
    if (occurrence == entry.end() || !occurrence->is_number_unsigned()) return;
    words_.acknowledged[std::move(name)] = {occurrence->get<std::uint32_t>(), std::move(word)};
  });
  each("shelved",
       [&](std::string name, const json&, OperatorWord word) { words_.shelved[std::move(name)] = std::move(word); });
  each("maintenance", [&](std::string name, const json&, OperatorWord word) {
    words_.maintenance[std::move(name)] = std::move(word);
  });
}

void AlarmList::observe(const AnomalyEvent& event) {
  const OperatorWord word{event.by, event.comment, event.shelved_until.value_or(base::Instant{})};
  switch (event.event) {
    case AnomalyEventKind::acknowledged: words_.acknowledged[event.id] = {event.occurrence, word}; break;
    case AnomalyEventKind::shelved: words_.shelved[event.id] = word; break;
    case AnomalyEventKind::unshelved: words_.shelved.erase(event.id); break;
    case AnomalyEventKind::cleared: words_.acknowledged.erase(event.id); break;
    case AnomalyEventKind::raised:
      if (event.state == AnomalyState::acknowledged) {
        words_.acknowledged[event.id] = {event.occurrence, word};
      } else if (event.state == AnomalyState::active) {
        words_.acknowledged.erase(event.id);
      }
      break;
    default: break;
  }
  if (event.cleared_at && words_.shelved.count(event.id) == 0) {
    alarms_.erase(event.id);
  } else {
    AnomalyEvent& kept = alarms_[event.id];
    kept = event;
    kept.trend.clear();
    kept.trend.shrink_to_fit();
  }
  save();
}

void AlarmList::maintain(const std::string& owner, const OperatorWord& word) {
  if (word.until > clock_.now()) {
    words_.maintenance[owner] = word;
  } else {
    words_.maintenance.erase(owner);
  }
  save();
}

void AlarmList::run() {
  if (!from_before_ || clock_.now() - started_ < kAcknowledgedAnew) return;
  from_before_ = false;
  // One that is kept would silence a new alarm after a later start.
  std::erase_if(words_.acknowledged, [this](const auto& each) { return alarms_.count(each.first) == 0; });
  save();
}

void AlarmList::drop_what_is_over() {
  const base::Instant now = clock_.now();
  std::erase_if(words_.shelved, [now](const auto& each) { return each.second.until <= now; });
  std::erase_if(words_.maintenance, [now](const auto& each) { return each.second.until <= now; });
}

std::string AlarmList::text() const {
  json document = {{"schema", kListSchema}};
  const auto entry = [&](const std::string& name, const OperatorWord& word) {
    return json{{"name", name}, {"by", word.by}, {"comment", word.comment}};
  };
  const auto timed = [&](const std::map<std::string, OperatorWord>& words) {
    json list = json::array();
    for (const auto& [name, word] : words) {
      list.push_back(entry(name, word));
      list.back()["until"] = base::format_rfc3339(clock_.to_wall(word.until));
    }
    return list;
  };
  document["acknowledged"] = json::array();
  for (const auto& [id, said] : words_.acknowledged) {
    document["acknowledged"].push_back(entry(id, said.word));
    document["acknowledged"].back()["occurrence"] = said.occurrence;
  }
  document["shelved"] = timed(words_.shelved);
  document["maintenance"] = timed(words_.maintenance);
  return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

void AlarmList::save() {
  drop_what_is_over();
  std::string now = text();
  if (now == saved_) return;
  const base::Status written = base::replace_file(file_, now);
  if (!written.ok() && !failed_) {
    events_.raise({signals::EventLevel::error, "alarms", "words_failed",
                   written.error().message() + ": what operators say of alarms is forgotten at a restart"});
  }
  failed_ = !written.ok();
  if (!failed_) saved_ = std::move(now);
}

std::string AlarmList::members() const {
  std::vector<const AnomalyEvent*> sorted;
  for (const auto& [id, event] : alarms_) sorted.push_back(&event);
  std::stable_sort(sorted.begin(), sorted.end(), [](const AnomalyEvent* a, const AnomalyEvent* b) {
    return std::tuple(b->severity, a->raised_at) < std::tuple(a->severity, b->raised_at);
  });
  std::string out;
  telemetry::JsonWriter writer(out);
  const auto words = [&](const std::string& by, const std::string& comment, std::optional<base::Instant> until) {
    writer.text_or_null("by", by);
    writer.text_or_null("comment", comment);
    if (until) {
      writer.timestamp("until", clock_.to_wall(*until));
    } else {
      writer.null("until");
    }
    writer.close_object();
  };
  writer.open_array("alarms");
  for (const AnomalyEvent* event : sorted) {
    writer.open_element();
    writer.text("anomaly", event->id);
    writer.natural("occurrence", event->occurrence);
    writer.text("state", diagnosis::to_string(event->state));
    writer.boolean("standing", !event->cleared_at.has_value());
    writer.text("priority", diagnosis::to_string(diagnosis::priority_of(event->severity)));
    writer.integer("severity", event->severity);
    writer.text("kind", diagnosis::to_string(event->kind));
    writer.timestamp("since", clock_.to_wall(event->raised_at));
    writer.timestamp("onset", clock_.to_wall(event->onset));
    writer.text("message", event->message);
    writer.text("advice", event->advice);
    writer.texts("tags", event->tags);
    words(event->by, event->comment, event->shelved_until);
  }
  writer.close_array();
  for (const auto& [name, list] :
       {std::pair{"shelved", &words_.shelved}, std::pair{"maintenance", &words_.maintenance}}) {
    writer.open_array(name);
    for (const auto& [subject, word] : *list) {
      if (list == &words_.shelved && alarms_.count(subject) > 0) continue;
      writer.open_element();
      writer.text("name", subject);
      words(word.by, word.comment, word.until);
    }
    writer.close_array();
  }
  return out;
}

}  // namespace twinkeeper::app
