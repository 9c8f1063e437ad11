# The list of ops: every `const struct op <name> =` that a file of src/ops defines.
file(GLOB op_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/ops/*.c)
set(externs "")
set(rows "")
foreach(source ${op_sources})
  file(STRINGS ${source} lines REGEX "^const struct op [a-z_]+ =")
  foreach(line ${lines})
    string(REGEX REPLACE "^const struct op ([a-z_]+) =.*" "\\1" name "${line}")
    string(APPEND externs "extern const struct op ${name};\n")
    string(APPEND rows "        &${name},\n")
  endforeach()
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen_ops/ops_list.c @ONLY CONTENT
"/* Generated from src/ops. */
#include \"ops/variant.h\"

${externs}
const struct op *const *ops_list(uint32_t *count)
{
    static const struct op *const list[] = {
${rows}    };
    *count = sizeof list / sizeof *list;
    return list;
}
")
target_sources(qd_ops PRIVATE ${PROJECT_BINARY_DIR}/gen_ops/ops_list.c)
