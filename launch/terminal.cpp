#include "launch/terminal.h"

#include <fmt/core.h>
#include <unistd.h>  // for isatty, getppid

#include <cstdlib>     // for getenv
#include <filesystem>  // for read_symlink
#include <numeric>     // for accumulate

#include "core/text.h"
#include "launch/run_files.h"
#include "launch/tables.h"

namespace coppice {
namespace {

std::string counts_line(const Population& population) {
  const std::vector<DataFacts>& clients = population.clients;
  if (clients.size() > 20 || population.class_totals().size() > 20) return {};
  std::string out = "client  samples  of each class\n";
  for (std::size_t k = 0; k < clients.size(); ++k) {
    out += fmt::format("{:>6} {:>8} ", k, clients[k].train_samples);
    for (const std::int64_t count : clients[k].class_counts) out += fmt::format(" {:>5}", count);
    out += '\n';
  }
  return out;
}

// Whether standard output ends on a terminal. Under mpirun every rank has a terminal of its own
// that mpirun reads, so what counts is where mpirun writes: it is the parent of the ranks on its
// node, and others' output is not worth rewriting.
bool someone_watches() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr) return true;
  std::error_code error;
  const auto target =
      std::filesystem::read_symlink("/proc/" + std::to_string(getppid()) + "/fd/1", error).string();
  return !error && (target.starts_with("/dev/pts/") || target.starts_with("/dev/tty"));
}

}  // namespace

TerminalObserver::TerminalObserver() : is_live_(someone_watches()) {}

void TerminalObserver::started(const Start& start) {
  const auto& [world, population, config, ranks, resumed_rounds] = start;
  rounds_ = config.train.rounds;
  const ClientSizes sizes = population.sizes();
  const auto total = [](const std::vector<std::int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  };
  fmt::print("{}: {} on {}, {} clients ({} training and {} validation samples), {} rank{}\n",
             config.name, config.model.layers.empty() ? config.model.name : "own network",
             world.dataset->name, population.clients.size(), with_commas(total(sizes.weights)),
             with_commas(total(sizes.validation_labels) / world.dataset->labels_per_sample), ranks,
             ranks == 1 ? "" : "s");
  if (!world.executor.reason.empty()) {
    fmt::print("note: LibTorch trains, the resident executor cannot run {}\n",
               world.executor.reason);
  }
  for (const std::string& note : world.dataset->notes) fmt::print("note: {}\n", note);
  fmt::print("{}", counts_line(population));
  if (resumed_rounds > 0) fmt::print("resumed after {} committed rounds\n", resumed_rounds);
  std::fflush(stdout);
}

void TerminalObserver::noted(const std::string& sentence) {
  fmt::print("{}note: {}\n", is_live_ ? "\r\x1b[K" : "", sentence);
}

void TerminalObserver::round_started(const ClientTask& task, std::int64_t rounds) {
  if (!is_live_) return;
  fmt::print("\r\x1b[Kround {}/{} {}: {} clients train{} ...", task.round, rounds, task.track,
             task.cohort.size(), task.ballot ? " and vote" : "");
  std::fflush(stdout);
}

void TerminalObserver::round_finished(const RoundRecord& record, const Json& metrics,
                                      std::int64_t rounds_left) {
  const double seconds = metrics.at("seconds").as_number() + metrics.at("eval_seconds").as_number();
  seconds_ += seconds;
  ++seen_;
  const double left = seconds_ / static_cast<double>(seen_) * static_cast<double>(rounds_left);
  fmt::print(
      "{}round {:>3}/{} {:<8} accuracy {:>7}  loss {:.4f}  {:>9} parameters  up {} down {}  {:.2f} "
      "s  ETA {}\n",
      is_live_ ? "\r\x1b[K" : "", record.plan.round, rounds_, record.plan.phase,
      percent(metrics.at("test_accuracy")), record.train_loss, with_commas(record.parameters),
      human_bytes(static_cast<double>(record.bytes_up)),
      human_bytes(static_cast<double>(record.bytes_down)), seconds, duration(left));
  for (const ClientRow& row : record.rows) {
    if (row.status != ClientStatus::kRefused) continue;
    fmt::print("event=refused round={} track={} client={} reason={} update_norm={}\n",
               record.plan.round, record.plan.track, row.client, reason_text(row.reason),
               row.update_norm);
  }
  std::fflush(stdout);
}

namespace {

void print_result(const std::filesystem::path& out, const RunOutcome& outcome, bool is_json) {
  fmt::print("\n{}", closing_table(outcome.summary, read_metrics(out)));
  const std::filesystem::path folder = out / "model";
  const bool is_shipped = std::filesystem::exists(folder / "model.cpk");
  fmt::print("model    {}\nsummary  {}\n",
             (folder / (is_shipped ? "model.cpk" : "model.safetensors")).string(),
             (out / "summary.json").string());
  if (is_json) fmt::print("{}\n", outcome.summary.dump());
}

}  // namespace

int run_on_terminal(Communicator& communicator, const ExperimentConfig& config, RunOptions options,
                    bool is_json) {
  if (options.out.empty()) options.out = "runs/" + config.name;
  TerminalObserver observer;
  const bool is_root = communicator.rank() == 0;
  const RunOutcome outcome =
      run_federation(communicator, config, options, is_root ? &observer : nullptr);
  if (is_root) print_result(options.out, outcome, is_json);
  return outcome.exit_code;
}

}  // namespace coppice
