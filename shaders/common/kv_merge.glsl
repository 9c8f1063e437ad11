// One value of a head out of the partial results of its splits, [maximum (of scores / ln 2), sum,
// HEAD_DIM values] each, in their order. The includer declares KV_PARTIAL(i), a float of them. Loads
// are asked for many at a time; who else joins the same partials gets the same bits.
const uint KV_TOGETHER = 16;

// The partials begin at `at`, and `used` of them have entries.
float kv_merge(uint at, uint dim, uint used)
{
    float top = KV_PARTIAL(at);
    for (uint j0 = 0; j0 < used; j0 += KV_TOGETHER) {
        [[unroll]] for (uint i = 0; i < KV_TOGETHER; i++) {
            top = max(top, KV_PARTIAL(at + min(j0 + i, used - 1u) * (HEAD_DIM + 2u)));
        }
    }
    precise float sum = 0.0, value = 0.0;
    for (uint j0 = 0; j0 < used; j0 += KV_TOGETHER) {
        float m[KV_TOGETHER], l[KV_TOGETHER], x[KV_TOGETHER];
        [[unroll]] for (uint i = 0; i < KV_TOGETHER; i++) {
            uint from = at + min(j0 + i, used - 1u) * (HEAD_DIM + 2u);
            m[i] = KV_PARTIAL(from);
            l[i] = KV_PARTIAL(from + 1u);
            x[i] = KV_PARTIAL(from + 2u + dim);
        }
        [[unroll]] for (uint i = 0; i < KV_TOGETHER; i++) {
            float fade = m[i] == top ? 1.0 : exp2(m[i] - top);
            fade = j0 + i >= used || l[i] == 0.0 ? 0.0 : fade; // 0: without entries
            sum += fade * l[i];
            value += fade * x[i];
        }
    }
    return sum == 0.0 ? 0.0 : value / sum;
}
