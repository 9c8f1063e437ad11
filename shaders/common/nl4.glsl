// The 16 values of IQ4_NL and IQ4_XS (src/quant/nl4.h), for the indices in the bytes of w. A table
// would need a gather or a chain of selects; a polynomial of degree 4 comes within 0.436 of every
// value, so that its rounding is exact, also when products and sums are fused.
vec4 nl4_values(uint w)
{
    vec4 n = quant_bytes4(w);
    return roundEven((((0.001586 * n + 0.031086) * n - 1.3719) * n + 24.174) * n - 126.57);
}

// The same with a table of the 16 values, where that is faster. A format keeps nl4_table() beside its words.
#ifdef W_SHUFFLE
vec2 nl4_table()
{
    uint lane = gl_SubgroupInvocationID & 7u;
    return nl4_values(lane | (lane + 8u) << 8).xy;
}

vec4 nl4_values(uint w, vec2 table)
{
    return S < 8 ? nl4_values(w) : w_lookup16(table, w);
}
#else
vec2 nl4_table()
{
    return vec2(0.0);
}

vec4 nl4_values(uint w, vec2 table)
{
    return nl4_values(w);
}
#endif
