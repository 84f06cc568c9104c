# LibTorch as imported targets of our own. Its own TorchConfig.cmake insists on a whole CUDA toolkit even where
# only the CPU library is wanted, and so could not serve a machine without a GPU.
#
#   TESSERA_PYTHON_DIR  a folder that holds torch/ and nvidia/ as the wheels lay them out (jobs/setup.sh makes deps/python)

set(TESSERA_PYTHON_DIR ${PROJECT_SOURCE_DIR}/deps/python CACHE PATH "Folder that holds the torch wheel")
set(torch_dir ${TESSERA_PYTHON_DIR}/torch)
if(NOT EXISTS ${torch_dir}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch was not found in ${torch_dir}. Run jobs/setup.sh, or set TESSERA_PYTHON_DIR to the folder that holds torch/")
endif()
file(GLOB nvidia_lib_dirs ${TESSERA_PYTHON_DIR}/nvidia/*/lib)

function(tessera_import_torch name)
  add_library(${name} SHARED IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${torch_dir}/lib/lib${name}.so)
  target_include_directories(${name} SYSTEM INTERFACE ${torch_dir}/include)
endfunction()

tessera_import_torch(c10)
tessera_import_torch(torch_cpu)
target_link_libraries(torch_cpu INTERFACE c10)

add_library(tessera_torch INTERFACE)

# at::parallel_for is a template in a header: without OpenMP in our own flags it would run on one thread.
target_compile_options(tessera_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_options(tessera_torch INTERFACE -fopenmp)

if(TESSERA_CUDA)
  tessera_import_torch(c10_cuda)
  tessera_import_torch(torch_cuda)
  # --no-as-needed: nothing of ours names a symbol of libtorch_cuda, whose constructors register the CUDA kernels.
  # The libraries that it needs in turn (cuBLAS, cuDNN and more) are the run-time machine's affair.
  target_link_libraries(tessera_torch INTERFACE torch_cpu c10_cuda CUDA::cudart)
  target_link_options(tessera_torch INTERFACE
    "LINKER:--no-as-needed,${torch_dir}/lib/libtorch_cuda.so,--as-needed"
    "LINKER:--unresolved-symbols=ignore-in-shared-libs")
else()
  target_link_libraries(tessera_torch INTERFACE torch_cpu)
endif()
foreach(dir IN LISTS nvidia_lib_dirs)
  target_link_options(tessera_torch INTERFACE "LINKER:-rpath-link,${dir}")
endforeach()
list(APPEND CMAKE_BUILD_RPATH ${torch_dir}/lib ${nvidia_lib_dirs})

# LibTorch brings headers of {fmt}, of another version than the system's, and no library to go with them. Its users see
# these first; what they link against is compiled here, once. (Headers alone would cost each source six seconds.)
add_library(tessera_torch_fmt STATIC ${PROJECT_SOURCE_DIR}/cmake/torch_fmt.cpp)
target_include_directories(tessera_torch_fmt SYSTEM PRIVATE ${torch_dir}/include)
target_link_libraries(tessera_torch INTERFACE tessera_torch_fmt)

# The ATen headers take eight seconds to parse; parsed once, they serve every target that includes them.
add_library(tessera_torch_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp)
target_link_libraries(tessera_torch_pch PRIVATE tessera_torch fmt::fmt)
target_precompile_headers(tessera_torch_pch PRIVATE <ATen/ATen.h> <fmt/core.h>)
