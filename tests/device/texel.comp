#version 450
// dst[i] = texel i of `u` + bits of texel i of `f` as whole numbers.
layout(local_size_x = 64) in;
layout(binding = 0) uniform usamplerBuffer u;
layout(binding = 1) uniform samplerBuffer f;
layout(binding = 2) writeonly buffer D { uvec4 dst[]; };
layout(push_constant) uniform Push { uint n; } push;

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < push.n) {
        dst[i] = texelFetch(u, int(i)) + uvec4(texelFetch(f, int(i)));
    }
}
