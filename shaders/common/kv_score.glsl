// Which entries a token sees, and what becomes of a score. Scores are in units of ln 2.

// The entries [begin, end) that split j of n of a token with `len` entries sees. Splits begin at
// whole blocks, but for the one that begins with the window.
uvec2 kv_split(uint len, uint j, uint n)
{
    uint first = WINDOW != 0u && len > WINDOW ? len - WINDOW : 0u;
    if (n == 1u) {
        return uvec2(first, len);
    }
    uint block = uint(STEP_BLOCK), base = first / block * block;
    uint part = (len - base + n - 1u) / n;
    part = (part + block - 1u) / block * block;
    uint begin = min(base + j * part, len);
    return uvec2(max(begin, first), min(begin + part, len));
}

// cap tanh(score / cap). For small arguments Lambert's continued fraction, whose own error is there
// below 1e-8 of the result; else by exp2, which may be infinite.
float kv_cap(float score)
{
    float y = score / cap_log2, size = abs(y), z = y * y;
    float near = y * (945.0 + z * (105.0 + z)) / (945.0 + z * (420.0 + z * 15.0));
    float far = 1.0 - 2.0 / (1.0 + exp2(size * 2.88539008));
    return cap_log2 * (size < 0.75 ? near : y < 0.0 ? -far : far);
}
