#include "coordinator/run_session.h"

#include "core/digest.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/text.h"

namespace coppice {
namespace {

void check_identity(const RunIdentity& written, const RunIdentity& now, const std::string& path) {
  const auto check = [&](const char* what, const std::string& before, const std::string& after) {
    if (before == after) return;
    throw ConfigError(text(path, ": the run was started with ", what, " '", before,
                           "', resuming would use '", after,
                           "'; results would not be those of one run"));
  };
  check("version", written.version, now.version);
  check("config", written.config_sha256, now.config_sha256);
  check("data", written.data_sha256, now.data_sha256);
  check("executor", written.executor, now.executor);
  check("instruction set", written.isa, now.isa);
  check("libraries", written.libraries, now.libraries);
}

// The checkpoint of commit n is written after the record before it: the first one after the start
// record, the second one after the first commit's. A checkpoint that is there too early means that
// the journal was cut; going on would overwrite what it led to.
void check_no_record_is_lost(const RunFolder& folder, std::size_t records) {
  if (records > 1) return;
  const std::string name = RunFolder::checkpoint_name(static_cast<std::int64_t>(records));
  if (!std::filesystem::exists(folder.path() / name)) return;
  throw DataError(text(folder.journal_path().string(), ": damaged: it has ", records,
                       " records, but ", name, " is written after record ", records + 1));
}

}  // namespace

RunFolder RunSession::open(const SessionRequest& request) {
  return request.is_resumed ? RunFolder::resume(request.out, request.resolved_config)
                            : RunFolder::create(request.out, request.resolved_config);
}

RunSession::RunSession(const SessionRequest& request, RoundMachine& machine)
    : identity_(request.identity), folder_(open(request)) {
  if (request.is_resumed) {
    restore(request, machine);
  } else {
    journal_ = std::make_unique<JournalWriter>(folder_.journal_path(), 0);
  }
  if (metrics_.empty() && resumed_rounds_ == 0 &&
      std::filesystem::file_size(folder_.journal_path()) == 0) {
    journal_->append(identity_.to_json().dump());
  }
  failpoint("after_start");
}

void RunSession::restore(const SessionRequest& request, RoundMachine& machine) {
  const std::string path = folder_.journal_path().string();
  JournalContents contents;  // empty: killed before there was a journal
  if (std::filesystem::exists(folder_.journal_path()))
    contents = read_journal(folder_.journal_path());
  check_no_record_is_lost(folder_, contents.records.size());
  std::optional<CommitRecord> last;
  for (std::size_t i = 0; i < contents.records.size(); ++i) {
    const Json json = Json::parse(contents.records[i], path);
    if (i == 0) {
      check_identity(RunIdentity::from_json(json), request.identity, path);
      continue;
    }
    last = CommitRecord::from_json(json);
    if (last->position != static_cast<std::int64_t>(i) - 1) {
      throw DataError(
          text(path, ": record ", i, ": expected commit ", i - 1, ", got ", last->position));
    }
    metrics_.push_back(last->metrics);
  }
  if (last) {
    const std::vector<std::uint8_t> bytes = folder_.read_checkpoint(last->checkpoint);
    const std::string file = (folder_.path() / last->checkpoint).string();
    if (sha256_hex(bytes) != last->checkpoint_sha256) {
      throw DataError(text(file, ": damaged: expected SHA-256 ", last->checkpoint_sha256,
                           " of commit ", last->position, ", got ", sha256_hex(bytes)));
    }
    machine.restore(
        from_checkpoint(checkpoint_from_bytes(bytes, file), last->position + 1, last->norm_median));
    resumed_rounds_ = last->position + 1;
  }
  // Only now is anything changed: the torn end is cut and the metrics follow the journal.
  journal_ = std::make_unique<JournalWriter>(folder_.journal_path(), contents.intact_bytes);
  std::vector<std::string> lines;
  for (const Json& line : metrics_) lines.push_back(line.dump());
  folder_.rewrite_metrics(lines);
}

void RunSession::commit(const RoundRecord& record, const RoundSeconds& seconds,
                        const ServerState& state) {
  if (record.plan.track == kControlTrack && record.plan.is_last_of_track) {
    write_file_atomically(folder_.model_path() / "dense.safetensors",
                          to_bytes(finished_model(state, record.plan.round)));
    failpoint("after_control");
  }
  const std::vector<std::uint8_t> bytes = to_bytes(to_checkpoint(state, record.plan.round));
  folder_.write_checkpoint(record.position, bytes);
  failpoint("after_checkpoint");
  const CommitRecord commit{.position = record.position,
                            .norm_median = state.norm_median,
                            .checkpoint = RunFolder::checkpoint_name(record.position),
                            .checkpoint_sha256 = sha256_hex(bytes),
                            .metrics = metrics_json(record, seconds)};
  failpoint("before_commit");
  journal_->append(commit.to_text(record));
  failpoint("after_commit");
  folder_.append_metrics(commit.metrics.dump());
  metrics_.push_back(commit.metrics);
}

Checkpoint RunSession::finished_model(const ServerState& state, std::int64_t round) const {
  Checkpoint checkpoint = to_checkpoint(state, round);
  checkpoint.server_state.clear();
  checkpoint.provenance = {{"version", identity_.version},
                           {"config_sha256", identity_.config_sha256},
                           {"data_sha256", identity_.data_sha256},
                           {"executor", identity_.executor},
                           {"isa", identity_.isa},
                           {"libraries", identity_.libraries}};
  return checkpoint;
}

void RunSession::write_model(const Checkpoint& checkpoint) {
  failpoint("before_model");
  write_file_atomically(folder_.model_path() / "model.safetensors", to_bytes(checkpoint));
}

void RunSession::write_report(const Json& report) {
  failpoint("before_report");
  write_file_atomically(folder_.model_path() / "report.json", report.pretty());
}

void RunSession::write_summary(const Json& summary) {
  failpoint("before_summary");
  folder_.write_summary(summary.pretty());
}

ModelAccuracy last_accuracy(const std::vector<Json>& metrics, bool is_control) {
  ModelAccuracy out;
  for (const Json& line : metrics) {
    if ((line.at("phase").as_text() == "control") != is_control) continue;
    const Json& test = line.at("test_accuracy");
    const Json& validation = line.at("validation_accuracy");
    out.test = test.is_null() ? std::nullopt : std::optional(test.as_number());
    out.validation = validation.is_null() ? std::nullopt : std::optional(validation.as_number());
  }
  return out;
}

}  // namespace coppice
