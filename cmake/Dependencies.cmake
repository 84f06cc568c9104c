# Every foreign library, as an imported target that src/CMakeLists.txt names in its table.

if(POLICY CMP0167)
  cmake_policy(SET CMP0167 NEW)  # Boost's own BoostConfig.cmake, which CMake's own search gave way to
endif()
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
# The C interface alone: mpi.h would bring in the C++ bindings that MPI-3 removed, and their library with them.
target_compile_definitions(MPI::MPI_C INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Boost REQUIRED COMPONENTS program_options)
find_package(ZLIB REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)

set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
if(NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "The HDF5 library found was built without MPI. Install the parallel one: libhdf5-openmpi-dev")
endif()
add_library(tessera_hdf5 INTERFACE)
target_include_directories(tessera_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(tessera_hdf5 INTERFACE ${HDF5_C_LIBRARIES} MPI::MPI_C)

find_path(ISAL_INCLUDE_DIR isa-l/crc.h)
find_library(ISAL_LIBRARY isal)
if(NOT ISAL_INCLUDE_DIR OR NOT ISAL_LIBRARY)
  message(FATAL_ERROR "ISA-L, for the checksums of checkpoints, was not found. Install libisal-dev")
endif()
add_library(tessera_isal INTERFACE)
target_include_directories(tessera_isal SYSTEM INTERFACE ${ISAL_INCLUDE_DIR})
target_link_libraries(tessera_isal INTERFACE ${ISAL_LIBRARY})

if(TESSERA_CUDA)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90a)
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)  # the one that LibTorch uses
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  find_package(CUDAToolkit REQUIRED)
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${TESSERA_PYTHON_DIR}/nvidia/nccl/include)
  find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2
    HINTS ${CUDAToolkit_LIBRARY_DIR} ${CUDAToolkit_TARGET_DIR} ${TESSERA_PYTHON_DIR}/nvidia/nccl
    PATH_SUFFIXES lib lib64)
  if(NOT NCCL_INCLUDE_DIR OR NOT NCCL_LIBRARY)
    message(FATAL_ERROR "NCCL was not found. Set NCCL_INCLUDE_DIR and NCCL_LIBRARY")
  endif()
  add_library(tessera_nccl INTERFACE)
  target_include_directories(tessera_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR})
  target_link_libraries(tessera_nccl INTERFACE ${NCCL_LIBRARY} CUDA::cudart)
endif()

if(NOT TESSERA_TOOLS_ONLY)
  include(Torch)
endif()
