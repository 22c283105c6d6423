#include "launch/run_files.h"

#include <string>  // for string

#include "core/file.h"

namespace coppice {
namespace {

constexpr std::int64_t kMaxBytes = std::int64_t{1} << 30;

std::string read_text(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxBytes);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<Json> read_metrics(const std::filesystem::path& run) {
  const std::string path = (run / "metrics.jsonl").string();
  const std::string content = read_text(path);
  std::vector<Json> lines;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    lines.push_back(Json::parse(std::string_view(content).substr(begin, end - begin), path));
    begin = end + 1;
  }
  return lines;
}

Json read_summary(const std::filesystem::path& run) {
  const std::string path = (run / "summary.json").string();
  return Json::parse(read_text(path), path);
}

bool has_control(const std::filesystem::path& run) {
  return std::filesystem::exists(run / "model" / "dense.safetensors");
}

std::filesystem::path dense_model(const std::filesystem::path& run) {
  return run / "model" / (has_control(run) ? "dense.safetensors" : "model.safetensors");
}

}  // namespace coppice
