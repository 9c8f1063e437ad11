# A room is a folder of C files that becomes one static library, qd_<name>, with the warnings of the
# house. It links the rooms named after it.

function(qd_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -fno-common)
  target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L
    QD_VERSION="${PROJECT_VERSION}")
  if(QD_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(QD_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()

function(qd_room name folder)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.c)
  if(NOT sources)
    set(sources ${PROJECT_BINARY_DIR}/empty.c)
    file(WRITE ${sources} "typedef int qd_empty;\n")
  endif()
  add_library(qd_${name} STATIC ${sources})
  set_target_properties(qd_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden)
  qd_flags(qd_${name})
  if(QD_COVERAGE AND name MATCHES "^(device|ops)$")
    target_compile_options(qd_${name} PRIVATE --coverage -fprofile-update=atomic -Og)
    target_link_options(qd_${name} PUBLIC --coverage)
  endif()
  target_include_directories(qd_${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  foreach(room ${ARGN})
    target_link_libraries(qd_${name} PUBLIC qd_${room})
  endforeach()
endfunction()

function(qd_require_header header what package)
  string(MAKE_C_IDENTIFIER "QD_PATH_${header}" var)
  find_path(${var} ${header})
  mark_as_advanced(${var})
  if(NOT ${var})
    message(FATAL_ERROR "quadriga needs ${what} (${header}): install the package ${package}")
  endif()
endfunction()

function(qd_require_program var program what package)
  find_program(${var} ${program})
  if(NOT ${var})
    message(FATAL_ERROR "quadriga needs ${what}: install the package ${package}")
  endif()
endfunction()
