#include "kernels/lloyd_max.h"

#include <algorithm>  // for min
#include <array>      // for array
#include <bit>        // for bit_cast
#include <limits>     // for infinity

#include "kernels/clones.h"

namespace coppice::kernels {
namespace {

// One table after another, 1 to 8 bits: Newton's method on the two conditions, in double.
// clang-format off
constexpr float kLevels[255] = {
    0.797884583F,
    0.452780038F, 1.51041758F,
    0.24509418F, 0.756005287F, 1.34390926F, 2.15194559F,
    0.128395036F, 0.388048291F, 0.656759143F, 0.942340434F, 1.25623119F, 1.6180464F, 2.06901717F, 2.73258948F,
    0.0658896565F, 0.198051825F, 0.331378311F, 0.466699511F, 0.604933619F, 0.747135699F, 0.894565105F, 1.0487833F, 1.21180439F, 1.38634038F, 1.57622802F, 1.78723323F, 2.02872849F, 2.31773949F, 2.69111967F, 3.26073241F,
    0.0334095061F, 0.100278288F, 0.167296901F, 0.234566987F, 0.302192837F, 0.37028265F, 0.438949674F, 0.508313775F, 0.578503013F, 0.649655581F, 0.721921921F, 0.795467675F, 0.870476604F, 0.947154939F, 1.02573633F, 1.10648823F, 1.18972015F, 1.27579451F, 1.36514103F, 1.45827639F, 1.55583119F, 1.65858889F, 1.76754189F, 1.88397729F, 2.00961113F, 2.14681029F, 2.29898119F, 2.47130489F, 2.67227387F, 2.9174068F, 3.24043703F, 3.74410129F,
    0.01682817F, 0.0504908636F, 0.0841726437F, 0.117886283F, 0.151644647F, 0.185460716F, 0.219347641F, 0.253318727F, 0.28738755F, 0.321567953F, 0.355874032F, 0.390320301F, 0.424921662F, 0.459693432F, 0.494651467F, 0.529812217F, 0.56519264F, 0.600810528F, 0.636684299F, 0.672833323F, 0.709277868F, 0.746039152F, 0.783139646F, 0.820602953F, 0.858454227F, 0.896719933F, 0.9354285F, 0.974609971F, 1.01429665F, 1.05452323F, 1.09532666F, 1.13674736F, 1.1788286F, 1.22161746F, 1.26516509F, 1.30952764F, 1.35476625F, 1.40094852F, 1.44814897F, 1.49644995F, 1.54594374F, 1.59673309F, 1.64893389F, 1.70267701F, 1.75811148F, 1.81540775F, 1.87476254F, 1.93640459F, 2.00060177F, 2.06767154F, 2.13799334F, 2.21202755F, 2.29033923F, 2.37363434F, 2.46281147F, 2.55904055F, 2.66388655F, 2.77951431F, 2.90904713F, 3.05724621F, 3.23193312F, 3.44743037F, 3.73493671F, 4.18969393F,
    0.0084461933F, 0.0253393836F, 0.0422349833F, 0.0591346025F, 0.0760398582F, 0.0929523557F, 0.10987372F, 0.126805589F, 0.143749565F, 0.160707325F, 0.177680492F, 0.194670752F, 0.211679757F, 0.228709206F, 0.245760784F, 0.262836218F, 0.279937238F, 0.297065586F, 0.314223051F, 0.331411391F, 0.348632425F, 0.365888F, 0.383179963F, 0.400510222F, 0.417880654F, 0.435293198F, 0.452749878F, 0.470252663F, 0.487803608F, 0.50540477F, 0.523058295F, 0.540766299F, 0.558531046F, 0.576354682F, 0.594239593F, 0.612188101F, 0.630202591F, 0.648285508F, 0.666439414F, 0.684666753F, 0.702970266F, 0.721352637F, 0.739816606F, 0.758365035F, 0.777000844F, 0.795727015F, 0.814546704F, 0.833463013F, 0.852479279F, 0.871598899F, 0.890825272F, 0.910162032F, 0.929612935F, 0.949181795F, 0.968872607F, 0.988689363F, 1.00863647F, 1.02871823F, 1.04893923F, 1.06930423F, 1.08981812F, 1.11048603F, 1.1313132F, 1.15230536F, 1.17346823F, 1.19480765F, 1.21632993F, 1.23804176F, 1.25994992F, 1.28206146F, 1.30438399F, 1.32692528F, 1.34969366F, 1.37269759F, 1.39594638F, 1.41944933F, 1.44321656F, 1.46725869F, 1.49158704F, 1.51621318F, 1.54114962F, 1.56640983F, 1.59200752F, 1.61795783F, 1.6442765F, 1.67098033F, 1.69808745F, 1.72561693F, 1.75358939F, 1.78202689F, 1.81095314F, 1.8403933F, 1.87037516F, 1.90092802F, 1.9320842F, 1.96387839F, 1.9963485F, 2.02953577F, 2.06348515F, 2.09824657F, 2.13387418F, 2.17042828F, 2.20797539F, 2.2465899F, 2.28635454F, 2.32736182F, 2.36971712F, 2.41353869F, 2.4589622F, 2.50614262F, 2.55525947F, 2.60652137F, 2.66017389F, 2.71650767F, 2.77587056F, 2.83868575F, 2.90547299F, 2.97688222F, 3.05374193F, 3.13713264F, 3.22850013F, 3.32984853F, 3.44407177F, 3.57558799F, 3.73166633F, 3.92563772F, 4.18659544F, 4.60353565F,
};
// clang-format on

// Magnitudes are cut into cells of 1/64, narrower than any interval between two boundaries: a cell
// meets one boundary at most, so one comparison is left. The last boundary lies below 4.40.
constexpr float kCellsPerUnit = 64.0F;
constexpr int kCells = 282;

struct Quantizer {
  std::array<float, 128> boundaries{};           // above each level; the last: infinity
  std::array<std::uint8_t, kCells + 1> first{};  // level at a cell's lower end
  std::array<float, 256> level_of_code{};
};

constexpr const float* levels_of(int bits) { return kLevels + ((1 << (bits - 1)) - 1); }

constexpr std::array<Quantizer, kMaxNormalBits> make_quantizers() {
  std::array<Quantizer, kMaxNormalBits> all{};
  for (int bits = 1; bits <= kMaxNormalBits; ++bits) {
    Quantizer& one = all[static_cast<std::size_t>(bits - 1)];
    const std::size_t count = std::size_t{1} << static_cast<unsigned>(bits - 1);
    const float* levels = levels_of(bits);
    for (std::size_t i = 0; i < count; ++i) {
      one.boundaries[i] = i + 1 < count ? (levels[i] + levels[i + 1]) / 2.0F
                                        : std::numeric_limits<float>::infinity();
      one.level_of_code[2 * i] = levels[i];
      one.level_of_code[2 * i + 1] = -levels[i];
    }
    std::uint8_t level = 0;
    for (std::size_t cell = 0; cell <= kCells; ++cell) {
      while (one.boundaries[level] < static_cast<float>(cell) / kCellsPerUnit) ++level;
      one.first[cell] = level;
    }
  }
  return all;
}

constexpr std::array<Quantizer, kMaxNormalBits> kQuantizers = make_quantizers();

const Quantizer& quantizer_of(int bits) { return kQuantizers[static_cast<std::size_t>(bits - 1)]; }

// With up to seven positive boundaries, to ask them all in registers is three times as fast as to
// look one up.
template <int kBits>
[[gnu::always_inline]] inline void by_comparisons(const float* values, float factor, std::int64_t n,
                                                  std::uint8_t* codes, float* levels) {
  constexpr std::size_t kCount = std::size_t{1} << (kBits - 1);
  constexpr const float* kTable = levels_of(kBits);
  constexpr const std::array<float, 128>& kBounds = kQuantizers[kBits - 1].boundaries;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto word = std::bit_cast<std::uint32_t>(values[i] * factor);
    const float magnitude = std::bit_cast<float>(word & 0x7FFFFFFFU);
    std::uint32_t level = 0;
    float chosen = kTable[0];
    for (std::size_t k = 1; k < kCount; ++k) {
      const bool is_above = magnitude > kBounds[k - 1];
      level += is_above ? 1U : 0U;
      chosen = is_above ? kTable[k] : chosen;
    }
    codes[i] = static_cast<std::uint8_t>(2U * level + (word >> 31U));
    levels[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(chosen) | (word & 0x80000000U));
  }
}

[[gnu::always_inline]] inline void by_cells(const Quantizer& quantizer, const float* values,
                                            float factor, std::int64_t n, std::uint8_t* codes,
                                            float* levels) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto word = std::bit_cast<std::uint32_t>(values[i] * factor);
    const float magnitude = std::bit_cast<float>(word & 0x7FFFFFFFU);
    const auto cell =
        static_cast<std::int32_t>(std::min(magnitude * kCellsPerUnit, static_cast<float>(kCells)));
    std::uint32_t level = quantizer.first[static_cast<std::uint32_t>(cell)];
    level += magnitude > quantizer.boundaries[level] ? 1U : 0U;
    const std::uint32_t code = 2U * level + (word >> 31U);
    codes[i] = static_cast<std::uint8_t>(code);
    levels[i] = quantizer.level_of_code[code];
  }
}

}  // namespace

const float* normal_levels(int bits) { return levels_of(bits); }

COPPICE_CLONES
void quantize_normal(const float* values, float factor, int bits, std::int64_t n,
                     std::uint8_t* codes, float* levels) {
  switch (bits) {
    case 1:
      return by_comparisons<1>(values, factor, n, codes, levels);
    case 2:
      return by_comparisons<2>(values, factor, n, codes, levels);
    case 3:
      return by_comparisons<3>(values, factor, n, codes, levels);
    case 4:
      return by_comparisons<4>(values, factor, n, codes, levels);
    default:
      return by_cells(quantizer_of(bits), values, factor, n, codes, levels);
  }
}

void normal_levels_of(const std::uint8_t* codes, int bits, std::int64_t n, float* levels) {
  const Quantizer& quantizer = quantizer_of(bits);
  for (std::int64_t i = 0; i < n; ++i) levels[i] = quantizer.level_of_code[codes[i]];
}

}  // namespace coppice::kernels
