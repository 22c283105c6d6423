// A convolution of lanes of samples with the max pool behind it, a chunk at a time: what the
// convolution puts out, and the gradient of it, is there for one chunk only.

#include <algorithm>  // for min
#include <limits>     // for numeric_limits
#include <vector>     // for vector

#include "models/resident/lifetimes.h"
#include "models/resident/step.h"

namespace coppice::resident {
namespace {

Tensor chunk_of(Tensor tensor, std::int64_t chunk, std::int64_t lanes) {
  const std::int64_t offset = chunk * tensor.elements * lanes;
  tensor.values += offset;
  if (tensor.gradient != nullptr) tensor.gradient += offset;
  return tensor;
}

std::int64_t words(std::int64_t registers, std::int64_t a_word, std::int64_t lanes) {
  return (registers + a_word - 1) / a_word * lanes;
}

class PooledConvolution final : public Step {
 public:
  PooledConvolution(const StepInputs& convolution, const StepInputs& pool, std::int64_t chunks)
      : lanes_(convolution.lanes) {
    const std::int64_t sign_words = words(convolution.output.elements, 32, lanes_);
    const std::int64_t winner_words =
        words(pool.output.elements, 32 / winner_bits(pool.node), lanes_);
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      StepInputs first = convolution;
      first.inputs[0].tensor = chunk_of(first.inputs[0].tensor, chunk, lanes_);
      if (first.output.signs != nullptr) first.output.signs += chunk * sign_words;
      StepInputs second = pool;
      second.inputs[0].tensor = first.output;
      second.output = chunk_of(second.output, chunk, lanes_);
      if (second.bits != nullptr) second.bits += chunk * winner_words;
      parts_.push_back({.output = first.output,
                        .convolution = make_convolution_step(first),
                        .pool = make_pool_step(second)});
    }
  }

  void forward(const Block& block) override {
    each_chunk(block, [](const Part& part, const Block& chunk) {
      part.convolution->forward(chunk);
      const Tensor& output = part.output;
      if (output.signs != nullptr && chunk.gradient != nullptr) {
        chunk.kernels.pack_between(output.values, output.elements, 0.0F,
                                   std::numeric_limits<float>::infinity(), output.signs);
      }
      part.pool->forward(chunk);
    });
  }
  void backward(const Block& block) override {
    each_chunk(block, [](const Part& part, const Block& chunk) {
      part.pool->backward(chunk);
      part.convolution->backward(chunk);
    });
  }
  StepMemory memory(std::int64_t samples) const override {
    return parts_[0].convolution->memory(std::min(samples, lanes_));
  }

 private:
  struct Part {
    Tensor output;  // the convolution's: every part's is the same memory
    std::unique_ptr<Step> convolution;
    std::unique_ptr<Step> pool;
  };

  template <typename Visit>
  void each_chunk(const Block& block, const Visit& visit) const {
    for (std::int64_t i = 0; i < block.chunks; ++i) {
      Block chunk = block;
      chunk.begins_gradient = block.begins_gradient && i == 0;
      chunk.samples = std::min(lanes_, block.samples - i * lanes_);
      chunk.chunks = 1;
      chunk.first_sample = block.first_sample + i * lanes_;
      visit(parts_[static_cast<std::size_t>(i)], chunk);
    }
  }

  std::int64_t lanes_;
  std::vector<Part> parts_;  // by chunk
};

// What another step does as well.
class DoneStep final : public Step {
 public:
  void forward(const Block&) override {}
  void backward(const Block&) override {}
};

}  // namespace

std::unique_ptr<Step> make_pooled_convolution_step(const StepInputs& convolution,
                                                   const StepInputs& pool, std::int64_t chunks) {
  return std::make_unique<PooledConvolution>(convolution, pool, chunks);
}

std::unique_ptr<Step> make_done_step() { return std::make_unique<DoneStep>(); }

}  // namespace coppice::resident
