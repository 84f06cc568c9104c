#pragma once

// Headers that nvcc compiles too; there their functions run on the device as well.
#ifdef __CUDACC__
#define TESSERA_HOST_DEVICE __host__ __device__
#else
#define TESSERA_HOST_DEVICE
#endif
