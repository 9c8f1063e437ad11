// The push block of all kernels of the op matmul: y[t][row0 + r] = sum_k w[r][k] * x[t][k], for the
// rows of one segment, plus residual[t][row0 + r] where `residual` is not 0.
//
// Work groups: x is the tile of tokens, and before it the part of the columns; y and z fold the tile of
// rows. Kernels on matrix units alone know parts: `part` columns each, the last as many as are left, and
// the sums of each are a y of their own, one behind the other. Others have all columns in one.
layout(push_constant) uniform push_block
{
    uvec4 base;      // of each plane, in its units
    uvec4 units;     // per row
    uint lanes_log2; // of the interleave
    uint cols;       // a multiple of 4
    uint rows;       // of the segment
    uint row0;       // of the segment in the weight
    uint stride;     // of y and residual: rows of the weight
    uint tokens;
    uint residual;
    uint w_exponent; // kernels on matrix units: see matmul_coopmat.glsl
    uint part;       // columns of a part; of all where there is one
    uint magic;      // 2^23 as bits of a float, see weights.glsl
    float eps;       // of the norm, where the kernel makes it (norm_x.glsl)
}
p;

#define W_BASE  p.base
#define W_UNITS p.units

uint row_tile()
{
    return gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y;
}
