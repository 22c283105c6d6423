#include "comm/residuals.h"

#include "comm/wire.h"
#include "core/error.h"
#include "core/text.h"

namespace coppice {
namespace {

constexpr std::size_t kFewestBytes = 3 * sizeof(std::uint64_t);

}  // namespace

std::vector<std::uint8_t> encode_residuals(std::span<const Residual> residuals) {
  std::vector<std::uint8_t> frame;
  begin_frame(frame);
  WireWriter out(frame);
  out.u64(residuals.size());
  for (const Residual& residual : residuals) {
    out.i64(residual.client);
    out.i64(residual.round);
    out.floats(residual.values);
  }
  finish_frame(FrameType::kResiduals, frame);
  return frame;
}

std::vector<Residual> decode_residuals(std::span<const std::uint8_t> frame) {
  WireReader in(read_frame(FrameType::kResiduals, frame), "residuals");
  const std::uint64_t count = in.u64();
  if (count > in.left() / kFewestBytes)
    throw WireError(text("residuals: ", count, " of them in ", in.left(), " bytes"));
  std::vector<Residual> residuals(static_cast<std::size_t>(count));
  for (Residual& residual : residuals) {
    residual.client = in.i64();
    residual.round = in.i64();
    residual.values = in.floats();
  }
  in.expect_end();
  return residuals;
}

}  // namespace coppice
