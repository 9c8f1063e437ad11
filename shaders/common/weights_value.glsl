// Four dequantized columns of any format, for shaders that include "format.glsl" before: columns
// 4 * quad .. 4 * quad + 3 of the row, which lie in one fetch, one scale and one unit.
vec4 quant_value4(quant_row row, uint quad)
{
    const uint STEP_QUADS = QUANT_STEP / 4;
    uint chunk = quad >> 3;
    uvec4 side = uvec4(0);
#if QUANT_SIDE != 0
    side = quant_load_side(row, chunk / (QUANT_SIDE / 32));
#endif
    quant_words words = quant_load(row, quad / STEP_QUADS, side);
    vec4 raw = quant_raw4(words, int(quad % STEP_QUADS));
    if (QUANT_GROUP == 0) {
        return raw;
    }
    const uint HEAD_CHUNKS = QUANT_HEAD / 32;
    quant_head head = quant_load_head(row, chunk / HEAD_CHUNKS);
    uint half_chunk = quad >> 2 & 1u;
    float scale = quant_scale(head, chunk % HEAD_CHUNKS)[half_chunk];
    if (QUANT_OFFSET == 0) {
        return raw * scale;
    }
    return raw * scale + quant_offset(head, chunk % HEAD_CHUNKS)[half_chunk];
}
