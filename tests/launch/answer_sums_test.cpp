// What clients send, joined by the coordinator, is what a rank that plays them has: the same sums,
// the same rows, the same bytes.
#include "coordinator/answer_sums.h"

#include <cmath>
#include <functional>
#include <string>

#include "comm/messages.h"
#include "core/coupling.h"
#include "core/error.h"
#include "tests/client/local_clients_fixture.h"

namespace coppice {
namespace {

const std::vector<std::int64_t> kAll{0, 1, 2, 3, 4};
const ClientSizes kSizes{.weights = std::vector<std::int64_t>(5, 8),
                         .validation_labels = std::vector<std::int64_t>(5, 2)};  // tiny_partition()
constexpr std::int64_t kBytesDown = 1000;

struct Variety {
  std::string name;
  std::function<void(const Graph&, ClientTask&)> change = [](const Graph&, ClientTask&) {};
  bool is_masked = false;
};
std::ostream& operator<<(std::ostream& out, const Variety& variety) { return out << variety.name; }

Variety with_codec(const std::string& codec, CodecOptions options = {}, bool feeds_back = false) {
  return {codec, [=](const Graph&, ClientTask& task) {
            task.codec = codec;
            task.codec_options = options;
            if (feeds_back) task.residual_decay = 0.5;
          }};
}

void make_masked(const Graph&, ClientTask& task) { task.plan.mask_rule = MaskRule::kKeepZero; }

void ask_for_ballots(const Graph& graph, ClientTask& task) {
  const Coupling coupling = couple(graph);
  std::vector<std::int64_t> counts;
  for (const CouplingGroup& group : coupling.groups)
    counts.push_back(group.is_prunable ? 3 : std::ssize(group.units));
  task.ballot = BallotRequest{
      .pruner = "taylor", .keep_counts = std::move(counts), .batches = 1, .half_batch = 4};
}

// Of every weight matrix, three quarters of which the mask keeps.
void ask_for_mask_ballots(const Graph& graph, ClientTask& task) {
  make_masked(graph, task);
  task.regrow.emplace();
  for (const ParameterSpec& spec : graph.parameters()) {
    if (spec.shape.size() < 2) continue;
    task.regrow->layers.push_back(
        {.parameter = spec.name, .weights = spec.size(), .kept = spec.size() / 2, .grown = 2});
  }
  task.regrow->batches = 1;
  task.regrow->half_batch = 4;
}

// Three of four weights of every matrix.
Mask some_mask(const Graph& graph) {
  Mask mask(graph.parameter_count());
  for (const ParameterSpec& spec : graph.parameters()) {
    if (spec.shape.size() < 2) continue;
    for (std::int64_t i = 0; i < spec.size(); i += 4) mask.set(spec.offset + i, false);
  }
  return mask;
}

class AnswerSumsTest : public LocalClientsTest, public testing::WithParamInterface<Variety> {
 protected:
  AnswerSumsTest() {
    if (GetParam().is_masked) {
      mask_ = some_mask(graph_);
      mask_.apply(global_.values());
    }
    GetParam().change(graph_, task_);
    clients_.set_reference(graph_, {global_.values().begin(), global_.values().end()});
  }

  RankReport simulated(const std::vector<std::int64_t>& which) {
    clients_.keep_answers(nullptr);
    return clients_.run(task_, view(), in_turn(which), kBytesDown);
  }
  std::vector<ClientAnswer> answers_of(const std::vector<std::int64_t>& which) {
    std::vector<ClientAnswer> answers;
    clients_.keep_answers(&answers);
    clients_.run(task_, view(), in_turn(which), kBytesDown);
    return answers;
  }
  AnswerSums sums() const { return {task_, graph_, mask_, kSizes, kBytesDown}; }
  ModelView view() const { return {.parameters = global_.values(), .mask = &mask_}; }

  static void expect_same(const RankReport& a, const RankReport& b) {
    ASSERT_EQ(a.sums.size(), 1U);
    ASSERT_EQ(b.sums.size(), 1U);
    EXPECT_EQ(a.sums.begin()->first, b.sums.begin()->first);
    const NamedSums& one = a.sums.begin()->second;
    const NamedSums& other = b.sums.begin()->second;
    ASSERT_EQ(one.size(), other.size());
    for (const auto& [name, sum] : one) {
      EXPECT_TRUE(std::ranges::equal(sum.units(), other.at(name).units())) << name;
      EXPECT_EQ(sum.weight(), other.at(name).weight()) << name;
    }
    ASSERT_EQ(a.rows.size(), b.rows.size());
    for (std::size_t i = 0; i < a.rows.size(); ++i) {
      EXPECT_EQ(a.rows[i].client, b.rows[i].client);
      EXPECT_EQ(a.rows[i].status, b.rows[i].status) << i;
      EXPECT_EQ(a.rows[i].reason, b.rows[i].reason) << i;
      const auto [one_norm, other_norm] = std::pair(a.rows[i].update_norm, b.rows[i].update_norm);
      EXPECT_TRUE(one_norm == other_norm || (std::isnan(one_norm) && std::isnan(other_norm))) << i;
      EXPECT_EQ(a.rows[i].bytes_up, b.rows[i].bytes_up) << i;
      EXPECT_EQ(a.rows[i].bytes_down, b.rows[i].bytes_down) << i;
    }
  }

  ClientTask task_ = task_for(kAll);
  Mask mask_;
};

TEST_P(AnswerSumsTest, AreThoseOfARankThatPlaysTheClients) {
  poison(3);
  const RankReport expected = simulated(kAll);
  if (task_.trains()) {
    EXPECT_EQ(expected.rows[3].status, ClientStatus::kRefused);
  }
  AnswerSums joined = sums();
  for (const ClientAnswer& answer : answers_of(kAll)) {
    EXPECT_EQ(joined.has(answer.row.client), false);
    joined.add(answer.row.client, decode_answer(encode_answer(answer)));
  }
  expect_same(joined.take(), expected);
}

TEST_P(AnswerSumsTest, DoNotDependOnOrderOrOnWhatComesTwice) {
  const RankReport expected = simulated({0, 2, 4});
  const std::vector<ClientAnswer> answers = answers_of({4, 0, 2});
  AnswerSums joined = sums();
  for (const std::size_t i : {1U, 2U, 1U, 0U, 2U}) joined.add(answers[i].row.client, answers[i]);
  for (const std::int64_t client : kAll) EXPECT_EQ(joined.has(client), client % 2 == 0) << client;
  const RankReport report = joined.take();
  EXPECT_EQ(report.rows.size(), 3U);
  for (const auto& [name, sum] : expected.sums.begin()->second) {
    EXPECT_TRUE(std::ranges::equal(sum.units(), report.sums.begin()->second.at(name).units()));
  }
}

// Whatever is refused leaves the sums as they were.
TEST_P(AnswerSumsTest, AnAnswerThatNoClientMakesAddsNothing) {
  const ClientAnswer good = answers_of({2}).front();
  AnswerSums joined = sums();
  const auto expect_refused = [&](std::int64_t client, const ClientAnswer& answer) {
    EXPECT_THROW(joined.add(client, answer), WireError);
    EXPECT_FALSE(joined.has(client));
  };
  expect_refused(1, good);   // another client's
  expect_refused(17, good);  // of none in the cohort
  ClientAnswer bad = good;
  bad.row.weight += 1;
  expect_refused(2, bad);
  bad = good;
  bad.row.status = ClientStatus::kMissing;
  expect_refused(2, bad);
  bad = good;
  bad.row.status = ClientStatus::kRefused;  // and yet has frames
  bad.row.reason = RefusalReason::kNotFinite;
  expect_refused(2, bad);
  bad = good;
  bad.frames["nonsense"] = {1, 2, 3};
  expect_refused(2, bad);
  for (const auto& [name, frame] : good.frames) {
    if (name != kMaskBallotSum) {
      bad = good;
      bad.frames.erase(name);
      expect_refused(2, bad);
    }
    for (std::size_t at = 0; at < frame.size(); at += 1 + frame.size() / 40) {
      bad = good;
      bad.frames[name][at] ^= 0x10U;
      expect_refused(2, bad);
      bad = good;
      bad.frames[name].resize(at);
      expect_refused(2, bad);
    }
  }
  joined.add(2, good);
  expect_same(joined.take(), simulated({2}));
}

// What would change the others' figures, or outvote them.
TEST_P(AnswerSumsTest, FiguresThatCannotBeAreRefused) {
  const ClientAnswer good = answers_of({2}).front();
  AnswerSums joined = sums();
  const auto expect_refused = [&](auto&& change) {
    ClientAnswer bad = good;
    change(bad);
    EXPECT_THROW(joined.add(2, bad), WireError);
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  expect_refused([](ClientAnswer& bad) { bad.row.samples = 1000; });
  expect_refused([](ClientAnswer& bad) { bad.row.samples = -1; });
  expect_refused([](ClientAnswer& bad) { bad.row.loss = kNan; });
  expect_refused([](ClientAnswer& bad) { bad.row.update_norm = -1.0; });
  expect_refused([](ClientAnswer& bad) { bad.row.seconds = kNan; });
  const auto more_of = [&](const char* name) {
    expect_refused([name](ClientAnswer& bad) {
      std::vector<float> counts = decode_histograms(bad.frames.at(name));
      counts[0] += 1000.0F;
      bad.frames[name] = encode_histograms(counts);
    });
  };
  if (task_.gate) more_of(kOutcomeSum);
  if (task_.calibration) more_of(kHistogramSum);
  joined.add(2, good);
  EXPECT_TRUE(joined.has(2));
}

TEST_P(AnswerSumsTest, TruncatedOrFlippedAnswersAreNotDecoded) {
  const std::vector<std::uint8_t> bytes = encode_answer(answers_of({1}).front());
  for (std::size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 200) {
    std::vector<std::uint8_t> bad = bytes;
    bad[at] ^= 0x04U;
    EXPECT_THROW(decode_answer(bad), WireError) << at;
    bad = bytes;
    bad.resize(at);
    EXPECT_THROW(decode_answer(bad), WireError) << at;
  }
}

Variety sensing() {
  return {"sense", [](const Graph& graph, ClientTask& task) {
            task.sense.emplace();
            task.sense->candidates = {{.density = 0.5, .bits = 4}, {.bits = 2}};
            task.sense->batches = 1;
            task.sense->half_batch = 4;
            task.sense->grid = grid_for(12, task.max_weight);
            for (const ParameterSpec& spec : graph.parameters()) {
              if (spec.shape.size() == 2) task.sense->parameters.push_back(spec.name);
            }
          }};
}

INSTANTIATE_TEST_SUITE_P(
    Tasks, AnswerSumsTest,
    testing::Values(
        Variety{"dense"}, with_codec("int8"), with_codec("int4"),
        with_codec("rotated", {.bits = 2}), with_codec("qsgd"),
        with_codec("topk", {.fraction = 0.2}, true), with_codec("stc", {.fraction = 0.2}, true),
        Variety{"masked", make_masked, true}, Variety{"ballots", ask_for_ballots},
        Variety{"mask_ballots", ask_for_mask_ballots, true},
        Variety{"counts",
                [](const Graph&, ClientTask& task) {
                  task.calibration = CalibrationRequest{.nodes = {"input", "relu"}, .samples = 4};
                }},
        sensing(),
        Variety{"gate",
                [](const Graph&, ClientTask& task) { task.gate = GateRequest{.batch_size = 3}; }}),
    [](const auto& test) { return test.param.name; });

// Two trainings of the same network, of which the later one keeps other weights.
class LateAnswerTest : public LocalClientsTest {
 protected:
  LateAnswerTest() {
    make_masked(graph_, then_);
    now_ = then_;
    now_.round = 2;
    now_.model_version = 1;
    now_.cohort = {0, 1, 2};
    for (std::int64_t i = 0; i < now_mask_.size(); i += 3) now_mask_.set(i, false);
    then_mask_.apply(global_.values());
  }

  ClientAnswer answer_of(std::int64_t client) {
    std::vector<ClientAnswer> answers;
    clients_.keep_answers(&answers);
    clients_.run(then_, {.parameters = global_.values(), .mask = &then_mask_}, in_turn({client}),
                 kBytesDown);
    return answers.front();
  }
  AnswerSums then() const { return {then_, graph_, then_mask_, kSizes, kBytesDown}; }
  AnswerSums now() const { return {now_, graph_, now_mask_, kSizes, 2 * kBytesDown}; }

  ClientTask then_ = task_for(kAll);
  ClientTask now_;
  Mask then_mask_ = some_mask(graph_);
  Mask now_mask_{graph_.parameter_count()};
};

TEST_F(LateAnswerTest, WhatBothMasksKeepIsAddedToTheBit) {
  const ClientAnswer answer = answer_of(1);
  AnswerSums at_the_time = then();
  at_the_time.add(1, answer);
  const RankReport before = at_the_time.take();
  AnswerSums joined = now();
  joined.add_late(1, at_the_time, answer);
  joined.add_late(1, at_the_time, answer);  // counts once
  joined.add(1, answer);
  const RankReport report = joined.take();
  ASSERT_EQ(report.rows.size(), 1U);
  EXPECT_EQ(report.rows[0].status, ClientStatus::kAccepted);
  EXPECT_EQ(report.rows[0].bytes_down, kBytesDown) << "of the task that it had";
  EXPECT_EQ(report.rows[0].bytes_up, answer.counted_bytes());
  EXPECT_EQ(update_of(report).weight(), 8);
  std::vector<std::int64_t> all(static_cast<std::size_t>(graph_.parameter_count()));
  const std::vector<std::int64_t> kept_then = then_mask_.kept_indices();
  for (std::size_t i = 0; i < kept_then.size(); ++i)
    all[static_cast<std::size_t>(kept_then[i])] = update_of(before).units()[i];
  std::vector<std::int64_t> expected;
  for (const std::int64_t index : now_mask_.kept_indices())
    expected.push_back(all[static_cast<std::size_t>(index)]);
  EXPECT_TRUE(std::ranges::equal(update_of(report).units(), expected));
  EXPECT_TRUE(std::ranges::any_of(expected, [](std::int64_t unit) { return unit != 0; }));
}

TEST_F(LateAnswerTest, IsJudgedByTheTaskThatItIsFor) {
  poison(1);
  then_.norm_bound = 1e-6;
  AnswerSums joined = now();
  joined.add_late(1, then(), answer_of(1));
  joined.add_late(2, then(), answer_of(2));
  ClientAnswer bad = answer_of(0);
  EXPECT_THROW(joined.add_late(2 + 1, then(), bad), WireError) << "another client's";
  ++bad.row.weight;
  EXPECT_THROW(joined.add_late(0, then(), bad), WireError);
  EXPECT_FALSE(joined.has(0));
  const RankReport report = joined.take();
  EXPECT_EQ(update_of(report).weight(), 0);
  ASSERT_EQ(report.rows.size(), 2U);
  EXPECT_EQ(report.rows[0].reason, RefusalReason::kNotFinite);
  EXPECT_EQ(report.rows[1].reason, RefusalReason::kNormAboveBound);
}

TEST_F(LateAnswerTest, OfAnotherNetworkOrTrackIsNone) {
  const ClientAnswer answer = answer_of(1);
  EXPECT_EQ(now().not_projected(then()), "");
  const Graph other =
      Graph::build(numbers({kTinyFeatures}), {{"linear", "out", {}, {.out = kTinyClasses}}});
  AnswerSums joined(now_, other, Mask(other.parameter_count()), kSizes, kBytesDown);
  EXPECT_EQ(joined.not_projected(then()), "the network has other layers or channels by now");
  EXPECT_THROW(joined.add_late(1, then(), answer), Error);
  now_.track = "control";
  EXPECT_NE(now().not_projected(then()), "");
  now_.track = then_.track;
  now_.gate.emplace();
  EXPECT_NE(now().not_projected(then()), "");
}

// With one level what arrives is far longer than what was sent, and honest.
TEST_F(LocalClientsTest, AFewLevelsAreNotTakenForALie) {
  ClientTask task = task_for(kAll);
  task.codec = "qsgd";
  task.codec_options.levels = 1;
  std::vector<ClientAnswer> answers;
  clients_.keep_answers(&answers);
  clients_.run(task, {global_.values()}, in_turn(kAll), kBytesDown);
  for (const ClientAnswer& answer : answers)
    task.norm_bound = std::max(task.norm_bound, answer.row.update_norm);
  AnswerSums joined(task, graph_, Mask(), kSizes, kBytesDown);
  for (const ClientAnswer& answer : answers) joined.add(answer.row.client, answer);
  for (const ClientRow& row : joined.take().rows) EXPECT_EQ(row.status, ClientStatus::kAccepted);
}

// A client may say that its norm is small.
TEST_F(LocalClientsTest, AnUpdateAboveTheBoundIsRefusedWhateverItsRowSays) {
  const ClientTask honest = task_for(kAll);
  std::vector<ClientAnswer> answers;
  clients_.keep_answers(&answers);
  clients_.run(honest, {global_.values()}, in_turn({1, 2}), kBytesDown);
  ClientTask bounded = honest;
  bounded.norm_bound = answers[0].row.update_norm / 3.0;
  AnswerSums joined(bounded, graph_, Mask(), kSizes, kBytesDown);
  for (ClientAnswer& answer : answers) {
    answer.row.update_norm = bounded.norm_bound / 2.0;
    joined.add(answer.row.client, answer);
  }
  const RankReport report = joined.take();
  EXPECT_EQ(update_of(report).weight(), 0);
  for (const ClientRow& row : report.rows) EXPECT_EQ(row.reason, RefusalReason::kNormAboveBound);
}

}  // namespace
}  // namespace coppice
