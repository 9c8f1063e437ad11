#version 450
// dst[i] = a[i] * scale + b[i], the kernel of the device tests.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint scale = 1;
layout(binding = 0) readonly buffer A { uint a[]; };
layout(binding = 1) readonly buffer B { uint b[]; };
layout(binding = 2) writeonly buffer D { uint dst[]; };
layout(push_constant) uniform Push { uint n; } push;

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < push.n) {
        dst[i] = a[i] * scale + b[i];
    }
}
