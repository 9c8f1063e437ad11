// For shaders whose invocations share a row's columns: one fetch of a row times x, for TOKENS
// tokens. Included after "format.glsl", weights_matmul.glsl and the bindings x and y of matmul.

layout(binding = 1) readonly buffer x_block
{
    vec4 quads[]; // [token][cols / 4]
}
x;

struct dot_step {
    uint step;              // columns from step * QUANT_STEP
    uint quads;             // of 4 columns in it: fewer in the last fetch of a row
    uint chunk, first_quad; // the chunk it lies in; its first quad there
};

dot_step dot_get_step(uint step)
{
    uint first = step * (QUANT_STEP / 4);
    return dot_step(step, min(QUANT_STEP / 4, (p.cols >> 2) - first), first >> 3, first & 7u);
}

// Scaled parts of a fetch of one row: values = scale * raw + offset, by half of the chunk.
struct dot_row {
    quant_words words;
    vec2 scale, offset;
};

dot_row dot_get_row(quant_row row, dot_step s)
{
    dot_row d;
    uvec4 side = uvec4(0);
#if QUANT_SIDE != 0
    side = quant_load_side(row, s.chunk / (QUANT_SIDE / 32));
#endif
    d.words = quant_load(row, s.step, side);
    d.scale = vec2(1.0);
    d.offset = vec2(0.0);
#if QUANT_GROUP != 0
    const uint HEAD_CHUNKS = QUANT_HEAD / 32;
    quant_head head = quant_load_head(row, s.chunk / HEAD_CHUNKS);
    d.scale = quant_scale(head, s.chunk % HEAD_CHUNKS);
    d.offset = quant_offset(head, s.chunk % HEAD_CHUNKS);
#endif
    return d;
}

vec4 dot_x(uint token, dot_step s, uint quad)
{
    bool inside = quad < s.quads;
    uint at = s.step * (QUANT_STEP / 4) + (inside ? quad : 0u);
    vec4 v = x.quads[token * (p.cols >> 2) + at];
    return inside ? v : vec4(0.0);
}

// Columns of quad i of the fetch.
vec4 dot_value(dot_row d, int i)
{
    vec4 raw = quant_raw4(d.words, i);
#if QUANT_GROUP == 0
    return raw;
#elif QUANT_OFFSET == 0
    return raw * d.scale[i / 4];
#else
    return raw * d.scale[i / 4] + d.offset[i / 4];
#endif
}
