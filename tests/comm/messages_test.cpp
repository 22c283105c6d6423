#include "comm/messages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/wire.h"
#include "core/random.h"
#include "tests/core/thrown.h"

namespace coppice {
namespace {

using Bytes = std::vector<std::uint8_t>;

ClientTask sample_task() {
  ClientTask task;
  task.round = 3;
  task.track = "main";
  task.model_version = 12;
  task.mask_epoch = 2;
  task.plan.optimizer = {
      .kind = OptimizerKind::kAdamW, .lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-5};
  task.plan.epochs = 0;
  task.plan.steps = 7;
  task.plan.linear_correction = "c";
  task.plan.prox_mu = 0.01;
  task.plan.loss_terms = {
      LossTerm{},
      {.kind = LossKind::kDistillation, .weight = 0.5, .temperature = 4.0, .buffer = "teacher"},
      {.kind = LossKind::kFeatureMatching, .weight = 3.0, .buffer = "relu2"}};
  task.plan.mask_rule = MaskRule::kKeepZero;
  task.plan.keep_state = {"moon", ""};
  task.plan.memory = {.micro_batch = 16,
                      .relu_bits = true,
                      .fused_pools = true,
                      .saved_bits = 8,
                      .freeze_first = 2};
  task.update_grid = {6, 30};
  task.max_weight = 60'000;
  task.codec = "int8";
  task.codec_options = {.bits = 3, .fraction = 0.25, .levels = 7, .max_bytes = 11};
  task.client_options = {{.levels = 1}, {.levels = 2}, {.max_bytes = 500}};
  task.residual_decay = 0.75;
  task.norm_bound = 2.5;
  task.ballot = BallotRequest{.pruner = "magnitude", .keep_counts = {1, 6, 16}, .grid = {1, 0}};
  task.sense = SenseRequest{.parameters = {"a.weight"},
                            .candidates = {{.density = 0.5, .bits = 3},
                                           {.block_density = 0.25, .bits = 8},
                                           {.density = 0.5, .bits = 4, .channels = 0.75}},
                            .batches = 4,
                            .half_batch = 9,
                            .class_counts = {70, 0, 30},
                            .grid = {12, 30}};
  task.regrow =
      RegrowRequest{.layers = {{.parameter = "a.weight", .weights = 9, .kept = 2, .grown = 7},
                               {.parameter = "b", .weights = 1}},
                    .batches = 2,
                    .half_batch = 3,
                    .grid = {1, 0}};
  task.calibration =
      CalibrationRequest{.nodes = {"relu1", "hidden"}, .samples = 64, .grid = {25, 0}};
  task.gate = GateRequest{.batch_size = 31, .grid = {20, 0}};
  task.cohort = {0, 3, 9};
  return task;
}

std::vector<ClientRow> sample_rows() {
  ClientRow refused{.client = 4,
                    .weight = 10,
                    .status = ClientStatus::kRefused,
                    .reason = RefusalReason::kNotFinite};
  refused.loss = std::numeric_limits<double>::quiet_NaN();
  refused.update_norm = HUGE_VAL;
  return {{.client = 3,
           .weight = 600,
           .status = ClientStatus::kAccepted,
           .loss = 0.5,
           .correct = 400,
           .labels = 600,
           .samples = 1200,
           .update_norm = 1.5,
           .seconds = 0.25,
           .bytes_up = 1000,
           .bytes_down = 2000},
          refused};
}

// A frame of each type and how to decode it.
struct Message {
  const char* name;
  Bytes frame;
  void (*decode)(std::span<const std::uint8_t>);
};

std::vector<Message> all_messages() {
  return {
      {"task", encode_task(sample_task()), [](std::span<const std::uint8_t> f) { decode_task(f); }},
      {"model", encode_model({"{\"layers\":[]}", "{}", {1.0F, -2.0F}}),
       [](std::span<const std::uint8_t> f) { decode_model(f); }},
      {"rows", encode_rows(sample_rows()), [](std::span<const std::uint8_t> f) { decode_rows(f); }},
      {"histograms", encode_histograms(std::vector<float>{0.0F, 3.0F, 16777216.0F, 0.0F}),
       [](std::span<const std::uint8_t> f) { decode_histograms(f); }},
      {"ballot", encode_ballot(std::vector<float>(13, 1.0F)),
       [](std::span<const std::uint8_t> f) { decode_ballot(f, 3); }}};
}

TEST(MessagesTest, TasksReadBackEqual) {
  EXPECT_EQ(decode_task(encode_task(sample_task())), sample_task());
  EXPECT_EQ(decode_task(encode_task(ClientTask())), ClientTask());
  for (std::size_t i = 0; i < sample_task().cohort.size(); ++i) {  // nothing about the others
    ClientTask alone = sample_task();
    alone.cohort = {alone.cohort[i]};
    alone.client_options = {alone.client_options[i]};
    EXPECT_EQ(encode_task_for(sample_task(), alone.cohort[0]), encode_task(alone));
  }
}

// Sums of these sizes are made before a client trains.
TEST(MessagesTest, MaskBallotsThatNoLayerCanGiveAreRefused) {
  const auto refused = [](const RegrowLayer& layer, std::size_t times = 1) {
    ClientTask task;
    task.regrow.emplace();
    task.regrow->layers.assign(times, layer);
    return thrown_text<WireError>([&] { decode_task(encode_task(task)); });
  };
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  EXPECT_EQ(refused({.parameter = "a", .weights = 5, .kept = 3, .grown = 2}), "");
  EXPECT_TRUE(contains(refused({.parameter = "a", .weights = 5, .kept = 3, .grown = 3}),
                       "a: 3 and 3 of 5 weights"));
  EXPECT_TRUE(contains(refused({.parameter = "a", .weights = 5, .kept = -1}), "-1 and 0 of 5"));
  EXPECT_TRUE(contains(refused({.parameter = "a", .weights = -5}), "of -5"));
  EXPECT_TRUE(contains(refused({.parameter = "a", .weights = kHuge}), "weights"));
  EXPECT_TRUE(contains(refused({.parameter = "a", .weights = std::int64_t{1} << 30}, 3),
                       "more than 2147483648 weights"));
}

TEST(MessagesTest, ModelsReadBackToTheirBits) {
  const ModelMessage model{"{\"a\":\"\xC3\xBC\"}", "{\"weights\":[]}", {0.0F, -0.0F, 1e-45F, 3.5F}};
  const ModelMessage back = decode_model(encode_model(model));
  EXPECT_EQ(back.graph_json, model.graph_json);
  EXPECT_EQ(back.plan_json, model.plan_json);
  EXPECT_EQ(back.parameters, model.parameters);
  EXPECT_TRUE(std::signbit(back.parameters[1]));
  EXPECT_TRUE(decode_model(encode_model({})).parameters.empty());
}

TEST(MessagesTest, HistogramsReadBackAndTravelWithoutTheirZeros) {
  std::vector<float> counts(1024, 0.0F);
  counts[0] = 5.0F;
  counts[1023] = 16777216.0F;
  const Bytes frame = encode_histograms(counts);
  EXPECT_EQ(decode_histograms(frame), counts);
  EXPECT_EQ(frame.size(), kFrameHeaderBytes + 4 + 2 * 8);
}

TEST(MessagesTest, RowsReadBackWithTheirRefusals) {
  const std::vector<ClientRow> rows = decode_rows(encode_rows(sample_rows()));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].client, 3);
  EXPECT_EQ(rows[0].weight, 600);
  EXPECT_EQ(rows[0].status, ClientStatus::kAccepted);
  EXPECT_EQ(rows[0].samples, 1200);
  EXPECT_EQ(rows[0].bytes_up, 1000);
  EXPECT_EQ(rows[0].bytes_down, 2000);
  EXPECT_EQ(rows[1].reason, RefusalReason::kNotFinite);
  EXPECT_TRUE(std::isnan(rows[1].loss));
  EXPECT_EQ(rows[1].update_norm, HUGE_VAL);
  EXPECT_EQ(encode_rows(rows), encode_rows(sample_rows()));
  EXPECT_TRUE(decode_rows(encode_rows({})).empty());
  EXPECT_EQ(row_frame_bytes(), std::ssize(encode_rows(std::vector<ClientRow>(1))));
}

TEST(MessagesTest, BallotsTakeOneBitAUnit) {
  RandomStream stream({.task = 1});
  for (const std::size_t size : {0U, 1U, 7U, 8U, 9U, 100U}) {
    std::vector<float> ballot(size);
    for (float& vote : ballot) vote = static_cast<float>(stream.next_below(2));
    const Bytes frame = encode_ballot(ballot);
    EXPECT_EQ(decode_ballot(frame, ballot.size()), ballot);
    EXPECT_EQ(frame.size(), kFrameHeaderBytes + 16 + (size + 7) / 8);
  }
}

TEST(MessagesTest, EveryTruncationIsRefused) {
  for (const Message& message : all_messages()) {
    for (std::size_t n = 0; n < message.frame.size(); ++n) {
      ASSERT_THROW(message.decode(std::span(message.frame).first(n)), WireError)
          << message.name << n;
    }
    Bytes longer = message.frame;
    longer.push_back(0);
    EXPECT_THROW(message.decode(longer), WireError) << message.name;
  }
}

TEST(MessagesTest, EveryFlippedBitIsRefused) {
  for (const Message& message : all_messages()) {
    for (std::size_t bit = 0; bit < message.frame.size() * 8; ++bit) {
      Bytes damaged = message.frame;
      damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
      ASSERT_THROW(message.decode(damaged), WireError) << message.name << bit;
    }
  }
}

TEST(MessagesTest, FramesOfAnotherTypeAreRefused) {
  const std::vector<Message> messages = all_messages();
  for (const Message& sent : messages) {
    for (const Message& expected : messages) {
      if (sent.name == expected.name) continue;
      EXPECT_THROW(expected.decode(sent.frame), WireError) << sent.name << expected.name;
    }
  }
}

// Whoever computes checksums can still not make the decoder crash or allocate without bound.
TEST(MessagesTest, HostilePayloadsWithAValidChecksumGiveAnErrorOrAMessage) {
  RandomStream stream({.task = 2});
  for (const Message& message : all_messages()) {
    const auto type = static_cast<FrameType>(message.frame[6] + 256 * message.frame[7]);
    const Bytes payload(message.frame.begin() + kFrameHeaderBytes, message.frame.end());
    for (int i = 0; i < 3000; ++i) {
      Bytes hostile = payload;
      for (int flips = 0; flips < 3; ++flips) {
        hostile[stream.next_below(hostile.size())] =
            static_cast<std::uint8_t>(stream.next_below(256));
      }
      if (i % 5 == 0) hostile.resize(stream.next_below(hostile.size() + 1));
      Bytes frame;
      write_frame(type, hostile, frame);
      try {
        message.decode(frame);
      } catch (const WireError&) {
      }
    }
  }
}

TEST(MessagesTest, OfAMaskedModelOnlyWhatIsKeptTravels) {
  ModelMessage model{"{}", "", {1.0F, 0.0F, -2.0F, 0.0F, 0.5F}, Mask(5)};
  model.mask.set(1, false);
  model.mask.set(3, false);
  const Bytes frame = encode_model(model);
  const ModelMessage back = decode_model(frame);
  EXPECT_EQ(back.parameters, model.parameters);
  EXPECT_EQ(back.mask, model.mask);
  ModelMessage whole = model;
  whole.mask = {};
  EXPECT_EQ(encode_model(whole).size() + 1, frame.size() + 2 * sizeof(float));

  Bytes payload;
  WireWriter out(payload);
  out.text("{}");
  out.text("");
  out.u64(5);
  out.bytes(Bytes{0b10101});
  out.floats(std::vector<float>{1.0F, 2.0F});
  Bytes forged;
  write_frame(FrameType::kModel, payload, forged);
  EXPECT_TRUE(contains(thrown_text<WireError>([&] { decode_model(forged); }),
                       "2 parameters, its mask keeps 3"));
}

TEST(MessagesTest, SensitivitiesGoAndComeBack) {
  const std::vector<float> table{0.0F, 1e-9F, 3.5F};
  EXPECT_EQ(decode_sensitivities(encode_sensitivities(table)), table);
}

TEST(MessagesTest, BallotWithBitsPastItsEndIsRefused) {
  Bytes payload;
  WireWriter out(payload);
  out.u64(3);
  out.bytes(Bytes{0x0F});
  Bytes frame;
  write_frame(FrameType::kBallot, payload, frame);
  EXPECT_TRUE(contains(thrown_text<WireError>([&] { decode_ballot(frame, 3); }),
                       "ballot: bits past its 3"));
}

}  // namespace
}  // namespace coppice
