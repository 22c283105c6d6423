#include "coordinator/client_rows.h"

#include <algorithm>  // for find, lower_bound, nth_element
#include <utility>    // for move, swap

namespace coppice {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

constexpr std::int64_t kVacant = -1;

// Brings the row of cohort[i] to place i: in place, for a large cohort's rows are not kept twice. A
// client without a row gets one that says so, other clients' rows go.
void put_in_order(std::vector<ClientRow>& rows, const std::vector<std::int64_t>& cohort) {
  ClientRow vacant;
  vacant.client = kVacant;
  if (rows.size() < cohort.size()) rows.resize(cohort.size(), vacant);
  for (ClientRow& row : rows) {
    while (row.client != kVacant) {
      const auto place = std::ranges::lower_bound(cohort, row.client);
      if (place == cohort.end() || *place != row.client) {
        row = vacant;
        continue;
      }
      ClientRow& there = rows[static_cast<std::size_t>(place - cohort.begin())];
      if (&there == &row) break;
      if (there.client == row.client) {  // reported twice
        row = vacant;
      } else {
        std::swap(row, there);
      }
    }
  }
  rows.resize(cohort.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].client = cohort[i];
}

}  // namespace

void set_rows(RoundRecord& record, std::vector<ClientRow> rows,
              const std::vector<std::int64_t>& cohort) {
  put_in_order(rows, cohort);
  record.rows = std::move(rows);
  std::vector<double> norms;
  double loss = 0.0;
  std::int64_t weight = 0;
  for (const ClientRow& row : record.rows) {
    record.bytes_up += row.bytes_up;
    record.bytes_down += row.bytes_down;
    record.samples += row.samples;
    record.refused += row.status == ClientStatus::kRefused ? 1 : 0;
    record.missing += row.status == ClientStatus::kMissing ? 1 : 0;
    if (row.status != ClientStatus::kAccepted) continue;
    norms.push_back(row.update_norm);
    loss += row.loss * static_cast<double>(row.weight);
    weight += row.weight;
  }
  record.train_loss = weight == 0 ? 0.0 : loss / static_cast<double>(weight);
  if (!norms.empty()) record.norm_median = median(std::move(norms));
}

void add_follow_up_rows(RoundRecord& record, std::span<const ClientRow> rows) {
  for (const ClientRow& counted : rows) {
    const auto row = std::ranges::find(record.rows, counted.client, &ClientRow::client);
    if (row == record.rows.end()) continue;
    row->bytes_up += counted.bytes_up;
    row->bytes_down += counted.bytes_down;
    record.bytes_up += counted.bytes_up;
    record.bytes_down += counted.bytes_down;
    if (counted.status != ClientStatus::kRefused || row->status != ClientStatus::kAccepted)
      continue;
    row->status = counted.status;
    row->reason = counted.reason;
    ++record.refused;
  }
}

void add_bytes_down(RoundRecord& record, std::int64_t bytes,
                    const std::function<bool(std::int64_t client)>& is_counted) {
  for (ClientRow& row : record.rows) {
    if (row.status == ClientStatus::kMissing || !is_counted(row.client)) continue;
    row.bytes_down += bytes;
    record.bytes_down += bytes;
  }
}

std::vector<std::int64_t> accepted_clients(const RoundRecord& record) {
  std::vector<std::int64_t> out;
  for (const ClientRow& row : record.rows) {
    if (row.status == ClientStatus::kAccepted) out.push_back(row.client);
  }
  return out;
}

}  // namespace coppice
