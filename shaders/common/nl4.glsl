// The 16 values of IQ4_NL and IQ4_XS (src/quant/nl4.h), for the indices in the bytes of w. A table
// would need a gather or a chain of selects; a polynomial of degree 4 comes within 0.436 of every
// value, so that its rounding is exact, also when products and sums are fused.
vec4 nl4_values(uint w)
{
    vec4 n = quant_bytes4(w);
    return roundEven((((0.001586 * n + 0.031086) * n - 1.3719) * n + 24.174) * n - 126.57);
}
