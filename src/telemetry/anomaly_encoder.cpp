#include "telemetry/anomaly_encoder.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "telemetry/json_writer.hpp"
#include "telemetry/tag_source.hpp"

namespace twinkeeper::telemetry {
namespace {

using diagnosis::AnomalyEvent;

constexpr std::size_t kBudget = kMaxAnomalyBytes - kMaxEnvelopeBytes;
constexpr std::size_t kMaxTrendPoints = 60;
constexpr std::size_t kIdBytes = 200;  // two names of 63 and a test always fit: an id is never cut
constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

// How much of each part may be written. The last entry is small enough for anything.
struct Allowance {
  std::size_t sources;
  std::size_t tags;
  std::size_t list;         // entries of hypotheses, ambiguous_with, caused_by
  std::size_t text_bytes;   // of message and advice
  std::size_t short_bytes;  // of any other text
};
constexpr std::array<Allowance, 11> kAllowances{{{kAll, kAll, kAll, kAll, kAll},
                                                 {16, kAll, kAll, kAll, kAll},
                                                 {8, kAll, kAll, kAll, kAll},
                                                 {4, kAll, kAll, kAll, kAll},
                                                 {1, kAll, kAll, kAll, kAll},
                                                 {1, 64, kAll, kAll, 256},
                                                 {1, 32, 10, 1024, 256},
                                                 {1, 16, 10, 512, 256},
                                                 {1, 8, 5, 512, 160},
                                                 {1, 4, 3, 256, 160},
                                                 {1, 1, 1, 256, 160}}};

class AnomalyWriter {
 public:
  AnomalyWriter(const AnomalyEvent& event, const AnomalyContext& context, const Allowance& allowance, std::string& out)
      : event_(event), context_(context), allowance_(allowance), writer_(out, context.digits) {}

  void write() {
    write_identity();
    write_places();
    write_times();
    write_figures();
    write_explanations();
  }

  // Everything but the trend is written; what remains of the budget is the trend's.
  void write_trend() {
    std::vector<std::string> points;
    for (const diagnosis::TrendPoint& point : event_.trend) points.push_back(trend_point(point));
    std::size_t kept = std::min(points.size(), kMaxTrendPoints);
    while (kept > 0 && trend_bytes(points, kept) > room_for_trend()) --kept;
    writer_.open_array("trend");
    for (std::size_t i = 0; i < kept; ++i) {
      writer_.comma();
      writer_.out() += points[spread(i, kept, points.size())];
    }
    writer_.close_array();
    omitted_trend_ = points.size() - kept;
    write_omitted();
  }

  [[nodiscard]] bool fits() { return writer_.out().size() + kTrendAndOmitted <= kBudget; }

 private:
  // An empty trend and the longest `omitted`.
  static constexpr std::size_t kTrendAndOmitted = 120;

  static std::size_t spread(std::size_t i, std::size_t kept, std::size_t all) {
    return kept == 1 ? all - 1 : (i * (all - 1) + (kept - 1) / 2) / (kept - 1);
  }

  static std::size_t trend_bytes(const std::vector<std::string>& points, std::size_t kept) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < kept; ++i) bytes += points[spread(i, kept, points.size())].size() + 1;
    return bytes;
  }

  [[nodiscard]] std::size_t room_for_trend() {
    const std::size_t used = writer_.out().size() + kTrendAndOmitted;
    return used < kBudget ? kBudget - used : 0;
  }

  std::string trend_point(const diagnosis::TrendPoint& point) const {
    std::string text = "{";
    JsonWriter writer(text, context_.digits);
    writer.timestamp("time", context_.to_wall(point.time));
    writer.number("measured", point.measured);
    writer.number("expected", point.expected);
    writer.close_object();
    return text;
  }

  void clipped(std::string_view name, std::string_view value, std::size_t bytes) {
    writer_.key(name);
    if (append_clipped_string(writer_.out(), value, bytes)) ++omitted_texts_;
  }
  void brief(std::string_view name, std::string_view value) { clipped(name, value, allowance_.short_bytes); }
  void brief_or_null(std::string_view name, std::string_view value) {
    if (value.empty()) {
      writer_.null(name);
    } else {
      brief(name, value);
    }
  }
  void brief_element(std::string_view value) {
    writer_.comma();
    if (append_clipped_string(writer_.out(), value, allowance_.short_bytes)) ++omitted_texts_;
  }
  void optional_time(std::string_view name, const std::optional<base::Instant>& time) {
    if (time) {
      writer_.timestamp(name, context_.to_wall(*time));
    } else {
      writer_.null(name);
    }
  }

  void write_identity() {
    clipped("anomaly", event_.id, std::max(allowance_.short_bytes, kIdBytes));
    writer_.natural("occurrence", event_.occurrence);
    writer_.text("event", to_string(event_.event));
    writer_.text("state", to_string(event_.state));
    writer_.text("kind", to_string(event_.kind));
    brief("test", event_.test);
    clipped("message", event_.message, allowance_.text_bytes);
    clipped("advice", event_.advice, allowance_.text_bytes);
    writer_.integer("severity", event_.severity);
    writer_.text("priority", to_string(diagnosis::priority_of(event_.severity)));
    writer_.text("ne107", to_string(event_.ne107));
  }

  void write_places() {
    const std::size_t tags = std::min(event_.tags.size(), allowance_.tags);
    omitted_tags_ = event_.tags.size() - tags;
    writer_.open_array("tags");
    for (std::size_t i = 0; i < tags; ++i) brief_element(event_.tags[i]);
    writer_.close_array();
    std::size_t sources = 0;
    writer_.open_object("source");
    for (const std::string& tag : event_.tags) {
      const TagSource* source = context_.source ? context_.source(tag) : nullptr;
      if (source == nullptr) continue;
      if (sources == allowance_.sources) {
        ++omitted_sources_;
        continue;
      }
      ++sources;
      if (allowance_.short_bytes == kAll) {
        writer_.open_object(tag);
        write_tag_source(writer_, *source);
      } else {
        write_clipped_source(tag, *source);
      }
      writer_.close_object();
    }
    writer_.close_object();
  }

  void write_clipped_source(const std::string& tag, const TagSource& source) {
    writer_.comma();
    append_clipped_string(writer_.out(), tag, allowance_.short_bytes);
    writer_.out() += ":{";
    brief("device", source.device);
    brief("controller", source.controller);
    write_place(writer_, source);
  }

  void write_times() {
    writer_.timestamp("onset", context_.to_wall(event_.onset));
    writer_.timestamp("raised_at", context_.to_wall(event_.raised_at));
    optional_time("cleared_at", event_.cleared_at);
  }

  void write_figures() {
    writer_.number("statistic", event_.statistic);
    writer_.number("threshold", event_.threshold);
    writer_.number("expected", event_.expected);
    writer_.number("measured", event_.measured);
    brief_or_null("unit", event_.unit);
    writer_.number("sigma", event_.sigma);
    writer_.number("magnitude", event_.magnitude);
    writer_.number("magnitude_std", event_.magnitude_std);
    brief_or_null("magnitude_unit", event_.magnitude_unit.empty() ? event_.unit : event_.magnitude_unit);
    writer_.number("nominal_false_alarms_per_day", event_.nominal_false_alarms_per_day);
    const auto& observed = event_.observed_false_alarms;  // known only after a calibration
    writer_.number("observed_false_alarms", observed ? std::optional<double>(*observed) : std::nullopt);
    writer_.number("evidence_hours", event_.evidence_hours);
    brief_or_null("by", event_.by);
    brief_or_null("comment", event_.comment);
    optional_time("shelved_until", event_.shelved_until);
  }

  void write_explanations() {
    const auto shown = [this](std::size_t size) {
      const std::size_t kept = std::min(size, allowance_.list);
      omitted_list_ += size - kept;
      return kept;
    };
    writer_.open_array("hypotheses");
    for (std::size_t i = 0, n = shown(event_.hypotheses.size()); i < n; ++i) {
      writer_.open_element();
      brief("name", event_.hypotheses[i].name);
      writer_.number("probability", event_.hypotheses[i].probability);
      writer_.close_object();
    }
    writer_.close_array();
    for (const auto& [name, list] :
         {std::pair{"ambiguous_with", &event_.ambiguous_with}, std::pair{"caused_by", &event_.caused_by}}) {
      writer_.open_array(name);
      for (std::size_t i = 0, n = shown(list->size()); i < n; ++i) brief_element((*list)[i]);
      writer_.close_array();
    }
    if (context_.model) {
      writer_.open_object("model");
      brief("name", context_.model->name);
      writer_.integer("version", context_.model->version);
      brief("hash", context_.model->hash);
      writer_.close_object();
    } else {
      writer_.null("model");
    }
    brief_or_null("regime", event_.regime);
  }

  void write_omitted() {
    const std::array<std::pair<std::string_view, std::size_t>, 5> counts{{{"trend", omitted_trend_},
                                                                          {"source", omitted_sources_},
                                                                          {"tags", omitted_tags_},
                                                                          {"list", omitted_list_},
                                                                          {"text", omitted_texts_}}};
    if (std::all_of(counts.begin(), counts.end(), [](const auto& count) { return count.second == 0; })) return;
    writer_.open_object("omitted");
    for (const auto& [name, count] : counts) {
      if (count != 0) writer_.natural(name, count);
    }
    writer_.close_object();
  }

  const AnomalyEvent& event_;
  const AnomalyContext& context_;
  const Allowance& allowance_;
  JsonWriter writer_;
  std::size_t omitted_trend_ = 0, omitted_sources_ = 0, omitted_tags_ = 0, omitted_list_ = 0, omitted_texts_ = 0;
};

std::string stream_of(const AnomalyEvent& event) {
  switch (event.owner_kind) {
    case diagnosis::OwnerKind::twin: return "twins." + event.owner + ".anomaly";
    case diagnosis::OwnerKind::device: return "devices." + event.owner + ".anomaly";
    case diagnosis::OwnerKind::gateway: break;
  }
  return "anomaly";
}

}  // namespace

void encode_anomaly(const AnomalyEvent& event, const AnomalyContext& context, signals::Message& out) {
  out.stream = stream_of(event);
  out.schema = "twinkeeper.anomaly/1";
  out.message_class = signals::MessageClass::anomaly;
  out.time = event.time;
  out.retain = false;
  for (const Allowance& allowance : kAllowances) {
    out.members.clear();
    AnomalyWriter writer(event, context, allowance, out.members);
    writer.write();
    if (!writer.fits() && &allowance != &kAllowances.back()) continue;
    writer.write_trend();
    return;
  }
}

}  // namespace twinkeeper::telemetry
