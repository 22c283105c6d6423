#pragma once
// What the end-to-end tests of devices share: an authority with six devices that have their keys,
// `coppice serve` on a port of the kernel's choice, and `coppice edge`.

#include <memory>
#include <string>
#include <vector>

#include "comm/tls/authority.h"
#include "tests/end_to_end/run_fixture.h"

namespace coppice::testing {

// Of five clients, with everything that devices may be asked.
inline const std::vector<std::string> kCompressed{"compressed.yaml", "comm.codec=int8"};

class EdgeTest : public RunTest {
 protected:
  EdgeTest();  // client-0 to client-5: one device too many

  struct Coordinator {
    std::unique_ptr<Process> process;
    std::string address;  // as devices connect
  };

  // Waits until it listens; `address` is where, ":0" for any port.
  Coordinator serve(RunRequest request, const std::string& address = "127.0.0.1:0") const;
  // The same run once it has ended before its end, without what ended it, where devices look for
  // it.
  Coordinator serve_again(RunRequest request, const std::string& address) const;

  // Even clients are coppice-edge, odd ones `coppice edge`.
  std::unique_ptr<Process> edge(const std::string& address, int client,
                                std::vector<std::string> environment = {},
                                const std::string& data = "images") const;
  std::vector<std::unique_ptr<Process>> edges(const std::string& address, int first,
                                              int last) const;

  // Waits until the devices end, and expects that the run's end is why.
  static void expect_done(std::vector<std::unique_ptr<Process>>& devices);

  static std::string model_of(Coordinator& coordinator);  // once it is done
  using RunTest::model_of;

 private:
  void enrol(tls::Authority& authority, int client, std::int64_t now) const;
};

// Reads lines until one begins with `begin`, and gives what follows there up to the next space.
// Throws, with all that it said, if the process ends without.
std::string word_after(Process& process, const std::string& begin);

}  // namespace coppice::testing
