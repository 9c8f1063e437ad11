// Which entries a token sees, and what becomes of a score. Scores are in units of ln 2.
#include "common/kv_split.glsl"

// cap tanh(score / cap). For small arguments Lambert's continued fraction, whose own error is there
// below 1e-8 of the result; else by exp2, which may be infinite.
float kv_cap(float score)
{
    float y = score / cap_log2, size = abs(y), z = y * y;
    float near = y * (945.0 + z * (105.0 + z)) / (945.0 + z * (420.0 + z * 15.0));
    float far = 1.0 - 2.0 / (1.0 + exp2(size * 2.88539008));
    return cap_log2 * (size < 0.75 ? near : y < 0.0 ? -far : far);
}
