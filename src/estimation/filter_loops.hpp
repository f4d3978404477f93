// The loops themselves. Each .cpp that includes this compiles them for another instruction set; what they compute is
// the same to the last bit, as every sum runs in one order and no multiplication is contracted with an addition.
#pragma once

#include <cmath>

#include "estimation/filter_kernels.hpp"

namespace twinkeeper::estimation {
namespace {

// Below this a root is 0: its squares would become denormal numbers, which are slow and mean nothing.
constexpr double kNegligible = 1e-100;

// kN, kP: compile-time padded sizes, 0 for sizes known at run time only.
template <int kN, int kP>
struct Loops {
  // sum[i] += Σ_k columns[k·ld + i] · factor[k] for i in [from, to), k ascending: four columns a pass, so that the sum
  // is loaded and stored a quarter as often; the additions are those of one column after the other.
  static void add_columns(double* __restrict sum, const double* __restrict columns, int ld,
                          const double* __restrict factor, int count, int from, int to) {
    int k = 0;
    for (; k + 4 <= count; k += 4, columns += 4 * ld) {
      const double* __restrict c0 = columns;
      const double* __restrict c1 = c0 + ld;
      const double* __restrict c2 = c1 + ld;
      const double* __restrict c3 = c2 + ld;
      const double f0 = factor[k], f1 = factor[k + 1], f2 = factor[k + 2], f3 = factor[k + 3];
      for (int i = from; i < to; ++i) {
        double value = sum[i];
        value += c0[i] * f0;
        value += c1[i] * f1;
        value += c2[i] * f2;
        value += c3[i] * f3;
        sum[i] = value;
      }
    }
    for (; k < count; ++k, columns += ld) {
      const double value = factor[k];
      for (int i = from; i < to; ++i) sum[i] += columns[i] * value;
    }
  }

  static int np(const FilterArrays& a) { return kN != 0 ? kN : a.np; }
  static int pp(const FilterArrays& a) { return kP != 0 ? kP : a.pp; }

  static void observe(FilterArrays& a, const double* u) {
    const int n = np(a);
    const int p = pp(a);
    const double* __restrict C = a.C.data();
    const double* __restrict D = a.D.data();
    const double* __restrict x = a.x_prior.data();
    double* __restrict z = a.z.data();
    double* __restrict expected = a.expected.data();

    for (int i = 0; i < p; ++i) expected[i] = 0.0;
    for (int k = 0; k < n; ++k) {
      const double value = x[k];
      z[k] = value;
      for (int i = 0; i < p; ++i) expected[i] += C[k * p + i] * value;
    }
    for (int i = 0; i < p; ++i) z[n + i] = 0.0;
    for (int k = 0; k < a.m; ++k) {
      const double value = u[k];
      for (int i = 0; i < p; ++i) expected[i] += D[k * p + i] * value;
    }
  }

  static void spread(FilterArrays& a) {
    const int n = np(a);
    const int p = pp(a);
    const int ld = n + p;
    const double* __restrict C = a.C.data();
    const double* __restrict T = a.T_prior.data();
    double* __restrict E = a.E.data();
    double* __restrict variance = a.variance.data();

    for (int i = 0; i < p; ++i) variance[i] = a.R[i];
    for (int k = 0; k < n; ++k) {
      double* __restrict column = E + k * ld;
      const double* __restrict root = T + k * n;
      for (int i = 0; i < n; ++i) column[i] = root[i];
      double* __restrict seen = column + n;
      for (int i = 0; i < p; ++i) seen[i] = 0.0;
      for (int j = k; j < n; ++j) {  // T_prior is lower triangular
        const double value = root[j];
        for (int i = 0; i < p; ++i) seen[i] += C[j * p + i] * value;
      }
      for (int i = 0; i < p; ++i) variance[i] += seen[i] * seen[i];
    }
  }

  static double fuse(FilterArrays& a, int row, double r) {
    const int n = np(a);
    const int ld = n + pp(a);
    double* __restrict E = a.E.data();
    double* __restrict g = a.gain.data() + row * ld;
    double* __restrict phi = a.scratch.data();

    double even = r;
    double odd = 0.0;
    for (int k = 0; k < n; k += 2) {
      phi[k] = E[k * ld + n + row];
      phi[k + 1] = E[(k + 1) * ld + n + row];
      even += phi[k] * phi[k];
      odd += phi[k + 1] * phi[k + 1];
    }
    const double s = even + odd;
    a.s[row] = s;
    for (int i = 0; i < ld; ++i) g[i] = 0.0;
    add_columns(g, E, ld, phi, n, 0, ld);
    const double factor = 1.0 / (s + std::sqrt(r * s));
    for (int k = 0; k < n; ++k) {
      const double value = phi[k] * factor;
      double* __restrict column = E + k * ld;
      for (int i = 0; i < ld; ++i) column[i] -= g[i] * value;
    }
    return correct(a, row);
  }

  static double correct(FilterArrays& a, int row) {
    const int n = np(a);
    const int ld = n + pp(a);
    double* __restrict z = a.z.data();
    const double* __restrict g = a.gain.data() + row * ld;
    const double innovation = z[n + row];
    const double step = innovation / a.s[row];
    for (int i = 0; i < n; ++i) z[i] += g[i] * step;
    for (int i = n; i < ld; ++i) z[i] -= g[i] * step;
    return innovation * step;
  }

  static bool advance(FilterArrays& a, const double* u, int rows) {
    const int n = np(a);
    const double* __restrict A = a.A.data();
    const double* __restrict B = a.B.data();
    const double* __restrict W = a.W.data();
    const double* __restrict z = a.z.data();
    double* __restrict x = a.x_next.data();

    for (int i = 0; i < n; ++i) x[i] = a.drift[i];
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < n; ++i) x[i] += A[j * n + i] * z[j];
    }
    for (int j = 0; j < a.m; ++j) {
      for (int i = 0; i < n; ++i) x[i] += B[j * n + i] * u[j];
    }
    for (int j = 0; j < rows; ++j) {
      for (int i = 0; i < n; ++i) x[i] += W[j * n + i] * z[n + j];
    }
    // A number times zero is zero unless it is not finite.
    double probe = 0.0;
    for (int i = 0; i < n; ++i) probe += x[i] * 0.0;
    return probe == 0.0;
  }

  static void propagate(FilterArrays& a, int rows) {
    const int n = np(a);
    const int ld = n + pp(a);
    const double* __restrict A = a.A.data();
    const double* __restrict W = a.W.data();
    const double* __restrict E = a.E.data();
    double* __restrict AT = a.AT.data();
    for (int k = 0; k < n; ++k) {
      const double* __restrict root = E + k * ld;
      double* __restrict column = AT + k * n;
      for (int i = 0; i < n; ++i) column[i] = 0.0;
      add_columns(column, A, n, root, n, 0, n);
      for (int j = 0; j < rows; ++j) {
        const double value = root[n + j];
        for (int i = 0; i < n; ++i) column[i] -= W[j * n + i] * value;
      }
    }
  }

  // T_next T_nextᵀ = AT ATᵀ + Q_root Q_rootᵀ: column j of Q_root and row j of AT are rotated onto the diagonal by one
  // Householder reflection that spares the zeros of Q_root.
  static bool predict(FilterArrays& a, const double* u, int rows) {
    if (!advance(a, u, rows)) return false;
    propagate(a, rows);
    const int n = np(a);
    double* __restrict AT = a.AT.data();
    double* __restrict T = a.T_next.data();
    double* __restrict w = a.scratch.data();
    double* __restrict v = a.scratch.data() + n;

    for (int i = 0; i < n * n; ++i) T[i] = a.Q_root[i];
    for (int j = 0; j < n; ++j) {
      double even = 0.0;
      double odd = 0.0;
      for (int k = 0; k < n; k += 2) {
        v[k] = AT[k * n + j];
        v[k + 1] = AT[(k + 1) * n + j];
        even += v[k] * v[k];
        odd += v[k + 1] * v[k + 1];
      }
      const double tail = even + odd;
      if (tail == 0.0) continue;
      double* __restrict diagonal = T + j * n;
      const double head = diagonal[j];
      const double length = std::sqrt(head * head + tail);
      const double v0 = head > 0.0 ? -tail / (head + length) : head - length;
      const double beta = 2.0 / (v0 * v0 + tail);
      // From an even row on, for whole vectors: row j itself is finished and may be written over.
      const int from = (j + 1) & ~1;
      for (int i = from; i < n; ++i) w[i] = diagonal[i] * v0;
      add_columns(w, AT, n, v, n, from, n);
      for (int i = from; i < n; ++i) w[i] *= beta;
      for (int i = from; i < n; ++i) diagonal[i] -= w[i] * v0;
      diagonal[j] = length;
      for (int k = 0; k < n; ++k) {
        const double value = v[k];
        double* __restrict column = AT + k * n;
        for (int i = from; i < n; ++i) column[i] -= w[i] * value;
      }
    }
    double probe = 0.0;
    for (int i = 0; i < n; ++i) w[i] = 0.0;
    for (int k = 0; k < n; ++k) {
      double* __restrict column = T + k * n;
      for (int i = k & ~1; i < n; ++i) w[i] += column[i] * 0.0;
      for (int i = k & ~1; i < n; ++i) column[i] = std::fabs(column[i]) < kNegligible ? 0.0 : column[i];
    }
    for (int i = 0; i < n; ++i) probe += w[i];
    return probe == 0.0;
  }

  static void variances(const FilterArrays& a, double* out) {
    const int n = np(a);
    const int ld = n + pp(a);
    const double* __restrict E = a.E.data();
    double* __restrict sum = out;
    for (int i = 0; i < n; ++i) sum[i] = 0.0;
    for (int k = 0; k < n; ++k) {
      const double* __restrict column = E + k * ld;
      for (int i = 0; i < n; ++i) sum[i] += column[i] * column[i];
    }
  }

  static constexpr FilterKernels table() {
    return {&observe, &spread, &fuse, &correct, &predict, &advance, &variances};
  }
};

}  // namespace
}  // namespace twinkeeper::estimation
