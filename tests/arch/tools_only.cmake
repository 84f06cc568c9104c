# tessera-ckpt builds and runs where there is no MPI, no parallel HDF5, no GPU and no LibTorch.
#   cmake -DSOURCE=DIR -DBUILD=DIR [-DLAUNCHER=ccache] -P tools_only.cmake
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -G Ninja -DTESSERA_TOOLS_ONLY=ON -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
  -DCMAKE_DISABLE_FIND_PACKAGE_HDF5=ON OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BUILD} --parallel 2 --target tessera-ckpt COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ldd ${BUILD}/bin/tessera-ckpt OUTPUT_VARIABLE libraries COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "lib(mpi|open-|hdf5_openmpi|torch|c10|cuda|nccl)[^ \n]*" unwanted "${libraries}")
if(unwanted)
  message(FATAL_ERROR "tessera-ckpt needs ${unwanted}")
endif()
file(STRINGS ${BUILD}/compile_commands.json commands REGEX "openmpi/include|mpich/include|hdf5/openmpi|torch/include")
if(commands)
  message(FATAL_ERROR "tessera-ckpt is compiled with the headers of MPI or LibTorch: ${commands}")
endif()
execute_process(COMMAND ${BUILD}/bin/tessera-ckpt --help OUTPUT_QUIET ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
