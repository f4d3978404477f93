#include <algorithm>

#include "app/doctor_finding.hpp"

namespace twinkeeper::app::doctor {
namespace {

using nlohmann::ordered_json;

ordered_json word_or_null(const std::string& text) { return text.empty() ? ordered_json(nullptr) : ordered_json(text); }

std::string counted(int count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// Sentences of other parts begin with the file that they are about.
std::string without_subject(const std::string& subject, const std::string& found) {
  return found.rfind(subject + ": ", 0) == 0 ? found.substr(subject.size() + 2) : found;
}

}  // namespace

const char* to_string(Health health) noexcept {
  switch (health) {
    case Health::ok: return "ok";
    case Health::warning: return "warning";
    case Health::failure: break;
  }
  return "failure";
}

void Group::ok(const std::string& id, const std::string& subject, const std::string& found) {
  add({Health::ok, id, subject, found, "", "", kExitDone});
}

void Group::warning(const std::string& id, const std::string& subject, const std::string& found,
                    const std::string& mend, const std::string& cause) {
  add({Health::warning, id, subject, without_subject(subject, found), cause, mend, kExitDone});
}

void Group::failure(const std::string& id, const std::string& subject, const std::string& found,
                    const std::string& mend, int code, const std::string& cause) {
  add({Health::failure, id, subject, without_subject(subject, found), cause, mend, code});
}

int Examination::count(Health health) const {
  int count = 0;
  for (const Group& group : groups) {
    for (const Finding& finding : group.findings()) count += finding.health == health ? 1 : 0;
  }
  return count;
}

int Examination::exit_code() const {
  std::vector<int> codes;
  for (const Group& group : groups) {
    for (const Finding& finding : group.findings()) {
      if (finding.health == Health::failure) codes.push_back(finding.code);
    }
  }
  if (codes.empty()) return kExitDone;
  const auto any = [&](int code) { return std::find(codes.begin(), codes.end(), code) != codes.end(); };
  if (any(kExitNoInput)) return kExitNoInput;
  if (std::all_of(codes.begin(), codes.end(), [](int code) { return code == kExitPermission; })) return kExitPermission;
  if (any(kExitConfig) || any(kExitPermission)) return kExitConfig;
  return any(kExitIo) ? kExitIo : kExitUnavailable;
}

void print(const Examination& examination, std::ostream& out) {
  for (const Group& group : examination.groups) {
    if (group.findings().empty()) continue;
    out << group.name() << '\n';
    for (const Finding& finding : group.findings()) {
      const std::string word = finding.health == Health::failure ? "FAILURE" : to_string(finding.health);
      out << "  " << word << std::string(9 - word.size(), ' ') << finding.id << ": ";
      if (!finding.subject.empty()) out << finding.subject << ": ";
      out << finding.found << '\n';
      if (!finding.mend.empty()) out << "           mend: " << finding.mend << '\n';
    }
  }
  out << examination.count(Health::ok) << " ok, " << counted(examination.count(Health::warning), "warning") << ", "
      << counted(examination.count(Health::failure), "failure") << "; access judged for " << examination.account
      << (examination.offline ? "; devices and broker not asked (--offline)" : "") << '\n';
}

ordered_json json_of(const Examination& examination) {
  ordered_json document{{"config", examination.config_file},
                        {"account", examination.account},
                        {"offline", examination.offline},
                        {"ok", examination.count(Health::ok)},
                        {"warnings", examination.count(Health::warning)},
                        {"failures", examination.count(Health::failure)},
                        {"exit_code", examination.exit_code()},
                        {"findings", ordered_json::array()}};
  for (const Group& group : examination.groups) {
    for (const Finding& finding : group.findings()) {
      document["findings"].push_back({{"group", group.name()},
                                      {"id", finding.id},
                                      {"subject", word_or_null(finding.subject)},
                                      {"state", to_string(finding.health)},
                                      {"found", finding.found},
                                      {"cause", word_or_null(finding.cause)},
                                      {"mend", word_or_null(finding.mend)}});
    }
  }
  return document;
}

}  // namespace twinkeeper::app::doctor
