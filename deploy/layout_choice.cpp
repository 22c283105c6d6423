#include "deploy/layout_choice.h"

#include <charconv>  // for to_chars
#include <cmath>     // for round
#include <utility>   // for move

#include "core/text.h"
#include "deploy/runtime/inference.h"
#include "deploy/runtime/layout.h"

namespace coppice {
namespace {

using runtime::Layout;

// Two digits behind the point.
std::string short_text(double value) {
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, value, std::chars_format::fixed, 2);
  return {digits, end.ptr};
}

double rounded(double value) { return std::round(value * 1e6) / 1e6; }

void choose_by_table(const LatencyTable& table, const TimedNode& node, LayoutChoice& choice) {
  TimedNode dense = node;
  dense.layout = Layout::kPanels;
  dense.density = 1.0;
  TimedNode blocks = node;
  blocks.layout = Layout::kBlocks;
  blocks.density = choice.block_density;
  choice.dense_us = table.microseconds(dense);
  choice.blocks_us = table.microseconds(blocks);
  const bool is_sparse = *choice.blocks_us < *choice.dense_us;
  choice.layout = is_sparse ? Layout::kBlocks : Layout::kPanels;
  choice.reason = text("the table has ", short_text(*choice.blocks_us), " us for blocks, of which ",
                       short_text(choice.block_density), " hold weights, and ",
                       short_text(*choice.dense_us), " us for dense weights");
}

void choose_by_rule(const runtime::Node& node, LayoutChoice& choice) {
  const bool is_convolution = node.op == runtime::Op::conv2d;
  const double most = most_block_density(is_convolution, node.weights.bits);
  const bool is_sparse = choice.block_density <= most;
  choice.layout = is_sparse ? Layout::kBlocks : Layout::kPanels;
  choice.reason = text("without a table, ", node.weights.bits, "-bit ",
                       is_convolution ? "convolutions" : "matrices",
                       " are stored in blocks if at most ", short_text(most),
                       " of those hold weights; here ", short_text(choice.block_density), " do");
}

LayoutChoice choice_of(const runtime::Node& node, const runtime::ProductShape& shape,
                       const TimedNode* timed, const LatencyTable* table) {
  LayoutChoice choice{.node = node.name, .layout = dense_layout(shape)};
  if (shape.groups > 1) {
    choice.reason = "convolutions with groups have one order only";
  } else if (!shape.is_integer()) {
    choice.reason = "blocks are for integers; this layer is multiplied in fp32";
  } else if (!may_be_blocks(shape)) {
    choice.reason = "an output channel has more blocks than their numbers can name";
  } else {
    choice.block_density = rounded(block_density(node.weights, shape));
    if (table != nullptr && timed != nullptr) {
      choose_by_table(*table, *timed, choice);
    } else {
      choose_by_rule(node, choice);
    }
    return choice;
  }
  if (table != nullptr && timed != nullptr) {
    TimedNode dense = *timed;
    dense.layout = choice.layout;
    dense.density = 1.0;
    choice.dense_us = table->microseconds(dense);
  }
  return choice;
}

}  // namespace

std::vector<LayoutChoice> choose_layouts(const runtime::Program& program,
                                         const LatencyTable* table) {
  const runtime::Inference inference = infer(program);
  std::vector<TimedNode> timed;
  if (table != nullptr) timed = timed_nodes(program);
  std::vector<LayoutChoice> choices;
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {
    const runtime::Node& node = program.nodes[i];
    if (inference.counts(node).row == 0) continue;
    const TimedNode* of_node = nullptr;
    for (const TimedNode& one : timed) {
      if (one.index == i) of_node = &one;
    }
    choices.push_back(choice_of(node, product_shape(node, inference), of_node, table));
    choices.back().node_index = i;
  }
  return choices;
}

std::vector<LayoutChoice> explain_layouts(const runtime::Program& program,
                                          const LatencyTable* table) {
  std::vector<LayoutChoice> choices = choose_layouts(program, table);
  for (LayoutChoice& choice : choices) {
    const Layout layout = program.nodes[choice.node_index].weights.layout;
    if (layout == choice.layout) continue;
    choice.reason = text("the file has it in ", layout_name(layout), ", though ", choice.reason);
    choice.layout = layout;
  }
  return choices;
}

runtime::Program with_layouts(runtime::Program program, const std::vector<LayoutChoice>& choices) {
  const runtime::Node* first = program.nodes.data();  // moving a program moves no node
  std::vector<Layout> layouts(program.nodes.size(), Layout::kRows);
  for (const LayoutChoice& choice : choices) layouts[choice.node_index] = choice.layout;
  return runtime::laid_out(std::move(program),
                           [&](const runtime::Node& node, const runtime::ProductShape&) {
                             return layouts[static_cast<std::size_t>(&node - first)];
                           });
}

runtime::Program with_chosen_layouts(runtime::Program program, const LatencyTable* table) {
  const std::vector<LayoutChoice> choices = choose_layouts(program, table);
  return with_layouts(std::move(program), choices);
}

Json layouts_json(const std::vector<LayoutChoice>& choices) {
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  Json::Array out;
  for (const LayoutChoice& choice : choices) {
    Json entry;
    entry.set("layer", choice.node);
    entry.set("layout", layout_name(choice.layout));
    entry.set("block_density", choice.block_density);
    entry.set("dense_us", number(choice.dense_us));
    entry.set("blocks_us", number(choice.blocks_us));
    entry.set("reason", choice.reason);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace coppice
