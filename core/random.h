#pragma once
// Random numbers as a function of (seed, purpose, client, task): nothing in Coppice draws from a
// shared generator, so a result never depends on which rank computed it, in which order, or whether
// the run was resumed.
//
// The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
// 3"): a bijection of a 128-bit counter under a 64-bit key. Pure values; copies are independent;
// any thread may use its own copy.

#include <array>    // for array
#include <cstdint>  // for uint32_t
#include <span>     // for span
#include <vector>   // for vector

namespace coppice {

// Philox4x32-10 of one counter block under one key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// What a stream of random numbers is for. Values are part of every stored result: append only.
enum class Purpose : std::uint32_t {
  kInitialWeights = 1,   // client: parameter index
  kPartition = 2,        // client: class or attempt
  kBatchOrder = 3,       // task: round and epoch
  kDropout = 4,          // task: round; element: step, node, index
  kRounding = 5,         // stochastic rounding of codecs; task: round
  kCohort = 6,           // task: round
  kValidationSplit = 7,  // client
  kTestSplit = 8,        // of data sets without an official one; the seed is fixed
  kGenerated = 9,        // generated data in tests and benches
  kCalibration = 10,     // task: round
  kSensing = 11,         // task: round
  kBroadcast = 12,       // rounding of what the model has changed by; client: frames before it
  kRegrowth = 13,        // client: place of the layer; task: round
  kImportance = 16,      // gradients for ballots; task: round
  kReconnection = 17,    // pauses before a device connects again
  kNetwork = 18,  // faults of a simulated network; client: direction of a connection; task: segment
};

// Identifies a stream. `client` is -1 for the coordinator, `task` is usually the round.
struct RandomKey {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::kGenerated;
  std::int64_t client = -1;
  std::int64_t task = 0;
};

// Reads a stream from its beginning; seek() jumps to any 32-bit word in constant time.
class RandomStream {
 public:
  explicit RandomStream(RandomKey key);

  std::uint32_t next_u32();
  std::uint64_t next_u64();
  void fill(std::span<std::uint32_t> words);  // what as many next_u32() give, 3 times as fast
  float next_uniform();                       // [0, 1), 24 bits
  double next_uniform_double();               // [0, 1), 53 bits
  double next_normal();                       // standard normal, Box-Muller, two uniforms a value
  double next_gamma(double shape);            // Marsaglia & Tsang 2000, scale 1; shape > 0

  // Uniform in [0, bound), without modulo bias. bound >= 1.
  std::uint64_t next_below(std::uint64_t bound);

  void seek(std::uint64_t word);

 private:
  std::array<std::uint32_t, 2> key_{};
  std::array<std::uint32_t, 2> stream_{};  // the counter's upper half: client and task
  std::array<std::uint32_t, 4> block_{};
  std::uint64_t block_index_ = 0;  // of the block that next_u32 fetches next
  unsigned used_ = 4;              // words of block_ already given out
};

// Fisher-Yates over `values` with `stream`.
void shuffle(std::span<std::int64_t> values, RandomStream& stream);

// 0..n-1 in a random order.
std::vector<std::int64_t> random_permutation(std::int64_t n, RandomStream& stream);

}  // namespace coppice
