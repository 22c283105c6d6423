#pragma once
// Time for figures about speed. Nothing that a run computes may depend on it.

namespace coppice {

// Seconds that the calling thread has had a core, since a fixed moment: others' turns between two
// readings are no part of what it did. Of a thread that waits for nothing.
double thread_seconds();

}  // namespace coppice
