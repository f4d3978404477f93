// Reference numbers outside the repository: folder from TWINKEEPER_DATA, default <source>/../shared/data.
#pragma once

#include <Eigen/Core>
#include <optional>
#include <string>

namespace twinkeeper::golden {

// The folder, or nothing (said on standard output) where it is absent: the test then has nothing to compare with.
[[nodiscard]] std::optional<std::string> data_folder(const std::string& name);
// Numbers separated by commas, `skip` lines left out at the top; throws on anything else.
[[nodiscard]] Eigen::MatrixXd read_matrix(const std::string& file, int skip = 0);

// Largest |left − right| / |right| over the elements, zero where both are below 1e-300.
[[nodiscard]] double worst_relative(const Eigen::MatrixXd& left, const Eigen::MatrixXd& right);

}  // namespace twinkeeper::golden
