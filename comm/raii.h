#pragma once
// Move-only owners of MPI handles, and the one check of every MPI return value. Private to comm/
// (it includes mpi.h). Freeing is collective, so handles are destroyed in the same order on every
// rank. Destructors free quietly; they do nothing once MPI is finalized, or while an exception is
// on its way, when the other ranks may not be freeing along.

// The C++ bindings left the MPI standard; without these, mpi.h would still drag them in.
// NOLINTBEGIN(readability-identifier-naming): the names are theirs
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
// NOLINTEND(readability-identifier-naming)
#include <mpi.h>

#include <exception>    // for uncaught_exceptions
#include <string_view>  // for string_view
#include <utility>      // for exchange, swap

namespace coppice {

// Throws CommError with the expression, where it stands and MPI's text unless `code` is
// MPI_SUCCESS. COPPICE_MPI(call) fills in the rest; it is a macro for their sake only.
void check_mpi(int code, std::string_view expression, std::string_view file, int line);
#define COPPICE_MPI(call) ::coppice::check_mpi((call), #call, __FILE__, __LINE__)

bool mpi_is_usable();  // initialized and not yet finalized

template <typename Handle, Handle (*kNull)(), int (*kFree)(Handle*)>
class MpiHandle {
 public:
  MpiHandle() = default;
  explicit MpiHandle(Handle handle) : handle_(handle) {}
  MpiHandle(MpiHandle&& other) noexcept : handle_(std::exchange(other.handle_, kNull())) {}
  MpiHandle& operator=(MpiHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~MpiHandle() {
    if (std::uncaught_exceptions() == 0) reset();
  }

  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != kNull(); }

  // For MPI calls that make a handle: frees what is held and returns where the new one goes.
  Handle* receive() {
    reset();
    return &handle_;
  }

  void reset() {
    if (handle_ != kNull() && mpi_is_usable()) kFree(&handle_);
    handle_ = kNull();
  }

 private:
  Handle handle_ = kNull();
};

inline MPI_Comm null_comm() { return MPI_COMM_NULL; }
inline MPI_Win null_win() { return MPI_WIN_NULL; }
inline int unlock_and_free(MPI_Win* window) {
  MPI_Win_unlock_all(*window);
  return MPI_Win_free(window);
}

using MpiComm = MpiHandle<MPI_Comm, null_comm, MPI_Comm_free>;
using MpiLockedWindow = MpiHandle<MPI_Win, null_win, unlock_and_free>;  // after MPI_Win_lock_all

}  // namespace coppice
