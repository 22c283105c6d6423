#pragma once
// The table of a round's clients: rows that sites report, in whatever order they come, become one
// row a client of the cohort, and the sums over them that a RoundRecord has. Doubles are added in
// the order of the clients, so that they do not depend on who reported first. Pure functions of
// their arguments.

#include <cstdint>     // for int64_t
#include <functional>  // for function
#include <span>        // for span
#include <vector>      // for vector

#include "coordinator/round_record.h"
#include "core/task.h"

namespace coppice {

// Makes `rows` the table of `record`: one row a client of `cohort` (ascending), in its order; those
// without a row are missing, rows of others and second ones go. The record's median norm stays if
// nobody was accepted.
void set_rows(RoundRecord& record, std::vector<ClientRow> rows,
              const std::vector<std::int64_t>& cohort);

// Adds what clients answered to a later task of the round: who is refused there is a refused client
// of the round. Rows of clients that are not in the table are ignored.
void add_follow_up_rows(RoundRecord& record, std::span<const ClientRow> rows);

// Counts `bytes` more sent down to each client that reported and of which `is_counted` is true.
void add_bytes_down(RoundRecord& record, std::int64_t bytes,
                    const std::function<bool(std::int64_t client)>& is_counted);

// The clients whose update was accepted, ascending.
std::vector<std::int64_t> accepted_clients(const RoundRecord& record);

}  // namespace coppice
