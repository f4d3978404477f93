#include <cmath>
#include <map>

#include "config/checks.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::config {
namespace {

using model::ModelSettings;
using model::Rows;
using model::TimeBase;

constexpr double kSymmetry = 1e-9;   // relative; what is written with 10 digits or more passes
constexpr double kAgreement = 1e-6;  // relative; of values given twice

std::string shape(std::size_t rows, std::size_t columns) {
  return std::to_string(rows) + " × " + std::to_string(columns);
}

class ModelCheck {
 public:
  ModelCheck(Reader& reader, std::string path, const ModelSettings& model)
      : reader_(reader),
        path_(std::move(path)),
        model_(model),
        n_x_(model.states.size()),
        n_u_(model.inputs.size()),
        n_y_(model.outputs.size()) {}

  bool run() {
    const std::size_t before = reader_.errors();
    names();
    times();
    limits();
    if (model_.type == model::kStateSpace) matrices();
    noise();
    operating_point();
    return reader_.errors() == before;
  }

 private:
  void error(const std::string& key, const std::string& what, const std::string& accepted) {
    reader_.error(child_path(path_, key), what, accepted);
  }

  template <class List>
  void unique(const char* key, const List& list) {
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto [known, inserted] = first.emplace(list[i].name, i);
      if (inserted) continue;
      error(child_path(key, i) + ".name", quote(list[i].name) + " is taken by " + child_path(key, known->second),
            "names that differ");
    }
  }

  void names() {
    unique("states", model_.states);
    unique("inputs", model_.inputs);
    unique("outputs", model_.outputs);
  }

  void times() {
    if (model_.time == TimeBase::discrete) {
      if (!model_.sample_time) error("sample_time", "missing: a discrete model needs it", "seconds between two steps");
      if (!model_.dx.empty()) error("dx", "given for a discrete model", "dx of continuous models only");
    } else {
      if (model_.noise.K) error("noise.K", "given for a continuous model", "Q and R; K of discrete models only");
      if (model_.noise.Ry) error("noise.Ry", "given for a continuous model", "Q and R; Ry of discrete models only");
      if (model_.noise.S) error("noise.S", "given for a continuous model", "Q and R; S of discrete models only");
      length("dx", model_.dx, n_x_, "state");
    }
  }

  // A template's states and inputs stand in its order, not in that of the file: they are named.
  template <class Item>
  [[nodiscard]] std::string place_of(const char* key, std::size_t i, const Item& item) const {
    return model_.type == model::kStateSpace ? child_path(key, i) : child_path(key, item.name);
  }

  template <class Item>
  void ordered(const std::string& at, const Item& item) {
    if (item.min && item.max && *item.min >= *item.max) {
      error(at + ".min", format_number(*item.min) + " is not below max " + format_number(*item.max), "min below max");
    }
  }

  void inside(const std::string& at, const char* key, const std::optional<double>& value,
              const std::optional<double>& min, const std::optional<double>& max) {
    if (!value || (min && max && *min >= *max)) return;
    if ((min && *value < *min) || (max && *value > *max)) {
      error(at + "." + key, format_number(*value) + " is outside min and max", "a value from min to max");
    }
  }

  void limits() {
    for (std::size_t i = 0; i < n_x_; ++i) {
      const auto& state = model_.states[i];
      const std::string at = place_of("states", i, state);
      ordered(at, state);
      inside(at, "initial", state.initial, state.min, state.max);
      if (state.initial_std && !state.initial) {
        error(at + ".initial_std", "given without initial", "initial_std beside initial");
      }
    }
    for (std::size_t i = 0; i < n_u_; ++i) {
      const auto& input = model_.inputs[i];
      const std::string at = place_of("inputs", i, input);
      ordered(at, input);
      inside(at, "nominal", input.nominal, input.min, input.max);
    }
  }

  bool matrix(const std::string& key, const Rows& rows, std::size_t n, std::size_t m, const char* meaning) {
    const std::size_t columns = rows.empty() ? 0 : rows.front().size();
    if (rows.size() == n && (columns == m || n == 0)) return true;
    error(key, "is " + shape(rows.size(), columns), std::string(meaning) + " = " + shape(n, m));
    return false;
  }

  void matrices() {
    matrix("A", model_.A, n_x_, n_x_, "n_x × n_x");
    if (n_u_ > 0 && model_.B.empty()) {
      error("B", "missing: the model has inputs", "n_x × n_u = " + shape(n_x_, n_u_));
    } else if (!model_.B.empty()) {
      matrix("B", model_.B, n_x_, n_u_, "n_x × n_u");
    }
    matrix("C", model_.C, n_y_, n_x_, "n_y × n_x");
    if (!model_.D.empty()) matrix("D", model_.D, n_y_, n_u_, "n_y × n_u");
  }

  void symmetric(const std::string& key, const Rows& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const double scale = std::max(std::abs(rows[i][j]), std::abs(rows[j][i]));
        if (std::abs(rows[i][j] - rows[j][i]) <= kSymmetry * scale) continue;
        error(key,
              "is not symmetric: row " + std::to_string(i + 1) + ", column " + std::to_string(j + 1) + " is " +
                  format_number(rows[i][j]) + ", its mirror image " + format_number(rows[j][i]),
              "a symmetric matrix");
        return;
      }
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i][i] >= 0.0) continue;
      error(key, "has the negative variance " + format_number(rows[i][i]) + " in row " + std::to_string(i + 1),
            "variances of at least 0");
      return;
    }
  }

  void covariance(const std::string& key, const std::optional<Rows>& rows, std::size_t n, const char* meaning) {
    if (rows && matrix(key, *rows, n, n, meaning)) symmetric(key, *rows);
  }

  void noise() {
    const auto& noise = model_.noise;
    covariance("noise.Q", noise.Q, n_x_, "n_x × n_x");
    covariance("noise.R", noise.R, n_y_, "n_y × n_y");
    if (model_.time == TimeBase::discrete) {
      covariance("noise.Ry", noise.Ry, n_y_, "n_y × n_y");
      if (noise.S) matrix("noise.S", *noise.S, n_x_, n_y_, "n_x × n_y");
      if (noise.K) matrix("noise.K", *noise.K, n_x_, n_y_, "n_x × n_y");
      if (noise.K && !noise.Ry) error("noise.Ry", "missing: K needs it", "the covariance of the innovations");
      if (noise.Ry && !noise.K) error("noise.K", "missing: Ry needs it", "the predictor gain");
    }
    if (!noise.Q && !noise.K && !noise.Ry) {
      error("noise.Q", "missing", model_.time == TimeBase::discrete ? "Q, or K and Ry" : "Q");
    }
    if (noise.S && !noise.Q && model_.time == TimeBase::discrete) {
      error("noise.S", "given without Q", "S beside Q and R");
    }
    if (!noise.R) {
      if (!noise.K && !noise.Ry) every_output_has_noise();
    } else if (noise.R->size() == n_y_) {
      for (std::size_t i = 0; i < n_y_ && (*noise.R)[i].size() == n_y_; ++i) same_variance(i, (*noise.R)[i][i]);
    }
  }

  void every_output_has_noise() {
    for (std::size_t i = 0; i < n_y_; ++i) {
      const auto& output = model_.outputs[i];
      if (output.noise_std.value_or(0.0) > 0.0 || output.resolution.value_or(0.0) > 0.0) continue;
      error(child_path("outputs", i) + ".noise_std", "missing: without noise.R every output needs noise",
            "noise.R, or noise_std above 0 for every output");
    }
  }

  void same_variance(std::size_t i, double variance) {
    const auto& output = model_.outputs[i];
    if (!output.noise_std) return;
    const double resolution = output.resolution.value_or(0.0);
    const double stated = *output.noise_std * *output.noise_std + resolution * resolution / 12.0;
    if (std::abs(stated - variance) <= kAgreement * std::max(std::abs(stated), std::abs(variance))) return;
    error(child_path("outputs", i) + ".noise_std",
          "noise_std² + resolution²/12 = " + format_number(stated) + " and noise.R" + child_path(child_path("", i), i) +
              " = " + format_number(variance) + " differ",
          "one of the two, or both equal");
  }

  void length(const std::string& key, const std::vector<double>& values, std::size_t n, const char* of) {
    if (values.empty() || values.size() == n) return;
    error(key, "has " + std::to_string(values.size()) + " numbers",
          "one number per " + std::string(of) + ", here " + std::to_string(n));
  }

  template <class List>
  void same_as_nominal(const char* key, const char* in, const List& list, const std::vector<double>& values) {
    if (values.size() != list.size()) return;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (!list[i].nominal) continue;
      const double difference = std::abs(*list[i].nominal - values[i]);
      if (difference <= kAgreement * std::max(std::abs(*list[i].nominal), std::abs(values[i]))) continue;
      error(place_of(in, i, list[i]) + ".nominal",
            format_number(*list[i].nominal) + " and " + child_path(std::string("operating_point.") + key, i) + " = " +
                format_number(values[i]) + " differ",
            "one of the two, or both equal");
    }
  }

  void operating_point() {
    const auto& point = model_.operating_point;
    length("operating_point.x", point.x, n_x_, "state");
    length("operating_point.u", point.u, n_u_, "input");
    length("operating_point.y", point.y, n_y_, "output");
    same_as_nominal("u", "inputs", model_.inputs, point.u);
    same_as_nominal("y", "outputs", model_.outputs, point.y);
  }

  Reader& reader_;
  std::string path_;
  const ModelSettings& model_;
  std::size_t n_x_, n_u_, n_y_;
};

}  // namespace

bool check_model(Reader& reader, const std::string& path, const ModelSettings& settings) {
  return ModelCheck(reader, path, settings).run();
}

}  // namespace twinkeeper::config
