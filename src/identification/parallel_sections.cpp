#include "identification/parallel_sections.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "identification/decompositions.hpp"
#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

double least_ratio(double mean) { return std::max(1.0 - std::abs(mean), 1e-3); }

}  // namespace

void Sections::cap(double magnitude) {
  for (Index s = 0; s < count(); ++s) {
    if (single(s)) {
      mean(s) = std::clamp(mean(s), -magnitude, magnitude);
    } else if (square(s) < 0.0) {
      const double size = std::sqrt(mean(s) * mean(s) - square(s));
      if (size <= magnitude) continue;
      mean(s) *= magnitude / size;
      square(s) *= (magnitude / size) * (magnitude / size);
    } else {
      const double half = std::sqrt(square(s));
      const double high = std::clamp(mean(s) + half, -magnitude, magnitude);
      const double low = std::clamp(mean(s) - half, -magnitude, magnitude);
      mean(s) = 0.5 * (high + low);
      square(s) = 0.25 * (high - low) * (high - low);
    }
  }
}

double Sections::radius() const {
  double most = 0.0;
  for (Index s = 0; s < count(); ++s) {
    const double size = square(s) < 0.0 ? std::sqrt(mean(s) * mean(s) - square(s))
                                        : std::abs(mean(s)) + (single(s) ? 0.0 : std::sqrt(square(s)));
    most = std::max(most, size);
  }
  return most;
}

Sections sections_of(const MatrixXd& A, const MatrixXd& C, Index inputs, Index fed_through, double cap) {
  const Index n = A.rows();
  Sections out;
  out.n = n;
  const Index count = (n + 1) / 2;
  out.mean = VectorXd::Zero(count);
  out.square = VectorXd::Zero(count);
  out.ratio = VectorXd::Ones(count);
  out.B = MatrixXd::Zero(n, inputs);
  out.C = MatrixXd::Zero(C.rows(), n);
  out.D = MatrixXd::Zero(C.rows(), fed_through);
  out.offset = VectorXd::Zero(C.rows());
  const Modes modes = modes_of(A);
  std::vector<Index> real;
  Index s = 0;
  for (Index i = 0; i < n; ++i) {
    const double turning = modes.values(i).imag();
    if (turning == 0.0) {
      real.push_back(i);
    } else if (turning > 0.0) {  // its conjugate comes with it
      out.mean(s) = modes.values(i).real();
      out.square(s) = -turning * turning;
      out.ratio(s) = std::max(turning, 1e-6);
      out.C.col(2 * s) = C * modes.vectors.col(i).real();
      out.C.col(2 * s + 1) = C * modes.vectors.col(i).imag();
      ++s;
    }
  }
  // Neighbours share a section, so that two poles that are equal, or want to become a pair, can.
  std::sort(real.begin(), real.end(),
            [&](Index a, Index b) { return modes.values(a).real() > modes.values(b).real(); });
  for (std::size_t k = 0; k + 1 < real.size(); k += 2, ++s) {
    const double high = modes.values(real[k]).real();
    const double low = modes.values(real[k + 1]).real();
    const VectorXd first = C * modes.vectors.col(real[k]).real();
    const VectorXd second = C * modes.vectors.col(real[k + 1]).real();
    out.mean(s) = 0.5 * (high + low);
    out.square(s) = 0.25 * (high - low) * (high - low);
    const double half = 0.5 * (high - low);
    out.ratio(s) = std::max(half, 1e-2 * least_ratio(out.mean(s)));
    out.C.col(2 * s) = half / out.ratio(s) * (first - second);
    out.C.col(2 * s + 1) = first + second;
  }
  if (real.size() % 2 == 1) {
    out.mean(s) = modes.values(real.back()).real();
    out.C.col(2 * s) = C * modes.vectors.col(real.back()).real();
  }
  for (Index i = 0; i < count; ++i) {
    const Index width = out.single(i) ? 1 : 2;
    const double size = out.C.middleCols(2 * i, width).norm();
    if (size > 0.0) out.C.middleCols(2 * i, width) /= size;
  }
  out.cap(cap);
  return out;
}

LinearModel matrices_of(const Sections& sections) {
  LinearModel out;
  out.A = MatrixXd::Zero(sections.n, sections.n);
  for (Index s = 0; s < sections.count(); ++s) {
    const Index i = 2 * s;
    out.A(i, i) = sections.mean(s);
    if (sections.single(s)) continue;
    out.A(i + 1, i + 1) = sections.mean(s);
    out.A(i, i + 1) = sections.ratio(s);
    out.A(i + 1, i) = sections.square(s) / sections.ratio(s);
  }
  out.B = sections.B;
  out.C = sections.C;
  out.D = sections.D;
  out.o = sections.offset;
  return out;
}

LinearModel model_of_predictor(const Sections& sections) {
  LinearModel out = matrices_of(sections);
  const Index inputs = sections.D.cols();
  out.K = sections.B.rightCols(sections.B.cols() - inputs);
  out.A += out.K * out.C;
  out.B = sections.B.leftCols(inputs) + out.K * out.D;
  return out;
}

}  // namespace twinkeeper::identification
