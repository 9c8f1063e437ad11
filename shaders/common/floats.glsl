// What formats of plain floats have alike: one plane of 16-byte units, no scales. QUANT_STEP, the columns
// of a unit, is defined before; quant_raw4 is the format's own.
#define QUANT_HEAD 32
#define QUANT_SIDE 0
#define QUANT_GROUP 0
#define QUANT_OFFSET 0

struct quant_head {
    uint unused;
};
struct quant_words {
    uvec4 w;
};

quant_head quant_load_head(quant_row row, uint head)
{
    return quant_head(0u);
}

uvec4 quant_load_side(quant_row row, uint side)
{
    return uvec4(0u);
}

quant_words quant_load(quant_row row, uint step, uvec4 side)
{
    return quant_words(W16(row, 0, step));
}

vec2 quant_scale(quant_head head, uint chunk)
{
    return vec2(1.0);
}

vec2 quant_offset(quant_head head, uint chunk)
{
    return vec2(0.0);
}
