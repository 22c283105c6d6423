#pragma once
// The sub-commands of `coppice`. Each takes its parsed arguments, prints to stdout, and returns the
// process's exit code; failures are thrown and become one paragraph on stderr in main. One file
// each in commands/; parsed by launch/command_line.h.

#include <cstdint>      // for int64_t
#include <string>       // for string
#include <string_view>  // for string_view
#include <vector>       // for vector

#include "core/experiment.h"

namespace coppice {

// The process's arguments, for libraries that want them (MPI).
struct ProcessArguments {
  int* argc = nullptr;
  char*** argv = nullptr;
};

// One experiment, under mpirun, alone, or with threads as ranks.
struct RunArguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string out;  // empty: runs/NAME
  bool is_resumed = false;
  bool is_json = false;
  int ranks = 0;  // threads as ranks instead of MPI; 0: MPI
};
int run_command(const RunArguments& arguments, const ProcessArguments& process);
// The same for a config that is known already; arguments.config and overrides are not read.
int run_config(const RunArguments& arguments, const ExperimentConfig& config,
               const ProcessArguments& process);

// One experiment whose clients are devices, which come over TLS.
struct ServeArguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string out;  // empty: runs/NAME
  bool is_resumed = false;
  bool is_json = false;
  int ranks = 0;                        // as in RunArguments
  std::string pki;                      // folder of the authority
  std::string listen = "0.0.0.0:7443";  // port 0: the kernel picks one
  std::string port_file;                // file for the port; empty: none
  std::string devices;                  // clients that are devices, "0-4,7"; empty: all
};
int serve_command(const ServeArguments& arguments, const ProcessArguments& process);

// One device of such an experiment; ends when the coordinator says that the run is over. 1 if it
// gave up, 2 if the coordinator has no place for it.
struct EdgeArguments {
  std::string connect;         // HOST:PORT
  std::string keys;            // folder with node.key, node.crt, ca.crt, revoked.crl
  std::string data;            // where its data is, as data.root; empty: the usual places
  std::string dataset;         // what it is, as data.name; empty: as the run's
  std::int64_t give_up_s = 0;  // without a coordinator for so long; 0: never
};
int edge_command(const EdgeArguments& arguments);

// A bad network between devices and their coordinator, until SIGINT or SIGTERM.
struct NetproxyArguments {
  std::string listen;    // HOST:PORT, port 0: the kernel picks one
  std::string to;        // HOST:PORT of the coordinator
  std::string scenario;  // YAML file; empty: bytes pass as they are
  std::uint64_t seed = 1;
  std::string port_file;  // as in ServeArguments
};
int netproxy_command(const NetproxyArguments& arguments);

// Every combination of the overrides' comma lists, one run each; running it again goes on where it
// stopped.
struct SweepArguments {
  std::string config;
  std::vector<std::string> overrides;  // key=value or key=a,b,c
  std::string out;                     // empty: runs/NAME-sweep
  bool is_json = false;
  int ranks = 0;  // as in RunArguments
};
int sweep_command(const SweepArguments& arguments, const ProcessArguments& process);

// What is in a config, a run folder, a checkpoint, a .cpk or an ONNX file.
struct InspectArguments {
  std::string subject;
  std::vector<std::string> overrides;  // of a config
  bool is_json = false;
};
int inspect_command(const InspectArguments& arguments);

// What this version knows of one kind of thing.
struct ListArguments {
  std::string kind;
};
int list_command(const ListArguments& arguments);
std::vector<std::string_view> list_kinds();

// A checkpoint on data: logits, and accuracy where labels are known. Exactly one of data and input
// is given.
struct InferArguments {
  std::string artefact;
  std::string data;                    // name of a data set
  std::string root;                    // its data.root
  std::string split = "test";          // test | train
  std::vector<std::string> overrides;  // other keys of the data section, "data.text_split=book"
  std::string input;                   // a NPY file instead
  std::string out;                     // NPY file for the logits; empty: none
  std::int64_t threads = 1;            // on a sample, of a .cpk; the logits are the same
};
int infer_command(const InferArguments& arguments);

// "max_bytes=22KiB,max_latency=1ms" as overrides of a config: the keys, units and messages are its.
std::vector<std::string> constraint_overrides(const std::string& list);

// A finished model measured on this machine and judged: exit code 0, or 3 if a constraint is not
// met.
struct ValidateArguments {
  std::string artefact;  // .cpk, .safetensors, .onnx or a run folder
  std::string data;      // name of a data set
  std::string root;      // its data.root
  std::string split = "test";
  std::string constraints;  // "max_bytes=22KiB,max_latency=1ms"
  std::string dense;        // checkpoint of the dense model; empty: dense.safetensors beside
  std::int64_t runs = 1000;
  std::int64_t threads = 1;            // on a sample that is timed
  std::string table;                   // latency table; empty: none
  std::vector<std::string> overrides;  // as in InferArguments
  bool is_json = false;
};
int validate_command(const ValidateArguments& arguments);

// A finished checkpoint as deployable files: model.cpk and model.onnx, with dense.onnx where
// dense.safetensors lies.
struct ExportArguments {
  std::string artefact;  // .safetensors or a run folder
  std::string out;       // empty: the checkpoint's folder
  std::string table;     // latency table that decides how weights are stored; empty: a rule does
  double blocks = 1.0;   // below: keeps only this share of the 4x4 blocks of weights
};
int export_command(const ExportArguments& arguments);

// The whole pipeline with one client and no communication.
struct OptimizeArguments {
  std::string model;  // a name of the zoo, trained on the spot, or an fp32 checkpoint or .onnx
  std::string data;
  std::string root;
  std::string constraints;
  std::vector<std::string> overrides;  // any key of a config
  std::string out;                     // empty: runs/optimize
  bool is_resumed = false;
  bool is_json = false;
};
int optimize_command(const OptimizeArguments& arguments, const ProcessArguments& process);
ExperimentConfig optimize_config(const OptimizeArguments& arguments);

// Measures this machine. What NAME may be: bench_names().
struct BenchArguments {
  std::string name;
  std::string config;  // round, step, kernels: instead of the built-in experiment; lut: or a
                       // checkpoint
  std::vector<std::string> overrides;
  std::string model;        // sensitivity: a trained network's file; empty: trains one
  std::string out;          // lut: file for the table; empty: none
  std::int64_t check = 10;  // lut: configurations to compare predictions with
  bool is_json = false;
};
int bench_command(const BenchArguments& arguments);
std::vector<std::string_view> bench_names();

// Identities for runs over TLS: an authority's folder, and what a device needs of it.
enum class PkiAction : std::uint8_t { kInit, kToken, kRequest, kSign, kRevoke, kList };
struct PkiArguments {
  PkiAction action = PkiAction::kList;
  std::string folder;        // the authority's; not of request
  std::string node;          // token, request, revoke
  std::string key = "p256";  // init, request: p256 | ed25519
  std::string valid;         // init, token, sign: "24h", "90d"
  std::string out;           // request: the device's folder; sign: the certificate's file
  std::string request;       // sign: the request's file
  std::string token;         // sign: the token, or @FILE
  bool is_json = false;      // list
};
int pki_command(const PkiArguments& arguments);
std::vector<std::string_view> pki_actions();  // their names, in the order of PkiAction

// Says what this machine has and lacks. 1 if something is in the way of a run.
int doctor_command();

}  // namespace coppice
