#include <algorithm>
#include <cmath>

#include "config/checks.hpp"
#include "config/condition.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::config {
namespace {

constexpr int kLongestDelay = 100'000;  // periods
constexpr const char* kModelForm = "a model file, or a mapping with the model";
constexpr const char* kInputForm =
    "a tag DEVICE.REGISTER, a number, or a mapping with tag, max_age, on_stale and delay";

// A model file, or what may stand in its place: a mapping with a key `model`, or the model's own keys.
void read_model_file(Reader& reader, const Cursor& at, ModelText& out) {
  ModelFileText file;
  out.good = model_file_table().read(reader, at, file);
  if (file.model_at.given()) {
    out.good = model_table().read(reader, file.model_at.at.as(at.path), out.settings) && out.good;
  }
  if (file.diagnosis_at.given()) {
    const Cursor diagnosis = file.diagnosis_at.at.as(child_path(at.path, "diagnosis"));
    out.good = diagnosis_table().read(reader, diagnosis, out.diagnosis) && out.good;
    out.has_diagnosis = true;
  }
  if (file.provenance_at.given() && file.provenance_at.at.node->kind != NodeKind::mapping) {
    out.good = refuse(reader, file.provenance_at.at, "a mapping", "a mapping");
  }
}

// `at` stands in a file that holds the diagnosis, bare or under the key `diagnosis`.
void read_diagnosis_file(Reader& reader, Cursor at, diagnosis::DiagnosisSettings& out) {
  const bool mapping = at.node->kind == NodeKind::mapping;
  if (const Entry* inner = mapping ? find(*at.node, "diagnosis") : nullptr; inner && at.node->entries.size() == 1) {
    at = at.key(*inner).as(at.path);
  }
  diagnosis_table().read(reader, at, out);
}

class TwinCheck {
 public:
  TwinCheck(Reader& reader, ConfigText& text, const Tags& tags, const LoadOptions& options, TwinText& twin)
      : reader_(reader), text_(text), tags_(tags), options_(options), twin_(twin) {
    for (const auto& [name, reference] : tags_) tag_names_.push_back(name);
  }

  void run() {
    if (!twin_.model_at.given()) return;
    twin_.model = read_model(reader_, twin_.model_at.at);
    twin_.diagnosis = twin_.model.diagnosis;
    if (twin_.diagnosis_at.given()) read_diagnosis();
    if (options_.diagnosis_file) overlay_diagnosis(reader_, *options_.diagnosis_file, twin_.diagnosis);
    if (!twin_.model.good) return;
    if (period()) examine();
    inputs();
    outputs();
    late_samples();
    regimes();
    calibration();
  }

 private:
  void error(const std::string& key, const std::string& what, const std::string& accepted) {
    reader_.error(child_path(twin_.path, key), what, accepted);
  }

  void read_diagnosis() {
    Cursor at = twin_.diagnosis_at.at;
    if (at.node->kind == NodeKind::scalar) {
      std::string name;
      if (!read_text(reader_, at, "a mapping or a file with the diagnosis", name)) return;
      if (!is_plain_path(reader_, at, name)) return;
      const auto opened = reader_.open(reader_.resolve_path(at.node->mark, name), &at, diagnosis_table().accepted());
      if (opened) read_diagnosis_file(reader_, *opened, twin_.diagnosis);
      return;
    }
    diagnosis_table().read(reader_, at, twin_.diagnosis);
  }

  void calibration() {
    if (!twin_.period) return;
    check_calibration(reader_, child_path(twin_.path, "diagnosis"), twin_.diagnosis, *twin_.period,
                      names_of_outputs(twin_.model.settings));
    const diagnosis::Calibration& known = twin_.diagnosis.calibration;
    std::vector<std::string> missing;
    const auto need = [&](const std::string& name) {
      const auto is = [&](const diagnosis::RegimeCalibration& regime) { return regime.name == name; };
      if (std::none_of(known.regimes.begin(), known.regimes.end(), is)) missing.push_back(name);
    };
    for (const RegimeText& regime : twin_.regimes) need(regime.settings.name);
    if (twin_.regimes.empty()) need(diagnosis::kWholeLog);
    if (!known.given() || missing.empty()) return;
    reader_.warn(twin_.path, "not_calibrated: " + join(missing) + ": the usual limits apply there");
  }

  // Whether the twin has one that fits its model.
  bool period() {
    const model::ModelSettings& model = twin_.model.settings;
    if (model.time == model::TimeBase::continuous) {
      if (!twin_.period) error("period", "missing: a continuous model has none of its own", "a duration such as 100ms");
      return twin_.period.has_value();
    }
    if (!model.sample_time) return false;
    const base::Duration sample_time{std::llround(*model.sample_time * 1e9)};
    if (!twin_.period) {
      twin_.period = sample_time;
    } else if (std::abs((*twin_.period - sample_time).count()) > 1) {
      error("period",
            base::format_duration(*twin_.period) + " differs from the model's sample_time of " +
                base::format_duration(sample_time),
            "the sample_time of the discrete model");
      return false;
    }
    return true;
  }

  void examine() {
    if (!options_.examine_model) return;
    for (const auto& issue : options_.examine_model(twin_.model.settings, *twin_.period)) {
      error(issue.path, issue.what, issue.accepted);
    }
  }

  // The tag's register, or nothing after an error (or where the cause is an error told elsewhere).
  std::optional<TagReference> find_tag(const Cursor& at, const std::string& tag) {
    const auto found = tags_.find(tag);
    if (found != tags_.end()) return found->second;
    const std::string device_name = tag.substr(0, tag.find('.'));
    bool a_device_has_no_name = false;
    for (const DeviceText& device : text_.devices) {
      a_device_has_no_name = a_device_has_no_name || device.config.driver.name.empty();
      const bool all_good = device.good && std::all_of(device.registers.begin(), device.registers.end(),
                                                       [](const RegisterText& entry) { return entry.good; });
      if (device.config.driver.name == device_name) {
        if (!all_good) return std::nullopt;
        a_device_has_no_name = false;
        break;
      }
    }
    if (a_device_has_no_name) return std::nullopt;
    reader_.error(at, quote(tag) + " is no register of a device" + did_you_mean(tag, tag_names_),
                  "a tag DEVICE.REGISTER of this configuration");
    return std::nullopt;
  }

  void check_tag(const Cursor& at, const std::string& tag, const TagReference& reference, const std::string& unit,
                 const std::string& of) {
    const RegisterText& entry = *reference.entry;
    if (entry.type == drivers::ValueType::STRING) {
      reader_.error(at, quote(tag) + " is a STRING", "a register with numbers");
    }
    if (!base::units_agree(entry.settings.unit, unit)) {
      reader_.error(at,
                    "unit " + quote(entry.settings.unit) + " of " + tag + " is not the unit " + quote(unit) +
                        " of the model's " + of,
                    "equal units, or none on one side");
    }
  }

  // The mapping under `key`, its names checked against the model's; null if there is none.
  template <class List>
  const Node* names(const Deferred& at, const List& list, const std::string& kind) {
    if (!at.given()) return nullptr;
    if (at.at.node->kind == NodeKind::null && list.empty()) return nullptr;
    if (at.at.node->kind != NodeKind::mapping) {
      refuse(reader_, at.at, "a mapping", "a mapping from the model's " + kind + "s to tags");
      return nullptr;
    }
    std::vector<std::string> known;
    for (const auto& item : list) known.push_back(item.name);
    for (const Entry& entry : at.at.node->entries) {
      if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
      reader_.error_at(entry.mark, at.at.key(entry),
                       "the model has no " + kind + " of this name" + did_you_mean(entry.key, known),
                       known.empty() ? "no " + kind + "s" : join(known));
    }
    return at.at.node;
  }

  void inputs() {
    const auto& list = twin_.model.settings.inputs;
    const bool broken = twin_.inputs_at.given() && twin_.inputs_at.at.node->kind != NodeKind::mapping;
    const Node* mapped = names(twin_.inputs_at, list, "input");
    for (const auto& input : list) {
      const Entry* entry = mapped != nullptr ? find(*mapped, input.name) : nullptr;
      twin_.inputs.emplace_back();
      if (entry != nullptr) {
        this->input(twin_.inputs_at.at.key(*entry), input, twin_.inputs.back());
      } else if (!broken) {
        error("inputs." + input.name, "missing: every input of the model needs a source", kInputForm);
      }
    }
  }

  void input(const Cursor& at, const model::InputSettings& input, InputText& out) {
    reader_.record(at);
    out.path = at.path;
    Cursor tag_at = at;
    if (at.node->kind == NodeKind::mapping) {
      if (!input_table().read(reader_, at, out)) return;
      tag_at = at.key(*find(*at.node, "tag"));
    } else if (at.node->kind == NodeKind::scalar && resolve(*at.node) != ScalarType::text) {
      constant(at, input, out);
      return;
    } else if (at.node->kind != NodeKind::scalar) {
      refuse(reader_, at, "a source", kInputForm);
      return;
    } else {
      out.tag = at.node->text;
    }
    const auto reference = find_tag(tag_at, out.tag);
    if (!reference) return;
    out.source.tag = reference->index;
    check_tag(tag_at, out.tag, *reference, input.unit, "input " + input.name);
    const auto& poll_interval = reference->entry->poll_interval;
    if (out.source.max_age && poll_interval && *out.source.max_age < *poll_interval) {
      reader_.error(child_path(at.path, "max_age"),
                    base::format_duration(*out.source.max_age) + " is less than the poll_interval " +
                        base::format_duration(*poll_interval) + " of " + out.tag +
                        ", so that every value would be stale",
                    "at least the poll_interval");
    }
    check_delay(at, out.source.delay);
    if (out.source.on_stale == acquisition::OnStale::nominal && !input.nominal &&
        twin_.model.settings.operating_point.u.empty()) {
      reader_.error(child_path(at.path, "on_stale"), "the model gives no nominal value for " + input.name,
                    "hold | bad, or a model with nominal or operating_point.u");
    }
  }

  void check_delay(const Cursor& at, base::Duration delay) {
    if (!twin_.period || delay == base::Duration::zero()) return;
    const model::ModelSettings& model = twin_.model.settings;
    const bool parts = model.time == model::TimeBase::continuous && model::linear(model) &&
                       model.discretization == model::Discretization::zoh;
    if (!parts && delay % *twin_.period != base::Duration::zero()) {
      reader_.error(
          child_path(at.path, "delay"),
          base::format_duration(delay) + " is no whole number of periods of " + base::format_duration(*twin_.period),
          "a multiple of the period, or a continuous model with linear equations and zoh");
    }
    if (delay > kLongestDelay * *twin_.period) {
      reader_.error(child_path(at.path, "delay"),
                    base::format_duration(delay) + " is more than " + std::to_string(kLongestDelay) + " periods",
                    "at most that many periods");
    }
  }

  void constant(const Cursor& at, const model::InputSettings& input, InputText& out) {
    static const Type<double> type = number();
    if (resolve(*at.node) == ScalarType::boolean || resolve(*at.node) == ScalarType::null) {
      refuse(reader_, at, "a source", kInputForm);
      return;
    }
    if (!type.read(reader_, at, out.source.constant)) return;
    if ((input.min && out.source.constant < *input.min) || (input.max && out.source.constant > *input.max)) {
      reader_.warn(at.path,
                   format_number(out.source.constant) + " is outside the model's limits and will be saturated");
    }
  }

  void outputs() {
    const auto& list = twin_.model.settings.outputs;
    const Node* mapped = names(twin_.outputs_at, list, "output");
    std::map<std::string, std::string> first;
    for (const auto& output : list) {
      const Entry* entry = mapped != nullptr ? find(*mapped, output.name) : nullptr;
      OutputText& out = twin_.outputs.emplace_back();
      if (entry == nullptr) {
        warn_of_range_without_tag(output.name);
        continue;
      }
      const Cursor at = twin_.outputs_at.at.key(*entry);
      reader_.record(at);
      out.path = at.path;
      Cursor tag_at = at;
      if (at.node->kind == NodeKind::mapping) {
        if (!output_table().read(reader_, at, out)) continue;
        tag_at = at.key(*find(*at.node, "tag"));
      } else if (!read_text(reader_, at, "a tag DEVICE.REGISTER, or a mapping with tag and combine", out.tag)) {
        continue;
      }
      const auto [known, inserted] = first.emplace(out.tag, output.name);
      if (!inserted) {
        reader_.error(tag_at, quote(out.tag) + " measures output " + known->second + " already",
                      "a tag for one output of a twin");
        continue;
      }
      const auto reference = find_tag(tag_at, out.tag);
      if (!reference) continue;
      out.source.tag = reference->index;
      check_tag(tag_at, out.tag, *reference, output.unit, "output " + output.name);
    }
  }

  void late_samples() {
    const acquisition::LateSettings& late = twin_.late;
    if (!twin_.period) return;
    if (late.history && *late.history < late.lateness) {
      error(
          "estimator.lateness",
          base::format_duration(late.lateness) + " is more than the history of " + base::format_duration(*late.history),
          "at most the history: later samples change nothing any more");
    }
    for (const auto& [key, value] :
         {std::pair{"history", late.history.value_or(base::Duration{})}, std::pair{"lateness", late.lateness}}) {
      if (value <= acquisition::kLongestHistory * *twin_.period) continue;
      error("estimator." + std::string(key),
            base::format_duration(value) + " is more than " + std::to_string(acquisition::kLongestHistory) + " periods",
            "at most that many periods");
    }
  }

  void warn_of_range_without_tag(const std::string& output) {
    for (const auto& range : twin_.model.settings.validity.y) {
      if (range.name != output) continue;
      reader_.warn(child_path(twin_.path, "outputs"),
                   "the model has a range of validity for " + output + ", which no tag measures: it can't be watched");
    }
  }

  void regimes() {
    std::map<std::string, std::string> names;
    for (RegimeText& regime : twin_.regimes) {
      if (!regime.good) continue;
      const auto [known, inserted] = names.emplace(regime.settings.name, regime.path);
      if (!inserted) {
        reader_.error(child_path(regime.path, "name"),
                      quote(regime.settings.name) + " is named at " +
                          reader_.place_of(child_path(known->second, "name")) + " already",
                      "each regime once");
      }
      const auto tag = [&](const std::string& name) -> std::optional<signals::TagIndex> {
        const auto reference = tags_.find(name);
        if (reference == tags_.end() || reference->second.entry->type == drivers::ValueType::STRING)
          return std::nullopt;
        return reference->second.index;
      };
      auto parsed = parse_condition(regime.when, tag);
      if (parsed.ok()) {
        regime.settings.when = std::move(parsed).value();
      } else {
        reader_.error(child_path(regime.path, "when"), parsed.error().message(),
                      "such as 'plc.speed > 10 and not plc.door == 1', with tags of this configuration");
      }
    }
  }

  Reader& reader_;
  ConfigText& text_;
  const Tags& tags_;
  const LoadOptions& options_;
  TwinText& twin_;
  std::vector<std::string> tag_names_;
};

}  // namespace

std::vector<std::string> names_of_outputs(const model::ModelSettings& model) {
  std::vector<std::string> names;
  for (const auto& output : model.outputs) names.push_back(output.name);
  return names;
}

ModelText read_model(Reader& reader, const Cursor& at) {
  ModelText out;
  if (at.node->kind == NodeKind::scalar) {
    std::string name;
    if (!read_text(reader, at, kModelForm, name) || !is_plain_path(reader, at, name)) return out;
    const std::filesystem::path file = reader.resolve_path(at.node->mark, name);
    const auto opened = reader.open(file, &at, model_file_table().accepted());
    if (!opened) return out;
    read_model_file(reader, *opened, out);
    out.settings.file = file.string();
  } else if (at.node->kind == NodeKind::mapping) {
    if (find(*at.node, "model") != nullptr) {
      read_model_file(reader, at, out);
    } else {
      out.good = model_table().read(reader, at, out.settings);
    }
  } else {
    refuse(reader, at, "a model", kModelForm);
  }
  if (out.good) {
    for (const auto& issue : model::complete(out.settings)) {
      reader.error(child_path(at.path, issue.path), issue.what, issue.accepted);
      out.good = false;
    }
  }
  if (out.good) out.good = check_model(reader, at.path, out.settings);
  return out;
}

bool overlay_diagnosis(Reader& reader, const std::string& file, diagnosis::DiagnosisSettings& out) {
  const auto root = reader.open(file, nullptr, diagnosis_table().accepted());
  if (!root) return false;
  read_diagnosis_file(reader, *root, out);
  return true;
}

void resolve_twins(Reader& reader, ConfigText& text, const Tags& tags, const LoadOptions& options) {
  for (TwinText& twin : text.twins) {
    TwinCheck(reader, text, tags, options, twin).run();
    const bool given = twin.model.has_diagnosis || twin.diagnosis_at.given() || options.diagnosis_file;
    if (!twin.model.good || given) continue;
    reader.warn(twin.path, "neither the model nor the twin has a diagnosis section: the defaults apply, all tests on");
  }
}

}  // namespace twinkeeper::config
