#include "launch/bench/rounds.h"

#include <unistd.h>  // for mkdtemp

#include <cerrno>      // for errno
#include <chrono>      // for steady_clock
#include <functional>  // for function

#include "coordinator/durable_file.h"
#include "core/error.h"
#include "core/file.h"
#include "core/random.h"
#include "core/text.h"
#include "launch/ranks.h"

namespace coppice {
namespace {

using Path = std::filesystem::path;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// An IDX file of unsigned bytes: data/idx.h.
void write_idx(const Path& path, const std::vector<std::uint32_t>& shape,
               const std::function<std::uint8_t()>& next) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  std::size_t count = 1;
  for (const std::uint32_t axis : shape) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes += static_cast<char>((axis >> shift) & 0xFFU);
    count *= axis;
  }
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(next());
  write_file_atomically(path, bytes);
}

}  // namespace

BenchFolder::BenchFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "coppice_bench_XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw Error(text(pattern, ": ", system_reason(errno)));
  path_ = pattern;
}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_noise(const Path& folder, const ImageCounts& counts) {
  RandomStream random({.seed = 1, .purpose = Purpose::kGenerated});
  std::uint8_t label = 0;
  const auto pixel = [&] { return static_cast<std::uint8_t>(random.next_below(256)); };
  const auto digit = [&] { return label = static_cast<std::uint8_t>((label + 1) % 10); };
  const std::uint32_t side = counts.side;
  write_idx(folder / "train-images-idx3-ubyte", {counts.train, side, side}, pixel);
  write_idx(folder / "train-labels-idx1-ubyte", {counts.train}, digit);
  write_idx(folder / "t10k-images-idx3-ubyte", {counts.test, side, side}, pixel);
  write_idx(folder / "t10k-labels-idx1-ubyte", {counts.test}, digit);
}

void RoundWatcher::started(const Start& start) {
  sizes_ = start.population.train_samples();
  train_ = start.config.train;
  last_ = now();
}

void RoundWatcher::round_finished(const RoundRecord& record, const Json& metrics,
                                  std::int64_t /*rounds_left*/) {
  const double finished = now();
  Round round{.seconds = metrics.at("seconds").as_number(),
              .evaluate_seconds = metrics.at("eval_seconds").as_number(),
              .whole_seconds = finished - last_,
              .steps = 0,
              .samples = metrics.at("samples").as_integer()};
  for (const ClientRow& row : record.rows)
    round.steps += steps_of(sizes_[static_cast<std::size_t>(row.client)]);
  rounds_.push_back(round);
  last_ = finished;
}

std::int64_t RoundWatcher::steps_of(std::int64_t samples) const {
  if (train_.local_steps > 0) return train_.local_steps;
  return train_.local_epochs * ((samples + train_.batch_size - 1) / train_.batch_size);
}

Checkpoint trained(const ExperimentConfig& config) {
  const BenchFolder folder;
  watch(config, folder.path() / "run", 0);
  const std::string path = (folder.path() / "run" / "model" / "model.safetensors").string();
  return checkpoint_from_bytes(read_file(path), path);
}

RoundWatcher watch(const ExperimentConfig& config, const Path& out, std::size_t warm_up) {
  RoundWatcher watcher(warm_up);
  with_ranks(1, {}, [&](Communicator& communicator) {
    return run_federation(communicator, config, {.out = out, .is_resumed = false}, &watcher)
        .exit_code;
  });
  return watcher;
}

}  // namespace coppice
