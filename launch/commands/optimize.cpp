// `coppice optimize`: the same pipeline on one machine. The federation has one client that owns all
// the data, and nothing travels.

#include "core/checkpoint.h"
#include "core/config/config.h"
#include "core/error.h"
#include "core/text.h"
#include "launch/commands.h"
#include "launch/loaded_model.h"

namespace coppice {
namespace {

// The config that the arguments stand for, as overrides of the defaults; later ones win.
std::vector<std::string> overrides_for(const OptimizeArguments& arguments) {
  std::vector<std::string> out = {
      "data.name=" + arguments.data,
      "data.partition={scheme: iid, clients: 1}",
      "train={rounds: 10, local_epochs: 2, batch_size: 64}",
      "train.optimizer={name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 1e-5}",
      "train.schedule={name: cosine}",
      "compress={control: true}",
      "compress.prune={pruner: magnitude, target: 0.5, start: 0.1, end: 0.3, steps: 3}",
      "compress.quantize={bits: 8, start: 0.7}",
      "compress.distill={teacher: control}"};
  if (!arguments.root.empty()) out.push_back("data.root=" + arguments.root);
  const std::vector<std::string> limits = constraint_overrides(arguments.constraints);
  out.insert(out.end(), limits.begin(), limits.end());
  if (!is_network_file(arguments.model)) out.push_back("model.name=" + arguments.model);
  out.insert(out.end(), arguments.overrides.begin(), arguments.overrides.end());
  return out;
}

}  // namespace

ExperimentConfig optimize_config(const OptimizeArguments& arguments) {
  ExperimentConfig config = parse_config("name: optimize", "optimize", overrides_for(arguments));
  if (is_network_file(arguments.model)) {  // its network and its weights are where training starts
    const Checkpoint checkpoint = read_network(arguments.model);
    if (!checkpoint.plan.is_empty()) {
      throw ConfigError(
          text(arguments.model, ": is quantized already; optimizing starts from an fp32 model"));
    }
    config.model = {};
    config.model.name.clear();
    config.model.layers = checkpoint.graph.layers();
    config.model.init = arguments.model;
  }
  return config;
}

int optimize_command(const OptimizeArguments& arguments, const ProcessArguments& process) {
  const ExperimentConfig config = optimize_config(arguments);
  RunArguments run;
  run.out = arguments.out.empty() ? "runs/" + config.name : arguments.out;
  run.is_resumed = arguments.is_resumed;
  run.is_json = arguments.is_json;
  run.ranks = 1;
  return run_config(run, config, process);
}

}  // namespace coppice
