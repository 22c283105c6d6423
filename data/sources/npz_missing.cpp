// Stands in for npz.cpp where libzip is not part of the build.

#include "core/error.h"
#include "data/loader.h"

#ifndef COPPICE_HAVE_NPZ
namespace coppice {

std::string locate_npz() { return {}; }

Dataset load_npz(const DatasetRequest&) {
  throw ConfigError(
      "data set 'npz': this build has no libzip (COPPICE_MINIMAL); save the arrays as csv or idx "
      "files");
}

}  // namespace coppice
#endif
