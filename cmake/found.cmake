# Lists of constants that are found by name: every line `const <type> <symbol> = {` in the C files
# of a folder. The list is made at build time, so that it follows edits of the files.
#
#     qd_found(ROOM ops FOLDER src/ops TYPE "struct op" LIST ops_list HEADER "ops/variant.h")
#
# adds to qd_<room> a file that defines `const TYPE *const *LIST(uint32_t *count)`.

if(CMAKE_SCRIPT_MODE_FILE)
  set(externs "")
  set(rows "")
  string(REPLACE "|" ";" SOURCES "${SOURCES}")
  foreach(source ${SOURCES})
    file(STRINGS ${source} lines REGEX "^const ${TYPE} [a-z0-9_]+ = {")
    foreach(line ${lines})
      string(REGEX REPLACE "^const ${TYPE} ([a-z0-9_]+) =.*" "\\1" symbol "${line}")
      string(APPEND externs "extern const ${TYPE} ${symbol};\n")
      string(APPEND rows "        &${symbol},\n")
    endforeach()
  endforeach()
  if(NOT rows)
    message(FATAL_ERROR "no `const ${TYPE} ... = {` in any of ${SOURCES}")
  endif()
  file(WRITE ${OUT} "/* Generated. */\n#include \"${HEADER}\"\n\n${externs}
const ${TYPE} *const *${LIST}(uint32_t *count)
{
    static const ${TYPE} *const list[] = {
${rows}    };
    *count = sizeof list / sizeof *list;
    return list;
}
")
  return()
endif()

function(qd_found)
  cmake_parse_arguments(F "" "ROOM;FOLDER;TYPE;LIST;HEADER" "" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${F_FOLDER}/*.c)
  set(out ${PROJECT_BINARY_DIR}/gen_lists/${F_LIST}.c)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/gen_lists)
  string(REPLACE ";" "|" joined "${sources}")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DSOURCES=${joined}" "-DTYPE=${F_TYPE}" -DLIST=${F_LIST}
            -DHEADER=${F_HEADER} -DOUT=${out} -P ${PROJECT_SOURCE_DIR}/cmake/found.cmake
    DEPENDS ${sources} ${PROJECT_SOURCE_DIR}/cmake/found.cmake VERBATIM
    COMMENT "List of ${F_TYPE} in ${F_FOLDER}")
  target_sources(qd_${F_ROOM} PRIVATE ${out})
endfunction()
