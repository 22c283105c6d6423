#pragma once
// COPPICE_CLONES before a function: one build of it per instruction set, chosen by the loader. What
// it calls must be inlined to follow. No build contracts products and sums, so all give the same
// bits. Sanitizers cannot run before the loader has chosen.

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COPPICE_CLONES
#endif
#endif
#if !defined(COPPICE_CLONES)
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    (!defined(__clang__) || __clang_major__ >= 14)
#define COPPICE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define COPPICE_CLONES
#endif
#endif
