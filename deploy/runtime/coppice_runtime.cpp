#include "deploy/runtime/coppice_runtime.h"

#include <algorithm>     // for min
#include <cstdint>       // for uint8_t
#include <cstring>       // for memcpy
#include <exception>     // for exception
#include <memory>        // for unique_ptr, make_unique
#include <new>           // for bad_alloc
#include <span>          // for span
#include <stdexcept>     // for length_error
#include <string>        // for string
#include <string_view>   // for string_view
#include <system_error>  // for system_error

#include "deploy/runtime/cpk.h"
#include "deploy/runtime/engine.h"
#include "deploy/runtime/error.h"
#include "deploy/runtime/mapped_file.h"

using coppice::runtime::Engine;
using coppice::runtime::MappedFile;
using coppice::runtime::ModelError;
using coppice::runtime::Program;

struct CoppiceModel {
  std::string name;
  std::string isa;
  Engine engine;  // never run: sessions are copies of it
};

struct CoppiceSession {
  Engine engine;
};

namespace {

constexpr std::size_t kErrorBytes = 1000;

// Not a string: running out of memory has to be told as well. Aligned as the sections that follow
// it: mold 1.10 makes programs that do not start where a page ends between the two.
alignas(64) thread_local char last_error[kErrorBytes + 1] = "";

CoppiceStatus refuse(CoppiceStatus status, std::string_view why) {
  const std::size_t bytes = std::min(why.size(), kErrorBytes);
  std::memcpy(last_error, why.data(), bytes);
  last_error[bytes] = '\0';
  return status;
}

// What a function says when it is given wrong arguments.
struct WrongUse : ModelError {
  using ModelError::ModelError;
};

void check(bool is_right, const char* otherwise) {
  if (!is_right) throw WrongUse(otherwise);
}

// The status of `action`, whatever it throws; std::system_error means `of_system`.
template <typename Action>
CoppiceStatus status_of(CoppiceStatus of_system, const Action& action) noexcept {
  try {
    action();
    return kCoppiceOk;
  } catch (const WrongUse& error) {
    return refuse(kCoppiceWrongUse, error.what());
  } catch (const ModelError& error) {
    return refuse(kCoppiceBadModel, error.what());
  } catch (const std::bad_alloc&) {
    return refuse(kCoppiceNoMemory, "out of memory");
  } catch (const std::length_error&) {
    return refuse(kCoppiceNoMemory, "more memory than there can be");
  } catch (const std::system_error& error) {
    return refuse(of_system, error.what());
  } catch (const std::exception& error) {
    return refuse(kCoppiceInternalError, error.what());
  } catch (...) {
    return refuse(kCoppiceInternalError, "unknown exception");
  }
}

const coppice::kernels::IntegerKernels& wanted_kernels() {
  try {
    return coppice::runtime::chosen_kernels();
  } catch (const ModelError& error) {
    throw WrongUse(error.what());
  }
}

CoppiceModel* new_model(std::span<const std::uint8_t> bytes, std::string_view what) {
  const coppice::kernels::IntegerKernels& kernels = wanted_kernels();
  Program program = coppice::runtime::read_cpk(bytes, what);
  std::string name = program.name;
  auto model = std::make_unique<CoppiceModel>(
      CoppiceModel{std::move(name), {}, Engine(std::move(program), kernels)});
  model->isa = model->engine.isa();
  return model.release();
}

std::size_t size_of(std::int64_t count) { return static_cast<std::size_t>(count); }

}  // namespace

const char* coppice_version(void) { return COPPICE_RUNTIME_VERSION; }

const char* coppice_last_error(void) { return last_error; }

CoppiceStatus coppice_model_open(const char* path, CoppiceModel** out) {
  return status_of(kCoppiceCannotRead, [&] {
    check(out != nullptr, "coppice_model_open: out is null");
    *out = nullptr;
    check(path != nullptr, "coppice_model_open: path is null");
    const MappedFile file(path);
    *out = new_model(file.bytes(), path);
  });
}

CoppiceStatus coppice_model_from_memory(const void* bytes, size_t size, CoppiceModel** out) {
  return status_of(kCoppiceInternalError, [&] {
    check(out != nullptr, "coppice_model_from_memory: out is null");
    *out = nullptr;
    check(bytes != nullptr, "coppice_model_from_memory: bytes is null");
    *out = new_model({static_cast<const std::uint8_t*>(bytes), size}, "model in memory");
  });
}

void coppice_model_destroy(CoppiceModel* model) { delete model; }

size_t coppice_model_input_size(const CoppiceModel* model) {
  return model == nullptr ? 0 : size_of(model->engine.sample_size());
}

size_t coppice_model_output_size(const CoppiceModel* model) {
  return model == nullptr ? 0 : size_of(model->engine.logit_count());
}

size_t coppice_model_input_rank(const CoppiceModel* model) {
  return model == nullptr ? 0 : model->engine.input().shape.size();
}

size_t coppice_model_input_axis(const CoppiceModel* model, size_t axis) {
  if (axis >= coppice_model_input_rank(model)) return 0;
  return size_of(model->engine.input().shape[axis]);
}

size_t coppice_model_label_count(const CoppiceModel* model) {
  return model == nullptr ? 0 : model->engine.input().label_names.size();
}

const char* coppice_model_label(const CoppiceModel* model, size_t label) {
  if (label >= coppice_model_label_count(model)) return nullptr;
  return model->engine.input().label_names[label].c_str();
}

const char* coppice_model_name(const CoppiceModel* model) {
  return model == nullptr ? nullptr : model->name.c_str();
}

const char* coppice_model_isa(const CoppiceModel* model) {
  return model == nullptr ? nullptr : model->isa.c_str();
}

CoppiceStatus coppice_session_create(const CoppiceModel* model, int threads, CoppiceSession** out) {
  return status_of(kCoppiceNoThread, [&] {
    check(out != nullptr, "coppice_session_create: out is null");
    *out = nullptr;
    check(model != nullptr, "coppice_session_create: model is null");
    check(threads >= 1 && threads <= coppice::runtime::kMaxThreads,
          "coppice_session_create: threads is not from 1 to 64");
    auto session = std::make_unique<CoppiceSession>(CoppiceSession{model->engine});
    session->engine.set_threads(threads);
    *out = session.release();
  });
}

CoppiceStatus coppice_session_run(CoppiceSession* session, const float* sample, size_t sample_size,
                                  float* outputs, size_t output_size) {
  return status_of(kCoppiceInternalError, [&] {
    check(session != nullptr, "coppice_session_run: session is null");
    check(sample != nullptr && outputs != nullptr,
          "coppice_session_run: sample or outputs is null");
    Engine& engine = session->engine;
    check(sample_size == size_of(engine.sample_size()),
          "coppice_session_run: sample_size is not coppice_model_input_size()");
    check(output_size == size_of(engine.logit_count()),
          "coppice_session_run: output_size is not coppice_model_output_size()");
    engine.run({sample, sample_size}, {outputs, output_size});
  });
}

void coppice_session_destroy(CoppiceSession* session) { delete session; }
