// Threads of one process as ranks: a collective is "publish what I bring, meet, act on what the
// others brought, meet".

#include <algorithm>           // for min
#include <atomic>              // for atomic
#include <condition_variable>  // for condition_variable
#include <exception>           // for exception_ptr
#include <mutex>               // for mutex
#include <string_view>         // for string_view
#include <system_error>        // for system_error
#include <thread>              // for jthread

#include "comm/communicator.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

// The end of a collective because another rank left; told apart from errors that a rank ran into by
// itself.
struct GroupBroken : CommError {
  using CommError::CommError;
};

// What a rank brings to the collective `name`. Spans point into the memory of the calling rank,
// which waits meanwhile.
struct Contribution {
  std::string_view name;
  int root = 0;
  std::vector<std::uint8_t>* broadcast = nullptr;
  std::span<const std::uint8_t> bytes = {};
  std::span<std::int64_t> values = {};
};

enum class Blame { kSelf, kOther };

// What the ranks share. A rank writes its entry of contributions() before open() and reads all
// between open() and close().
class Group {
 public:
  explicit Group(int size) : contributions_(static_cast<std::size_t>(size)) {}

  int size() const { return static_cast<int>(contributions_.size()); }
  std::vector<Contribution>& contributions() { return contributions_; }

  // Returns when all ranks have called it. Throws GroupBroken as soon as one cannot any more.
  void open() {
    std::unique_lock lock(mutex_);
    if (!broken_because_.empty()) throw GroupBroken(broken_because_);
    const std::int64_t mine = arrive();
    everyone_.wait(lock, [&] { return meetings_ != mine || !broken_because_.empty(); });
    if (meetings_ == mine) throw GroupBroken(broken_because_);
  }

  // The same after open(), which all ranks have left, so all will come: nobody's memory goes while
  // another reads it.
  void close() noexcept {
    std::unique_lock lock(mutex_);
    const std::int64_t mine = arrive();
    everyone_.wait(lock, [&] { return meetings_ != mine; });
  }

  std::int64_t take_ticket() { return tickets_.fetch_add(1); }
  void restart_tickets() { tickets_.store(0); }

  // Ends all pending and later open(). The first reason stays.
  void break_up(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    if (broken_because_.empty()) broken_because_ = reason;
    everyone_.notify_all();
  }

  // Remembers an error for rethrow_first(), which prefers those that ranks ran into by themselves.
  void keep(std::exception_ptr error, Blame blame) {
    const std::lock_guard lock(mutex_);
    std::exception_ptr& kept = blame == Blame::kSelf ? first_own_error_ : first_broken_error_;
    if (kept == nullptr) kept = std::move(error);
  }

  // For when all ranks have ended.
  void rethrow_first() const {
    if (first_own_error_ != nullptr) std::rethrow_exception(first_own_error_);
    if (first_broken_error_ != nullptr) std::rethrow_exception(first_broken_error_);
  }

 private:
  // With the lock held. The number of meetings before this one; the last to arrive adds it.
  std::int64_t arrive() {
    const std::int64_t before = meetings_;
    if (++arrived_ == size()) {
      arrived_ = 0;
      ++meetings_;
      everyone_.notify_all();
    }
    return before;
  }

  std::mutex mutex_;  // protects everything below but contributions_ and tickets_
  std::condition_variable everyone_;
  int arrived_ = 0;
  std::int64_t meetings_ = 0;
  std::string broken_because_;
  std::exception_ptr first_own_error_;
  std::exception_ptr first_broken_error_;
  std::vector<Contribution> contributions_;
  std::atomic<std::int64_t> tickets_ = 0;
};

class LocalCommunicator final : public Communicator {
 public:
  LocalCommunicator(Group& group, int rank) : group_(&group), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }

  void broadcast(std::vector<std::uint8_t>& bytes, int root) override {
    collective({.name = "broadcast", .root = root, .broadcast = &bytes}, [&] {
      if (rank_ != root) bytes = *of(root).broadcast;
    });
  }

  void reduce_sum(std::span<std::int64_t> values, int root) override {
    collective({.name = "reduce_sum", .root = root, .values = values}, [&] {
      for (int other = 0; other < size(); ++other) {
        const std::size_t theirs = of(other).values.size();
        if (theirs == values.size()) continue;
        throw CommError(text("reduce_sum: expected ", values.size(), " values as on rank ", rank_,
                             ", got ", theirs, " on rank ", other));
      }
      add_slice(of(root).values, root);
    });
  }

  std::vector<std::vector<std::uint8_t>> gather(std::span<const std::uint8_t> bytes,
                                                int root) override {
    std::vector<std::vector<std::uint8_t>> gathered;
    collective({.name = "gather", .root = root, .bytes = bytes}, [&] {
      for (int other = 0; rank_ == root && other < size(); ++other) {
        gathered.emplace_back(of(other).bytes.begin(), of(other).bytes.end());
      }
    });
    return gathered;
  }

  void barrier() override {
    collective({.name = "barrier"}, [] {});
  }

  std::vector<int> node_of_rank() const override {
    return std::vector<int>(static_cast<std::size_t>(size()), 0);
  }

  std::int64_t take_ticket() override { return group_->take_ticket(); }

  void restart_tickets() override {
    barrier();
    if (rank_ == 0) group_->restart_tickets();
    barrier();
  }

  void abort(int exit_code) override {
    const std::string reason = text("rank ", rank_, " aborted with exit code ", exit_code);
    group_->keep(std::make_exception_ptr(CommError(reason)), Blame::kOther);
    group_->break_up(reason);
  }

 private:
  Contribution& of(int other) { return group_->contributions()[static_cast<std::size_t>(other)]; }

  // Brings `mine`, waits for the others' and runs act(), which may read them. An error of act() is
  // thrown only when all ranks have finished reading.
  template <typename Act>
  void collective(const Contribution& mine, Act&& act) {
    if (mine.root < 0 || mine.root >= size()) {
      throw CommError(
          text(mine.name, ": expected a root from 0 to ", size() - 1, ", got ", mine.root));
    }
    of(rank_) = mine;
    group_->open();
    std::exception_ptr error;
    try {
      expect_same_collective(mine);
      act();
    } catch (...) {
      error = std::current_exception();
    }
    group_->close();
    if (error != nullptr) std::rethrow_exception(error);
  }

  void expect_same_collective(const Contribution& mine) {
    for (int other = 0; other < size(); ++other) {
      const Contribution& theirs = of(other);
      if (theirs.name == mine.name && theirs.root == mine.root) continue;
      throw CommError(text("expected ", mine.name, " with root ", mine.root, " as on rank ", rank_,
                           ", got ", theirs.name, " with root ", theirs.root, " on rank ", other));
    }
  }

  // Every rank adds one slice of all contributions, so that the sum takes 1/size of the time.
  void add_slice(std::span<std::int64_t> sum, int root) {
    const auto ranks = static_cast<std::size_t>(size());
    const std::size_t slice = (sum.size() + ranks - 1) / ranks;
    const std::size_t begin = std::min(sum.size(), slice * static_cast<std::size_t>(rank_));
    const std::size_t end = std::min(sum.size(), begin + slice);
    for (int other = 0; other < size(); ++other) {
      if (other == root) continue;
      const std::span<const std::int64_t> theirs = of(other).values;
      for (std::size_t i = begin; i < end; ++i) sum[i] += theirs[i];
    }
  }

  Group* group_;
  int rank_;
};

// One rank's thread: its body, and the release of the others however it ends.
void run_rank(Group& group, int rank, const std::function<void(Communicator&)>& body) {
  try {
    LocalCommunicator communicator(group, rank);
    body(communicator);
    group.break_up(text("rank ", rank, " has ended"));
  } catch (const GroupBroken&) {
    group.keep(std::current_exception(), Blame::kOther);
  } catch (const std::exception& error) {
    group.keep(std::current_exception(), Blame::kSelf);
    group.break_up(text("rank ", rank, " left by error: ", describe(error)));
  } catch (...) {
    group.keep(std::current_exception(), Blame::kSelf);
    group.break_up(text("rank ", rank, " left by an unknown error"));
  }
}

}  // namespace

void run_local(int ranks, const std::function<void(Communicator&)>& body) {
  if (ranks < 1) throw ConfigError(text("run_local: expected at least 1 rank, got ", ranks));
  Group group(ranks);
  {
    std::vector<std::jthread> threads;
    try {
      for (int rank = 1; rank < ranks; ++rank)
        threads.emplace_back([&, rank] { run_rank(group, rank, body); });
    } catch (const std::system_error& error) {
      const std::string reason = text("cannot start ", ranks, " ranks: ", error.what());
      group.break_up(reason);
      throw CommError(reason);  // after the threads that did start have been joined
    }
    run_rank(group, 0, body);
  }
  group.rethrow_first();
}

}  // namespace coppice
