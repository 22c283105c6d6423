#pragma once
// How strongly a client's loss bends along each weight, from gradients that training makes anyway.
// Pure functions; any thread.

#include <cstdint>  // for int64_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

// What a sample of each class counts at one client: clip(pi* / pi_k, 1 / kappa, kappa), pi* and
// pi_k being the class's share of all samples and of this client's. Weighted so, the clients'
// curvatures add up to that of all samples together rather than of each client's largest class. A
// class that the client does not have gets kappa, one that nobody has 1. Throws ConfigError unless
// the counts are as many, none is negative, both have a positive sum, and kappa >= 1 is finite.
std::vector<double> class_weights(std::span<const std::int64_t> global_counts,
                                  std::span<const std::int64_t> local_counts, double kappa);

// Adds B (a - b)^2 / 4 to `curvature` (as many floats as both), where a and b are the mean
// gradients of two disjoint halves of a batch of B = 2 x `half_batch_size` samples. Dividing by the
// number of calls estimates the variance of one sample's gradient, per weight:
//
//   gradients of single samples, g_i, with mean m and variance v, n = B / 2 in each half:
//   a = mean of n of them, b = of n others, so E (a - b)^2 = v/n + v/n = 4 v / B.
//
// Drawn without replacement from N samples the halves are correlated by just as much as their
// variance shrinks: 2 v/n (1 - n/N) + 2 v/N = 2 v/n, v with N - 1 in the denominator. So the
// estimate is unbiased for any N. v = E g^2 - m^2 is the diagonal of the empirical Fisher matrix
// less m^2, which is near zero where the model has been trained; and with labels as the model
// predicts them, that diagonal is the Hessian's Gauss-Newton part (Martens 2020, sections 5 and 9).
// One pair is a noisy estimate: its standard deviation is about 1.4 v. Throws ConfigError if sizes
// differ or half_batch_size < 1.
void accumulate_curvature(std::span<const float> mean_gradient_a,
                          std::span<const float> mean_gradient_b, std::int64_t half_batch_size,
                          std::span<float> curvature);

// B (d . change)^2 / 8, where d = a - b is the difference of such mean gradients. Its mean over
// pairs estimates 1/2 change^T V change, V the covariance of one sample's gradient of which the
// above is the diagonal (E (d . change)^2 is the variance of g . change as above): the second-order
// growth of the loss along one direction with all interactions of the weights in it, which V as a
// matrix would not fit in memory for (Singh and Alistarh 2020, section 3). Added up in a fixed
// order, in double. Throws ConfigError if sizes differ or half_batch_size < 1.
double bend_along(std::span<const float> difference, std::int64_t half_batch_size,
                  std::span<const float> change);

}  // namespace coppice
