# spv2c accepts a pair of variants that agree and refuses, with a reason, whatever hosts could not
# use. Run with -DGLSLC= -DSPV2C= -DCC= -DINCLUDE= -DOUT=.

set(push "layout(push_constant) uniform push_block { uint n; float k; } p;")
set(body "void main() { y.v[0] = float(p.n) * p.k; }")
set(head "#version 450\nlayout(local_size_x = 1) in;\n")

function(compile name text)
  file(WRITE ${OUT}/${name}.comp "${text}")
  foreach(level -O -O0)
    if(level STREQUAL "-O0")
      set(file ${OUT}/${name}.names.spv)
    else()
      set(file ${OUT}/${name}.spv)
    endif()
    execute_process(COMMAND ${GLSLC} --target-env=vulkan1.2 ${level} -o ${file} ${OUT}/${name}.comp
      RESULT_VARIABLE failed ERROR_VARIABLE text)
    if(failed)
      message(FATAL_ERROR "${name} does not compile: ${text}")
    endif()
  endforeach()
endfunction()

# spv2c over the named modules; the result goes to `failed` and `said`.
macro(convert)
  set(args)
  foreach(name ${ARGN})
    list(APPEND args ${name} ${OUT}/${name}.names.spv ${OUT}/${name}.spv)
  endforeach()
  execute_process(COMMAND ${SPV2C} probe ${OUT}/gen/probe.h ${OUT}/gen/probe.c ${args}
    RESULT_VARIABLE failed ERROR_VARIABLE said)
endmacro()

macro(refused pattern)
  convert(${ARGN})
  if(NOT failed)
    message(SEND_ERROR "${ARGN}: accepted, expected: ${pattern}")
  elseif(NOT said MATCHES "${pattern}")
    message(SEND_ERROR "${ARGN}: expected \"${pattern}\", it said: ${said}")
  endif()
endmacro()

file(MAKE_DIRECTORY ${OUT}/gen)
set(y "layout(binding = 0) buffer y_block { float v[]; } y;\n")
compile(good "${head}${push}\n${y}${body}")
compile(texel "${head}${push}\n${y}layout(binding = 1) uniform usamplerBuffer w;
layout(constant_id = 3) const uint TILE = 7;
void main() { y.v[0] = float(texelFetch(w, int(p.n)).x * TILE) * p.k; }")
compile(subgroup "#version 450\n#extension GL_KHR_shader_subgroup_arithmetic : require
layout(local_size_x = 1) in;\n${push}\n${y}
void main() { y.v[0] = subgroupAdd(p.k) + float(p.n); }")
convert(good texel subgroup)
if(failed)
  message(SEND_ERROR "good shaders are refused: ${said}")
else()
  # What was generated compiles and says what the shaders say.
  file(WRITE ${OUT}/use.c "#include \"gen/probe.h\"
int main(void)
{
    struct probe_push push = {.n = 1, .k = 2.0f};
    int ok = sizeof push == 8 && PROBE_BIND_Y == 0 && PROBE_BIND_W == 1 && PROBE_SPEC_TILE == 3;
    ok = ok && shader_good.n_bindings == 1 && shader_good.push_bytes == 8;
    ok = ok && shader_texel.n_bindings == 2 && shader_texel.bind_kinds[0] == DEV_BIND_STORAGE;
    ok = ok && shader_texel.bind_kinds[1] == DEV_BIND_TEXEL_UINT && shader_texel.n_specs == 1;
    ok = ok && shader_texel.spec_ids[0] == 3 && shader_texel.spec_defaults[0] == 7;
    ok = ok && shader_good.words[0] == 0x07230203u && shader_good.n_words > 5;
    ok = ok && shader_subgroup.uses_subgroup && !shader_good.uses_subgroup;
    return ok && push.n == 1 ? 0 : 1;
}\n")
  execute_process(COMMAND ${CC} -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -I${OUT}
    -I${INCLUDE} -I${INCLUDE}/src -o ${OUT}/use ${OUT}/use.c ${OUT}/gen/probe.c
    RESULT_VARIABLE failed ERROR_VARIABLE said)
  if(failed)
    message(SEND_ERROR "generated files do not compile: ${said}")
  else()
    execute_process(COMMAND ${OUT}/use RESULT_VARIABLE failed)
    if(failed)
      message(SEND_ERROR "generated files say something else than the shaders")
    endif()
  endif()
endif()

compile(renamed "${head}layout(push_constant) uniform push_block { uint m; float k; } p;\n${y}
void main() { y.v[0] = float(p.m) * p.k; }")
refused("push block" good renamed)
compile(retyped "${head}layout(push_constant) uniform push_block { int n; float k; } p;\n${y}${body}")
refused("push block" good retyped)
compile(longer "${head}layout(push_constant) uniform push_block { uint n; float k; uint more; } p;
${y}void main() { y.v[0] = float(p.n + p.more) * p.k; }")
refused("push block" good longer)
compile(moved "${head}${push}\nlayout(binding = 2) buffer y_block { float v[]; } y;\n${body}")
refused("binding y" good moved)
compile(respec "${head}${push}\n${y}layout(constant_id = 4) const uint TILE = 7;
void main() { y.v[TILE] = float(p.n) * p.k; }")
refused("TILE" texel respec)
compile(large "${head}layout(push_constant) uniform push_block { uint n[33]; } p;\n${y}
void main() { y.v[0] = float(p.n[32]); }")
refused("132 bytes" large)
compile(nested "${head}struct pair { uint a, b; };
layout(push_constant) uniform push_block { pair n; } p;\n${y}
void main() { y.v[0] = float(p.n.a + p.n.b); }")
refused("only 32-bit scalars" nested)
compile(pointer "#version 450\n#extension GL_EXT_buffer_reference : require
layout(local_size_x = 1) in;
layout(buffer_reference, std430) buffer far_block { float v[]; };
layout(push_constant) uniform push_block { far_block n; } p;\n${y}
void main() { y.v[0] = p.n.v[0]; }")
refused("only 32-bit scalars" pointer)
compile(matrix "${head}layout(push_constant) uniform push_block { mat2 n; } p;\n${y}
void main() { y.v[0] = p.n[0][0]; }")
refused("only 32-bit scalars" matrix)
compile(image "${head}${y}layout(binding = 1, r32f) uniform imageBuffer w;
void main() { y.v[0] = imageLoad(w, 0).x; }")
refused("binding w" image)
file(WRITE ${OUT}/text.spv "this is no module, but it is long")
file(WRITE ${OUT}/text.names.spv "this is no module, but it is long")
refused("SPIR-V" text)
