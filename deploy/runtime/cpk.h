#pragma once
// The .cpk file: a Program in few bytes. Little-endian, versioned; weights are range-coded where
// that is shorter, the rest is deflated, with a SHA-256 over everything before it; the fields are
// in docs/formats.md. Pure functions; any thread.

#include <cstdint>      // for int64_t, uint8_t
#include <span>         // for span
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "deploy/runtime/program.h"

namespace coppice::runtime {

constexpr std::uint16_t kCpkVersion = 4;

// The same bytes come out of the same program and version of zlib. Throws ModelError for a program
// that is not valid (inference.h) or has a text or count that does not fit its field.
std::vector<std::uint8_t> write_cpk(const Program& program);

// Bytes of `program` before anything is coded or deflated. Throws as write_cpk() does for fields.
std::int64_t body_bytes(const Program& program);

// Of them, those of the parameters of `node`: weights (two codes of 4 bits a byte), numbers of
// blocks, scales (2 bytes where all are short), bias (16 bits a code where all fit) and norms. 0
// for a node without any.
std::int64_t parameter_bytes(const Node& node);

// Where the bytes of a file go.
struct CpkBytes {
  std::int64_t file = 0;
  // Of each node's parameters: its coded weights, and of what deflate makes of all other parameters
  // its share by their plain bytes. What is left of `file` are names, geometry and digests.
  std::vector<std::int64_t> nodes;
};

// Of write_cpk(program), exactly. Throws as it does; takes as long.
CpkBytes cpk_bytes(const Program& program);

// Hostile bytes are expected: the hash comes first, every length is checked against the bytes at
// hand before anything is allocated (deflated or coded: up to 1032 times as many), and a program
// that reads is safe to run. Throws ModelError "`what`: ..." for anything else.
Program read_cpk(std::span<const std::uint8_t> bytes, std::string_view what);

}  // namespace coppice::runtime
