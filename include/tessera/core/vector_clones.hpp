#pragma once

// For the CPU's loops over raw pointers: a function so marked is compiled for several instruction sets, and the program
// loader takes the best that the machine has. The files are compiled with -fno-math-errno -fno-trapping-math
// (src/CMakeLists.txt): square roots and comparisons need not report errors, and so become vector instructions too.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TESSERA_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TESSERA_VECTOR_CLONES
#endif
