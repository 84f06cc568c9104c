# tessera_module(NAME [FOLDER name] [KIND OBJECT] SOURCES... [CUDA_SOURCES...] [NO_CUDA_SOURCES...] [OBJECTS targets...]
#   [DEPENDS modules...] [FOREIGN targets...])
#
# One folder src/NAME = one namespace = one static library tessera::NAME. DEPENDS are the modules that it may include
# (tests/arch refuses others), FOREIGN the libraries. CUDA_SOURCES replace NO_CUDA_SOURCES where TESSERA_CUDA is on.
# Of a folder that gives more than one library, FOLDER says which it is, and OBJECTS are what they share.

# -Wno-restrict: gcc 12 sees overlaps in std::string concatenation that are not there (gcc bug 105651).
add_library(tessera_warnings INTERFACE)
target_compile_options(tessera_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wconversion;-Wsign-conversion;-Wshadow;-Wno-restrict>
  # Newer compilers know warnings that this code was never held to: there they stay warnings.
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<VERSION_LESS:${CMAKE_CXX_COMPILER_VERSION},13>>:-Werror>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra;-Werror=all-warnings>)
if(TESSERA_SANITIZE)
  string(REPLACE ";" "," sanitizers "${TESSERA_SANITIZE}")
  target_compile_options(tessera_warnings INTERFACE -fsanitize=${sanitizers} -fno-omit-frame-pointer)
  target_link_options(tessera_warnings INTERFACE -fsanitize=${sanitizers})
endif()

function(tessera_module name)
  cmake_parse_arguments(arg "" "FOLDER;KIND" "SOURCES;CUDA_SOURCES;NO_CUDA_SOURCES;OBJECTS;DEPENDS;FOREIGN" ${ARGN})
  if(NOT arg_FOLDER)
    set(arg_FOLDER ${name})
  endif()
  if(NOT arg_KIND)
    set(arg_KIND STATIC)
  endif()
  if(TESSERA_CUDA)
    list(APPEND arg_SOURCES ${arg_CUDA_SOURCES})
  else()
    list(APPEND arg_SOURCES ${arg_NO_CUDA_SOURCES})
  endif()
  list(TRANSFORM arg_SOURCES PREPEND ${arg_FOLDER}/)
  foreach(objects IN LISTS arg_OBJECTS)
    list(APPEND arg_SOURCES $<TARGET_OBJECTS:${objects}>)
  endforeach()
  list(TRANSFORM arg_DEPENDS PREPEND tessera::)

  add_library(tessera_${name} ${arg_KIND} ${arg_SOURCES})
  add_library(tessera::${name} ALIAS tessera_${name})
  target_include_directories(tessera_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(tessera_${name} PUBLIC ${arg_DEPENDS} ${arg_FOREIGN} PRIVATE tessera_warnings)
  tessera_use_torch_pch(tessera_${name} "${arg_FOREIGN}")
endfunction()

# The CUDA language takes no part in the precompiled header, and a target without LibTorch has no use for it.
function(tessera_use_torch_pch target foreign)
  if("tessera_torch" IN_LIST foreign)
    target_precompile_headers(${target} REUSE_FROM tessera_torch_pch)
  endif()
endfunction()
