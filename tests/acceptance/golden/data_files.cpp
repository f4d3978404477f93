#include "data_files.hpp"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace twinkeeper::golden {

std::optional<std::string> data_folder(const std::string& name) {
  const char* set = std::getenv("TWINKEEPER_DATA");
  const std::filesystem::path root =
      set != nullptr ? std::filesystem::path(set)
                     : std::filesystem::path(TWINKEEPER_SOURCE_DIR).parent_path() / "shared" / "data";
  if (!std::filesystem::is_directory(root)) {
    std::cout << "skipped: no public data at " << root << "\n";
    return std::nullopt;
  }
  return (root / name).string() + "/";
}

Eigen::MatrixXd read_matrix(const std::string& file, int skip) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(in, line);) {
    if (skip-- > 0 || line.empty()) continue;
    rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(std::stod(cell));
    if (rows.back().size() != rows.front().size()) throw std::runtime_error("ragged " + file);
  }
  Eigen::MatrixXd result(static_cast<Eigen::Index>(rows.size()), static_cast<Eigen::Index>(rows.at(0).size()));
  for (Eigen::Index i = 0; i < result.rows(); ++i) {
    for (Eigen::Index j = 0; j < result.cols(); ++j) {
      result(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
    }
  }
  return result;
}

double worst_relative(const Eigen::MatrixXd& left, const Eigen::MatrixXd& right) {
  if (left.rows() != right.rows() || left.cols() != right.cols()) return std::numeric_limits<double>::infinity();
  double worst = 0.0;
  for (Eigen::Index i = 0; i < left.size(); ++i) {
    const double difference = std::abs(left(i) - right(i));
    if (difference <= 1e-300) continue;
    worst = std::max(worst, difference / std::abs(right(i)));
  }
  return worst;
}

}  // namespace twinkeeper::golden
