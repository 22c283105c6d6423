// Ranks as MPI processes. MPI lives as long as the one communicator that make_mpi_communicator()
// returns.

#include <exception>  // for uncaught_exceptions
#include <optional>   // for optional

#include "comm/communicator.h"
#include "comm/mpi_reducer.h"
#include "comm/mpi_shared.h"
#include "comm/raii.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {

void check_mpi(int code, std::string_view expression, std::string_view file, int line) {
  if (code == MPI_SUCCESS) return;
  std::string reason(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  const bool has_text = MPI_Error_string(code, reason.data(), &length) == MPI_SUCCESS;
  reason.resize(has_text ? static_cast<std::size_t>(length) : 0);
  throw CommError(text(file, ":", line, ": ", expression, ": expected success, got MPI error ",
                       code, " (", reason, ")"));
}

bool mpi_is_usable() {
  int is_initialized = 0;
  int is_finalized = 0;
  MPI_Initialized(&is_initialized);  // these two may be called at any time and cannot fail
  MPI_Finalized(&is_finalized);
  return is_initialized != 0 && is_finalized == 0;
}

namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 40U;
constexpr int kGatherTag = 1;

// MPI from its initialization to its end. Left without finalizing when an error is on its way out
// of a group of several ranks: the others may be waiting in a collective, MPI_Finalize would wait
// for them, and mpirun ends a job of which a process goes like that.
class MpiLibrary {
 public:
  MpiLibrary(int* argc, char*** argv) {
    int is_initialized = 0;
    COPPICE_MPI(MPI_Initialized(&is_initialized));
    if (is_initialized != 0)
      throw CommError("MPI: expected one communicator a process, got a second one");
    int provided = 0;
    COPPICE_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
    if (provided < MPI_THREAD_FUNNELED) {
      throw CommError(
          text("MPI: expected thread level ", MPI_THREAD_FUNNELED, " (funneled), got ", provided));
    }
    COPPICE_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  }
  ~MpiLibrary() {
    int ranks = 1;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks == 1 || std::uncaught_exceptions() == 0) MPI_Finalize();
  }
  MpiLibrary(const MpiLibrary&) = delete;
  MpiLibrary& operator=(const MpiLibrary&) = delete;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(int* argc, char*** argv, const ReduceOptions& options)
      : library_(argc, argv), chunk_bytes_(options.max_message_bytes) {
    COPPICE_MPI(MPI_Comm_dup(MPI_COMM_WORLD, world_.receive()));
    COPPICE_MPI(MPI_Comm_set_errhandler(world_.get(), MPI_ERRORS_RETURN));
    COPPICE_MPI(MPI_Comm_rank(world_.get(), &rank_));
    COPPICE_MPI(MPI_Comm_size(world_.get(), &size_));
    reducer_.emplace(world_.get(), options);
    tickets_.emplace(reducer_->node());
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void broadcast(std::vector<std::uint8_t>& bytes, int root) override {
    expect_root("broadcast", root);
    if (size_ == 1) return;
    std::uint64_t length = bytes.size();
    COPPICE_MPI(MPI_Bcast(&length, 1, MPI_UINT64_T, root, world_.get()));
    expect_length("broadcast", length);  // on every rank alike
    bytes.resize(static_cast<std::size_t>(length));
    for_each_chunk(bytes.data(), length, [&](std::uint8_t* begin, int count) {
      COPPICE_MPI(MPI_Bcast(begin, count, MPI_BYTE, root, world_.get()));
    });
  }

  void reduce_sum(std::span<std::int64_t> values, int root) override {
    expect_root("reduce_sum", root);
    if (size_ > 1) reducer_->reduce_sum(values, root);
  }

  std::vector<std::vector<std::uint8_t>> gather(std::span<const std::uint8_t> bytes,
                                                int root) override {
    expect_root("gather", root);
    const std::uint64_t length = bytes.size();
    std::vector<std::uint64_t> lengths(rank_ == root ? static_cast<std::size_t>(size_) : 0);
    COPPICE_MPI(
        MPI_Gather(&length, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, root, world_.get()));
    if (rank_ != root) {
      for_each_chunk(bytes.data(), length, [&](const std::uint8_t* begin, int count) {
        COPPICE_MPI(MPI_Send(begin, count, MPI_BYTE, root, kGatherTag, world_.get()));
      });
      return {};
    }
    std::vector<std::vector<std::uint8_t>> gathered(lengths.size());
    for (int other = 0; other < size_; ++other) {
      auto& theirs = gathered[static_cast<std::size_t>(other)];
      if (other == root) {
        theirs.assign(bytes.begin(), bytes.end());
        continue;
      }
      const std::uint64_t their_length = lengths[static_cast<std::size_t>(other)];
      expect_length("gather", their_length);
      theirs.resize(static_cast<std::size_t>(their_length));
      for_each_chunk(theirs.data(), their_length, [&](std::uint8_t* begin, int count) {
        COPPICE_MPI(
            MPI_Recv(begin, count, MPI_BYTE, other, kGatherTag, world_.get(), MPI_STATUS_IGNORE));
      });
    }
    return gathered;
  }

  void barrier() override { COPPICE_MPI(MPI_Barrier(world_.get())); }

  std::vector<int> node_of_rank() const override { return reducer_->node_of_rank(); }

  std::int64_t take_ticket() override { return tickets_->take(); }

  void restart_tickets() override { tickets_->restart(); }

  void abort(int exit_code) override { COPPICE_MPI(MPI_Abort(world_.get(), exit_code)); }

 private:
  void expect_root(std::string_view what, int root) const {
    if (root >= 0 && root < size_) return;
    throw CommError(text(what, ": expected a root from 0 to ", size_ - 1, ", got ", root));
  }

  static void expect_length(std::string_view what, std::uint64_t length) {
    if (length > kMaxBytes)
      throw CommError(text(what, ": expected at most ", kMaxBytes, " bytes, got ", length));
  }

  // MPI counts in int: calls act(begin, count) for consecutive parts of at most chunk_bytes_.
  template <typename Byte, typename Act>
  void for_each_chunk(Byte* begin, std::uint64_t length, Act&& act) const {
    const auto step = static_cast<std::uint64_t>(chunk_bytes_);
    for (std::uint64_t done = 0; done < length; done += step) {
      act(begin + done, static_cast<int>(length - done < step ? length - done : step));
    }
  }

  MpiLibrary library_;  // first in, last out
  MpiComm world_;
  int rank_ = 0;
  int size_ = 1;
  std::int64_t chunk_bytes_;
  std::optional<MpiReducer> reducer_;
  std::optional<MpiTickets> tickets_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(int* argc, char*** argv,
                                                    const ReduceOptions& options) {
  if (options.forced_nodes < 0 || options.max_message_bytes < 64 ||
      options.max_message_bytes > (1 << 30)) {
    throw ConfigError(text(
        "reduce options: expected forced_nodes >= 0 and max_message_bytes from 64 to 2^30, got ",
        options.forced_nodes, " and ", options.max_message_bytes));
  }
  return std::make_unique<MpiCommunicator>(argc, argv, options);
}

std::string mpi_library_version() {
  std::string version(MPI_MAX_LIBRARY_VERSION_STRING, '\0');
  int length = 0;
  COPPICE_MPI(MPI_Get_library_version(version.data(), &length));
  version.resize(static_cast<std::size_t>(length));
  return version.substr(
      0, version.find(','));  // "Open MPI v4.1.4", without the build's package and date
}

}  // namespace coppice
